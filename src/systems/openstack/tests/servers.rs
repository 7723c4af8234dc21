//! Nova's servers.

use super::*;

/// A token whose catalog has a Nova at these endpoints.
fn token_with_nova(base: &str, endpoints: &[(&str, &str)]) -> Reply {
    let mut body = token_body(base);
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(interface, region)| endpoint(interface, region, &format!("{base}/compute/v2.1")))
        .collect();
    let nova = json!({ "type": "compute", "name": "nova", "endpoints": endpoints });
    body["token"]["catalog"].as_array_mut().unwrap().push(nova);
    Reply::Json(201, body)
}

/// A cloud with a Nova, which answers by the marker.
async fn nova(page: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> StandIn {
    let base = Arc::new(Mutex::new(String::new()));
    let known = Arc::clone(&base);
    let stand_in = StandIn::new(move |asked| match asked.path.as_str() {
        path if path.ends_with("/tokens") => {
            Some(token_with_nova(&known.lock().unwrap(), &[("public", "here"), ("admin", "here")]))
        }
        "/compute/v2.1/servers/detail" => Some(page(asked)),
        _ => None,
    })
    .await;
    base.lock().unwrap().clone_from(&stand_in.url);
    stand_in
}

fn a_server(id: &str) -> Value {
    json!({
        "id": id,
        "name": format!("theirs-k8s-node-{id}"),
        "tenant_id": "alpha-id",
        "status": "ACTIVE",
        "created": "2026-01-01T12:00:00Z",
        "addresses": { "inner": [
            { "version": 4, "addr": "10.0.0.7", "OS-EXT-IPS:type": "fixed" },
            { "version": 4, "addr": "149.165.1.2", "OS-EXT-IPS:type": "floating" },
        ] },
        "accessIPv4": "", "accessIPv6": "2001:db8::1",
        "metadata": { "kubespray_groups": "etcd", "n": 1 },
        "tags": ["prod"],
        "security_groups": [{ "name": "default" }],
        "key_name": "kubernetes-theirs",
    })
}

#[tokio::test]
async fn servers_are_read_page_by_page_and_the_first_page_is_asked_for_without_a_limit() {
    let stand_in = nova(|asked| {
        assert_eq!(asked.version.as_deref(), Some("compute 2.69"));
        assert_eq!(asked.token.as_deref(), Some(TOKEN));
        Reply::Json(
            200,
            match asked.marker() {
                None => json!({ "servers": [a_server("1")],
                    "servers_links": [{ "rel": "next", "href": "http://x/?marker=1" }] }),
                Some("1") => json!({ "servers": [a_server("2")] }),
                other => panic!("{other:?}"),
            },
        )
    })
    .await;
    let servers = stand_in.connect().await.unwrap().servers().await.unwrap();
    assert_eq!(servers.len(), 2);
    assert_eq!(servers[0].name, "theirs-k8s-node-1");
    let addresses: Vec<String> = servers[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.7", "149.165.1.2", "2001:db8::1"]);
    assert_eq!(servers[0].metadata.get("n").unwrap(), "1");
    assert_eq!(servers[0].tags, ["prod"]);
    assert_eq!(servers[0].security_groups, ["default"]);
    assert_eq!(servers[0].key_name.as_deref(), Some("kubernetes-theirs"));
    assert_eq!(servers[0].created_at, Some("2026-01-01T12:00:00Z".parse().unwrap()));
    // With one, Nova would leave out what is in a part of the cloud that is down.
    assert_eq!(stand_in.asked()[1], "GET /compute/v2.1/servers/detail?");
}

#[tokio::test]
async fn a_list_of_servers_that_is_not_whole_is_an_error() {
    let down =
        json!({ "id": "1", "status": "UNKNOWN", "tenant_id": "alpha-id", "created": "2026-01-01T12:00:00Z" });
    let mut other = a_server("1");
    other["tenant_id"] = json!("beta-id");
    let mut nameless = a_server("1");
    nameless["id"] = json!("");
    for (answer, said) in [
        (Reply::Json(200, json!({ "servers": [down] })), "server 1 is in a part of the cloud that is down"),
        (Reply::Json(200, json!({ "servers": [other] })), "belongs to another project"),
        (Reply::Json(200, json!({ "servers": [nameless] })), "a server has no id"),
        (Reply::Json(200, json!({ "servers": [a_server("1"), a_server("1")] })), "came twice"),
        (Reply::Json(200, json!({ "servers": null })), "cannot be used"),
        (Reply::Json(404, json!({ "itemNotFound": {} })), "HTTP 404"),
        (Reply::Text(500, String::new()), "HTTP 500"),
        (Reply::Cut("{\"servers\": [".to_owned()), "end"),
    ] {
        let answer = Mutex::new(vec![answer]);
        let stand_in =
            nova(move |_| answer.lock().unwrap().pop().unwrap_or(Reply::Text(500, String::new()))).await;
        let error = stand_in.connect().await.unwrap().servers().await.unwrap_err();
        let told = chain(&error);
        assert!(told.starts_with("cannot list the servers of project alpha: "), "{told}");
        // Faults that pass are asked again, and then it is another one.
        assert!(told.contains(said) || told.ends_with("HTTP 500"), "{told} does not say {said:?}");
    }
}

#[tokio::test]
async fn servers_that_may_not_be_listed_are_told_with_what_to_do() {
    let stand_in =
        nova(|_| Reply::Json(403, json!({ "forbidden": { "code": 403, "message": "Policy says no." } })))
            .await;
    let error = stand_in.connect().await.unwrap().servers().await.unwrap_err();
    assert_eq!(chain(&error), "cannot list the servers of project alpha: HTTP 403: Policy says no.");
    assert!(error.hint().unwrap().contains("has to be allowed to list them"));
    assert_eq!(stand_in.asked().len(), 2);
}

#[tokio::test]
async fn a_catalog_without_nova_has_no_servers_and_one_with_it_elsewhere_is_no_answer() {
    let without = StandIn::new(|_| None).await;
    assert_eq!(without.connect().await.unwrap().servers().await.unwrap(), []);
    assert_eq!(without.asked().len(), 1);
    for (endpoints, servers) in [
        (vec![("public", "there")], Ok(0)),
        (
            vec![("internal", "here")],
            Err("the catalog has no Nova with interface \"public\" in region \"here\""),
        ),
        (vec![], Ok(0)),
    ] {
        let stand_in = StandIn::new(move |asked| {
            asked.path.ends_with("/tokens").then(|| token_with_nova("http://127.0.0.1:1", &endpoints))
        })
        .await;
        match (stand_in.connect().await, servers) {
            (Ok(cloud), Ok(count)) => assert_eq!(cloud.servers().await.unwrap().len(), count),
            (Err(error), Err(said)) => assert!(chain(&error).contains(said), "{}", chain(&error)),
            (cloud, expected) => panic!("{cloud:?} {expected:?}"),
        }
    }
}
