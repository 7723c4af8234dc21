//! What is wrong with a hub, and what to do about it: the one judgement behind `fleet status` and `fleet doctor`.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::observed::{Answer, HubLook, Tunnel, Unseen};
use crate::plan::tunnel::explained;
use crate::sandbox::Part;

/// Credentials that end within this are worth a word: new ones take an operator a moment, and users' volumes cannot be
/// attached without them.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, and should be seen to.
    Warning,
    /// It does not work.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// Something that does not work.
    pub fn error(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Error, what: what.into(), hint: Some(hint.into()) }
    }

    /// Something that works, and should be seen to.
    pub fn warning(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, what: what.into(), hint: Some(hint.into()) }
    }

    fn missing(unseen: &Unseen) -> Self {
        Self { severity: Severity::Error, what: unseen.reason.clone(), hint: unseen.hint.clone() }
    }
}

/// Everything that is wrong with a hub, the worst first. `unavailable` is why commands cannot run in its sandbox.
pub fn diagnose(look: &HubLook, unavailable: Option<&Unseen>, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let hub = &look.hub;
    if let Some(unseen) = unavailable {
        findings.push(Finding::missing(unseen));
    }
    openrc(look, &mut findings);
    if let Some(unseen) = look.credentials.unseen() {
        findings.push(Finding::missing(unseen));
    }
    if let Some(expires) = look.credentials.seen().and_then(|credentials| credentials.expires_at) {
        let left = expires.duration_since(now);
        if left < SOON {
            let days = left.as_hours() / 24;
            findings.push(Finding::warning(
                format!("its credentials expire in {days} days, on {expires:.0}"),
                format!("make a new application credential, then: fleet openrc set {hub} NEW.sh"),
            ));
        }
    }
    if let Some(unseen) = look.api.unseen() {
        findings.push(match &look.tunnel_said {
            Some(said) => Finding::missing(&explained(unseen, hub, said)),
            None => Finding::missing(unseen),
        });
    }
    for unseen in [look.nodes.unseen(), look.claims.unseen()].into_iter().flatten() {
        findings.push(Finding::missing(unseen));
    }
    let not_ready: Vec<&str> = look
        .nodes
        .seen()
        .into_iter()
        .flatten()
        .filter(|node| !node.ready)
        .map(|node| node.name.as_str())
        .collect();
    if !not_ready.is_empty() {
        findings.push(Finding::warning(
            format!("nodes are not ready: {}", not_ready.join(", ")),
            format!("fleet exec --hub {hub} kubectl describe node {}", not_ready[0]),
        ));
    }
    if look.sandbox.drift == [Part::Tunnel] {
        findings.push(Finding::warning(
            "its tunnel goes another way to the master than fleet.toml has now",
            format!("connect it again: fleet up {hub}"),
        ));
    } else if !look.sandbox.drift.is_empty() {
        findings.push(Finding::warning(
            format!("its sandbox is not what fleet.toml asks for now: {}", parts(&look.sandbox.drift)),
            format!("make it again when nobody works in it: fleet up {hub}"),
        ));
    }
    if !look.lacks.is_empty() {
        findings.push(Finding::warning(
            format!("its sandbox's image lacks {}", look.lacks.join(", ")),
            "use an image that has them (`image` in fleet.toml); images/sandbox takes helm as a build argument",
        ));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// `mounts, limits`.
pub fn parts(drift: &[Part]) -> String {
    drift.iter().map(Part::to_string).collect::<Vec<_>>().join(", ")
}

fn openrc(look: &HubLook, findings: &mut Vec<Finding>) {
    if let Some(unseen) = look.openrc_stale.unseen() {
        findings.push(Finding::missing(unseen));
    }
    match look.openrc_open_to_others {
        None => findings.push(Finding::error(
            format!("its openrc is gone: there is no {}", look.openrc.display()),
            "put it back; the sandbox still holds the file that was mounted",
        )),
        Some(true) => findings.push(Finding::warning(
            "its openrc can be read by others on this machine",
            format!("chmod 600 {}", look.openrc.display()),
        )),
        Some(false) => {}
    }
    if look.openrc_stale == Answer::Seen(true) {
        findings.push(Finding::error(
            "its openrc is stale: the sandbox holds another file than the one at the path now, because something has put a \
             new file in its place",
            format!("fleet openrc check {hub} --fix, or restart the sandbox (`docker restart` its container) so that it gets the \
                     new one; from now on write such files in place (fleet openrc set {hub} NEW.sh)", hub = look.hub),
        ));
    }
}

/// Whether a hub works: nothing that is wrong with it is an error.
pub fn works(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity < Severity::Error)
}

/// The word for a tunnel.
pub fn tunnel_word(tunnel: Option<&Tunnel>) -> &'static str {
    match tunnel {
        Some(Tunnel::Up) => "up",
        Some(Tunnel::Down) => "down",
        Some(Tunnel::Hangs) => "hangs",
        None => "-",
    }
}
