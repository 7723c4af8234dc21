//! What mends an openrc file, and takes nothing from anybody who works in a sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::hub::HubName;
use crate::observed::{FileId, OpenrcFile, Processes, SandboxState};

/// What is done about a file, or why nothing can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// Nobody but its owner may open it.
    Close {
        /// Its permissions from now on.
        mode: u32,
    },
    /// The file that the sandboxes hold still has a name beside the path: it gets the new text and then the path's own name
    /// back. Whoever works in a sandbox notices nothing.
    GiveBack {
        /// That name.
        from: PathBuf,
    },
    /// Nobody works in this hub's sandbox: it is stopped and started, and then holds what is at the path.
    Restart(HubName),
    /// Nothing.
    Leave {
        /// The hub whose sandbox it is about; `None` where it is about the file itself.
        hub: Option<HubName>,
        /// Why.
        why: String,
    },
}

/// Who is at work in a sandbox: programs' names. `None` where that could not be seen.
pub type AtWork = Option<Vec<String>>;

/// The programs in a sandbox that are not fleet's own tunnel. What was started by hand and left its shell behind is somebody's
/// work, too: under the first process, only the tunnel and what it has started is fleet's.
pub fn at_work(processes: &Processes) -> Vec<String> {
    let mut own = BTreeSet::new();
    loop {
        // In a container of the old scripts fleet has started the tunnel from outside: its parent is not in there.
        let is_outside = |parent| processes.all.iter().all(|other| other.id != parent);
        let is_own = |parent, name: &str| {
            own.contains(&parent) || (name == "tunnel" && (parent == processes.first || is_outside(parent)))
        };
        let more: Vec<i64> = processes
            .all
            .iter()
            .filter(|one| !own.contains(&one.id) && is_own(one.parent, &one.name))
            .map(|one| one.id)
            .collect();
        if more.is_empty() {
            break;
        }
        own.extend(more);
    }
    own.insert(processes.first);
    let mut others: Vec<String> =
        processes.all.iter().filter(|one| !own.contains(&one.id)).map(|one| one.name.clone()).collect();
    others.sort_unstable();
    others.dedup();
    others
}

/// Whether there is anything that [`mends`] could be about.
pub fn wants_mending(file: &OpenrcFile) -> bool {
    let is_stale = file.hubs.iter().any(|mount| mount.stale.seen() == Some(&true));
    file.mode.is_some_and(|mode| is_stale || mode & 0o077 != 0)
}

/// What mends a file. `beside` has the other names of files in its directory; `owner` is whose file it is, and `users` who
/// each sandbox runs as; `work` says who is at work in the sandboxes that hold another file.
pub fn mends(
    file: &OpenrcFile,
    beside: &BTreeMap<FileId, PathBuf>,
    owner: Option<u32>,
    users: &BTreeMap<HubName, u32>,
    work: &BTreeMap<HubName, AtWork>,
) -> Vec<Mend> {
    let mut mends = Vec::new();
    let Some(mode) = file.mode else {
        let why = "there is no such file to mend".to_owned();
        return vec![Mend::Leave { hub: None, why }];
    };
    if mode & 0o077 != 0 {
        mends.push(close(file, mode, owner, users));
    }
    let stale: Vec<_> = file.hubs.iter().filter(|mount| mount.stale.seen() == Some(&true)).collect();
    if stale.is_empty() {
        return mends;
    }
    if let Some(from) = given_back(file, beside) {
        mends.push(Mend::GiveBack { from });
        return mends;
    }
    for mount in stale {
        let hub = mount.hub.clone();
        mends.push(match work.get(&hub) {
            Some(Some(others)) if others.is_empty() => Mend::Restart(hub),
            Some(Some(others)) => Mend::Leave {
                why: format!(
                    "somebody works in its sandbox ({}), and only starting it again gives it the file: --fix once they are gone, \
                     or restart its container (`docker restart`), whoever loses by it",
                    others.join(", ")
                ),
                hub: Some(hub),
            },
            _ => Mend::Leave {
                hub: Some(hub),
                why: "cannot tell whether somebody works in its sandbox, and only starting it again gives it the file"
                    .to_owned(),
            },
        });
    }
    mends
}

/// A sandbox that is not the owner reads the file by the very permissions that are too many.
fn close(file: &OpenrcFile, mode: u32, owner: Option<u32>, users: &BTreeMap<HubName, u32>) -> Mend {
    let other = file
        .hubs
        .iter()
        .map(|mount| &mount.hub)
        .find(|hub| users.get(*hub).copied() != owner || owner.is_none());
    match other {
        None => Mend::Close { mode: mode & 0o7700 },
        Some(hub) => Mend::Leave {
            hub: Some(hub.clone()),
            why: format!(
                "its sandbox does not run as the owner of {}, and could not read it any more: give the file to the owner of \
                 the hub's state directory first",
                file.file.display()
            ),
        },
    }
}

/// The name of the file that all sandboxes hold, if they all hold the same one and it has a name. One that holds the new file
/// would be the stale one afterwards; of one that is paused nobody knows what it holds.
fn given_back(file: &OpenrcFile, beside: &BTreeMap<FileId, PathBuf>) -> Option<PathBuf> {
    let mut held = BTreeSet::new();
    for mount in &file.hubs {
        match mount.state {
            None | Some(SandboxState::Exited | SandboxState::Created | SandboxState::Dead) => {}
            Some(_) => {
                held.insert(mount.held?);
            }
        }
    }
    let mut held = held.into_iter();
    let (Some(id), None) = (held.next(), held.next()) else { return None };
    if Some(id) == file.id {
        return None;
    }
    beside.get(&id).cloned()
}
