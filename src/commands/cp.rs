//! `fleet cp`: files into the sandboxes of many hubs, and out of them.

mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::caretaker;
use super::choose::Choice;
use super::context::Context;
use crate::commands::format::Format;
use crate::config;
use crate::copy::{Copied, Destination, Sources, Target, Trouble, Way, look, pull, push};
use crate::exec::Caretaker;
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::observe::Sandboxes;
use crate::plan::copy::{Course, Told, course, is_one, names};
use crate::systems::docker::Engine;

/// Copy files into the sandboxes of many hubs, or out of them
///
/// `HUB:/PATH` is a path in a sandbox; HUB may be a glob, or several with commas. `:/PATH` is that path in all hubs that --all, --hub,
/// --tag or --project choose. The last word is where it goes: a directory, or what one file is to be called.
///
/// A file is complete at its far end or it is not there: it is written under another name and then renamed, which also replaces a file
/// that was there. Modes and times are kept, setuid is not. What is named may be a symbolic link; links inside a directory are left
/// out, and told.
///
/// What comes back from one named hub goes where it says, and from others into DIR/HUB/. A file that is there is replaced only if it is
/// named itself, or with --force.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet cp --all values.yaml :/home/openstack/jhub/\n  fleet cp --tag gpu --recursive charts :/home/openstack\n  \
fleet cp patch.sh 'ou*,fsu-s23:/tmp/'\n  fleet cp ou23s:/home/openstack/jhub/secrets.yaml .\n  fleet cp --all :/home/openstack/.bash_history \
histories/     writes histories/ou23s/.bash_history and so on\n\nExit status: 0 when it was copied in every hub, 1 otherwise; what failed is \
told by its hub."
)]
pub struct Args {
    /// Directories too, with all that is in them
    #[arg(long, short)]
    recursive: bool,

    /// Replace files that are here already, when it comes back from sandboxes
    #[arg(long)]
    force: bool,

    /// Show what would be copied where, and copy nothing
    #[arg(long)]
    dry_run: bool,

    /// How long it may take in a hub: 30s, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = config::values::wait)]
    timeout: Duration,

    /// How many hubs at once
    #[arg(long, short = 'P', value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,

    /// How to write what was done
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    // Below the others: what comes after it in this list has its heading in the help.
    #[command(flatten)]
    choice: Choice,

    /// What is copied, and last where to: files here, `HUB:/PATH` or `:/PATH`
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<OsString>,
}

/// One hub, and what is copied there or from there.
struct Job<'f> {
    hub: &'f Hub,
    what: What,
}

/// What is copied.
#[derive(Clone)]
enum What {
    /// Into the sandbox.
    Out(Arc<Sources>, Destination),
    /// Out of it: each with its place here.
    Back(Vec<(String, Target)>),
}

/// What came of it.
pub(super) struct Done<'f> {
    pub(super) hub: &'f Hub,
    pub(super) result: Result<Copied, Trouble>,
    pub(super) took: Duration,
}

/// Copies.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let course = course(&args.paths).map_err(|problems| bad(problems, "fleet cp --help has examples"))?;
    let (hubs, jobs) = match course {
        Course::Out { from, to } => {
            let hubs = args.choice.hubs_or_named(&to.hubs, context, &fleet).await?;
            let sources =
                look(&from, args.recursive).map_err(|problems| bad(problems, "nothing was copied"))?;
            let what = What::Out(Arc::new(sources), Destination::new(&to.path, from.len() > 1));
            let jobs = hubs.iter().map(|hub| Job { hub, what: what.clone() }).collect();
            (hubs, jobs)
        }
        Course::Back { hubs: named, from, to } => {
            let hubs = args.choice.hubs_or_named(&named, context, &fleet).await?;
            let jobs = back(args, &hubs, &from, &to, is_one(&named))?;
            (hubs, jobs)
        }
    };
    if args.dry_run {
        return report::dry_run(args.format, &jobs);
    }
    context.begins(&fleet, hubs.iter().map(|hub| &hub.name));
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let moved = AtomicU64::new(0);
    let waiting = report::Waiting::new(hubs.len());
    let caretaker = caretaker::start();
    let copying = Copying {
        args,
        context,
        engine: &engine,
        fleet: &fleet,
        sandboxes: &sandboxes,
        caretaker: caretaker.as_ref(),
        moved: &moved,
    };
    let all = futures_util::stream::iter(&jobs)
        .map(async |job| {
            let began = Instant::now();
            let result = copying.one(job).await;
            waiting.done_one();
            Done { hub: job.hub, result, took: began.elapsed() }
        })
        .buffered(args.parallel.into())
        .collect::<Vec<_>>();
    let done = waiting.during(all, &moved).await;
    caretaker::tell_trouble(caretaker.as_ref());
    for Done { result, .. } in &done {
        context.history.ended(match result {
            Ok(_) => "0",
            Err(Trouble::Interrupted) => "stopped",
            Err(Trouble::Failed(_)) => "failed",
        });
    }
    report::done(args.format, &done)
}

