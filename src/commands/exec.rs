//! `fleet exec`: a command in the sandboxes of many hubs.

mod confirm;
mod input;
mod script;
mod show;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::caretaker;
use super::choose::Choice;
use super::context::{Context, print, print_json, written};
use crate::config;
use crate::exec::{Event, Fate, Job, Outcome, Stop, across, exit_of};
use crate::exit::{Exit, Failure};
use crate::hub::Hub;
use crate::observe::Sandboxes;
use crate::plan::each::each;
use crate::plan::guard::{guarded, guarded_script};
use crate::plan::rounds::rounds;
use crate::report::Table;
use crate::text::quoted;

use script::Script;

/// Events that may wait to be shown, each a piece of up to 64 KiB. A slow terminal slows the commands down instead of filling
/// the memory.
const WAITING: usize = 64;

/// How long is waited for whoever is shown the output, once Ctrl-C was pressed twice: a little longer than for the sandboxes.
const GIVEN_UP: Duration = Duration::from_secs(4);

/// Run a command in the sandboxes of many hubs
///
/// The command sees what an operator sees in the sandbox: the openrc is sourced and kubectl reaches the hub's cluster.
/// No -- and no quoting is needed: all that follows the first word belongs to the command. For pipes, say what shell
/// you want: fleet exec --all sh -c 'kubectl get pvc -A | wc -l'
///
/// Several options that choose hubs choose those that all of them mean. Ctrl-C stops the command in every sandbox and shows what
/// there is so far; a second one does not wait for it to end in good order.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet exec --all kubectl get pvc -A\n  fleet exec --tag gpu --exclude 'test*' --dry-run helm upgrade ...\n  \
fleet exec --all --format table kubectl get pods -n jhub\n  fleet exec --all --diff kubectl version\n  fleet exec --hub ou23s,mvu23s \
--timeout 20s openstack server list\n  fleet exec --all --canary ou23s --serial 5 helm upgrade jhub ...\n  fleet exec --all --each sh -c 'grep {ip} \
/etc/hosts'\n  fleet exec --all --script check.sh --serial 5\n  fleet exec --all --script report.py --each {hub} {tag.term}\n  fleet exec --all --stdin kubectl apply -f - < quota.yaml\n  fleet exec --all --format ndjson kubectl get nodes -o name | jq -r 'select(.exit_status != 0) | \
.hub'\n\nExit status: 0 when it was 0 in every hub, 1 otherwise; the JSON has each hub's own. A command that a signal ended has \
128 + the signal's number."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Args {
    /// Show which hubs and the exact command, and run nothing
    #[arg(long)]
    dry_run: bool,

    /// How many hubs at once
    #[arg(long, short = 'P', value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,

    /// Stop the command in a hub after this time: 30s, 5m, 1h
    #[arg(long, value_name = "DURATION", value_parser = config::values::wait)]
    timeout: Option<Duration>,

    /// Stop the command in all hubs after this time, and begin it in no more
    #[arg(long, value_name = "DURATION", value_parser = config::values::wait)]
    deadline: Option<Duration>,

    /// As soon as it fails in one hub, stop it in the others, and begin it in no more
    #[arg(long)]
    fail_fast: bool,

    /// Give this command's standard input to all hubs, the same to each
    #[arg(long)]
    stdin: bool,

    /// Run this file of this machine in each sandbox, by its #! line, else by sh; what follows are its arguments
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// Put what is each hub's own into the command: its name where {hub} stands, its master's address for {ip}, and for {tag.KEY}
    /// the value of its tag KEY=VALUE
    #[arg(long)]
    each: bool,

    /// So many hubs, then the next ones, as long as all goes well
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    serial: Option<u16>,

    /// This chosen hub first and alone, and the others only if it goes well there
    #[arg(long, value_name = "HUB")]
    canary: Option<String>,

    /// Ask before each hub, or with --serial before so many of them
    #[arg(long, conflicts_with_all = ["stdin", "output_dir"])]
    confirm_each: bool,

    /// It is this number of hubs that is meant: what a guarded command asks for (`[exec] guard` in fleet.toml)
    #[arg(long, value_name = "N")]
    yes: Option<usize>,

    // Below the others: what comes after it in this list has its heading in the help.
    #[command(flatten)]
    choice: Choice,

    #[command(flatten)]
    output: show::Output,

    /// The command and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "script",
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

