//! `fleet up`: every hub gets the sandbox that `fleet.toml` asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::choose::Hubs;
use super::context::{Context, print, print_json, tell};
use super::new::told;
use crate::apply::create;
use crate::apply::reconcile::{Event, reconcile as carry_out, upgrade_all};
use crate::commands::format::Format;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::hub::{EngineName, Fleet, Hub};
use crate::known;
use crate::observe::{Sandboxes, goes_another_way, look_at_agent, silence};
use crate::observed::SandboxState;
use crate::plan::openrc::at_work;
use crate::plan::reconcile::{Action, Found, Images, Step, reconcile};
use crate::report::{Progress, Table, failure as as_text};
use crate::sandbox::{Owner, SandboxSpec};
use crate::systems::docker::{Connection, Engine, Error, Silent};
use crate::text::{one_line, or_dash};

/// Give every hub the sandbox that fleet.toml asks for
///
/// Makes what is missing, starts what is stopped, makes again what is not what fleet.toml asks for or was made of an older
/// image, and leaves everything else alone; and waits until every hub's API answers. The state directories stay as they are. Where
/// it was stopped half-way, the next run goes on from there.
///
/// A sandbox in which somebody works is not made again. Those that get another image get it one after the other, and each keeps
/// its old one until the API answers through the new one; if it does not, the old one goes on, and so do those that were to follow.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet up --dry-run      what would be done\n  fleet up\n  fleet up ou23s mvu23s\n  fleet up --pull         with \
what the registry has under the images' names now\n\nExit status: 0 when all \
are up, 1 otherwise."
)]
pub struct Args {
    /// Fetch what the registry has under the images' names first
    #[arg(long, conflicts_with = "dry_run")]
    pull: bool,

    /// Make sandboxes again in which somebody works, too: what runs in them ends
    #[arg(long)]
    force: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// How to write what would be done
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "dry_run")]
    format: Format,

    #[command(flatten)]
    hubs: Hubs,
}

/// Does it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.hubs.chosen_or_all(context, &fleet).await?;
    let engine = context.engine(&fleet).await?;
    // Held while there is something to do, so that the plan is still true when it is carried out.
    let _alone = if args.dry_run {
        Vec::new()
    } else {
        hubs.iter().map(|hub| config::lock_hub(&fleet, &hub.name)).collect::<Result<_, _>>()?
    };
    if !args.dry_run {
        context.begins(&fleet, hubs.iter().map(|hub| &hub.name));
    }
    let silent = if args.pull { pull(context, &engine, &hubs).await? } else { Vec::new() };
    let look = async || plan(args, &engine, &fleet, &hubs, &silent).await;
    let mut steps = look().await?;
    if args.dry_run {
        match args.format {
            Format::Table => print(&table(&steps))?,
            Format::Json => print_json(&steps)?,
        }
        return Ok(Exit::Done);
    }
    let progress = Progress::new("sandboxes", steps.len());
    let failed = AtomicBool::new(false);
    let told = |event: Event<'_>| {
        if let Event::Failed(..) = event {
            failed.store(true, Ordering::Relaxed);
        }
        if let Event::Failed(..) | Event::Done(..) = event {
            progress.done_one();
        }
        if let Some(text) = text_of(event) {
            progress.aside(|| tell(&text));
        }
    };
    if steps.iter().any(|step| step.action == Action::Finish) {
        let cut_off = chosen(&hubs, &steps, |step| step.action == Action::Finish);
        context.unless_interrupted(carry_out(&engine, &fleet, &cut_off, &context.interrupt, &told)).await?;
        steps = look().await?;
    }
    let clears = steps.iter().any(|step| matches!(step.action, Action::Clear { .. }));
    if clears {
        let twice = chosen(&hubs, &steps, |step| matches!(step.action, Action::Clear { .. }));
        context.unless_interrupted(carry_out(&engine, &fleet, &twice, &context.interrupt, &told)).await?;
        steps = look().await?;
    }
    let others = chosen(&hubs, &steps, |step| !step.is_upgrade());
    context.unless_interrupted(carry_out(&engine, &fleet, &others, &context.interrupt, &told)).await?;
    let upgrades = chosen(&hubs, &steps, Step::is_upgrade);
    // It looks for Ctrl-C itself: dropped half-way, a hub would be left without its sandbox.
    upgrade_all(&engine, &fleet, &upgrades, args.force, &context.interrupt, &told).await;
    if steps.iter().any(|step| matches!(step.action, Action::Make | Action::Remake { .. })) {
        // Those that older sandboxes were made from.
        context.unless_interrupted(engine.clear_layers()).await?;
    }
    drop(progress);
    if context.interrupt.is_asked() {
        return Err(Failure::interrupted());
    }
    if failed.load(Ordering::Relaxed) {
        return Ok(Exit::Failed);
    }
    if !clears && steps.iter().all(|step| step.action == Action::None) {
        tell("all is as fleet.toml asks for: there is nothing to do\n");
    }
    Ok(Exit::Done)
}

