//! Host keys on the way to a master: what is pinned, what is shown, and what of it may be pinned with nobody asked.

use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::files;
use crate::hub::{Fleet, Hub, HubName, JumpHost};
use crate::plan::trust::{First, first};
use crate::systems::ssh::{self, HostKey, Pins};

/// The fingerprints that the operator demands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demanded<'a> {
    /// Of the master.
    pub master: Option<&'a str>,
    /// Of the jump host.
    pub jump: Option<&'a str>,
}

/// The host key that was pinned for the address that the hub has now.
pub fn pinned(hub: &Hub) -> Option<HostKey> {
    HostKey::from_known_hosts(&std::fs::read_to_string(hub.known_hosts()).ok()?, hub.ip, hub.ssh.port)
}

/// The host key that was pinned for the jump host that the hub has now.
pub fn pinned_jump(hub: &Hub) -> Option<HostKey> {
    let at = &hub.ssh.jump.as_ref()?.at;
    HostKey::from_known_hosts(&std::fs::read_to_string(hub.jump_known_hosts()).ok()?, &at.host, at.port)
}

/// All that is pinned for the way that leads to the master now; `None` where something is missing.
pub(super) fn pins(hub: &Hub) -> Option<Pins> {
    let jump = pinned_jump(hub);
    let is_whole = jump.is_some() || hub.ssh.jump.is_none();
    Some(Pins { master: pinned(hub)?, jump }).filter(|_| is_whole)
}

/// What other hubs of the fleet have pinned for the same jump host.
pub fn pinned_by_others(fleet: &Fleet, hub: &Hub) -> Vec<(HubName, HostKey)> {
    let same = |other: &&Hub| {
        let at = |hub: &Hub| hub.ssh.jump.as_ref().map(|jump| (jump.at.host.clone(), jump.at.port));
        other.name != hub.name && at(other) == at(hub)
    };
    let others = fleet.hubs.iter().filter(same);
    others.filter_map(|other| Some((other.name.clone(), pinned_jump(other)?))).collect()
}

/// The host keys that are shown on the way to the master, if they are the ones that are demanded or were pinned before.
pub(super) async fn shown(fleet: &Fleet, hub: &Hub, demanded: Demanded<'_>) -> Result<Pins, Failure> {
    let jump = match &hub.ssh.jump {
        None => None,
        Some(jump) => Some(shown_by_jump_host(fleet, hub, jump, demanded.jump).await?),
    };
    let master = master_key(fleet, hub, jump.as_ref()).await?;
    let shown = master.fingerprint();
    if let Some(wanted) = demanded.master
        && wanted != shown
    {
        return Err(not_demanded("master", wanted, &shown));
    }
    let line = master.known_hosts_line(hub.ip, hub.ssh.port);
    match std::fs::read_to_string(hub.known_hosts()) {
        Ok(pinned) if pinned.trim() != line.trim() => Err(differs("master", pinned.trim(), &shown).hint(format!(
            "{} pins another key: for a hub of the fleet, `fleet trust {}` shows both; for a new one it is an earlier hub's of the \
             name, and if its master was rebuilt, remove the file",
            hub.known_hosts().display(),
            hub.name
        ))),
        Ok(_) => Ok(Pins { master, jump }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Pins { master, jump }),
        // A pin that cannot be read is not none.
        Err(source) => Err(Failure::failed(&files::Error::new("read", &hub.known_hosts(), source))),
    }
}

async fn shown_by_jump_host(
    fleet: &Fleet,
    hub: &Hub,
    jump: &JumpHost,
    demanded: Option<&str>,
) -> Result<HostKey, Failure> {
    let (own, others) = (pinned_jump(hub), pinned_by_others(fleet, hub));
    let known = own.as_ref().or(others.first().map(|(_, key)| key));
    let key = jump_key(fleet, jump, known).await?;
    let shown = key.fingerprint();
    let own = own.map(|key| key.fingerprint());
    let others: Vec<_> = others.into_iter().map(|(hub, key)| (hub, key.fingerprint())).collect();
    match first(&shown, own.as_deref(), &others, demanded) {
        First::Take => Ok(key),
        First::NotDemanded(wanted) => Err(not_demanded("jump host", wanted, &shown)),
        First::NotPinned(pinned) => Err(differs("jump host", pinned, &shown).hint(format!(
            "{} pins another key: for a hub of the fleet, `fleet trust {}` shows both; for a new one, if the jump host was made anew, \
             remove the file",
            hub.jump_known_hosts().display(),
            hub.name
        ))),
        First::PinnedByOther(other, pinned) => Err(differs("jump host", pinned, &shown).hint(format!(
            "hub {other} goes by the same jump host and has pinned another key for it: `fleet trust {other}` shows both; do not go on \
             before you know why"
        ))),
    }
}

