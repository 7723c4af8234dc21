//! A hub's openrc, seen from inside its sandbox: the only place where it is ever sourced.

use std::os::unix::fs::MetadataExt as _;

use crate::exec::{End, capture};
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observed::{Sandbox, Subject, Unseen};
use crate::secret::OpenrcEnv;
use crate::systems::docker::Engine;

/// What was seen of an openrc.
#[derive(Debug, Clone)]
pub struct OpenrcLook {
    /// What sourcing it leaves in the environment.
    pub env: OpenrcEnv,
    /// Whether the sandbox holds another file than the one that is at the path now: an editor has put a new one in its
    /// place. `None` when there is nothing to compare with: the file is gone.
    pub stale: Option<bool>,
}

/// Prints device and inode of the mounted file, then the environment that sourcing it left.
const LOOK: &str = "stat -L -c %d:%i \"$OPENRC\" 2>/dev/null || echo unknown; exec env -0";

/// Sources a hub's openrc in its sandbox and compares the file there with the one outside.
pub async fn look_at_openrc(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    sandbox: &Sandbox,
    interrupt: &Interrupt,
) -> Result<OpenrcLook, Unseen> {
    let unseen = |reason: String, hint: Option<String>| Unseen {
        subject: Subject::Hub(hub.name.clone()),
        reason,
        hint,
    };
    let limit = fleet.timeouts.openrc;
    let seen = capture(engine, &sandbox.id, &["sh", "-c", LOOK], limit, interrupt).await;
    match seen.end {
        End::Exited(0) => {}
        End::Exited(status) => {
            return Err(unseen(
                format!("sourcing its openrc ended with status {status}"),
                Some(APPLICATION_CREDENTIAL.to_owned()),
            ));
        }
        End::TimedOut(limit) => {
            return Err(unseen(
                format!("sourcing its openrc took longer than {}", crate::report::duration(limit)),
                Some(APPLICATION_CREDENTIAL.to_owned()),
            ));
        }
        End::Interrupted => return Err(unseen("interrupted".to_owned(), None)),
        End::Failed { reason, hint } => return Err(unseen(reason, hint)),
    }
    let split = seen.stdout.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (inside, rest) = seen.stdout.split_at(split);
    let env = OpenrcEnv::from_env0(rest.strip_prefix(b"\n").unwrap_or(rest));
    let outside = std::fs::metadata(&hub.openrc).ok().map(|file| format!("{}:{}", file.dev(), file.ino()));
    let stale = outside.map(|outside| outside.as_bytes() != inside);
    Ok(OpenrcLook { env, stale })
}

const APPLICATION_CREDENTIAL: &str = "an openrc must work without anybody there to answer: make an application credential \
    (Horizon: Identity, Application Credentials) and use the openrc that it offers for download";
