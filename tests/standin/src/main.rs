//! `standin DIR`: a stand-in in an empty directory, until it is told to end.
//!
//! Its content comes from a file (`--content FILE`, JSON), or is made to size (`--hubs`, `--projects`, `--volumes`,
//! `--pvs`); `--faults FILE` is a list of rules. It writes `ready` to standard output once fleet can ask it, and every
//! request to `DIR/requests.log`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit};
use standin::content::Content;
use standin::sized::{self, Size};
use standin::{Rule, Standin};
use tokio::signal::unix::{SignalKind, signal};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: standin DIR [--content FILE | --hubs N --projects N --volumes N --pvs N] [--latency MS] \
    [--faults FILE]";

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or(USAGE)?);
    let mut size = Size { hubs: 3, projects: 1, volumes: 30, persistent_volumes: 20 };
    let (mut content, mut rules, mut latency): (_, Vec<Rule>, _) = (None, Vec::new(), None);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match arg.as_str() {
            "--content" => content = Some(serde_json::from_slice(&std::fs::read(value)?)?),
            "--faults" => rules = serde_json::from_slice(&std::fs::read(value)?)?,
            "--hubs" => size.hubs = value.parse()?,
            "--projects" => size.projects = value.parse()?,
            "--volumes" => size.volumes = value.parse()?,
            "--pvs" => size.persistent_volumes = value.parse()?,
            "--latency" => latency = Some(value.parse()?),
            _ => return Err(USAGE.into()),
        }
    }
    let mut content: Content = content.unwrap_or_else(|| sized::content(&size, standin::now()));
    content.latency_ms = latency.unwrap_or(content.latency_ms);
    serve(content, rules, &dir)
}

fn serve(content: Content, rules: Vec<Rule>, dir: &Path) -> Result<()> {
    open_as_many_as_allowed();
    let standin = Standin::start(content, dir)?;
    for rule in rules {
        standin.break_with(rule);
    }
    writeln!(std::io::stdout(), "ready")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

/// Three hundred clusters are more sockets than the soft limit of most systems.
fn open_as_many_as_allowed() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // What cannot be raised stays: then fewer clusters are served, and that is seen.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
