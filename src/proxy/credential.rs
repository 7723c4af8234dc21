//! What kubectl is told by its credential plugin. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::kubeconfig::NotOutside;
use crate::systems::kubeconfig::Credentials;

/// The versions of the contract; they are the same in all that is used here. The first is for kubectls that do not say.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1beta1", "client.authentication.k8s.io/v1"];

/// For so long kubectl and k9s do not ask again. One who stays, as k9s does, asks each time that this is over: fleet sees to it
/// that the proxy is there and is fleet's own, and until then the secret could go to somebody who took the place of one that has
/// ended. It costs a start of fleet each time.
const GOOD_FOR: SignedDuration = SignedDuration::from_secs(15);

/// The answer. It is never shown but to the program that asked, so it has no `Debug`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    api_version: &'static str,
    kind: &'static str,
    status: Status,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    api_version: String,
}

/// The answer to a question (`$KUBERNETES_EXEC_INFO`).
pub fn answer(
    credentials: &Credentials,
    question: Option<&str>,
    now: Timestamp,
) -> Result<Answer, NotOutside> {
    let asked = question.and_then(|question| serde_json::from_str::<Question>(question).ok());
    let version = VERSIONS
        .into_iter()
        .find(|version| asked.as_ref().is_some_and(|asked| asked.api_version == *version));
    // It is never after the end of time.
    let expires = now.checked_add(GOOD_FOR).unwrap_or(now);
    let mut status = Status {
        expiration_timestamp: format!("{expires:.0}"),
        client_certificate_data: None,
        client_key_data: None,
        token: None,
    };
    match credentials {
        Credentials::Certificate { certificate, key } => {
            status.client_certificate_data = pem(certificate);
            status.client_key_data = pem(key.expose_secret());
        }
        Credentials::Token(token) => status.token = Some(token.expose_secret().to_owned()),
        Credentials::Password { .. } => return Err(NotOutside::Password),
    }
    let [oldest, _] = VERSIONS;
    Ok(Answer { api_version: version.unwrap_or(oldest), kind: "ExecCredential", status })
}

/// Text, where the file has base64.
fn pem(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(credentials: &Credentials, question: Option<&str>) -> Value {
        let now = "2026-11-25T01:02:03.9Z".parse().unwrap();
        serde_json::to_value(answer(credentials, question, now).ok().unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_is_told_as_text_and_for_a_while() {
        let credentials =
            Credentials::Certificate { certificate: "Y2VydA==".to_owned(), key: "a2V5".to_owned().into() };
        assert_eq!(
            told(&credentials, None),
            json!({
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "kind": "ExecCredential",
                "status": {
                    "expirationTimestamp": "2026-11-25T01:02:18Z",
                    "clientCertificateData": "cert",
                    "clientKeyData": "key",
                },
            })
        );
    }

    #[test]
    fn the_version_is_the_one_that_was_asked_for() {
        let token = Credentials::Token("t".to_owned().into());
        let version = |question: &str| told(&token, Some(question))["apiVersion"].clone();
        for asked in VERSIONS {
            let question =
                json!({ "apiVersion": asked, "kind": "ExecCredential", "spec": { "interactive": false } });
            assert_eq!(version(&question.to_string()), asked);
        }
        assert_eq!(version("nonsense"), VERSIONS[0]);
        assert_eq!(told(&token, None)["status"]["token"], "t");
    }

    #[test]
    fn a_password_cannot_be_told() {
        let credentials = Credentials::Password { user: "u".to_owned(), password: "p".to_owned().into() };
        assert_eq!(answer(&credentials, None, Timestamp::UNIX_EPOCH).err(), Some(NotOutside::Password));
    }
}
