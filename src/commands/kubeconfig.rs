//! `fleet kubeconfig`: one file with a context for each hub, for kubectl and k9s on this machine.

use std::io;
use std::path::{Path, PathBuf};

use super::choose::Hubs;
use super::context::{Context, print, tell};
use super::proxy::{access, not_outside};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, Hub};
use crate::proxy::address;
use crate::proxy::kept::{Place, Settings};
use crate::proxy::kubeconfig::{Entry, Kept, Plugin, compose, own};
use crate::report;
use crate::text::count;

/// The proxy's secret is in it.
const MODE: u32 = 0o600;

/// The bits of a file's mode that are the group's and everybody's.
const OTHERS: u32 = 0o077;

/// Write a kubeconfig for kubectl and k9s on this machine
///
/// It has a context for each hub, named as the hub, which goes by way of a proxy of fleet's that is started when it is needed
/// (`fleet proxy`). No key of a cluster is in it: kubectl asks fleet for the hub's certificate each time. What it holds is the
/// proxy's secret, so it is for you alone. It stays good when hubs get new certificates or sandboxes; write it again for new
/// hubs. A file that is written again keeps its current context and its contexts' namespaces.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet kubeconfig --all --output ~/.kube/fleet\n  export KUBECONFIG=~/.kube/config:~/.kube/fleet\n  kubectl \
--context ou23s get pvc -A -w\n  k9s --context ou23s\n  fleet kubeconfig ou23s > ou23s.yaml\n\nExit status: 0 done; 1 some hub is left \
out, which is told; 2 usage, or FILE has something of somebody else's in it."
)]
pub struct Args {
    /// Write it into this file (mode 0600) instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write over FILE also where it is not one that this command wrote
    #[arg(long, requires = "output")]
    force: bool,

    /// Have the proxy listen at this port of 127.0.0.1 from now on. Files that were written before are good no more
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..))]
    port: Option<u16>,

    #[command(flatten)]
    hubs: Hubs,
}

/// Writes it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen_or_all(context, &fleet).await?;
    let command = std::env::current_exe().map_err(|error| Failure::failed(&error))?;
    let plugin = Plugin { command: text(&command)?, config: text(&fleet.path)? };
    let kept = match &args.output {
        Some(path) => look(path, plugin.config, args.force)?,
        None => Kept::default(),
    };
    let (mut entries, mut exit) = (Vec::new(), Exit::Done);
    for hub in hubs {
        match entry(&fleet, hub) {
            Ok(entry) => entries.push(entry),
            Err(failure) => {
                exit = failure.exit;
                tell(&report::failure(&failure));
            }
        }
    }
    let Some(first) = entries.first() else {
        return Err(Failure {
            exit: Exit::Failed,
            problems: vec!["nothing was written: no hub can be used".to_owned()],
            hint: None,
        });
    };
    let settings = settings(&Place::of(&fleet), args.port)?;
    let yaml = compose(&entries, &settings, plugin, &kept).map_err(|error| Failure::failed(&error))?;
    if let Some(path) = &args.output {
        write(path, &yaml)?;
        let (file, contexts) = (path.display(), count(entries.len() as u64, "context"));
        tell(&format!(
            "{file} has {contexts}: kubectl --kubeconfig {file} --context {} get nodes\n",
            first.hub()
        ));
    } else {
        print(&yaml)?;
        warn_of_readers();
    }
    Ok(exit)
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        Failure::usage(format!("{} is not UTF-8, and a kubeconfig can hold nothing else", path.display()))
    })
}

fn entry(fleet: &Fleet, hub: &Hub) -> Result<Entry, Failure> {
    Entry::new(&hub.name, fleet.container_of(&hub.name), access(hub)?).map_err(|why| not_outside(hub, &why))
}

/// The proxy's port and secret. Another port is taken only while no proxy runs: the one that does would keep the old one.
fn settings(place: &Place, port: Option<u16>) -> Result<Settings, Failure> {
    let settings = place.settings_or_new()?;
    let Some(port) = port.filter(|port| *port != settings.port) else { return Ok(settings) };
    let Some(lock) = place.lock()? else {
        let problem = format!("the proxy runs at {}", address(settings.port));
        return Err(Failure { exit: Exit::Failed, problems: vec![problem], hint: None }
            .hint("nothing was changed; end it first: fleet proxy --stop"));
    };
    place.move_to(port, &lock)
}

/// What an operator chose in the file that is there, if it may be written over.
fn look(path: &Path, config: &str, force: bool) -> Result<Kept, Failure> {
    let kept = match std::fs::read_to_string(path) {
        Ok(yaml) if yaml.trim().is_empty() => Some(Kept::default()),
        Ok(yaml) => own(&yaml, config),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Kept::default()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        Err(error) => return Err(Failure::failed(&files::Error::new("read", path, error))),
    };
    match kept {
        Some(kept) => Ok(kept),
        None if force => Ok(Kept::default()),
        None => Err(Failure::usage(format!(
            "{} is not a file of `fleet kubeconfig` for {config}, or has more in it",
            path.display()
        ))
        .hint(
            "nothing was changed; take a file of its own, and name both: export KUBECONFIG=~/.kube/config:~/.kube/fleet. --force \
             writes over it all the same",
        )),
    }
}

fn write(path: &Path, yaml: &str) -> Result<(), Failure> {
    // A link stays one, and what it leads to is written.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    files::private_dir(files::parent(&path))
        .and_then(|()| files::replace(&path, yaml.as_bytes(), MODE))
        .map_err(|error| Failure::failed(&error))
}

/// The shell makes the file in `> FILE`, and mostly so that others can read it.
fn warn_of_readers() {
    let Ok(about) = rustix::fs::fstat(std::io::stdout()) else { return };
    let is_file = rustix::fs::FileType::from_raw_mode(about.st_mode) == rustix::fs::FileType::RegularFile;
    if is_file && about.st_mode & OTHERS != 0 {
        tell(&format!(
            "warning: others on this machine can open the file that this was written into (mode {:04o}), and the proxy's secret is \
             in it: chmod 600, or use --output\n",
            about.st_mode & 0o7777
        ));
    }
}