impl Args {
    /// What is to be run, as it was said.
    fn said(&self) -> Vec<String> {
        let script = self.script.iter().map(|path| path.display().to_string());
        script.chain(self.command.iter().cloned()).collect()
    }
}

/// Runs it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    args.output.check(args.confirm_each)?;
    let hubs = args.choice.hubs(context, &fleet).await?;
    let canary = args.canary.as_deref().map(|name| canary(name, &hubs)).transpose()?;
    let words = words(args, &hubs)?;
    let script = match &args.script {
        Some(path) => Some(Script::read(path, context).await?),
        None => None,
    };
    if args.dry_run {
        return dry_run(args, &hubs, &words, script.as_ref());
    }
    let guard = guard(&fleet.exec.guard, &words, script.as_ref());
    confirm::ask(args, context, guard, &hubs).await?;
    context.begins(&fleet, hubs.iter().map(|hub| &hub.name));
    let to_run = |words: Vec<String>| match &script {
        Some(script) => script.argv(&words, args.stdin),
        None => words,
    };
    let work: Vec<Work<'_>> =
        words.into_iter().enumerate().map(|(place, words)| (place, hubs[place], to_run(words))).collect();
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look_for(&engine, &fleet, &hubs).await?;
    let caretaker = caretaker::start();
    let first = script.as_ref().map(|script| &script.text[..]);
    let input = input::all(context, first, args.stdin).await?;
    let job = Job {
        engine: &engine,
        fleet: &fleet,
        sandboxes: &sandboxes,
        parallel: args.parallel.into(),
        limit: args.timeout,
        deadline: args.deadline.map(|limit| (Instant::now() + limit, limit)),
        fail_fast: args.fail_fast,
        input: input.as_ref(),
        interrupt: &context.interrupt,
        caretaker: caretaker.as_ref(),
    };
    let (send, events) = mpsc::channel(WAITING);
    let shown = args.output.show(&hubs, args.confirm_each)?;
    let runtime = tokio::runtime::Handle::current();
    // On a thread of its own: whoever reads slowly, or not at all, must not keep fleet from hearing of Ctrl-C.
    let showing = tokio::task::spawn_blocking(move || show::show(shown, events, &runtime));
    let running = async {
        let serial = args.serial.map(usize::from).or(args.confirm_each.then_some(1));
        let rounds = rounds(work.len(), canary, serial);
        let may = async |round: &[usize]| {
            !args.confirm_each || confirm::ask_for_round(args, context, &work, round, &send).await
        };
        let outcomes = in_rounds(job, &work, &rounds, may, &send).await;
        drop(send);
        outcomes
    };
    let given_up = async {
        context.interrupt.pressed().await;
        tokio::time::sleep(GIVEN_UP).await;
    };
    let (outcomes, shown) = tokio::select! {
        both = async { tokio::join!(running, showing) } => both,
        () = given_up => return Err(Failure::interrupted()),
    };
    caretaker::tell_trouble(caretaker.as_ref());
    for outcome in &outcomes {
        context.history.fate(&outcome.fate);
    }
    written(shown.map_err(std::io::Error::other).flatten())?;
    Ok(exit_of(&outcomes, hubs.len(), context.interrupt.is_asked()))
}

/// A hub with its place among the chosen ones, and the words of its command.
type Work<'a> = (usize, &'a Hub, Vec<String>);

