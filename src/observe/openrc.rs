//! A hub's openrc, seen from inside its sandbox: the only place where it is ever sourced.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::exec::{Captured, End, capture, capture_fed, run_mark};
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observed::{FileId, Sandbox, Subject, Unseen};
use crate::secret::{OpenrcEnv, Script};
use crate::systems::docker::Engine;

/// What was seen of an openrc.
#[derive(Debug, Clone)]
pub struct OpenrcLook {
    /// What sourcing it leaves in the environment.
    pub env: OpenrcEnv,
    /// The file that the sandbox holds.
    pub held: Option<FileId>,
    /// Whether the sandbox holds another file than the one that is at the path now: an editor has put a new one in its
    /// place. `None` when there is nothing to compare with: the file is gone.
    pub stale: Option<bool>,
}

/// Prints device and inode of the mounted file, then the environment that sourcing it left.
const LOOK: &str = "stat -L -c %d:%i \"$OPENRC\" 2>/dev/null || echo unknown; exec env -0";

/// Prints the digest of the mounted file first.
const PROOF: &str = "{ sha256sum <\"$OPENRC\" || echo unknown; } 2>/dev/null; stat -L -c %d:%i \"$OPENRC\" 2>/dev/null || echo unknown; \
    exec env -0";

/// Sources a hub's openrc in its sandbox and compares the file there with the one outside.
pub async fn look_at_openrc(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &Sandbox,
    interrupt: &Interrupt,
) -> Result<OpenrcLook, Unseen> {
    let limit = fleet.timeouts.openrc;
    let seen = capture(engine, &sandbox.id, &["sh", "-c", LOOK], limit, interrupt).await;
    let stdout = sourced(hub, seen)?;
    let (held, rest) = first_line(&stdout);
    let held = as_here(fleet, hub, FileId::parse(&held));
    let stale = file_id(&hub.openrc).map(|outside| held != Some(outside));
    Ok(OpenrcLook { env: OpenrcEnv::from_env0(rest), held, stale })
}

/// What a sandbox has at the openrc's place, for comparing it with what should be there.
#[derive(Debug, Clone)]
pub struct OpenrcProof {
    /// What sourcing it leaves in the environment.
    pub env: OpenrcEnv,
    /// The file.
    pub held: Option<FileId>,
    /// The digest of its text; `None` where the image has no `sha256sum`.
    pub digest: Option<String>,
}

/// Sources a hub's openrc in its sandbox and reads all of it there.
pub async fn prove_openrc(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &Sandbox,
    interrupt: &Interrupt,
) -> Result<OpenrcProof, Unseen> {
    let limit = fleet.timeouts.openrc;
    let seen = capture(engine, &sandbox.id, &["sh", "-c", PROOF], limit, interrupt).await;
    let stdout = sourced(hub, seen)?;
    let (digest, rest) = first_line(&stdout);
    let (held, rest) = first_line(rest);
    let digest = digest.split_whitespace().next().filter(|text| text.len() == 64).map(str::to_owned);
    let held = as_here(fleet, hub, FileId::parse(&held));
    Ok(OpenrcProof { env: OpenrcEnv::from_env0(rest), held, digest })
}

/// Reads a script and its end mark from standard input, and sources the script as `/opt/fleet/run` sources the mounted
/// openrc: with bash where there is one, with standard input closed, and with what it prints out of the way. A pipe between
/// two shells is all that ever holds it. Without the mark it is not whole, because fleet was killed, and is not run.
/// `timeout` ends it where fleet cannot do so any more.
const TRY: &str = r#"script=$(cat)
case $script in *"
$1") ;; *) exit 97 ;; esac
printf '%s
' "${script%"$1"}" | {
    unset script
    exec 3<&0 </dev/null
    . /dev/fd/3 1>&2
    exec 3<&-
    exec env -0
}"#;

/// Runs [`TRY`], its first argument: the second is the end mark, the third the time limit in seconds.
const TRY_WITH: &str = r#"shell=sh
command -v bash >/dev/null 2>&1 && shell=bash
limit=
timeout -k 1 1 true 2>/dev/null && limit="timeout -k 1 $3"
exec $limit "$shell" -c "$1" "$shell" "$2""#;

/// Sources a script in a hub's sandbox that is not the openrc there, and may become it. It is written nowhere: it goes in
/// through standard input.
pub async fn try_openrc(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &Sandbox,
    script: &Script,
    interrupt: &Interrupt,
) -> Result<OpenrcEnv, Unseen> {
    let limit = fleet.timeouts.openrc;
    // A script cannot know it, and so cannot have it in itself by accident.
    let mark = format!("# end of {}", run_mark());
    let input = [script.bytes(), b"\n", mark.as_bytes()].concat();
    // Fleet's own limit comes first, and says what it was.
    let seconds = (limit.as_secs() + 2).to_string();
    let argv = ["sh", "-c", TRY_WITH, "sh", TRY, &mark, &seconds];
    let seen = capture_fed(engine, &sandbox.id, &argv, &input, limit, interrupt).await;
    sourced(hub, seen).map(|stdout| OpenrcEnv::from_env0(&stdout))
}

/// What a sandbox says of a file, as this machine would say it: of one on a file system that both machines have, each says another
/// device.
fn as_here(fleet: &Fleet, hub: &Hub, held: Option<FileId>) -> Option<FileId> {
    let here = file_id(&hub.openrc).filter(|_| fleet.may_be_elsewhere(hub));
    match (held, here) {
        (Some(held), Some(here)) if held.inode == here.inode => Some(here),
        (held, _) => held,
    }
}

/// The file at a path, if there is one.
pub fn file_id(path: &Path) -> Option<FileId> {
    let file = std::fs::metadata(path).ok()?;
    Some(FileId { device: file.dev(), inode: file.ino() })
}

/// What was printed once an openrc had been sourced.
fn sourced(hub: &Hub, seen: Captured) -> Result<Vec<u8>, Unseen> {
    let unseen = |reason: String, hint: Option<String>| Unseen {
        subject: Subject::Hub(hub.name.clone()),
        reason,
        hint,
    };
    match seen.end {
        End::Exited(0) => Ok(seen.stdout),
        End::Exited(status) => Err(unseen(
            format!("sourcing its openrc ended with status {status}"),
            Some(APPLICATION_CREDENTIAL.to_owned()),
        )),
        End::TimedOut(limit) => Err(unseen(
            format!("sourcing its openrc took longer than {}", crate::report::duration(limit)),
            Some(APPLICATION_CREDENTIAL.to_owned()),
        )),
        End::Interrupted => Err(unseen("interrupted".to_owned(), None)),
        End::Failed { reason, hint } => Err(unseen(reason, hint)),
    }
}

/// The first line, and what follows it.
fn first_line(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (line, rest) = bytes.split_at(end);
    (String::from_utf8_lossy(line).into_owned(), rest.strip_prefix(b"\n").unwrap_or(rest))
}

const APPLICATION_CREDENTIAL: &str = "an openrc must work without anybody there to answer: make an application credential \
    (Horizon: Identity, Application Credentials) and use the openrc that it offers for download";
