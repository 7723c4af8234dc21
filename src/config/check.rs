//! What only shows when hubs and foreign clusters are held against each other and against the defaults.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::hash::Hash;
use std::path::PathBuf;

use toml::Spanned;

use crate::hub::DOMAIN_LIMIT;

use super::engines;
use super::problems::Problems;
use super::schema::{File, ForeignTable, HubTable, Master};

/// Notes what is wrong between hubs.
pub(super) fn check(file: &File, problems: &mut Problems) {
    let names = file.hubs.iter().filter_map(|hub| hub.name.as_ref());
    alone(names.map(|name| (name.span().start, name.get_ref())), "is named", problems);
    // By value: 2001:db8::1 and 2001:DB8:0::1 are one address, and so are 10.0.0.1 and ::ffff:10.0.0.1.
    let ips = file.hubs.iter().filter_map(|hub| hub.ip.as_ref());
    alone(ips.map(|ip| (ip.span().start, ip.get_ref().to_canonical())), "has the IP", problems);
    let states = file.hubs.iter().filter_map(|hub| hub.state.as_ref());
    let shown = states.map(|state| (state.span().start, state.get_ref().display().to_string()));
    alone(shown, "has the state directory", problems);
    let containers = file.hubs.iter().filter_map(|hub| hub.container.as_ref());
    alone(containers.map(|name| (name.span().start, name.get_ref())), "has the container", problems);
    for hub in &file.hubs {
        domain(file, hub, problems);
        way(file, hub, problems);
    }
    let jumps = |master: &Master| master.ssh_jump.as_ref().is_some_and(|jump| jump.get_ref().is_some());
    if let Some(key) = &file.defaults.ssh_jump_key
        && !jumps(&file.defaults)
        && !file.hubs.iter().any(|hub| jumps(&hub.master))
    {
        problems.add(key.span().start, KEY_WITHOUT_JUMP);
    }
    engines::check(file, problems);
    for (index, foreign) in file.foreign.iter().enumerate() {
        answer(file, foreign, &file.foreign[..index], problems);
    }
}

const KEY_WITHOUT_JUMP: &str =
    "\"ssh_jump_key\" is for a jump host, and there is no \"ssh_jump\" here: name one, or take the line out";

/// Notes a way to a master that cannot be gone.
fn way(file: &File, hub: &HubTable, problems: &mut Problems) {
    let (own, defaults) = (&hub.master, &file.defaults);
    let jump = own.ssh_jump.as_ref().or(defaults.ssh_jump.as_ref()).and_then(|jump| jump.get_ref().as_ref());
    if let (None, Some(key)) = (jump, &own.ssh_jump_key) {
        problems.add(key.span().start, KEY_WITHOUT_JUMP);
    }
    let Some(container) = &hub.container else { return };
    let at = container.span().start;
    let mut lacks = |key: &str, what: &str, instead: &str| {
        problems.add(
            at,
            format!(
                "a container that fleet did not make has no {what} mounted (\"{key}\"): {instead}, or give the hub a sandbox of \
                 fleet's own (take \"container\" out)"
            ),
        );
    };
    let jump_key = own.ssh_jump_key.as_ref().or(defaults.ssh_jump_key.as_ref());
    if jump.is_some() && jump_key.is_some() {
        lacks("ssh_jump_key", "key for the jump host", "let the jump host take the key of the hub");
    }
    if own.ssh_agent.as_ref().or(defaults.ssh_agent.as_ref()).is_some_and(|agent| agent.get_ref().is_some()) {
        lacks("ssh_agent", "socket of an SSH agent", "write ssh_agent = \"none\" for it");
    }
}

/// Every SSH agent that the file names, and where.
pub(super) fn agents(file: &File) -> impl Iterator<Item = (usize, PathBuf)> {
    let masters = std::iter::once(&file.defaults).chain(file.hubs.iter().map(|hub| &hub.master));
    masters.filter_map(|master| {
        let agent = master.ssh_agent.as_ref()?;
        Some((agent.span().start, agent.get_ref().clone()?))
    })
}

/// Notes a cluster that is answered for twice, or that is one of the fleet's own. One of a hub's name in another project
/// may be there: then the project has to be named.
fn answer(file: &File, foreign: &ForeignTable, earlier: &[ForeignTable], problems: &mut Problems) {
    let Some(name) = &foreign.name else { return };
    let at = name.span().start;
    let project = |foreign: &ForeignTable| foreign.project.as_ref().map(|project| project.get_ref().clone());
    let first = earlier.iter().find_map(|other| {
        let both = other.name.as_ref().filter(|other| other.get_ref() == name.get_ref())?;
        let (one, two) = (project(other), project(foreign));
        (one.is_none() || two.is_none() || one == two).then_some(both.span().start)
    });
    if let Some(first) = first {
        let line = problems.line(first);
        problems.add(at, format!("the [[foreign]] on line {line} answers for {} already", name.get_ref()));
    }
    let mut hubs = file.hubs.iter().filter_map(|hub| hub.name.as_ref());
    if let Some(hub) = hubs.find(|hub| hub.get_ref().as_str() == name.get_ref())
        && foreign.project.is_none()
    {
        let line = problems.line(hub.span().start);
        problems.add(
            at,
            format!(
                "the hub on line {line} is named {}, and is not foreign; another cluster of that name needs a \"project\"",
                name.get_ref()
            ),
        );
    }
}

/// Notes every value that an earlier hub has already.
fn alone<T: Display + Eq + Hash>(
    values: impl Iterator<Item = (usize, T)>,
    what: &str,
    problems: &mut Problems,
) {
    let mut first: HashMap<T, usize> = HashMap::new();
    for (at, value) in values {
        match first.entry(value) {
            Entry::Vacant(entry) => {
                entry.insert(at);
            }
            Entry::Occupied(entry) => {
                let line = problems.line(*entry.get());
                problems.add(at, format!("the hub on line {line} {what} {} already", entry.key()));
            }
        }
    }
}

/// Notes a master's domain that no certificate can be had for.
fn domain(file: &File, hub: &HubTable, problems: &mut Problems) {
    let own = hub.master.project_domain.as_ref();
    let (Some(name), Some(domain)) = (&hub.name, own.or(file.defaults.project_domain.as_ref())) else {
        return;
    };
    let master = name.get_ref().master_domain(domain.get_ref());
    if master.len() < DOMAIN_LIMIT {
        return;
    }
    // Where the hub itself says something that can be changed, not at a default that suits the other hubs.
    let at = own.map_or(name.span(), Spanned::span).start;
    let message = format!(
        "the master's domain {master:?} would be {} characters long, and Let's Encrypt refuses {DOMAIN_LIMIT} or more: \
         shorten the name or the project_domain",
        master.len()
    );
    problems.add(at, message);
}
