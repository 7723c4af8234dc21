//! Lists of volumes and snapshots, page by page.

use super::*;

#[tokio::test]
async fn every_page_of_a_list_is_read() {
    let stand_in = pages(|marker| match marker {
        None => a_page([a_volume(1), a_volume(2)], Some(2)),
        Some(2) => a_page([a_volume(3)], Some(3)),
        Some(3) => a_page([a_volume(4)], None),
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1, 2, 3, 4]);
    assert!(stand_in.asked()[1].contains("limit=1000"));
    assert!(stand_in.asked().iter().all(|asked| !asked.contains("all_tenants")));
}

#[tokio::test]
async fn a_full_page_without_a_link_is_not_taken_for_the_end() {
    let stand_in = pages(|marker| match marker {
        None => a_page((0..1000).map(a_volume), None),
        Some(999) => a_page([a_volume(1000)], None),
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap().len(), 1001);
}

#[tokio::test]
async fn a_link_without_a_marker_goes_on_after_the_last_id() {
    let stand_in = pages(|marker| match marker {
        None => Reply::Json(
            200,
            json!({ "volumes": [a_volume(1)], "volumes_links": [{ "rel": "next", "href": "/v3/volumes/detail" }] }),
        ),
        _ => a_page([a_volume(2)], None),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn an_empty_page_with_a_next_one_is_an_error() {
    let stand_in = pages(|marker| match marker {
        None => a_page([a_volume(1)], Some(1)),
        _ => a_page([], Some(7)),
    })
    .await;
    let error = listed(&stand_in).await.unwrap_err();
    assert_eq!(
        error,
        "cannot list the volumes of project alpha: the list is not complete: volumes after 1 entries: a page is \
         empty and still has a next one"
    );
}

#[tokio::test]
async fn a_page_that_repeats_is_an_error() {
    let stand_in = pages(|_| a_page([a_volume(1)], Some(1))).await;
    assert!(listed(&stand_in).await.unwrap_err().contains("came twice"));
}

#[tokio::test]
async fn links_that_go_round_in_a_circle_are_an_error() {
    let counter = std::sync::atomic::AtomicU64::new(0);
    let stand_in = pages(move |_| {
        let number = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        a_page([a_volume(number)], Some(number % 2))
    })
    .await;
    assert!(listed(&stand_in).await.unwrap_err().contains("circle"));
}

#[tokio::test]
async fn a_page_that_breaks_off_is_an_error_and_not_a_shorter_list() {
    for fault in ["cut", "close", "not json", "no key", "null", "bad entry", "other project", "duplicate key"]
    {
        let stand_in = pages(move |marker| match (marker, fault) {
            (None, _) => a_page([a_volume(1)], Some(1)),
            (_, "cut") => Reply::Cut("{\"volumes\": [".to_owned()),
            (_, "close") => Reply::Close,
            (_, "not json") => Reply::Text(200, "<html>".to_owned()),
            (_, "no key") => Reply::Json(200, json!({ "volume": [] })),
            (_, "null") => Reply::Json(200, json!({ "volumes": null })),
            (_, "bad entry") => Reply::Json(200, json!({ "volumes": [a_volume(2), { "id": "x" }] })),
            (_, "duplicate key") => Reply::Text(200, "{\"volumes\": [{}], \"volumes\": []}".to_owned()),
            (_, _) => {
                let mut other = a_volume(2);
                other["os-vol-tenant-attr:tenant_id"] = json!("beta-id");
                a_page([other], None)
            }
        })
        .await;
        let answer = listed(&stand_in).await;
        assert!(answer.is_err(), "{fault}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_that_was_put_off_is_asked_for_again() {
    let counter = std::sync::atomic::AtomicU64::new(0);
    let stand_in = pages(move |_| match counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Reply::Text(503, "<html>busy</html>".to_owned()),
        _ => a_page([a_volume(1)], None),
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_list_that_is_forbidden_is_asked_for_once() {
    let stand_in =
        pages(|_| Reply::Json(403, json!({ "forbidden": { "code": 403, "message": "Policy says\nno." } })))
            .await;
    let error = listed(&stand_in).await.unwrap_err();
    assert_eq!(error, "cannot list the volumes of project alpha: HTTP 403: Policy says no.");
    assert_eq!(stand_in.asked().len(), 2);
}

#[tokio::test]
async fn a_field_that_is_missing_from_a_volume_is_an_error() {
    for field in ["id", "name", "status", "size", "attachments", "metadata", "bootable"] {
        let stand_in = pages(move |_| {
            let mut volume = a_volume(1);
            volume.as_object_mut().unwrap().remove(field);
            a_page([volume], None)
        })
        .await;
        assert!(listed(&stand_in).await.is_err(), "{field}");
    }
}

#[tokio::test]
async fn a_volume_is_read_so_that_doubt_keeps_it() {
    let stand_in = StandIn::new(|asked| {
        let mut volume = a_volume(1);
        volume["name"] = Value::Null;
        volume["created_at"] = json!("yesterday");
        volume["attachments"] = json!([{ "server_id": null, "attachment_id": "" }, { "server_id": "s" }, {}]);
        volume["bootable"] = json!("perhaps");
        volume["metadata"] = json!({ "n": 1 });
        asked.path.contains("/volumes/").then(|| Reply::Json(200, json!({ "volume": volume })))
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let volume = cloud.volume(&samples::volume_id(1)).await.unwrap().unwrap();
    assert_eq!(volume.name, "");
    assert_eq!(volume.created_at, None);
    assert_eq!(volume.attachments.len(), 3);
    assert_eq!(volume.attachments[1], "s");
    assert!(volume.bootable && volume.attachments.iter().all(|id| !id.is_empty()));
    assert_eq!(volume.metadata.get("n").unwrap(), "1");
}

#[tokio::test]
async fn a_volume_with_image_metadata_counts_as_bootable() {
    let stand_in = StandIn::new(|asked| {
        let mut volume = a_volume(1);
        volume["volume_image_metadata"] = json!({ "image_id": "i" });
        asked.path.contains("/volumes/").then(|| Reply::Json(200, json!({ "volume": volume })))
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    let volume = cloud.volume(&samples::volume_id(1)).await.unwrap().unwrap();
    assert!(volume.bootable);
    assert_eq!(volume.created_at, Some("2026-01-01T12:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn a_page_is_asked_for_again_when_the_server_wants_it() {
    let counter = std::sync::atomic::AtomicU64::new(0);
    let stand_in = pages(move |_| match counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Reply::Later(429, "3"),
        _ => a_page([a_volume(1)], None),
    })
    .await;
    let begin = std::time::Instant::now();
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
    assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn snapshots_are_read_page_by_page_too() {
    let stand_in = StandIn::new(|asked| {
        let page = match asked.marker() {
            None => json!({ "snapshots": [{ "id": "s1", "volume_id": "v1", "name": null }],
                "snapshots_links": [{ "rel": "next", "href": "http://x/?marker=s1" }] }),
            Some(_) => json!({ "snapshots": [{ "id": "s2", "volume_id": "v2" }] }),
        };
        asked.path.ends_with("/snapshots/detail").then_some(Reply::Json(200, page))
    })
    .await;
    let snapshots = stand_in.connect().await.unwrap().snapshots().await.unwrap();
    assert_eq!(
        snapshots.iter().map(|snapshot| snapshot.volume_id.as_str()).collect::<Vec<_>>(),
        ["v1", "v2"]
    );
}