/// The steps of that kind, each with its hub.
fn chosen<'a>(
    hubs: &[&'a Hub],
    steps: &'a [Step],
    is_wanted: impl Fn(&Step) -> bool,
) -> Vec<(&'a Hub, &'a Step)> {
    hubs.iter().copied().zip(steps).filter(|(_, step)| is_wanted(step)).collect()
}

/// Fetches the images of these hubs, each once. A registry that does not answer takes nothing away; an engine that does not, only its own
/// hubs: returns those.
async fn pull(context: &Context, engine: &Engine, hubs: &[&Hub]) -> Result<Vec<Silent>, Failure> {
    let images: BTreeSet<(&EngineName, &str)> =
        hubs.iter().map(|hub| (&hub.engine, hub.image.as_str())).collect();
    let mut silent: Vec<Silent> = Vec::new();
    for (name, image) in images {
        // A silent one is told by its hubs.
        let Ok(there) = engine.on(name) else { continue };
        if silent.iter().any(|silent| silent.engine == *name) {
            continue;
        }
        match context.unless_interrupted(pull_one(there, image)).await? {
            Ok(is_new) => {
                let what = if is_new { "there is a new one" } else { "it is the newest" };
                tell(&format!("{image}: {what}\n"));
            }
            Err(error) if error.is_refusal() || matches!(error, Error::Pull { .. }) => {
                return Err(error.into());
            }
            Err(error) => silent.push(Silent::of(name, &error)),
        }
    }
    Ok(silent)
}

/// Whether the image is another one then.
async fn pull_one(engine: &Connection, image: &str) -> Result<bool, Error> {
    let before = engine.image_id(image).await?;
    let progress = Progress::new(&format!("pulling {image}"), 0);
    engine.pull(image, |sign| progress.say(&format!("pulling {image}: {}", one_line(sign)))).await?;
    Ok(engine.image_id(image).await? != before)
}

/// What there is, and what that asks for.
async fn plan(
    args: &Args,
    engine: &Engine,
    fleet: &Fleet,
    hubs: &[&Hub],
    silent: &[Silent],
) -> Result<Vec<Step>, Failure> {
    let mut sandboxes = Sandboxes::look(engine, fleet).await?;
    silent.iter().cloned().for_each(|silent| sandboxes.hush(silent));
    let images = images(engine, &mut sandboxes, hubs).await;
    // The state that is made belongs to whoever makes it, and what is there to its owner.
    let owner = |hub: &Hub| {
        Owner::of(&hub.state).unwrap_or_else(|_| Owner {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        })
    };
    let known = known::sandboxes(fleet)?;
    let specs: Vec<_> = hubs.iter().map(|hub| SandboxSpec::new(fleet, hub, owner(hub))).collect();
    let mut found: Vec<_> = hubs
        .iter()
        .zip(&specs)
        .map(|(hub, spec)| Found {
            hub,
            spec,
            sandbox: sandboxes.of(&hub.name),
            aside: sandboxes.aside(&hub.name),
            spare: sandboxes.spare(&hub.name).collect(),
            known: &known,
            silence: sandboxes.silence_of(hub),
            at_work: Vec::new(),
            goes_another_way: goes_another_way(hub),
            obstacles: obstacles(fleet, hub),
        })
        .collect();
    let steps = reconcile(&found, &images);
    if args.force {
        return Ok(steps);
    }
    let work = join_all(found.iter().zip(&steps).map(|(found, step)| who_works(engine, found, step))).await;
    for (found, work) in found.iter_mut().zip(work) {
        match work {
            Ok(work) => found.at_work = work,
            Err(silent) => found.silence = Some(silence(found.hub, &silent)),
        }
    }
    Ok(reconcile(&found, &images))
}

