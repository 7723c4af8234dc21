//! `fleet proxy`: what kubectl and k9s on this machine go by to reach every hub.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::context::{Context, print, print_json, tell};
use crate::clock;
use crate::commands::format::Format;
use crate::config::{self, values};
use crate::exit::{Exit, Failure, chain};
use crate::hub::{Fleet, Hub};
use crate::proxy::control::{self, Status, Word};
use crate::proxy::credential::answer;
use crate::proxy::kept::{Place, WRITE_AGAIN};
use crate::proxy::serve::{Ended, Proxy};
use crate::proxy::start::{self, Claim, IDLE};
use crate::proxy::{self, address};
use crate::report::{Table, age, duration};
use crate::systems::kubeconfig;
use crate::text::count;

/// How long a proxy that was told to end may take for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether it has.
const PAUSE: Duration = Duration::from_millis(20);

/// Let kubectl and k9s on this machine reach every hub
///
/// Nobody needs to start it: the kubeconfig that `fleet kubeconfig` writes has fleet started by kubectl and k9s, and fleet starts
/// the proxy, which ends by itself when nobody has been connected for half an hour. By hand it runs until Ctrl-C.
///
/// It listens on 127.0.0.1 alone, joins who knows its secret (it is in the kubeconfig) to the tunnel of the hub that is asked for,
/// and leads nowhere else. TLS is between kubectl and the cluster.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet proxy --status\n  fleet proxy --stop\n  fleet proxy --idle 2h      here, until Ctrl-C or until nobody \
was connected for two hours\n\nExit status: 0 done, also where --stop and --status find none; 1 it cannot listen, or one that runs does \
not answer; 130 Ctrl-C."
)]
pub struct Args {
    /// End after so long without a connection [default: never by hand, 30m on demand]
    #[arg(long, value_name = "TIME", value_parser = values::lifetime, conflicts_with_all = ["stop", "status"])]
    idle: Option<Duration>,

    /// End the proxy that runs, and the connections that pass through it
    #[arg(long)]
    stop: bool,

    /// Show whether one runs
    #[arg(long, conflicts_with = "stop")]
    status: bool,

    /// How to write the status
    #[arg(long, value_enum, default_value_t = Format::Table, requires = "status")]
    format: Format,

    /// What kubectl runs: see that the proxy is there, and print the hub's client certificate for kubectl
    #[arg(long, value_name = "HUB", hide = true, conflicts_with_all = ["stop", "status", "detached"])]
    credential: Option<String>,

    /// The port that the kubeconfig has
    #[arg(long, value_name = "PORT", hide = true, requires = "credential")]
    at: Option<u16>,

    /// Started on demand
    #[arg(long, hide = true, conflicts_with_all = ["stop", "status"])]
    detached: bool,
}

/// Does what was asked for.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let place = Place::of(&fleet);
    if args.stop {
        return context.unless_interrupted(stop(&place)).await?;
    }
    if args.status {
        return show(args, &place).await;
    }
    match &args.credential {
        Some(hub) => context.unless_interrupted(credential(args, &fleet, &place, hub)).await?,
        None => serve(args, context, fleet, &place).await,
    }
}

async fn serve(args: &Args, context: &Context, fleet: Fleet, place: &Place) -> Result<Exit, Failure> {
    if args.detached {
        start::leave_the_session();
    }
    let lock = match start::claim(place).await? {
        Claim::Ours(lock) => lock,
        // Whoever started this one asks the other one then.
        Claim::Taken(_) if args.detached => return Ok(Exit::Done),
        Claim::Taken(status) => return Err(runs_already(&status)),
    };
    let settings = place.settings_or_new()?;
    let ends = start::listen(place, &settings, &lock).await?;
    let idle = args.idle.or(args.detached.then_some(IDLE));
    if args.detached {
        start::speak_into(&place.new_log(&lock)?)?;
    } else {
        let until = idle.map(|idle| format!(", or until nobody was connected for {}", duration(idle)));
        tell(&format!(
            "the proxy listens at {}, until Ctrl-C{}\n",
            address(settings.port),
            until.unwrap_or_default()
        ));
    }
    let proxy = Proxy::new(fleet, settings, idle, clock::now());
    let ended = proxy.serve(ends.listener, ends.control, &context.interrupt).await;
    // While the lock is held: the next one makes its own.
    let _ = std::fs::remove_file(place.socket());
    let open = match proxy.connections() {
        0 => String::new(),
        open => format!("; {} closed", count(open as u64, "connection")),
    };
    tell(&match ended {
        Ended::Idle => "the proxy has ended: nobody was connected\n".to_owned(),
        Ended::Stopped => format!("the proxy has ended: it was told to{open}\n"),
        Ended::Interrupted => format!("the proxy has ended: interrupted{open}\n"),
    });
    Ok(if ended == Ended::Interrupted { Exit::Interrupted } else { Exit::Done })
}

fn runs_already(status: &Status) -> Failure {
    let problem =
        format!("the proxy of this fleet runs already, at {} (process {})", address(status.port), status.pid);
    Failure { exit: Exit::Failed, problems: vec![problem], hint: None }.hint("fleet proxy --stop ends it")
}

