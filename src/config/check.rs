//! What only shows when hubs and foreign clusters are held against each other and against the defaults.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::hash::Hash;

use toml::Spanned;

use crate::hub::DOMAIN_LIMIT;

use super::problems::Problems;
use super::schema::{File, ForeignTable, HubTable};

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
    }
    for (index, foreign) in file.foreign.iter().enumerate() {
        answer(file, foreign, &file.foreign[..index], problems);
    }
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
