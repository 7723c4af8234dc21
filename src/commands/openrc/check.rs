//! `fleet openrc check`: one line an openrc file, what is wrong with it, and what mends it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use crate::apply::openrc::{self as apply, Place, backup_of};
use crate::clock;
use crate::commands::choose::Hubs;
use crate::commands::context::{Context, print, print_json, tell};
use crate::commands::format::Format;
use crate::config::{self, values};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, Hub, HubName};
use crate::observe::{Sandboxes, file_id, files_of, look_at_openrc_file, look_at_openrc_files};
use crate::observed::{FileId, OpenrcFile};
use crate::plan::openrc::{Judgement, Mend, at_work, judge, mends, wants_mending};
use crate::report::{self, Progress};
use crate::sandbox::Owner;
use crate::systems::docker::Engine;

/// Show every openrc file: where it leads, until when, and whether the sandboxes hold it
///
/// Each file is sourced in the sandboxes of the hubs that use it, and the credentials are tried once. With --fix, a file that
/// others can open is closed to them, and a sandbox that holds another file than the one at the path gets it, unless somebody
/// works in it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet openrc check\n  fleet openrc check ou23s --fix\n  fleet openrc check --within 30d --format json\n\n\
What --fix does with a sandbox that holds another file: where that file still has a name beside the path (an editor's backup, say), it \
gets the new content and the path's name back, and nobody who works in the sandbox notices; the content that it had goes into \
FILE.fleet-backup. Otherwise, where nobody works in it, the sandbox is stopped and started. Otherwise it is told who does.\n\nExit \
status: 0 when all work and go on doing so for that long; 1 otherwise."
)]
pub struct Args {
    /// Credentials that end within this time are as good as ended
    #[arg(long, value_name = "TIME", value_parser = values::duration, default_value = "14d")]
    within: Duration,

    /// Mend what can be mended without taking anything from anybody who works in a sandbox
    #[arg(long)]
    fix: bool,

    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    hubs: Hubs,
}

/// Looks, mends where that is asked for, and prints what there is then.
pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen_or_all(context, &fleet).await?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let files = files_of(&fleet, &hubs);
    let progress = Progress::new("asking sandboxes", files.len());
    let looking = look_at_openrc_files(&engine, &fleet, &sandboxes, &files, &context.interrupt, || {
        progress.done_one();
    });
    let mut looks = context.unless_interrupted(looking).await?;
    drop(progress);
    if args.fix {
        context.begins(&fleet, hubs.iter().map(|hub| &hub.name));
        let mending = Mending { context, engine: &engine, fleet: &fleet, sandboxes: &sandboxes };
        for (look, users) in looks.iter_mut().zip(&files) {
            if !Box::pin(mending.mend(look, users)).await? {
                continue;
            }
            let again = look_at_openrc_file(&engine, &fleet, &sandboxes, users, &context.interrupt);
            *look = context.unless_interrupted(Box::pin(again)).await?;
        }
    }
    let within = SignedDuration::try_from(args.within).unwrap_or(SignedDuration::MAX);
    let now = clock::now();
    let judge_it = |file: OpenrcFile| {
        let judgement = judge(&file, now, within);
        (file, judgement)
    };
    let judged: Vec<(OpenrcFile, Judgement)> = looks.into_iter().map(judge_it).collect();
    match args.format {
        Format::Json => print_json(&report::openrc::document(&judged))?,
        Format::Table => {
            print(&report::openrc::table(&judged))?;
            tell(&report::openrc::findings(&judged));
        }
    }
    Ok(if judged.iter().all(|(_, judgement)| judgement.works()) { Exit::Done } else { Exit::Failed })
}

/// What mending needs.
struct Mending<'a> {
    context: &'a Context,
    engine: &'a Engine,
    fleet: &'a Fleet,
    sandboxes: &'a Sandboxes,
}