/// What all copies have in common.
struct Copying<'a> {
    args: &'a Args,
    context: &'a Context,
    engine: &'a Engine,
    fleet: &'a Fleet,
    sandboxes: &'a Sandboxes,
    caretaker: Option<&'a Caretaker>,
    moved: &'a AtomicU64,
}

impl Copying<'_> {
    async fn one(&self, job: &Job<'_>) -> Result<Copied, Trouble> {
        if self.context.interrupt.is_asked() {
            return Err(Trouble::Interrupted);
        }
        let sandbox = self
            .sandboxes
            .running(self.fleet, job.hub)
            .map_err(|unseen| Trouble::Failed(Told { reason: unseen.reason, hint: unseen.hint }))?;
        let way = Way {
            engine: self.engine,
            hub: job.hub,
            sandbox: &sandbox.id,
            limit: self.args.timeout,
            interrupt: &self.context.interrupt,
            caretaker: self.caretaker,
            moved: self.moved,
        };
        match &job.what {
            What::Out(sources, to) => Box::pin(push(way, sources, to)).await,
            What::Back(all) => {
                let mut copied = Copied::default();
                for (path, target) in all {
                    copied.join(Box::pin(pull(way, path, self.args.recursive, target)).await?);
                }
                Ok(copied)
            }
        }
    }
}

/// What comes back, hub by hub, each with its place; what stands in the way of any is told at once.
fn back<'f>(
    args: &Args,
    hubs: &[&'f Hub],
    from: &[String],
    to: &Path,
    one: bool,
) -> Result<Vec<Job<'f>>, Failure> {
    let names = names(from).map_err(|problems| bad(problems, "nothing was copied"))?;
    if to.exists() && !to.is_dir() && !(one && from.len() == 1) {
        return Err(bad(vec![format!("{} is no directory", to.display())], "nothing was copied"));
    }
    let target = |hub: &Hub, name: &str| {
        if !one {
            let directory = to.join(hub.name.as_str());
            return Ok(Target { directory, name: name.into(), replaces: args.force });
        }
        if to.is_dir() {
            return Ok(Target { directory: to.to_owned(), name: name.into(), replaces: args.force });
        }
        let slash = to.as_os_str().as_encoded_bytes().ends_with(b"/");
        let above = crate::files::parent(to);
        match to.file_name() {
            Some(_) if from.len() > 1 || slash => Err(format!("there is no directory {}", to.display())),
            // What is named itself is meant to be replaced.
            Some(name) if above.is_dir() => {
                Ok(Target { directory: above.to_owned(), name: name.to_owned(), replaces: true })
            }
            _ => Err(format!("there is no directory {}", above.display())),
        }
    };
    let (mut jobs, mut problems) = (Vec::new(), Vec::new());
    for hub in hubs {
        let mut all: Vec<(String, Target)> = Vec::new();
        for (path, name) in from.iter().zip(&names) {
            match target(hub, name) {
                Ok(target) => {
                    problems.extend(target.in_the_way(args.recursive));
                    all.push((path.clone(), target));
                }
                Err(why) => problems.push(why),
            }
        }
        jobs.push(Job { hub, what: What::Back(all) });
    }
    problems.dedup();
    if problems.is_empty() {
        return Ok(jobs);
    }
    let is_there = problems.iter().any(|problem| problem.ends_with("is there already"));
    Err(bad(
        problems,
        if is_there { "nothing was copied; --force replaces what is there" } else { "nothing was copied" },
    ))
}

/// Where a job leads, for those who want to see it first: from, to.
impl Job<'_> {
    fn shown(&self) -> Vec<(String, String)> {
        let hub = &self.hub.name;
        match &self.what {
            What::Out(sources, to) => {
                let slash = if to.is_directory && to.path != "/" { "/" } else { "" };
                let to = format!("{hub}:{}{slash}", to.path);
                let all: Vec<PathBuf> = sources
                    .all
                    .iter()
                    .filter(|source| source.name.components().count() == 1)
                    .map(|source| source.path.clone())
                    .collect();
                all.into_iter().map(|from| (from.display().to_string(), to.clone())).collect()
            }
            What::Back(all) => all
                .iter()
                .map(|(from, target)| (format!("{hub}:{from}"), target.path().display().to_string()))
                .collect(),
        }
    }
}

fn bad(problems: Vec<String>, hint: &str) -> Failure {
    Failure { exit: Exit::Usage, problems, hint: Some(hint.to_owned()) }
}