async fn stop(place: &Place) -> Result<Exit, Failure> {
    let mut told = control::tell(&place.socket(), Word::Stop).await;
    if told.is_err() {
        // One that is just starting, or ending, answers in a moment, or is gone.
        if let Claim::Ours(_) = start::claim(place).await? {
            tell("no proxy runs\n");
            return Ok(Exit::Done);
        }
        told = control::tell(&place.socket(), Word::Stop).await;
    }
    let Ok(status) = told else { return Err(start::silent(place)) };
    let begun = tokio::time::Instant::now();
    while place.lock()?.is_none() {
        if begun.elapsed() > PATIENCE {
            return Err(start::silent(place));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let open = match status.connections {
        0 => String::new(),
        open => format!("; {} closed", count(open as u64, "connection")),
    };
    tell(&format!("the proxy at {} has ended{open}\n", address(status.port)));
    Ok(Exit::Done)
}

async fn show(args: &Args, place: &Place) -> Result<Exit, Failure> {
    // The same for one that is just starting.
    let status = match start::claim(place).await? {
        Claim::Taken(status) => Some(status),
        Claim::Ours(_) => None,
    };
    match (args.format, &status) {
        (Format::Json, Some(status)) => {
            print_json(&serde_json::json!({
                "running": true,
                "address": address(status.port),
                "pid": status.pid,
                "version": status.version,
                "config": status.config,
                "since": status.since,
                "connections": status.connections,
                "idle_seconds": status.idle_seconds,
            }))?;
        }
        (Format::Json, None) => {
            let kept = place.kept().ok().map(|settings| address(settings.port));
            print_json(&serde_json::json!({ "running": false, "address": kept }))?;
        }
        (Format::Table, Some(status)) => {
            let mut table =
                Table::new(&["ADDRESS", "PROCESS", "AGE", "CONNECTIONS", "ENDS AFTER", "VERSION"], None);
            let idle = status
                .idle_seconds
                .map_or("never".to_owned(), |seconds| duration(Duration::from_secs(seconds)));
            table.row([
                address(status.port).to_string().as_str(),
                &status.pid.to_string(),
                &age(Some(status.since), clock::now()),
                &status.connections.to_string(),
                &idle,
                &status.version,
            ]);
            print(&table.to_string())?;
        }
        (Format::Table, None) => tell("no proxy runs; kubectl starts it when it is needed\n"),
    }
    Ok(Exit::Done)
}

/// What a kubectl is told that is about to ask a hub. Where the proxy is not there, or not fleet's own, it is told nothing, and
/// then it sends nothing.
async fn credential(args: &Args, fleet: &Fleet, place: &Place, name: &str) -> Result<Exit, Failure> {
    if std::io::stdout().is_terminal() {
        return Err(Failure::usage("this is for kubectl: it prints a private key")
            .hint("fleet kubeconfig writes a file that kubectl can use"));
    }
    let hub = match config::resolve(fleet, &[name.to_owned()])?.as_slice() {
        [hub] => *hub,
        _ => return Err(Failure::usage("no hub is named")),
    };
    let access = access(hub)?;
    let question = std::env::var(start::QUESTION).ok();
    let answer = answer(&access.credentials, question.as_deref(), clock::now())
        .map_err(|why| not_outside(hub, &why))?;
    let kept = place.kept()?;
    check(args.at.unwrap_or(kept.port), kept.port)?;
    let status = start::ensure(place, &fleet.path, args.idle.unwrap_or(IDLE)).await?;
    check(kept.port, status.port)?;
    print_json(&answer)?;
    Ok(Exit::Done)
}

/// What a hub's own kubeconfig says.
pub(super) fn access(hub: &Hub) -> Result<kubeconfig::Access, Failure> {
    let path = hub.kubeconfig();
    let failed = |problem: String| Failure { exit: Exit::Failed, problems: vec![problem], hint: None };
    let yaml = std::fs::read_to_string(&path).map_err(|error| {
        failed(format!("hub {}: cannot read its kubeconfig {}: {error}", hub.name, path.display()))
            .hint(format!("fleet status {} shows what else is missing", hub.name))
    })?;
    kubeconfig::access(&yaml).map_err(|problem| {
        failed(format!(
            "hub {}: its kubeconfig {} cannot be used: {}",
            hub.name,
            path.display(),
            chain(&problem)
        ))
        .hint(problem.hint())
    })
}

/// Says that a hub can be reached in its sandbox alone.
pub(super) fn not_outside(hub: &Hub, why: &proxy::kubeconfig::NotOutside) -> Failure {
    let problem =
        format!("hub {}: its kubeconfig {} cannot be used: {why}", hub.name, hub.kubeconfig().display());
    Failure { exit: Exit::Failed, problems: vec![problem], hint: None }
        .hint(format!("use it in the sandbox: fleet exec --hub {} kubectl ...", hub.name))
}

/// Whether the proxy is where kubectl will look for it.
fn check(wanted: u16, there: u16) -> Result<(), Failure> {
    if wanted == there {
        return Ok(());
    }
    let problem =
        format!("this kubeconfig has the proxy at {}, and it is at {}", address(wanted), address(there));
    Err(Failure { exit: Exit::Failed, problems: vec![problem], hint: None }
        .hint(format!("{WRITE_AGAIN}; if the proxy has an older port than the file: fleet proxy --stop")))
}
