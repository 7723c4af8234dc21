//! Tokens kept between runs.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::files;

/// A Keystone whose tokens live for another hundred years, or as long as is said, and a Cinder without volumes.
async fn keystone(expires_at: &'static str) -> StandIn {
    StandIn::new(move |asked| match asked.path.as_str() {
        "/identity/v3/auth/tokens" => {
            let mut body = token_body(&format!("http://{}", asked.host));
            body["token"]["expires_at"] = json!(expires_at);
            Some(Reply::Json(201, body))
        }
        path if path.ends_with("/volumes/detail") => Some(a_page([], None)),
        _ => None,
    })
    .await
}

const FOR_LONG: &str = "2126-03-01T13:00:00.000000Z";

fn logins(stand_in: &StandIn) -> usize {
    stand_in.asked().iter().filter(|asked| asked.starts_with("POST")).count()
}

async fn connect(env: &OpenrcEnv, tokens: &Tokens) -> Cloud {
    let cloud = Cloud::connect(env, LIMIT, tokens).await.unwrap();
    cloud.volumes().await.unwrap();
    cloud
}

#[tokio::test]
async fn the_second_run_does_not_log_in_again() {
    let (dir, stand_in) = (tempfile::tempdir().unwrap(), keystone(FOR_LONG).await);
    let tokens = Tokens::within(dir.path().join("_fleet/tokens"));
    let first = connect(&stand_in.env(), &tokens).await;
    let second = connect(&stand_in.env(), &tokens).await;
    assert_eq!(logins(&stand_in), 1);
    assert_eq!(second.project(), first.project());
    connect(&stand_in.env(), &Tokens::not_kept()).await;
    assert_eq!(logins(&stand_in), 2);
}

#[tokio::test]
async fn another_secret_credential_or_region_is_another_login() {
    let (dir, stand_in) = (tempfile::tempdir().unwrap(), keystone(FOR_LONG).await);
    let tokens = Tokens::within(dir.path().to_owned());
    connect(&stand_in.env(), &tokens).await;
    let url = format!("{}/identity/v3/", stand_in.url);
    let usual = [
        ("OS_AUTH_URL", url.as_str()),
        ("OS_APPLICATION_CREDENTIAL_ID", "credential-id"),
        ("OS_APPLICATION_CREDENTIAL_SECRET", SECRET),
        ("OS_REGION_NAME", "here"),
    ];
    connect(&env(&usual), &tokens).await;
    assert_eq!(logins(&stand_in), 1);
    for (place, other) in [(1, "another-id"), (2, "another-secret"), (3, "there")] {
        let mut variables = usual;
        variables[place].1 = other;
        connect(&env(&variables), &tokens).await;
        assert_eq!(logins(&stand_in), 1 + place, "{other}");
    }
}

#[tokio::test]
async fn a_token_that_ends_soon_is_not_used_again() {
    let soon = clock::now() + Duration::from_mins(9);
    let soon: &'static str = soon.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string().leak();
    let (dir, stand_in) = (tempfile::tempdir().unwrap(), keystone(soon).await);
    let tokens = Tokens::within(dir.path().to_owned());
    connect(&stand_in.env(), &tokens).await;
    connect(&stand_in.env(), &tokens).await;
    assert_eq!(logins(&stand_in), 2);
}

#[tokio::test]
async fn a_kept_token_that_is_refused_is_replaced() {
    let stand_in = StandIn::new(|asked| match asked.path.as_str() {
        "/identity/v3/auth/tokens" => {
            let mut body = token_body(&format!("http://{}", asked.host));
            body["token"]["expires_at"] = json!(FOR_LONG);
            Some(Reply::Json(201, body))
        }
        path if path.ends_with("/volumes/detail") && asked.token.as_deref() == Some("revoked") => {
            Some(Reply::Json(401, json!({})))
        }
        path if path.ends_with("/volumes/detail") => Some(a_page([], None)),
        _ => None,
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::within(dir.path().to_owned());
    connect(&stand_in.env(), &tokens).await;
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    files::replace(&file, text.replace(TOKEN, "revoked").as_bytes(), 0o600).unwrap();
    connect(&stand_in.env(), &tokens).await;
    assert_eq!(logins(&stand_in), 2);
    // The new one has been kept in its place.
    connect(&stand_in.env(), &tokens).await;
    assert_eq!(logins(&stand_in), 2);
}

#[tokio::test]
async fn a_token_with_which_a_list_cannot_be_had_is_kept_no_longer() {
    let (dir, stand_in) = (tempfile::tempdir().unwrap(), keystone(FOR_LONG).await);
    let tokens = Tokens::within(dir.path().to_owned());
    let cloud = connect(&stand_in.env(), &tokens).await;
    // There are no snapshots here.
    assert!(cloud.snapshots().await.is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    connect(&stand_in.env(), &tokens).await;
    assert_eq!(logins(&stand_in), 2);
}

#[tokio::test]
async fn a_kept_token_is_its_owners_alone_and_has_no_secret_of_the_openrc_beside_it() {
    let (dir, stand_in) = (tempfile::tempdir().unwrap(), keystone(FOR_LONG).await);
    let directory = dir.path().join("tokens");
    let tokens = Tokens::within(directory.clone());
    connect(&stand_in.env(), &tokens).await;
    let file = std::fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
    assert!(!std::fs::read_to_string(&file).unwrap().contains(SECRET));
    // What others could have read, or written, is not used.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    connect(&stand_in.env(), &tokens).await;
    assert_eq!(logins(&stand_in), 2);
    assert_eq!(mode(&file), 0o600);
}

#[tokio::test]
async fn the_token_of_a_password_is_not_kept() {
    let (dir, stand_in) = (tempfile::tempdir().unwrap(), keystone(FOR_LONG).await);
    let url = format!("{}/identity/v3/", stand_in.url);
    let openrc = env(&[
        ("OS_AUTH_URL", url.as_str()),
        ("OS_USERNAME", "somebody"),
        ("OS_PASSWORD", SECRET),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_NAME", "alpha"),
        ("OS_PROJECT_DOMAIN_NAME", "Default"),
        ("OS_REGION_NAME", "here"),
    ]);
    connect(&openrc, &Tokens::within(dir.path().to_owned())).await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_or_kept_costs_a_login_and_nothing_else() {
    let (dir, stand_in) = (tempfile::tempdir().unwrap(), keystone(FOR_LONG).await);
    let tokens = Tokens::within(dir.path().to_owned());
    connect(&stand_in.env(), &tokens).await;
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    files::replace(&file, b"{", 0o600).unwrap();
    connect(&stand_in.env(), &tokens).await;
    assert_eq!(logins(&stand_in), 2);
    let nowhere = dir.path().join("a-file");
    files::replace(&nowhere, b"", 0o600).unwrap();
    connect(&stand_in.env(), &Tokens::within(nowhere.join("tokens"))).await;
    assert_eq!(logins(&stand_in), 3);
}
