//! What the far end's words mean.

use crate::hub::HubName;
use crate::sandbox::paths;
use crate::text::excerpt;

/// The status of a far end whose input ended before it was whole.
pub const CUT: i64 = 3;

/// The status of a far end that found a mount in the place of a file.
pub const MOUNTED: i64 = 4;

/// What is told of a copy that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Why, in one line.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What is told where the far end's programs ended with a status other than 0. `path` is what was copied, or where to.
pub fn told(hub: &HubName, path: &str, status: i64, stderr: &str) -> Told {
    let words = words(stderr);
    if status == CUT {
        return Told {
            reason: "not all of it reached the sandbox; nothing was changed there".to_owned(),
            hint: None,
        };
    }
    if status == MOUNTED || words.contains("Device or resource busy") {
        return mounted(hub, path, &words);
    }
    let reason = match (words.as_str(), status) {
        ("", 137) => {
            "the sandbox ended it by force (SIGKILL): it was stopped, or its memory is used up".to_owned()
        }
        ("", status) => format!("it ended in the sandbox with status {status}"),
        (words, _) => words.to_owned(),
    };
    let has = |text: &str| reason.contains(text);
    let hint = if has("No space left on device") || has("Wrote only") || has("Disk quota exceeded") {
        Some("nothing was changed there; make room in the sandbox, or on the disk that it is mounted from")
    } else if has("Read-only file system") {
        Some("nothing was changed there; that place is mounted read-only into the sandbox")
    } else if has("not found") || has("no such program") {
        Some("the sandbox's image needs sh, tar, mv, rm, mkdir, find and sync")
    } else {
        None
    };
    Told { reason, hint: hint.map(str::to_owned) }
}

fn mounted(hub: &HubName, path: &str, words: &str) -> Told {
    let is_openrc = words.contains(paths::OPENRC) || path == paths::OPENRC;
    let reason =
        if words.is_empty() { format!("{path} is mounted into the sandbox") } else { words.to_owned() };
    let hint = if is_openrc {
        format!("new credentials: fleet openrc set {hub} FILE")
    } else {
        "a file that is mounted by itself cannot be replaced from inside: change it on this machine, where it is mounted from"
            .to_owned()
    };
    Told { reason, hint: Some(hint) }
}

/// The most telling lines: programs say what went wrong first, and tar says at the end that something did.
fn words(stderr: &str) -> String {
    let of_no_use = |line: &&str| {
        !line.trim().is_empty()
            && !line.contains("Exiting with failure status due to previous errors")
            && !line.contains("Error is not recoverable")
    };
    let mut lines: Vec<&str> = stderr.lines().filter(of_no_use).collect();
    lines.dedup();
    let more = lines.len().saturating_sub(3);
    lines.truncate(3);
    let mut text =
        lines.iter().map(|line| line.trim().trim_start_matches("fleet: ")).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str("; ...");
    }
    excerpt(&text)
}
