//! The hubs that are named on the command line.

use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};

/// The hubs of those names, in the order given, each once; no names mean all hubs. Every name that no hub has
/// is told at once, with the nearest one.
pub fn resolve<'a>(fleet: &'a Fleet, names: &[String]) -> Result<Vec<&'a Hub>, Failure> {
    if names.is_empty() {
        return Ok(fleet.hubs.iter().collect());
    }
    let mut chosen: Vec<&Hub> = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    for name in names {
        match fleet.hubs.iter().find(|hub| hub.name.as_str() == name) {
            Some(hub) if chosen.iter().all(|other| other.name != hub.name) => chosen.push(hub),
            Some(_) => {}
            None => problems.push(fleet.unknown_hub(name)),
        }
    }
    if problems.is_empty() {
        return Ok(chosen);
    }
    problems.dedup();
    Err(Failure { exit: Exit::Usage, problems, hint: Some(what_there_is(fleet)) })
}

fn what_there_is(fleet: &Fleet) -> String {
    match fleet.hubs.as_slice() {
        [] => format!("{} declares no hub; 'fleet new' makes one", fleet.path.display()),
        _ => format!("'fleet list' shows the hubs of {}", fleet.path.display()),
    }
}
