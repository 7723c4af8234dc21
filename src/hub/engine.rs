//! The Docker engines that sandboxes live on: what each is called, how it is reached, and which hubs it has.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the engine is called that has no name of its own: `engine` at the top of `fleet.toml`, or Docker's usual one.
pub const DEFAULT_ENGINE: &str = "default";

/// An engine's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EngineName(String);

impl EngineName {
    /// Checks a name. It is a word of messages and of the command line, where no comma and no sign of a pattern can be in it.
    pub fn new(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins || !text.bytes().all(fits) {
            return Err(format!(
                "{text:?} is not an engine's name: only a-z, 0-9, '_', '.' and '-' can be in it, a letter or digit first"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EngineName {
    fn default() -> Self {
        Self(DEFAULT_ENGINE.to_owned())
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The files that TLS with an engine goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFiles {
    /// Who may have signed the engine's certificate.
    pub ca: PathBuf,
    /// What fleet shows the engine: a certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port; without TLS only on this machine.
    Tcp {
        /// The host, by name or address.
        host: String,
        /// The port.
        port: u16,
        /// What TLS goes by.
        tls: Option<TlsFiles>,
    },
    /// A machine with OpenSSH and Docker's own client on it.
    Ssh {
        /// The account; without it, OpenSSH's configuration says.
        user: Option<String>,
        /// The host, or what OpenSSH's configuration knows it by.
        host: String,
        /// The port; without it, OpenSSH's configuration says.
        port: Option<u16>,
    },
}

impl Endpoint {
    /// Whether the engine may be on another machine: then its containers may not see the files that are here, nor this machine
    /// their sockets.
    pub fn may_be_elsewhere(&self) -> bool {
        !matches!(self, Self::Unix(_))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match self {
            // As it was before there were others: a path is what people look for.
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port, tls: _ } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Ssh { user, host, port } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// An engine of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredEngine {
    /// Its name.
    pub name: EngineName,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Hubs with one of these tags live on it.
    pub tags: Vec<String>,
    /// The network that sandboxes are on there, where it is another one than elsewhere.
    pub network: Option<String>,
}

/// Where a hub lives: on the engine that it names, else on the one that has one of its tags, else on the usual one. Where several
/// have one of its tags, nobody can say.
pub fn place(
    named: Option<&EngineName>,
    tags: &[String],
    engines: &[DeclaredEngine],
    usual: &EngineName,
) -> Result<EngineName, Vec<EngineName>> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    let has_one = |engine: &&DeclaredEngine| engine.tags.iter().any(|tag| tags.contains(tag));
    let found: Vec<EngineName> = engines.iter().filter(has_one).map(|engine| engine.name.clone()).collect();
    match found.as_slice() {
        [] => Ok(usual.clone()),
        [one] => Ok(one.clone()),
        _ => Err(found),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> EngineName {
        EngineName::new(text).unwrap()
    }

    fn engine(called: &str, tags: &[&str]) -> DeclaredEngine {
        DeclaredEngine {
            name: name(called),
            endpoint: Endpoint::Unix("/docker.sock".into()),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            network: None,
        }
    }

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|&tag| tag.to_owned()).collect()
    }

    #[test]
    fn a_hub_lives_where_it_says_then_where_its_tag_is_and_else_on_the_usual_engine() {
        let engines = [engine("default", &[]), engine("east", &["gpu", "big"]), engine("west", &["fall"])];
        let at = |named: Option<&str>, of: &[&str]| {
            place(named.map(name).as_ref(), &tags(of), &engines, &EngineName::default())
        };
        assert_eq!(at(None, &[]), Ok(EngineName::default()));
        assert_eq!(at(None, &["spring"]), Ok(EngineName::default()));
        assert_eq!(at(None, &["spring", "big"]), Ok(name("east")));
        assert_eq!(
            at(None, &["gpu", "big"]),
            Ok(name("east")),
            "one engine is one, however many tags say so"
        );
        assert_eq!(at(None, &["gpu", "fall"]), Err(vec![name("east"), name("west")]));
        assert_eq!(at(Some("west"), &["gpu", "fall"]), Ok(name("west")));
    }

    #[test]
    fn an_endpoint_is_shown_as_it_is_written_and_only_a_unix_socket_is_surely_here() {
        let ssh = |user: Option<&str>, host: &str, port| Endpoint::Ssh {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        };
        for (endpoint, shown, elsewhere) in [
            (Endpoint::Unix("/run/docker.sock".into()), "/run/docker.sock", false),
            (Endpoint::Tcp { host: "::1".to_owned(), port: 2375, tls: None }, "tcp://[::1]:2375", true),
            (ssh(Some("op"), "east.example", Some(2222)), "ssh://op@east.example:2222", true),
            (ssh(None, "east", None), "ssh://east", true),
        ] {
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.may_be_elsewhere(), elsewhere, "{shown}");
        }
    }

    #[test]
    fn a_name_is_one_word() {
        for good in ["east", "gpu-2", "a.b_c", "1"] {
            assert_eq!(name(good).as_str(), good);
        }
        for bad in ["", "-x", "a b", "a,b", "a*", "ü", "a/b"] {
            assert!(EngineName::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// Whatever engines and tags there are, a hub is on one that has a tag of its, or on the usual one where none has.
        #[test]
        fn a_hub_is_never_on_an_engine_that_nothing_speaks_for(
            of_engines in prop::collection::vec(prop::collection::vec("[a-d]", 0..3), 0..5),
            of_hub in prop::collection::vec("[a-d]", 0..3),
        ) {
            let engines: Vec<DeclaredEngine> = of_engines
                .iter()
                .enumerate()
                .map(|(number, tags)| DeclaredEngine { tags: tags.clone(), ..engine(&format!("e{number}"), &[]) })
                .collect();
            let speaks = |engine: &DeclaredEngine| of_hub.iter().any(|tag| engine.tags.contains(tag));
            let speaking: Vec<EngineName> =
                engines.iter().filter(|engine| speaks(engine)).map(|engine| engine.name.clone()).collect();
            let usual = EngineName::default();
            match place(None, &of_hub, &engines, &usual) {
                Ok(found) if speaking.is_empty() => prop_assert_eq!(found, usual),
                Ok(found) => prop_assert_eq!(vec![found], speaking),
                Err(several) => {
                    prop_assert!(several.len() > 1);
                    prop_assert_eq!(several, speaking);
                }
            }
        }
    }
}
