//! `[engines.NAME]`: one engine beside the usual one, and how it is reached.

use std::path::PathBuf;

use toml::Spanned;

use crate::hub::{DeclaredEngine, Endpoint, EngineName, TlsFiles};

use super::contexts;
use super::endpoint::{endpoint, is_loopback};
use super::problems::Problems;
use super::reader::Reader;
use super::surroundings::Surroundings;
use super::values;

/// One `[engines.NAME]`.
pub(super) struct EngineTable {
    pub name: Spanned<EngineName>,
    /// Where it is; `None` where that is a problem.
    pub endpoint: Option<Endpoint>,
    pub tags: Vec<String>,
    pub network: Option<String>,
}

/// What of the file says how an engine is reached.
struct Way {
    url: Option<Spanned<Endpoint>>,
    context: Option<Spanned<String>>,
    tls_ca: Option<Spanned<PathBuf>>,
    tls_cert: Option<Spanned<PathBuf>>,
    tls_key: Option<Spanned<PathBuf>>,
}

impl EngineTable {
    /// Reads one. `None` where its name is none.
    pub(super) fn read(
        called: &Spanned<String>,
        mut reader: Reader,
        around: &Surroundings,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut path = |key| reader.parsed(key, problems, |text| around.path(text));
        let (tls_ca, tls_cert, tls_key) = (path("tls_ca"), path("tls_cert"), path("tls_key"));
        // What is there and is wrong has a problem already.
        let is_silent = !reader.has("url") && !reader.has("context");
        let way = Way {
            url: reader.parsed("url", problems, endpoint),
            context: reader.parsed("context", problems, |text| Ok(text.trim().to_owned())),
            tls_ca,
            tls_cert,
            tls_key,
        };
        let tags = reader.list("tags", problems, values::tag).unwrap_or_default();
        let network = reader.parsed("network", problems, values::network).map(Spanned::into_inner);
        let at = reader.at();
        reader.finish(problems);
        let endpoint = if is_silent {
            problems
                .missing(at, "[engines.NAME] needs \"url\" or \"context\": where the engine is".to_owned());
            None
        } else {
            way.endpoint(around, problems)
        };
        match EngineName::new(called.get_ref()) {
            Ok(name) => Some(Self { name: Spanned::new(called.span(), name), endpoint, tags, network }),
            Err(why) => {
                problems.add(called.span().start, why);
                None
            }
        }
    }

    /// The engine that it declares.
    pub(super) fn declared(&self) -> DeclaredEngine {
        DeclaredEngine {
            name: self.name.get_ref().clone(),
            // One without has a problem, so that nobody goes by this.
            endpoint: self.endpoint.clone().unwrap_or_else(|| Endpoint::Unix(PathBuf::new())),
            tags: self.tags.clone(),
            network: self.network.clone(),
        }
    }
}

impl Way {
    fn endpoint(self, around: &Surroundings, problems: &mut Problems) -> Option<Endpoint> {
        let Self { url, context, tls_ca, tls_cert, tls_key } = self;
        let tls = [("tls_ca", &tls_ca), ("tls_cert", &tls_cert), ("tls_key", &tls_key)];
        let mut no_tls = |why: &str| {
            for (key, value) in tls.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
                problems.add(value.span().start, format!("{key:?} has no meaning here: {why}"));
            }
        };
        match (url, context) {
            (Some(_), Some(context)) => {
                problems.add(
                    context.span().start,
                    "\"url\" and \"context\" both say where the engine is; take one of them out",
                );
                None
            }
            (None, Some(context)) => {
                no_tls("a context has its own");
                let at = context.span().start;
                let found = contexts::find(around.docker_config.as_deref(), context.get_ref())
                    .and_then(|endpoint| reachable(&endpoint).map(|()| endpoint));
                found.map_err(|why| problems.add(at, why)).ok()
            }
            (Some(url), None) => {
                let at = url.span().start;
                let Endpoint::Tcp { host, port, tls: _ } = url.get_ref() else {
                    no_tls("it is for \"tcp://\"");
                    return Some(url.into_inner());
                };
                let tls = match (tls_ca, tls_cert, tls_key) {
                    (None, None, None) => None,
                    (Some(ca), None, None) => Some(TlsFiles { ca: ca.into_inner(), client: None }),
                    (Some(ca), Some(cert), Some(key)) => Some(TlsFiles {
                        ca: ca.into_inner(),
                        client: Some((cert.into_inner(), key.into_inner())),
                    }),
                    (None, ..) => {
                        problems.add(at, "it needs \"tls_ca\" too: who has signed the engine's certificate");
                        return None;
                    }
                    (Some(_), ..) => {
                        problems
                            .add(at, "\"tls_cert\" and \"tls_key\" go together: a certificate and its key");
                        return None;
                    }
                };
                let endpoint = Endpoint::Tcp { host: host.clone(), port: *port, tls };
                reachable(&endpoint).map_err(|why| problems.add(at, why)).ok()?;
                Some(endpoint)
            }
            (None, None) => None,
        }
    }
}

/// Whoever can reach such a port without TLS is root on its machine, and can read all that goes by.
pub(super) fn reachable(endpoint: &Endpoint) -> Result<(), String> {
    match endpoint {
        Endpoint::Tcp { host, tls: None, .. } if !is_loopback(host) => Err(format!(
            "\"{endpoint}\" is another machine, and without TLS anybody on the way could read and change everything: add tls_ca, \
             tls_cert and tls_key, or go by \"ssh://\""
        )),
        _ => Ok(()),
    }
}
