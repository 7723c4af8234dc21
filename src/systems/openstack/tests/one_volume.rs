//! What is asked, and asked for, of one volume.

use super::*;

#[tokio::test]
async fn a_volume_that_cinder_does_not_know_is_none_and_one_that_it_mixes_up_is_an_error() {
    let stand_in = StandIn::new(|asked| {
        let number = asked.path.ends_with(&samples::volume_id(2)).then_some(3)?;
        Some(Reply::Json(200, json!({ "volume": a_volume(number) })))
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    assert_eq!(cloud.volume(&samples::volume_id(1)).await.unwrap(), None);
    assert!(cloud.volume(&samples::volume_id(2)).await.is_err());
}

#[tokio::test]
async fn an_id_that_would_lead_elsewhere_is_never_sent() {
    let stand_in = StandIn::new(|_| None).await;
    let cloud = stand_in.connect().await.unwrap();
    for id in ["", "..", "../snapshots/x", "a/b", "a?force=true", "a%2fb", "a b"] {
        assert!(cloud.volume(id).await.is_err(), "{id}");
        assert!(cloud.delete(id).await.is_err(), "{id}");
    }
    assert_eq!(stand_in.asked().len(), 1);
}

#[tokio::test]
async fn a_deletion_is_one_plain_delete_by_id() {
    let stand_in = StandIn::new(|asked| match asked.path.rsplit('/').next() {
        Some(id) if id == samples::volume_id(1) => Some(Reply::Text(202, String::new())),
        Some(id) if id == samples::volume_id(3) => {
            Some(Reply::Json(400, json!({ "badRequest": { "code": 400, "message": "has snapshots" } })))
        }
        Some(id) if id == samples::volume_id(4) => Some(Reply::Text(503, String::new())),
        Some(id) if id == samples::volume_id(5) => Some(Reply::Close),
        _ => None,
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let delete = async |number| {
        let id = samples::volume_id(number);
        cloud.delete_volume(&id, &confirmed(&cloud, &[&id])).await
    };
    assert_eq!(delete(1).await.unwrap(), Deletion::Accepted);
    assert_eq!(delete(2).await.unwrap(), Deletion::AlreadyGone);
    let refused = delete(3).await.unwrap_err();
    assert_eq!(refused.nature(), Nature::Refused);
    assert!(chain(&refused).ends_with("HTTP 400: has snapshots"), "{}", chain(&refused));
    assert_eq!(delete(4).await.unwrap_err().nature(), Nature::PutOff);
    assert_eq!(delete(5).await.unwrap_err().nature(), Nature::Unknown);
    let path = format!("DELETE /volume/v3/alpha-id/volumes/{}?", samples::volume_id(1));
    assert_eq!(stand_in.asked()[1], path);
    assert_eq!(stand_in.asked().len(), 6);
}

#[tokio::test]
async fn a_deletion_that_nobody_confirmed_is_never_sent() {
    let stand_in = StandIn::new(|_| None).await;
    let cloud = stand_in.connect().await.unwrap();
    let confirmed = confirmed(&cloud, &[&samples::volume_id(1)]);
    let error = cloud.delete_volume(&samples::volume_id(2), &confirmed).await.unwrap_err();
    assert!(chain(&error).ends_with("nobody confirmed that it is deleted"), "{}", chain(&error));
    assert_eq!(error.nature(), Nature::Refused);
    assert_eq!(stand_in.asked().len(), 1);
}

#[tokio::test]
async fn a_deletion_is_put_off_for_as_long_as_the_server_says() {
    for (status, after, seconds) in [
        (429, "7", Some(7)),
        (503, " 3600", Some(3600)),
        (500, "Sun, 01 Mar 2026 12:00:30 GMT", Some(30)),
        (503, "Sun, 01 Mar 2026 11:00:00 GMT", None),
        (503, "soon", None),
        (503, "-1", None),
        (503, "", None),
    ] {
        let stand_in = StandIn::new(move |asked| {
            asked.path.contains("/volumes/").then_some(Reply::Later(status, after))
        })
        .await;
        let cloud = stand_in.connect().await.unwrap();
        let id = samples::volume_id(1);
        let error = cloud.delete_volume(&id, &confirmed(&cloud, &[&id])).await.unwrap_err();
        assert_eq!(error.nature(), Nature::PutOff, "{status}");
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{after:?}");
        assert_eq!(stand_in.asked().len(), 2);
    }
}

#[tokio::test]
async fn metadata_is_added_and_taken_away_key_by_key() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&bodies);
    let stand_in = StandIn::new(move |asked| match asked.method.as_str() {
        "POST" if asked.path.ends_with("/metadata") => {
            log.lock().unwrap().push(serde_json::from_str::<Value>(&asked.body).unwrap());
            Some(Reply::Json(200, json!({ "metadata": {} })))
        }
        "DELETE" if asked.path.ends_with("/fleet.keep") => Some(Reply::Text(200, String::new())),
        "DELETE" if asked.path.ends_with("/forbidden") => Some(Reply::Json(403, json!({}))),
        _ => None,
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let id = samples::volume_id(1);
    let metadata = [("fleet.keep", "true"), ("fleet.keep-reason", "a \"thesis\" of Änne")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    cloud.set_metadata(&id, &metadata).await.unwrap();
    assert_eq!(bodies.lock().unwrap()[0], json!({ "metadata": metadata }));
    cloud.delete_metadata(&id, "fleet.keep").await.unwrap();
    // Gone already.
    cloud.delete_metadata(&id, " ../a?b/ä").await.unwrap();
    let refused = cloud.delete_metadata(&id, "forbidden").await.unwrap_err();
    assert!(chain(&refused).contains("cannot change the metadata of volume"), "{}", chain(&refused));
    let at = |key: &str| format!("DELETE /volume/v3/alpha-id/volumes/{id}/metadata/{key}?");
    assert_eq!(stand_in.asked()[2..4], [at("fleet.keep"), at("%20..%2Fa%3Fb%2F%C3%A4")]);
    for id in ["", "..", "a/b"] {
        assert!(cloud.set_metadata(id, &metadata).await.is_err());
        assert!(cloud.delete_metadata(id, "x").await.is_err());
    }
    assert_eq!(stand_in.asked().len(), 5);
}

#[tokio::test]
async fn no_4xx_but_429_is_ever_tried_again() {
    for status in [400, 403, 404, 405, 409, 413, 422] {
        let stand_in =
            StandIn::new(move |asked| asked.path.contains("/volumes/").then_some(Reply::Later(status, "1")))
                .await;
        let cloud = stand_in.connect().await.unwrap();
        let id = samples::volume_id(1);
        let error = cloud.delete_volume(&id, &confirmed(&cloud, &[&id])).await.unwrap_err();
        assert_eq!(error.nature(), Nature::Refused, "{status}");
    }
}