impl Mending<'_> {
    /// Mends one file. Whether anything was done.
    async fn mend(&self, file: &OpenrcFile, users: &[&Hub]) -> Result<bool, Failure> {
        let Self { context, engine, fleet, sandboxes } = self;
        if !wants_mending(file) {
            return Ok(false);
        }
        // Nobody else changes the file or makes its sandboxes meanwhile.
        let _alone: Vec<_> =
            users.iter().map(|hub| config::lock_hub(fleet, &hub.name)).collect::<Result<_, _>>()?;
        let mut work = BTreeMap::new();
        for mount in file.hubs.iter().filter(|mount| mount.stale.seen() == Some(&true)) {
            if let Some(sandbox) = sandboxes.of(&mount.hub) {
                let seen = context.unless_interrupted(Box::pin(engine.processes(&sandbox.id))).await?;
                work.insert(mount.hub.clone(), seen.ok().map(|processes| at_work(&processes)));
            }
        }
        let owner = std::fs::metadata(&file.file).ok().map(|about| about.uid());
        let runs_as: BTreeMap<HubName, u32> = users
            .iter()
            .filter_map(|hub| Some((hub.name.clone(), Owner::of(&hub.state).ok()?.uid)))
            .collect();
        let mut done = false;
        for one in mends(file, &beside(fleet, file), owner, &runs_as, &work) {
            done |= self.carry_out(file, &one).await?;
        }
        Ok(done)
    }

    /// Does one thing and tells it. Whether it was more than telling.
    async fn carry_out(&self, file: &OpenrcFile, mend: &Mend) -> Result<bool, Failure> {
        let Self { context, engine, fleet, sandboxes } = self;
        let path = file.file.display();
        let result = match mend {
            Mend::Close { mode } => apply::close(&file.file, *mode),
            Mend::GiveBack { from } => apply::give_back(from, &file.file),
            Mend::Restart(name) => {
                let Some((hub, sandbox)) = fleet.hub(name).zip(sandboxes.of(name)) else { return Ok(false) };
                let place = Place { engine, fleet, interrupt: &context.interrupt };
                let restarting = Box::pin(apply::restart(place, hub, sandbox));
                context.unless_interrupted(restarting).await?
            }
            Mend::Leave { .. } => Ok(()),
        };
        if let Err(mut failure) = result {
            for problem in &mut failure.problems {
                *problem = format!("{path}: not mended: {problem}");
            }
            tell(&report::failure(&failure));
            return Ok(true);
        }
        tell(&match mend {
            Mend::Close { .. } => format!("{path}: nobody but its owner can open it now\n"),
            Mend::GiveBack { from } => format!(
                "{path}: it is the file that the sandboxes hold again, with the new content; nobody who works in one was disturbed\n    \
                 {} is gone; its content is in {}\n",
                from.display(),
                backup_of(&file.file).display()
            ),
            Mend::Restart(hub) => {
                format!("hub {hub}: its sandbox was started again, and holds the file now\n")
            }
            Mend::Leave { hub: None, why } => format!("{path}: not mended: {why}\n"),
            Mend::Leave { hub: Some(hub), why } => format!("hub {hub}: not mended: {why}\n"),
        });
        Ok(!matches!(mend, Mend::Leave { .. }))
    }
}

/// The files in the same directory that are no hub's openrc, by what they are.
fn beside(fleet: &Fleet, file: &OpenrcFile) -> BTreeMap<FileId, PathBuf> {
    // Where it is a link, nobody knows which of the names was meant to stay.
    if !std::fs::symlink_metadata(&file.file).is_ok_and(|about| about.is_file()) {
        return BTreeMap::new();
    }
    let taken: Vec<_> = fleet.hubs.iter().filter_map(|hub| file_id(&hub.openrc)).collect();
    let entries = std::fs::read_dir(files::parent(&file.file)).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| Some((file_id(&entry.path())?, entry.path())))
        .filter(|(id, _)| !taken.contains(id))
        .collect()
}
