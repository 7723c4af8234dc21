//! `fleet adopt`: hubs that the old scripts made containers for.

use std::fmt::Write as _;

use super::context::{Context, print, print_json, tell, tell_silent};
use super::new::{Way, begin, told};
use crate::apply::adopt::{Taking, as_it_is, recreate};
use crate::apply::create::Event;
use crate::apply::host_keys::Demanded;
use crate::commands::format::Format;
use crate::config::{self, NewHub};
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::observed::OldContainer;
use crate::plan::adopt::{Adoption, Reading, read};
use crate::plan::openrc::at_work;
use crate::report::{self, Progress, Table};
use crate::systems::docker::Engine;
use crate::text::nearest;

/// Take hubs into the fleet whose containers the old scripts made
///
/// Finds the containers that jupyterhub.sh and z2j.sh made, stopped ones too, reads hub, address, openrc, key and state from their
/// environment and mounts, shows what it read, and writes the hubs into fleet.toml. A container goes on as it is, as its hub's
/// sandbox: fleet brings its programs into it and starts the tunnel in it. With --recreate the hub gets a sandbox of fleet's own
/// with the same state, and the old container is stopped and kept. What is in the state directories stays as it is.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet adopt --dry-run          what there is, and what would be done\n  fleet adopt ou23s mvu23s\n  fleet adopt \
                  --recreate ou23s\n  fleet adopt --ssh-jump \
                  ubuntu@149.165.170.9:22 ou23s   its master is reached by way of that host\n\nExit status: 0 when all are in the fleet and work; 1 otherwise. What cannot be finished is undone."
)]
pub struct Args {
    /// These containers, by name; all of the old scripts when none is named
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,

    /// Make a sandbox of fleet's own in the container's place, with the same state
    #[arg(long)]
    recreate: bool,

    /// With --recreate: also where somebody works in the container, whose commands end then
    #[arg(long, requires = "recreate")]
    force: bool,

    #[command(flatten)]
    way: Way,

    /// Show what was read, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// How to write what was read
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "dry_run")]
    format: Format,
}

/// Does it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let path = config::find_or_new(context.config.as_deref())?;
    let fleet = config::load_or_new(&path)?;
    let engine = context.engine(&fleet).await?;
    let found = context.unless_interrupted(engine.old_containers()).await??;
    tell_silent(&found.silent, |_| Vec::new());
    let found = found.found;
    let chosen = chosen(&found, &args.containers)?;
    let readings: Vec<Reading> =
        chosen.iter().map(|container| read(container, &fleet, &|path| path.exists())).collect();
    if args.format == Format::Json {
        print_json(&readings)?;
    } else {
        print(&table(&readings).to_string())?;
        tell(&problems(&readings));
    }
    if args.dry_run {
        return Ok(Exit::Done);
    }
    let cannot = readings.iter().any(|reading| matches!(reading, Reading::Cannot { .. }));
    if cannot && !args.containers.is_empty() {
        return Err(Failure {
            exit: Exit::Failed,
            problems: vec!["nothing was changed: not all of these can be taken over".to_owned()],
            hint: Some("leave them out, or add their hubs with `fleet new`".to_owned()),
        });
    }
    let adoptions = || {
        readings.iter().filter_map(|reading| match reading {
            Reading::Adopt(adoption) => Some(adoption),
            _ => None,
        })
    };
    if adoptions().next().is_some() {
        context.begins(&fleet, adoptions().map(|adoption| &adoption.hub));
    }
    let mut all_well = !cannot;
    for adoption in adoptions() {
        match Box::pin(one(args, context, &engine, &path, adoption)).await {
            Ok(()) => {}
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => {
                all_well = false;
                tell(&report::failure(&failure));
            }
        }
    }
    Ok(if all_well { Exit::Done } else { Exit::Failed })
}

async fn one(
    args: &Args,
    context: &Context,
    engine: &Engine,
    path: &std::path::Path,
    adoption: &Adoption,
) -> Result<(), Failure> {
    let mut new = as_new(adoption, args);
    let (fleet, _) = config::preview_hub(path, &new)?;
    if fleet.usual_engine == adoption.engine {
        new.engine = None;
    }
    if fleet.state_of(&adoption.hub) == adoption.state {
        new.state = None;
    }
    let (fleet, hub) = config::preview_hub(path, &new)?;
    args.way.check(&hub)?;
    let _alone = config::lock_hub(&fleet, &hub.name)?;
    if args.recreate {
        may_stop(args, engine, &fleet, &hub, adoption).await?;
    }
    let progress = Progress::new(&format!("{}: checking", hub.name), 0);
    let taking = Taking {
        engine,
        fleet: &fleet,
        hub: &hub,
        new: &new,
        adoption,
        host_keys: Demanded { master: None, jump: args.way.jump_host_key.as_deref() },
        interrupt: &context.interrupt,
    };
    let mut show = |event: Event<'_>| match event {
        Event::Begin(step) => progress.say(&format!("{}: {}", hub.name, begin(step))),
        event => progress.aside(|| tell(&told(&hub, &event))),
    };
    if args.recreate {
        Box::pin(recreate(taking, &mut show)).await?;
    } else {
        Box::pin(as_it_is(taking, &mut show)).await?;
    }
    drop(progress);
    tell(&format!("hub {} is in the fleet: fleet exec --hub {0} kubectl get nodes\n", hub.name));
    tell(&if args.recreate {
        format!(
            "    its old container {0} is stopped; when nothing is in it that somebody needs: docker rm {0}\n",
            adoption.container
        )
    } else {
        format!("    container {} is its sandbox, as it is\n", adoption.container)
    });
    Ok(())
}

