//! New text for openrc files that sandboxes hold, and what mends such files. What cannot be finished is undone.

mod mend;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::config::openrc as content;
use crate::exit::{Exit, Failure, chain};
use crate::files;
use crate::hub::{Fleet, Hub, HubName};
use crate::interrupt::Interrupt;
use crate::observe::{file_id, log_in, prove_openrc, try_openrc};
use crate::observed::{Login, Sandbox};
use crate::secret::{OpenrcEnv, Script};
use crate::systems::docker::Engine;

pub use mend::{close, give_back, restart};

/// Sandboxes that are asked at once. Each costs an engine two processes, and Keystone a login.
const PARALLEL: usize = 8;

/// Where new text is tried and proved.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
}

/// One file that gets new text.
#[derive(Debug)]
pub struct Target<'a> {
    /// The file.
    pub path: &'a Path,
    /// The digest of the text that was judged: what is there now must be the same.
    pub digest: Option<&'a str>,
    /// Every running sandbox that holds the file.
    pub holders: Vec<(&'a Hub, &'a Sandbox)>,
}

/// Where a file's text is kept before it gets another one: beside it, for its owner alone. There is one: secrets that nobody
/// needs any more do not pile up.
pub fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".fleet-backup");
    path.with_file_name(name)
}

/// Sources a text in each of these sandboxes and logs in with what that leaves; the text is written nowhere. All must lead to
/// one project. Every problem is told at once.
pub async fn rehearse(
    place: Place<'_>,
    holders: &[(&Hub, &Sandbox)],
    script: &Script,
) -> Result<Login, Failure> {
    let tries: Vec<_> = stream::iter(holders)
        .map(async |(hub, sandbox)| {
            let Place { engine, fleet, interrupt } = place;
            let env = try_openrc(engine, fleet, hub, sandbox, script, interrupt).await.map_err(|unseen| {
                let reason = unseen.reason.replace("its openrc", "the new openrc");
                Trouble { hub: hub.name.clone(), reason, hint: unseen.hint }
            })?;
            leads_to(place, hub, &env).await
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    all_to_one(tries)
}

async fn leads_to(place: Place<'_>, hub: &Hub, env: &OpenrcEnv) -> Result<Login, Trouble> {
    let trouble = |reason, hint| Trouble { hub: hub.name.clone(), reason, hint };
    let asked = tokio::select! {
        asked = log_in(place.fleet, env) => asked,
        () = place.interrupt.asked() => return Err(trouble("interrupted".to_owned(), None)),
    };
    asked.map_err(|error| trouble(chain(&error), error.hint()))
}

/// What went wrong in one hub's sandbox, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    hub: HubName,
    reason: String,
    hint: Option<String>,
}

/// What all of them lead to; or everything that went wrong, each reason once with its hubs.
fn all_to_one(tries: Vec<Result<Login, Trouble>>) -> Result<Login, Failure> {
    let (mut reasons, mut hint, mut logins) = (Vec::<(String, Vec<String>)>::new(), None, Vec::new());
    for one in tries {
        match one {
            Ok(login) => logins.push(login),
            Err(trouble) => {
                let hub = trouble.hub.to_string();
                match reasons.iter_mut().find(|(reason, _)| *reason == trouble.reason) {
                    Some((_, hubs)) => hubs.push(hub),
                    None => reasons.push((trouble.reason, vec![hub])),
                }
                hint = hint.or(trouble.hint);
            }
        }
    }
    let told = |(reason, hubs): (String, Vec<String>)| {
        let word = if hubs.len() == 1 { "hub" } else { "hubs" };
        format!("{word} {}: {reason}", hubs.join(", "))
    };
    let mut problems: Vec<String> = reasons.into_iter().map(told).collect();
    let mut logins = logins.into_iter();
    let first = logins.next();
    if let (Some(first), true) = (&first, problems.is_empty())
        && let Some(other) = logins.find(|login| login.project.key != first.project.key)
    {
        problems.push(format!(
            "it leads to project {} in one sandbox and to project {} in another",
            first.project, other.project
        ));
    }
    match first {
        Some(first) if problems.is_empty() => Ok(first),
        _ => Err(Failure { exit: Exit::Failed, problems, hint }),
    }
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It has the new text.
    Written {
        /// Where the old text is.
        backup: PathBuf,
    },
    /// It had this text already.
    AsItWas,
}

/// Gives all these files a new text, in place, and proves in every sandbox that holds one that it is there and works. If
/// anything fails on the way, every file gets its old text back, and the error says so.
pub async fn replace_all(
    place: Place<'_>,
    targets: &[Target<'_>],
    script: &Script,
    expected: &Login,
) -> Result<Vec<Replaced>, Failure> {
    // From the first write on it is all or nothing: Ctrl-C makes it end early, and what was written is undone.
    let _hold = place.interrupt.hold();
    let mut old = Vec::new();
    for target in targets {
        old.push(look_once_more(target)?);
    }
    let mut begun = Vec::new();
    let result = async {
        for (target, old) in targets.iter().zip(&old) {
            write(target, old, script, &mut begun)?;
        }
        prove(place, targets, script, expected).await
    };
    let Err(mut failure) = result.await else {
        let came_of = |target: &Target<'_>| {
            if begun.iter().any(|(path, _)| *path == target.path) {
                Replaced::Written { backup: backup_of(target.path) }
            } else {
                Replaced::AsItWas
            }
        };
        return Ok(targets.iter().map(came_of).collect());
    };
    for (path, old) in begun {
        failure.problems.push(match files::write_in_place(path, old.bytes()) {
            Ok(()) => format!("the old content is back in {}", path.display()),
            Err(error) => format!(
                "and the old content could not be put back: {}; it is in {}",
                chain(&error),
                backup_of(path).display()
            ),
        });
    }
    if place.interrupt.is_asked() {
        failure.exit = Exit::Interrupted;
    }
    Err(failure)
}

/// The text that a file has now, if it is still the one that was judged and another one can be written.
fn look_once_more(target: &Target<'_>) -> Result<Script, Failure> {
    let path = target.path;
    let text = content::text(path)?;
    if target.digest != Some(text.digest().as_str()) {
        return Err(Failure {
            exit: Exit::Failed,
            problems: vec![format!("somebody has changed {} meanwhile: nothing was changed", path.display())],
            hint: Some("look at it, and try again".to_owned()),
        });
    }
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|error| Failure::failed(&files::Error::new("write", path, error)))?;
    Ok(text)
}