/// The images that these hubs' engines have. An engine that does not answer is silent from here on.
async fn images(engine: &Engine, sandboxes: &mut Sandboxes, hubs: &[&Hub]) -> Images {
    let mut wanted: BTreeMap<&EngineName, BTreeSet<&str>> = BTreeMap::new();
    for hub in hubs.iter().filter(|hub| sandboxes.silence_of(hub).is_none()) {
        wanted.entry(&hub.engine).or_default().insert(&hub.image);
    }
    let asked = join_all(wanted.into_iter().map(async |(name, images)| {
        let ids = async {
            let (there, mut ids) = (engine.on(name)?, Images::new());
            for image in images {
                let id = there.image_id(image).await?;
                ids.extend(id.map(|id| ((name.clone(), image.to_owned()), id)));
            }
            Ok::<_, Error>(ids)
        };
        ids.await.map_err(|error| Silent::of(name, &error))
    }));
    let mut all = Images::new();
    for ids in asked.await {
        match ids {
            Ok(ids) => all.extend(ids),
            Err(silent) => sandboxes.hush(silent),
        }
    }
    all
}

/// What people run in what a step takes away.
async fn who_works(engine: &Engine, found: &Found<'_>, step: &Step) -> Result<Vec<String>, Silent> {
    let taken = match &step.action {
        Action::Remake { .. } => found.sandbox.into_iter().collect(),
        Action::Clear { .. } => found.spare.clone(),
        _ => Vec::new(),
    };
    let mut work = Vec::new();
    for sandbox in taken {
        // What is paused is there, too.
        if matches!(sandbox.state, SandboxState::Running | SandboxState::Paused) {
            let seen = engine.processes(&sandbox.id).await;
            work.extend(at_work(&seen.map_err(|error| Silent::of(&sandbox.engine, &error))?));
        }
    }
    Ok(work)
}

/// Why no sandbox could be made for a hub.
fn obstacles(fleet: &Fleet, hub: &Hub) -> Vec<String> {
    let keys = [&hub.ssh.key].into_iter().chain(hub.ssh.jump.as_ref().map(|jump| &jump.key));
    let files = [&hub.openrc].into_iter().chain(keys);
    let missing = files.filter(|path| !path.is_file()).map(|path| format!("there is no {}", path.display()));
    missing.chain(look_at_agent(fleet, hub).err()).collect()
}

fn table(steps: &[Step]) -> String {
    let mut table = Table::new(&["HUB", "ACTION", "WHY"], None);
    for step in steps {
        let why = step.action.reason();
        table.row([step.hub.as_str(), step.action.as_str(), or_dash(why.as_deref()).as_ref()]);
    }
    table.to_string()
}

fn text_of(event: Event<'_>) -> Option<String> {
    match event {
        Event::Making(hub, event @ (create::Event::HostKey(_) | create::Event::JumpHostKey(..))) => {
            Some(told(hub, &event))
        }
        Event::Making(..) => None,
        Event::Done(hub, action) => {
            let what = match action {
                Action::Make => "made",
                Action::Remake { .. } => "made again",
                Action::Start => "started",
                Action::Unpause => "goes on",
                Action::Reconnect => "connected again",
                Action::Clear { .. } => {
                    return Some(format!("{}: what it had on another engine is gone\n", hub.name));
                }
                Action::Finish => "as it was before",
                Action::None | Action::Blocked { .. } => "as it was",
            };
            let why = action.reason().map_or_else(String::new, |why| format!(" ({why})"));
            Some(format!("{}: {what}{why}, and its API answers\n", hub.name))
        }
        Event::Failed(hub, mut failure) => {
            for problem in &mut failure.problems {
                *problem = format!("hub {}: {}", hub.name, one_line(problem));
            }
            Some(as_text(&failure))
        }
    }
}
