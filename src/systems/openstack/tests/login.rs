//! Logging in, and the session that it leaves.

use super::*;

#[tokio::test]
async fn logging_in_is_one_request_and_the_project_is_the_tokens() {
    let stand_in = StandIn::new(|asked| {
        if asked.path.ends_with("/tokens") {
            assert!(asked.body.contains(SECRET) && asked.token.is_none());
        }
        None
    })
    .await;
    let cloud = stand_in.connect().await.unwrap();
    assert_eq!(cloud.project().name, "alpha");
    assert_eq!(cloud.project().key.id, "alpha-id");
    assert_eq!(cloud.project().key.region, "here");
    assert_eq!(cloud.project().key.auth_url, format!("{}/identity/v3", stand_in.url));
    assert_eq!(cloud.token_expires_at(), "2026-03-01T13:00:00Z".parse().unwrap());
    assert_eq!(stand_in.asked(), ["POST /identity/v3/auth/tokens?"]);
    assert!(!format!("{cloud:?}").contains(TOKEN));
}

#[tokio::test]
async fn no_token_is_kept_on_disk() {
    let stand_in = pages(|_| a_page([a_volume(1)], None)).await;
    let kept = || {
        let home = std::env::home_dir().unwrap();
        let mut files: Vec<_> = [".osc", ".cache/osc", ".config/openstack"]
            .iter()
            .filter_map(|place| std::fs::read_dir(home.join(place)).ok())
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    };
    let before = kept();
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
    assert_eq!(kept(), before);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_sent_again() {
    let logins = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&logins);
    let stand_in = StandIn::new(move |asked| {
        if asked.path.ends_with("/tokens") {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return None;
        }
        let fresh = count.load(std::sync::atomic::Ordering::Relaxed) > 1;
        Some(if fresh { a_page([a_volume(1)], None) } else { Reply::Json(401, json!({})) })
    })
    .await;
    assert_eq!(listed(&stand_in).await.unwrap(), [1]);
    assert_eq!(logins.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_that_is_always_refused_is_an_error() {
    let stand_in = pages(|_| Reply::Json(401, json!({ "error": { "message": "expired" } }))).await;
    assert!(listed(&stand_in).await.unwrap_err().ends_with("HTTP 401: expired"));
}

#[tokio::test]
async fn an_expired_or_wrong_credential_is_told_with_what_to_do() {
    let stand_in = StandIn::new(|_| {
        Some(Reply::Json(401, json!({ "error": { "code": 401, "message": "The request requires auth" } })))
    })
    .await;
    let error = stand_in.connect().await.unwrap_err();
    let host = stand_in.url.trim_start_matches("http://");
    assert_eq!(
        chain(&error),
        format!(
            "cannot log in to OpenStack at {host}: Keystone refused the application credential: it has expired, or \
             it is wrong (Keystone does not tell which)"
        )
    );
    assert!(error.is_credentials());
    assert!(error.hint().unwrap().contains("make a new application credential"));
}

#[tokio::test]
async fn an_unknown_credential_is_told_and_no_secret_with_it() {
    let stand_in = StandIn::new(|_| {
        let message = format!("Could not find Application Credential: x {SECRET}");
        Some(Reply::Json(404, json!({ "error": { "code": 404, "message": message } })))
    })
    .await;
    let error = stand_in.connect().await.unwrap_err();
    assert!(error.is_credentials());
    assert!(chain(&error).ends_with("Could not find Application Credential: x [secret]"));
    assert!(!format!("{error:?}").contains(SECRET));
}

#[tokio::test]
async fn a_token_without_a_project_is_an_error() {
    let stand_in = StandIn::new(|asked| {
        let mut body = token_body("http://x");
        body["token"]["project"] = Value::Null;
        asked.path.ends_with("/tokens").then_some(Reply::Json(201, body))
    })
    .await;
    assert!(chain(&stand_in.connect().await.unwrap_err()).ends_with("the token is for no project"));
}

#[tokio::test]
async fn a_region_that_the_catalog_does_not_have_is_an_error() {
    let stand_in = StandIn::new(|_| None).await;
    let of = async |name: &str, value: &str| {
        let url = format!("{}/identity", stand_in.url);
        let env = env(&[
            ("OS_AUTH_URL", &url),
            ("OS_APPLICATION_CREDENTIAL_ID", "credential-id"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", SECRET),
            (name, value),
        ]);
        Cloud::connect(&env, LIMIT, &Tokens::not_kept()).await.map_err(|error| chain(&error))
    };
    assert!(of("OS_REGION_NAME", "nowhere").await.unwrap_err().contains("no Cinder"));
    assert!(of("OS_REGION_NAME", "").await.unwrap_err().contains("set OS_REGION_NAME"));
    assert!(of("OS_INTERFACE", "admin").await.unwrap_err().contains("no Cinder"));
    assert!(of("OS_INTERFACE", "internalURL").await.is_ok());
}

#[tokio::test]
async fn a_cloud_that_cannot_be_reached_says_so() {
    let env = env(&[
        ("OS_AUTH_URL", "http://127.0.0.1:1/v3"),
        ("OS_APPLICATION_CREDENTIAL_ID", "credential-id"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", SECRET),
    ]);
    let error = Cloud::connect(&env, LIMIT, &Tokens::not_kept()).await.unwrap_err();
    assert!(chain(&error).starts_with("cannot log in to OpenStack at 127.0.0.1:1: Connection refused"));
    assert_eq!(error.nature(), Nature::Unknown);
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_time_limit_alone() {
    for reply in [|| Reply::Hang, || Reply::HangInBody] {
        let hangs = move |asked: &Asked| asked.path.contains("/volumes/").then(reply);
        let stand_in = StandIn::new(hangs).await;
        let cloud = Cloud::connect(&stand_in.env(), LIMIT, &Tokens::not_kept()).await.unwrap();
        let cloud = Cloud { limit: Duration::from_millis(300), ..cloud };
        let begin = std::time::Instant::now();
        for error in
            [cloud.volume(&samples::volume_id(1)).await.unwrap_err(), cloud.volumes().await.unwrap_err()]
        {
            assert!(chain(&error).ends_with("no answer within 0.3 s"), "{}", chain(&error));
        }
        assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn an_application_credentials_expiry_is_asked_for_with_the_token() {
    let stand_in = StandIn::new(|asked| {
        let path = "/identity/v3/users/user-id/application_credentials/credential-id";
        if asked.path != path {
            return None;
        }
        assert_eq!(asked.token.as_deref(), Some(TOKEN));
        let body = json!({ "application_credential": { "expires_at": "2026-06-01T00:00:00.000000" } });
        Some(Reply::Json(200, body))
    })
    .await;
    let expiry = stand_in.connect().await.unwrap().credential_expires_at().await.unwrap();
    assert_eq!(expiry, Some("2026-06-01T00:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn an_expiry_that_the_policy_hides_is_not_known() {
    let stand_in =
        StandIn::new(|asked| asked.path.contains("/users/").then(|| Reply::Json(403, json!({})))).await;
    assert_eq!(stand_in.connect().await.unwrap().credential_expires_at().await.unwrap(), None);
}

#[tokio::test]
async fn every_kind_of_openrc_asks_keystone_for_the_right_token() {
    let bodies = Arc::new(Mutex::new(Vec::<Value>::new()));
    let log = Arc::clone(&bodies);
    let stand_in = StandIn::new(move |asked| {
        log.lock().unwrap().push(serde_json::from_str(&asked.body).unwrap());
        None
    })
    .await;
    let url = format!("{}/identity/v3", stand_in.url);
    let login = async |variables: &[(&str, &str)]| {
        let mut all = vec![("OS_AUTH_URL", url.as_str()), ("OS_REGION_NAME", "here")];
        all.extend(variables);
        Cloud::connect(&env(&all), LIMIT, &Tokens::not_kept()).await.unwrap();
        bodies.lock().unwrap().pop().unwrap()["auth"].clone()
    };
    assert_eq!(
        login(&[
            ("OS_APPLICATION_CREDENTIAL_NAME", "fleet"),
            ("OS_APPLICATION_CREDENTIAL_SECRET", "s"),
            ("OS_USERNAME", "me"),
            ("OS_USER_DOMAIN_NAME", "access"),
        ])
        .await,
        json!({ "identity": {
            "methods": ["application_credential"],
            "application_credential":
                { "name": "fleet", "secret": "s", "user": { "name": "me", "domain": { "name": "access" } } },
        } })
    );
    assert_eq!(
        login(&[
            ("OS_USERNAME", "me"),
            ("OS_PASSWORD", "p"),
            ("OS_PROJECT_NAME", "alpha"),
            ("OS_PROJECT_DOMAIN_ID", "d"),
        ])
        .await,
        json!({
            "identity": { "methods": ["password"], "password":
                { "user": { "name": "me", "password": "p", "domain": { "id": "default" } } } },
            "scope": { "project": { "name": "alpha", "domain": { "id": "d" } } },
        })
    );
    assert_eq!(
        login(&[("OS_TOKEN", "t"), ("OS_PROJECT_ID", "alpha-id")]).await,
        json!({
            "identity": { "methods": ["token"], "token": { "id": "t" } },
            "scope": { "project": { "id": "alpha-id" } },
        })
    );
}

#[tokio::test]
async fn an_openrc_that_lacks_something_is_told_without_asking_anybody() {
    let good = [
        ("OS_AUTH_URL", "http://127.0.0.1:1/v3"),
        ("OS_APPLICATION_CREDENTIAL_ID", "i"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "s"),
    ];
    for (name, value, problem) in [
        ("OS_AUTH_URL", "", "OS_AUTH_URL is not set"),
        ("OS_AUTH_URL", "cloud:5000", "OS_AUTH_URL is not an http or https URL"),
        ("OS_AUTH_URL", "https://cloud:5000/v2.0", "version 2"),
        ("OS_APPLICATION_CREDENTIAL_ID", "", "OS_APPLICATION_CREDENTIAL_ID is not set"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", "", "OS_USERNAME is not set"),
        ("OS_AUTH_TYPE", "v3oidcpassword", "OS_AUTH_TYPE is \"v3oidcpassword\""),
        ("OS_CACERT", "/home/openstack/nowhere.pem", "OS_CACERT is \"/home/openstack/nowhere.pem\""),
    ] {
        let mut variables: Vec<_> = good.into_iter().filter(|(known, _)| *known != name).collect();
        variables.push((name, value));
        let error = Cloud::connect(&env(&variables), LIMIT, &Tokens::not_kept()).await.unwrap_err();
        assert!(chain(&error).contains(problem), "{}", chain(&error));
        assert!(error.hint().is_some());
    }
}