fn write<'a>(
    target: &Target<'a>,
    old: &'a Script,
    script: &Script,
    begun: &mut Vec<(&'a Path, &'a Script)>,
) -> Result<(), Failure> {
    if old.bytes() == script.bytes() {
        return Ok(());
    }
    let failed = |error: files::Error| Failure::failed(&error);
    files::replace(&backup_of(target.path), old.bytes(), 0o600).map_err(failed)?;
    begun.push((target.path, old));
    files::write_in_place(target.path, script.bytes()).map_err(failed)
}

/// Looks from inside every sandbox: the same file, the same text, and it leads to the project that it should.
async fn prove(
    place: Place<'_>,
    targets: &[Target<'_>],
    script: &Script,
    expected: &Login,
) -> Result<(), Failure> {
    let digest = script.digest();
    let holders = targets.iter().flat_map(|target| target.holders.iter().map(|holder| (target.path, holder)));
    let proofs: Vec<_> = stream::iter(holders)
        .map(async |(path, (hub, sandbox))| {
            let Place { engine, fleet, interrupt } = place;
            let trouble = |reason: String, hint| Trouble { hub: hub.name.clone(), reason, hint };
            let problem = |what: &str| trouble(what.to_owned(), None);
            let proof = prove_openrc(engine, fleet, hub, sandbox, interrupt)
                .await
                .map_err(|unseen| trouble(unseen.reason, unseen.hint))?;
            if proof.held.is_none() || proof.held != file_id(path) {
                return Err(problem("its sandbox does not hold the file that was written"));
            }
            // An image without `sha256sum`: the same file has the same text.
            if proof.digest.is_some_and(|inside| inside != digest) {
                return Err(problem("its sandbox does not see the text that was written"));
            }
            let login = leads_to(place, hub, &proof.env).await?;
            if login.project.key != expected.project.key {
                return Err(problem(&format!("the new openrc leads to project {} now", login.project)));
            }
            Ok(login)
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    all_to_one(proofs).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Validity;
    use crate::plan::orphans::samples::{hub, project};

    fn login(name: &str) -> Login {
        Login { project: project(name), valid: Validity::NoEnd }
    }

    fn trouble(name: &str, reason: &str) -> Trouble {
        Trouble { hub: hub(name), reason: reason.to_owned(), hint: None }
    }

    #[test]
    fn all_sandboxes_must_lead_to_one_project_and_each_reason_is_told_once_with_its_hubs() {
        assert_eq!(
            all_to_one(vec![Ok(login("alpha")), Ok(login("alpha"))]).unwrap().project,
            project("alpha")
        );
        let failure = all_to_one(vec![Ok(login("alpha")), Ok(login("beta"))]).unwrap_err();
        assert!(failure.to_string().contains("project alpha in one sandbox"), "{failure}");
        let tries = vec![
            Err(trouble("a", "refused")),
            Ok(login("alpha")),
            Err(trouble("b", "hangs")),
            Err(trouble("c", "refused")),
        ];
        assert_eq!(all_to_one(tries).unwrap_err().problems, ["hubs a, c: refused", "hub b: hangs"]);
        assert!(all_to_one(Vec::new()).is_err());
    }

    #[test]
    fn the_backup_is_beside_the_file() {
        assert_eq!(backup_of(Path::new("/o/alpha.sh")), Path::new("/o/alpha.sh.fleet-backup"));
    }

    #[test]
    fn a_file_that_was_changed_meanwhile_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alpha.sh");
        files::replace(&path, b"export A=1\n", 0o600).unwrap();
        let digest = Script::new(b"export A=1\n".to_vec()).digest();
        let target = |digest| Target { path: &path, digest, holders: Vec::new() };
        assert_eq!(look_once_more(&target(Some(&digest))).unwrap().bytes(), b"export A=1\n");
        files::write_in_place(&path, b"export A=2\n").unwrap();
        let failure = look_once_more(&target(Some(&digest))).unwrap_err();
        assert!(failure.to_string().contains("meanwhile: nothing was changed"), "{failure}");
        assert!(look_once_more(&target(None)).is_err());
    }
}