/// Whether the old container may be stopped: whether nobody works in it.
async fn may_stop(
    args: &Args,
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    adoption: &Adoption,
) -> Result<(), Failure> {
    let sandbox = fleet.sandbox_of(&adoption.hub);
    let there = engine.on(&hub.engine)?;
    if there.container_is_ours(&sandbox, &fleet.name).await?.is_some() {
        return Err(Failure::usage(format!("hub {}: there is a container {sandbox} already", adoption.hub))
            .hint(format!("remove it (`docker rm -f {sandbox}`): a state directory is not in it")));
    }
    if there.image_id(&hub.image).await?.is_none() {
        return Err(Failure::usage(format!(
            "hub {}: the engine does not have the sandbox's image",
            adoption.hub
        ))
        .hint("docker build -t fleet/sandbox images/sandbox, or name another image in fleet.toml"));
    }
    if !adoption.running || args.force {
        return Ok(());
    }
    let work = at_work(&engine.processes(&adoption.id).await?);
    if work.is_empty() {
        return Ok(());
    }
    Err(Failure {
        exit: Exit::Failed,
        problems: vec![format!(
            "hub {}: somebody works in {}: {}",
            adoption.hub,
            adoption.container,
            work.join(", ")
        )],
        hint: Some("wait until they are done; or --force, which ends that".to_owned()),
    })
}

/// The hub as it goes into fleet.toml.
fn as_new(adoption: &Adoption, args: &Args) -> NewHub {
    NewHub {
        name: adoption.hub.clone(),
        ip: adoption.ip,
        openrc: adoption.openrc.clone(),
        ssh_user: None,
        ssh_port: None,
        ssh_key: adoption.ssh_key.clone(),
        ssh_jump: args.way.ssh_jump.clone(),
        ssh_jump_key: args.way.ssh_jump_key.clone(),
        ssh_agent: args.way.ssh_agent.clone(),
        project_domain: None,
        image: None,
        state: Some(adoption.state.clone()),
        container: (!args.recreate).then(|| adoption.container.clone()),
        engine: Some(adoption.engine.clone()),
        tags: Vec::new(),
    }
}

/// The containers of these names, or all. Every name that none has is told at once.
fn chosen<'a>(found: &'a [OldContainer], names: &[String]) -> Result<Vec<&'a OldContainer>, Failure> {
    let mut all: Vec<&OldContainer> = found.iter().collect();
    all.sort_by(|one, two| one.name.cmp(&two.name));
    if names.is_empty() {
        return Ok(all);
    }
    let missing = names.iter().filter(|name| all.iter().all(|container| container.name != **name));
    let problems: Vec<String> = missing
        .map(|name| {
            let near = nearest(name, all.iter().map(|container| container.name.as_str()));
            let meant = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            format!("no container of the old scripts is called {name:?}{meant}")
        })
        .collect();
    if problems.is_empty() {
        all.retain(|container| names.contains(&container.name));
        return Ok(all);
    }
    Err(Failure {
        exit: Exit::Usage,
        problems,
        hint: Some("fleet adopt --dry-run shows those that there are".to_owned()),
    })
}

fn table(readings: &[Reading]) -> Table {
    let mut table = Table::new(&["CONTAINER", "HUB", "IP", "OPENRC", "STATE", "WHAT"], None);
    for reading in readings {
        let dash = || "-".to_owned();
        let path = |path: &std::path::Path| path.display().to_string();
        let row = match reading {
            Reading::Adopt(adoption) => [
                adoption.hub.to_string(),
                adoption.ip.to_string(),
                path(&adoption.openrc),
                path(&adoption.state),
                if adoption.running { "adopt" } else { "adopt (it is stopped)" }.to_owned(),
            ],
            Reading::Known { hub, is_its_sandbox, .. } => [
                hub.to_string(),
                dash(),
                dash(),
                dash(),
                if *is_its_sandbox { "is adopted" } else { "its hub is in the fleet" }.to_owned(),
            ],
            Reading::Cannot { hub, .. } => {
                [hub.clone().unwrap_or_else(dash), dash(), dash(), dash(), "cannot".to_owned()]
            }
        };
        table.row(std::iter::once(reading.container().to_owned()).chain(row));
    }
    table
}

fn problems(readings: &[Reading]) -> String {
    let mut text = String::new();
    for reading in readings {
        if let Reading::Cannot { container, problems, .. } = reading {
            for problem in problems {
                let _ = writeln!(text, "{container}: {}", crate::text::one_line(problem));
            }
        }
    }
    if readings.is_empty() {
        text.push_str("no container of the old scripts is on any engine of the fleet\n");
    }
    text
}