/// Round after round, each if it may be. When it does not go well in one of them, it is begun in no more hubs.
async fn in_rounds(
    job: Job<'_>,
    work: &[Work<'_>],
    rounds: &[Vec<usize>],
    may: impl AsyncFn(&[usize]) -> bool,
    events: &mpsc::Sender<Event>,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut stopped = None;
    for round in rounds {
        let these: Vec<Work<'_>> = round.iter().map(|place| work[*place].clone()).collect();
        if stopped.is_none() && !may(round).await {
            stopped = Some(if job.interrupt.is_asked() { Stop::Asked } else { Stop::Declined });
        }
        let ended = match &stopped {
            None => across(job, &these, events).await,
            Some(why) => not_begun(&these, why, events).await,
        };
        let failed = |outcome: &&Outcome| !outcome.fate.is_success();
        stopped = stopped.or_else(|| {
            ended.iter().find(failed).map(|outcome| match &outcome.fate {
                Fate::Stopped(why) | Fate::NotBegun(why) => why.clone(),
                Fate::Ended(_) => Stop::Failed(work[outcome.hub].1.name.clone()),
            })
        });
        outcomes.extend(ended);
    }
    outcomes
}

async fn not_begun(these: &[Work<'_>], why: &Stop, events: &mpsc::Sender<Event>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (hub, ..) in these {
        let outcome = Outcome { hub: *hub, fate: Fate::NotBegun(why.clone()), took: Duration::ZERO };
        // A reader that has gone does not want to hear it.
        let _ = events.send(Event::Ended(outcome.clone())).await;
        outcomes.push(outcome);
    }
    outcomes
}

/// The command's words, or the script's arguments, for each of the hubs.
fn words(args: &Args, hubs: &[&Hub]) -> Result<Vec<Vec<String>>, Failure> {
    if !args.each {
        return Ok(vec![args.command.clone(); hubs.len()]);
    }
    each(&args.command, hubs).map_err(|problems| {
        let hint = "nothing was run; `fleet list` shows tags; give them such a tag in fleet.toml, tags = [\"KEY=VALUE\"], or leave them out \
                    with --exclude";
        Failure { exit: Exit::Usage, problems, hint: Some(hint.to_owned()) }
    })
}

/// The guard that what would be run comes under in any hub.
fn guard<'g>(guards: &'g [String], words: &[Vec<String>], script: Option<&Script>) -> Option<&'g str> {
    let lines = script.map(Script::lines);
    words.iter().find_map(|words| match &lines {
        Some(lines) => guarded_script(guards, lines, words),
        None => guarded(guards, words),
    })
}

/// The canary's place among the chosen hubs.
fn canary(name: &str, hubs: &[&Hub]) -> Result<usize, Failure> {
    hubs.iter().position(|hub| hub.name.as_str() == name).ok_or_else(|| {
        Failure::usage(format!("--canary {name}: it is none of the chosen hubs"))
            .hint("`fleet list` with the same words shows which are chosen")
    })
}

/// Which hubs, and what would run there, as a shell would take it.
fn dry_run(
    args: &Args,
    hubs: &[&Hub],
    words: &[Vec<String>],
    script: Option<&Script>,
) -> Result<Exit, Failure> {
    let shown = |words: &Vec<String>| -> Vec<String> {
        script.map(|script| script.name.clone()).into_iter().chain(words.iter().cloned()).collect()
    };
    let work: Vec<(&Hub, Vec<String>)> =
        hubs.iter().zip(words).map(|(hub, words)| (*hub, shown(words))).collect();
    if args.output.is_json() {
        let each = work.iter().map(|(hub, argv)| serde_json::json!({ "hub": hub.name, "command": argv }));
        print_json(&each.collect::<Vec<_>>())?;
    } else {
        let mut table = Table::new(&["HUB", "COMMAND"], None);
        for (hub, argv) in &work {
            table.row([hub.name.as_str(), &quoted(argv)]);
        }
        print(&table.to_string())?;
    }
    Ok(Exit::Done)
}
