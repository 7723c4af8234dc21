//! `[engines]`: the engines that a fleet has beside the usual one, and which hubs live where.

use std::path::PathBuf;

use toml::Spanned;

use crate::hub::{DEFAULT_ENGINE, DeclaredEngine, Endpoint, EngineName, TlsFiles, place};
use crate::text::nearest;

use super::endpoint::{Usual, endpoint, is_loopback, usual_engine};
use super::problems::Problems;
use super::reader::Reader;
use super::schema::{self, File, HubTable, Surroundings};
use super::values;
use super::contexts;

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
fn reachable(endpoint: &Endpoint) -> Result<(), String> {
    match endpoint {
        Endpoint::Tcp { host, tls: None, .. } if !is_loopback(host) => Err(format!(
            "\"{endpoint}\" is another machine, and without TLS anybody on the way could read and change everything: add tls_ca, \
             tls_cert and tls_key, or go by \"ssh://\""
        )),
        _ => Ok(()),
    }
}

/// Notes what is wrong between engines and hubs.
pub(super) fn check(file: &File, problems: &mut Problems) {
    let usual = file.engine.as_ref();
    let names: Vec<&str> = file.engines.iter().map(|engine| engine.name.get_ref().as_str()).collect();
    let names_it = matches!(usual.map(Spanned::get_ref), Some(Usual::Named(_)));
    for engine in &file.engines {
        if engine.name.get_ref().as_str() == DEFAULT_ENGINE && !names_it {
            problems.add(
                engine.name.span().start,
                format!(
                    "the engine that has no name of its own (`engine` at the top, or this machine's) is called {DEFAULT_ENGINE:?}; choose \
                     another name, or say at the top: engine = \"{DEFAULT_ENGINE}\""
                ),
            );
        }
    }
    if let Some(usual) = usual
        && let Usual::Named(name) = usual.get_ref()
    {
        known(name, usual.span().start, &names, problems);
    }
    let mut all = names;
    if !names_it {
        all.push(DEFAULT_ENGINE);
    }
    for hub in &file.hubs {
        match &hub.engine {
            Some(engine) => known(engine.get_ref(), engine.span().start, &all, problems),
            None => only_one(hub, file, problems),
        }
    }
}

fn known(name: &EngineName, at: usize, names: &[&str], problems: &mut Problems) {
    if names.contains(&name.as_str()) {
        return;
    }
    let meant = match nearest(name.as_str(), names.iter().copied()) {
        Some(near) => format!("; did you mean {near:?}?"),
        None if names.is_empty() => "; there are none".to_owned(),
        None => format!("; there are: {}", names.join(", ")),
    };
    problems.add(at, format!("no engine {name:?} in [engines]{meant}", name = name.as_str()));
}

/// Notes a hub whose tags speak for several engines.
fn only_one(hub: &HubTable, file: &File, problems: &mut Problems) {
    let engines: Vec<DeclaredEngine> = file.engines.iter().map(EngineTable::declared).collect();
    if let Err(several) = place(None, &hub.tags, &engines, &EngineName::default()) {
        let at = hub.name.as_ref().map_or(hub.at, |name| name.span().start);
        let several: Vec<&str> = several.iter().map(EngineName::as_str).collect();
        problems.add(
            at,
            format!(
                "its tags are those of several engines ({}): say which with \"engine\"",
                several.join(", ")
            ),
        );
    }
}

impl EngineTable {
    fn declared(&self) -> DeclaredEngine {
        DeclaredEngine {
            name: self.name.get_ref().clone(),
            // One without has a problem, so that nobody goes by this.
            endpoint: self.endpoint.clone().unwrap_or_else(|| Endpoint::Unix(PathBuf::new())),
            tags: self.tags.clone(),
            network: self.network.clone(),
        }
    }
}

/// All engines of a fleet.
pub(super) struct Engines {
    pub all: Vec<DeclaredEngine>,
    /// Where hubs live that say nothing else.
    pub usual: EngineName,
}

impl Engines {
    /// Puts the usual one in, unless it is one of the others.
    pub(super) fn of(usual: Option<&Usual>, tables: &[EngineTable], around: &Surroundings) -> Self {
        let named = tables.iter().map(EngineTable::declared);
        let endpoint = match usual {
            Some(Usual::Named(name)) => return Self { all: named.collect(), usual: name.clone() },
            Some(Usual::At(endpoint)) => endpoint.clone(),
            None => usual_endpoint(around),
        };
        let usual = DeclaredEngine { name: EngineName::default(), endpoint, tags: Vec::new(), network: None };
        Self { usual: usual.name.clone(), all: std::iter::once(usual).chain(named).collect() }
    }

    /// Where a hub lives.
    pub(super) fn of_hub(&self, named: Option<&EngineName>, tags: &[String]) -> EngineName {
        // Where several speak for it, that is a problem already.
        place(named, tags, &self.all, &self.usual).unwrap_or_else(|_| self.usual.clone())
    }
}

/// The engine where none is given: `$DOCKER_HOST`, as for Docker's own client, where it is one that fleet can use.
fn usual_endpoint(around: &Surroundings) -> Endpoint {
    let host = around.docker_host.as_deref();
    match host.and_then(|host| usual_engine(host).ok()) {
        Some(Usual::At(endpoint)) => endpoint,
        _ => Endpoint::Unix(schema::ENGINE.into()),
    }
}
