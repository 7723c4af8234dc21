//! Hubs on engines that may be on another machine: what is mounted into a sandbox there has to be the very files that are here, by a
//! file system that both have.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::exec::{End, capture_fed};
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::known;
use crate::plan::mounts::first_other;
use crate::report::duration;
use crate::sandbox::SandboxSpec;
use crate::systems::docker::{Engine, Probe};

/// Fails where the engine's machine does not have a hub's files, before anything is made.
pub(super) async fn has_files(engine: &Engine, fleet: &Fleet, hub: &Hub) -> Result<(), Failure> {
    if !fleet.may_be_elsewhere(hub) {
        return Ok(());
    }
    // Of a state that is not there yet, the place where it comes to be.
    let state = hub.state.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    let mut paths: Vec<PathBuf> = vec![hub.openrc.clone(), hub.ssh.key.clone(), state.to_owned()];
    paths.extend(hub.ssh.jump.as_ref().map(|jump| jump.key.clone()));
    paths.extend(hub.ssh.agent.as_deref().and_then(Path::parent).map(Path::to_owned));
    let there = engine.on(&hub.engine)?;
    let known = known::sandboxes(fleet)?;
    for left in there.probes(&fleet.name, hub.name.as_str()).await? {
        if known.contains(&left) {
            there.remove(&left).await?;
        }
    }
    let probe = new_probe(fleet, hub)?;
    Ok(there.has_files(&hub.image, &probe, &paths).await?)
}

/// A probe that is known before it is made, so that it is taken away later if fleet is killed meanwhile. Nobody else has one of its name,
/// whose leftover would be in the way.
fn new_probe(fleet: &Fleet, hub: &Hub) -> Result<Probe, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Failure::failed(&error))?;
    let name = format!("{}.probe-{:016x}", fleet.sandbox_of(&hub.name), u64::from_ne_bytes(bytes));
    known::made(fleet, &name)?;
    Ok(Probe { name, fleet: fleet.name.clone(), hub: hub.name.to_string() })
}

/// Fails where a sandbox on another machine has other files of the same names.
pub(super) async fn has_the_same(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    spec: &SandboxSpec,
    sandbox: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    if !fleet.may_be_elsewhere(hub) {
        return Ok(());
    }
    let mut argv = vec!["stat", "-L", "-c", "%i"];
    argv.extend(spec.mounts.iter().map(|mount| mount.target.as_str()));
    let ran = capture_fed(engine, sandbox, &argv, b"", fleet.timeouts.openrc, interrupt).await;
    let failed = |problem, hint| Failure { exit: Exit::Failed, problems: vec![problem], hint };
    match ran.end {
        // What it does not say of a file is judged as what it says.
        End::Exited(_) => {}
        End::Interrupted => return Err(Failure::interrupted()),
        End::TimedOut(limit) => {
            let limit = duration(limit);
            return Err(failed(format!("the sandbox does not tell which files it has within {limit}"), None));
        }
        End::Failed { reason, hint } => return Err(failed(reason, hint)),
    }
    let here = |path: &Path| std::fs::metadata(path).ok().map(|file| file.ino());
    match first_other(&spec.mounts, here, &String::from_utf8_lossy(&ran.stdout)) {
        None => Ok(()),
        Some(mount) => Err(failed(
            format!(
                "{} on the machine of engine {} is another one than here",
                mount.source.display(),
                hub.engine
            ),
            Some(
                "a sandbox mounts the hub's openrc, key and state under the same paths as here: have them there (a shared file system), \
                 or let the hub live on another engine (`engine` in fleet.toml)"
                    .to_owned(),
            ),
        )),
    }
}