/// The host key that a hub's master shows now, by way of the jump host with that key where there is one.
pub async fn master_key(fleet: &Fleet, hub: &Hub, jump: Option<&HostKey>) -> Result<HostKey, Failure> {
    ssh::host_key(&hub.ssh, hub.ip, pinned(hub).as_ref(), jump, fleet.timeouts.ssh)
        .await
        .map_err(|error| ssh_failure(&error))
}

/// The host key that a jump host shows now: one of the type of that key, where it has one.
pub async fn jump_key(fleet: &Fleet, jump: &JumpHost, pinned: Option<&HostKey>) -> Result<HostKey, Failure> {
    ssh::jump_host_key(jump, pinned, fleet.timeouts.ssh).await.map_err(|error| ssh_failure(&error))
}

/// Logs in on the master, the way that `fleet.toml` has now.
pub(super) async fn reach(fleet: &Fleet, hub: &Hub, pins: &Pins) -> Result<(), Failure> {
    ssh::reach(&hub.ssh, hub.ip, pins, fleet.timeouts.ssh).await.map_err(|error| ssh_failure(&error))
}

/// The files that a tunnel goes by, with what belongs in them. What was pinned for other jump hosts stays: the way back to one of them is
/// not taken unseen.
pub(super) fn files_of(hub: &Hub, pins: &Pins) -> Vec<(PathBuf, String)> {
    let line = pins.master.known_hosts_line(hub.ip, hub.ssh.port);
    let mut files = vec![(hub.known_hosts(), format!("{line}\n"))];
    if let (Some(jump), Some(key)) = (&hub.ssh.jump, &pins.jump) {
        let path = hub.jump_known_hosts();
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let is_other = |line: &&str| HostKey::from_known_hosts(line, &jump.at.host, jump.at.port).is_none();
        let line = key.known_hosts_line(&jump.at.host, jump.at.port);
        let lines = before.lines().filter(is_other).chain([line.as_str()]);
        files.push((path, lines.flat_map(|line| [line, "\n"]).collect()));
    }
    files
}

/// Gives the tunnel of a container that fleet did not make the keys to go by. They are public, and whoever that container runs as may
/// read them.
pub(super) fn write_adopted(hub: &Hub, files: &[(PathBuf, String)]) -> Result<(), Failure> {
    let write = |path: &Path, text: &str| files::replace(path, text.as_bytes(), 0o644);
    for (path, text) in files {
        let path = if *path == hub.known_hosts() {
            hub.adopted_known_hosts()
        } else {
            hub.adopted_jump_known_hosts()
        };
        write(&path, text).map_err(|error| Failure::failed(&error))?;
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("the {host} shows the host key {shown}, and not {wanted}")]
struct HostKeyDiffers {
    host: &'static str,
    wanted: String,
    shown: String,
}

fn differs(host: &'static str, wanted: &str, shown: &str) -> Failure {
    Failure::failed(&HostKeyDiffers { host, wanted: wanted.to_owned(), shown: shown.to_owned() })
}

fn not_demanded(host: &'static str, wanted: &str, shown: &str) -> Failure {
    differs(host, wanted, shown).hint(format!(
        "do not go on before you know why: ask whoever runs the {host} for its fingerprint (`ssh-keygen -lf \
         /etc/ssh/ssh_host_ed25519_key.pub` on the {host})"
    ))
}

pub(super) fn ssh_failure(error: &ssh::Error) -> Failure {
    Failure::failed(error).maybe_hint(error.hint())
}
