//! Where a Docker engine is, from text: `unix://`, `tcp://` and `ssh://`; and which engine is the usual one.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::hub::{Endpoint, EngineName};

use super::values;

/// How one is written.
const HOW: &str = "\"unix:///var/run/docker.sock\", \"ssh://user@host\" or \"tcp://host:2376\"";

/// An endpoint; over TCP, what TLS goes by is for others to say.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    // Before anything that would show it.
    let account = text.split_once("://").map_or(text, |(_, rest)| rest).rsplit_once('@');
    if account.is_some_and(|(account, _)| account.contains(':')) {
        return Err(
            "there is a password in it, which has no place there; let fleet log in with a key".to_owned()
        );
    }
    match text.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') && path.len() > 1 => {
            Ok(Endpoint::Unix(PathBuf::from(path)))
        }
        Some(("unix", _)) => {
            Err(format!("{text:?} has no absolute path; write it like \"unix:///var/run/docker.sock\""))
        }
        Some(("tcp", rest)) => match authority(text, rest)? {
            (None, host, Some(port)) => Ok(Endpoint::Tcp { host, port, tls: None }),
            (None, _, None) => Err(format!("{text:?} has no port; write it like \"tcp://host:2376\"")),
            (Some(_), ..) => Err(format!("{text:?} has an account; a TCP port has none")),
        },
        Some(("ssh", rest)) => {
            let (user, host, port) = authority(text, rest)?;
            Ok(Endpoint::Ssh { user, host, port })
        }
        _ => Err(format!("{text:?} is not supported; an engine is {HOW}")),
    }
}

/// What `engine` at the top of the file says: where the usual engine is, or which of `[engines]` it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Usual {
    /// Where it is.
    At(Endpoint),
    /// What it is called.
    Named(EngineName),
}

/// The usual engine.
pub(super) fn usual_engine(text: &str) -> Result<Usual, String> {
    if !text.contains("://") && !text.contains('/') {
        return EngineName::new(text).map(Usual::Named);
    }
    match endpoint(text)? {
        // What TLS goes by has no place beside it.
        Endpoint::Tcp { host, .. } if !is_loopback(&host) => Err(format!(
            "{text:?} is another machine, which needs TLS: write [engines.NAME] with url, tls_ca, tls_cert and tls_key, and here its NAME"
        )),
        endpoint => Ok(Usual::At(endpoint)),
    }
}

/// Whether a host is this machine, whatever resolves names.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// `[USER@]HOST[:PORT]`. Each becomes a word of a command line, so none can look like an option.
fn authority(text: &str, rest: &str) -> Result<(Option<String>, String, Option<u16>), String> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('/') {
        return Err(format!("{text:?} has a path; an engine is {HOW}"));
    }
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(values::user(user).map_err(|why| format!("{text:?}: {why}"))?), rest),
        None => (None, rest),
    };
    if user.as_deref() == Some("") {
        return Err(format!("{text:?} has an empty account"));
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| format!("{text:?} has no closing ']'"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("{text:?}: {host:?} is not an IPv6 address"));
            }
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or_else(|| format!("{text:?} is no address"))?),
            };
            (host, port)
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || host.starts_with('-') || !host.bytes().all(fits) {
        return Err(format!("{text:?}: {host:?} is not a host's name or address"));
    }
    let bad_port = || format!("{text:?} has no port from 1 to 65535 after its host");
    let port = port.map(|port| port.parse::<u16>().map_err(|_| bad_port())).transpose()?;
    if port == Some(0) {
        return Err(bad_port());
    }
    Ok((user, host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>) -> Endpoint {
        Endpoint::Ssh { user: user.map(str::to_owned), host: host.to_owned(), port }
    }

    #[test]
    fn sockets_ports_and_machines_are_read() {
        let tcp = |host: &str, port| Endpoint::Tcp { host: host.to_owned(), port, tls: None };
        for (text, wanted) in [
            ("unix:///run/docker.sock", Endpoint::Unix("/run/docker.sock".into())),
            ("tcp://10.0.0.5:2376", tcp("10.0.0.5", 2376)),
            ("tcp://[2001:db8::1]:2376", tcp("2001:db8::1", 2376)),
            ("tcp://localhost:2375/", tcp("localhost", 2375)),
            ("ssh://east", ssh(None, "east", None)),
            ("ssh://op@east.example:2222", ssh(Some("op"), "east.example", Some(2222))),
            ("ssh://op@[::1]:22", ssh(Some("op"), "::1", Some(22))),
        ] {
            assert_eq!(endpoint(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_why() {
        for (text, why) in [
            ("unix://docker.sock", "no absolute path"),
            ("/var/run/docker.sock", "not supported"),
            ("http://host:2375", "not supported"),
            ("npipe:////./pipe/docker_engine", "not supported"),
            ("tcp://host", "no port"),
            ("tcp://host:0", "no port from"),
            ("tcp://host:70000", "no port from"),
            ("tcp://op@host:1", "account"),
            ("ssh://", "not a host"),
            ("ssh://-oProxyCommand=x", "not a host"),
            ("ssh://-oProxyCommand@host", "not an account"),
            ("ssh://@host", "empty account"),
            ("ssh://op@host/var/run/docker.sock", "path"),
            ("ssh://[::1", "closing"),
            ("ssh://[host]", "not an IPv6"),
        ] {
            let told = endpoint(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_told() {
        let told = endpoint("ssh://op:hunter2@host").unwrap_err();
        assert!(told.contains("password") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn this_machine_is_known_by_name_and_by_address() {
        for here in ["localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(here), "{here}");
        }
        for there in ["10.0.0.1", "localhost.example", "0.0.0.0", "::"] {
            assert!(!is_loopback(there), "{there}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(unix|tcp|ssh|http)?(://)?.{0,40}") {
            let _ = (endpoint(&text), usual_engine(&text));
        }

        /// What is shown of an endpoint leads to the same one.
        #[test]
        fn what_is_shown_is_read_again(
            user in prop::option::of("[a-z][a-z0-9_-]{0,8}"),
            host in "[a-z0-9][a-z0-9.-]{0,20}",
            port in prop::option::of(1_u16..),
        ) {
            let one = Endpoint::Ssh { user, host, port };
            prop_assert_eq!(endpoint(&one.to_string()), Ok(one));
        }
    }
}
