//! Whether a request may pass, and to which hub. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::{API_PORT, DOMAIN};
use crate::hub::HubName;

/// The name that goes with the secret.
pub(super) const USER: &str = "fleet";

/// Why a request does not pass. Clients written in Go show the reason phrase and nothing else, so all is said in one line of
/// ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub reason: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// The hub that a request asks for. Whoever does not know the secret learns nothing about hubs.
pub(super) fn judge(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    secret: &SecretString,
) -> Result<HubName, Refusal> {
    if method != Method::CONNECT {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this is a proxy for fleet's hubs: it knows CONNECT alone",
        ));
    }
    if !knows(headers, secret) {
        return Err(Refusal::new(
            StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            "this is not the proxy's secret: write the kubeconfig again with fleet kubeconfig",
        ));
    }
    uri.authority().and_then(|authority| hub_of(authority.as_str())).ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is nothing here but HUB.{DOMAIN}:{API_PORT}, for the hubs in fleet.toml"),
        )
    })
}

/// The hub in `<hub>.fleet.internal:6443`.
fn hub_of(target: &str) -> Option<HubName> {
    let host = target.strip_suffix(&format!(":{API_PORT}"))?;
    HubName::new(host.strip_suffix(DOMAIN)?.strip_suffix('.')?).ok()
}

/// Whether the request has the secret, once. How long this takes tells nothing about it.
fn knows(headers: &HeaderMap, secret: &SecretString) -> bool {
    let mut all = headers.get_all(PROXY_AUTHORIZATION).iter();
    let (Some(header), None) = (all.next(), all.next()) else { return false };
    let Some((scheme, encoded)) = header.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return false;
    };
    let Ok(given) = STANDARD.decode(encoded.trim()) else { return false };
    let wanted = format!("{USER}:{}", secret.expose_secret());
    scheme.eq_ignore_ascii_case("basic") && bool::from(given.ct_eq(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::super::target;
    use super::*;

    const SECRET: &str = "5d41402abc4b2a76b9719d911017c592";

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    fn good() -> String {
        basic(&format!("{USER}:{SECRET}"))
    }

    fn asked(method: &str, uri: &str, headers: &[&str]) -> Result<HubName, Refusal> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(PROXY_AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        judge(&method, &uri.parse().unwrap(), &map, &SecretString::from(SECRET))
    }

    fn status(method: &str, uri: &str, headers: &[&str]) -> u16 {
        asked(method, uri, headers).unwrap_err().status.as_u16()
    }

    #[test]
    fn who_knows_the_secret_gets_the_hub() {
        let hub = HubName::new("fsu-s23").unwrap();
        assert_eq!(asked("CONNECT", &target(&hub), &[&good()]), Ok(hub.clone()));
        assert_eq!(asked("CONNECT", &target(&hub), &[&good().replace("Basic", "basic")]), Ok(hub));
    }

    #[test]
    fn who_does_not_know_it_is_told_the_same_whatever_is_asked_for() {
        let bare = STANDARD.encode(format!("{USER}:{SECRET}"));
        let wrong = [
            String::new(),
            bare.clone(),
            format!("Bearer {bare}"),
            "Basic ".to_owned(),
            "Basic !".to_owned(),
            basic(SECRET),
            basic(&format!("root:{SECRET}")),
            basic(&format!("{USER}:")),
            basic(&format!("{USER}:{}", &SECRET[1..])),
            basic(&format!("{USER}:{SECRET}0")),
        ];
        for uri in ["ou23s.fleet.internal:6443", "nothing:1"] {
            assert_eq!(status("CONNECT", uri, &[]), 407);
            assert_eq!(status("CONNECT", uri, &[&good(), &good()]), 407);
            for header in &wrong {
                assert_eq!(status("CONNECT", uri, &[header]), 407, "{header}");
            }
        }
    }

    #[test]
    fn nothing_but_a_hubs_api_server_can_be_asked_for() {
        for uri in [
            "ou23s.fleet.internal:443",
            "ou23s.fleet.internal:06443",
            "ou23s.fleet.internal",
            "ou23s:6443",
            "fleet.internal:6443",
            ".fleet.internal:6443",
            "a.b.fleet.internal:6443",
            "ou23s.fleet.internal.:6443",
            "OU23S.fleet.internal:6443",
            "x@ou23s.fleet.internal:6443",
            "127.0.0.1:6443",
            "[::1]:22",
        ] {
            if let Ok(hub) = asked("CONNECT", uri, &[&good()]) {
                panic!("{uri} leads to {hub}");
            }
            assert_eq!(status("CONNECT", uri, &[&good()]), 404, "{uri}");
        }
    }

    #[test]
    fn a_request_for_a_page_is_not_served() {
        for method in ["GET", "POST", "OPTIONS", "TRACE"] {
            assert_eq!(status(method, "http://ou23s.fleet.internal:6443/", &[&good()]), 405);
            assert_eq!(status(method, "/", &[]), 405);
        }
    }

    proptest! {
        #[test]
        fn no_other_credentials_pass(user in "[ -~]{0,12}", secret in "[ -~]{0,40}") {
            prop_assume!(user != USER || secret != SECRET);
            let header = basic(&format!("{user}:{secret}"));
            prop_assert_eq!(status("CONNECT", "ou23s.fleet.internal:6443", &[&header]), 407);
        }

        #[test]
        fn every_hub_is_found_by_its_own_name_alone(name in "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?") {
            let hub = HubName::new(&name).unwrap();
            prop_assert_eq!(hub_of(&target(&hub)), Some(hub));
        }

        #[test]
        fn what_is_found_leads_back_to_what_was_asked(text in "[a-z0-9.:-]{0,30}(\\.fleet\\.internal)?(:6443)?") {
            if let Some(hub) = hub_of(&text) {
                prop_assert_eq!(target(&hub), text);
            }
        }
    }
}
