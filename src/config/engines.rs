//! `[engines]`: the engines that a fleet has, and which hubs live where.

use toml::Spanned;

use crate::hub::{DEFAULT_ENGINE, DeclaredEngine, Endpoint, EngineName, place};
use crate::text::nearest;

use super::endpoint::{Usual, endpoint};
use super::engine::{EngineTable, reachable};
use super::problems::Problems;
use super::schema::{File, HubTable};
use super::surroundings::Surroundings;

/// Docker's own default.
const SOCKET: &str = "/var/run/docker.sock";

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

/// All engines of a fleet.
pub(super) struct Engines {
    pub all: Vec<DeclaredEngine>,
    /// Where hubs live that say nothing else.
    pub usual: EngineName,
}

impl Engines {
    /// Puts the usual one in, unless it is one of the others.
    pub(super) fn of(
        usual: Option<&Usual>,
        tables: &[EngineTable],
        around: &Surroundings,
        problems: &mut Problems,
    ) -> Self {
        let named = tables.iter().map(EngineTable::declared);
        let endpoint = match usual {
            Some(Usual::Named(name)) => return Self { all: named.collect(), usual: name.clone() },
            Some(Usual::At(endpoint)) => endpoint.clone(),
            None => docker_host(around).unwrap_or_else(|why| {
                problems.elsewhere(why);
                Endpoint::Unix(SOCKET.into())
            }),
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

/// The engine where none is given: `$DOCKER_HOST`, as for Docker's own client, else this machine's. Where that cannot be used, another engine
/// is not what is meant.
fn docker_host(around: &Surroundings) -> Result<Endpoint, String> {
    let Some(host) = around.docker_host.as_deref().filter(|host| !host.is_empty()) else {
        return Ok(Endpoint::Unix(SOCKET.into()));
    };
    let usable = endpoint(host).and_then(|endpoint| reachable(&endpoint).map(|()| endpoint));
    usable.map_err(|why| {
        format!(
            "$DOCKER_HOST in the environment: {why}. It counts where fleet.toml has no `engine` at the top: have one there (a URL, or the \
             NAME of an [engines.NAME] with all that it needs), or set the variable right, or unset it"
        )
    })
}
