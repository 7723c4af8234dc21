//! `fleet exec`: a command in the sandboxes of many hubs.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::time::Duration;

use serde::{Serialize, Serializer};
use tempfile::SpooledTempFile;
use tokio::sync::mpsc;

use super::choose::Choice;
use super::context::{Context, print, print_json, tell, written};
use crate::config;
use crate::exec::{End, Event, Outcome, Stream, across};
use crate::exit::{Exit, Failure};
use crate::hub::{Hub, HubName};
use crate::observe::Sandboxes;
use crate::report::{Prefixes, Table, duration};
use crate::text::{one_line, quoted};

/// Events that may wait to be shown, each a line of up to 1 MiB. A slow terminal slows the commands down instead of filling
/// the memory.
const WAITING: usize = 16;

/// Bytes of one hub's output that are kept in memory for JSON; more goes to a scratch file.
const IN_MEMORY: usize = 1024 * 1024;

/// Run a command in the sandboxes of many hubs
///
/// The command sees what an operator sees in the sandbox: the openrc is sourced and kubectl reaches the hub's cluster.
/// No -- and no quoting is needed: all that follows the first word belongs to the command. For pipes, say what shell
/// you want: fleet exec --all sh -c 'kubectl get pvc -A | wc -l'
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet exec --all kubectl get pvc -A\n  fleet exec --hub ou23s,mvu23s --timeout 20s openstack \
server list\n  fleet exec --all --format json kubectl version | jq '.[] | {hub, exit_status}'\n\nExit status: 0 when it was 0 in \
every hub, 1 otherwise; the JSON has each hub's own."
)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,

    /// Show which hubs and the exact command, and run nothing
    #[arg(long)]
    dry_run: bool,

    /// How many hubs at once
    #[arg(long, short = 'P', value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,

    /// Stop the command in a hub after this time: 30s, 5m, 1h
    #[arg(long, value_name = "DURATION", value_parser = config::values::wait)]
    timeout: Option<Duration>,

    /// How to write the output
    #[arg(long, value_enum, default_value_t = Format::Stream)]
    format: Format,

    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Whole lines as they come, the hub's name in front of each
    Stream,
    /// One JSON array: hub, exit status, stdout, stderr, seconds
    Json,
}

/// Runs it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.choice.hubs(context, &fleet).await?;
    if args.dry_run {
        return dry_run(args, &hubs);
    }
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let (send, events) = mpsc::channel(WAITING);
    let running = across(
        &engine,
        &fleet,
        &sandboxes,
        &hubs,
        &args.command,
        args.parallel.into(),
        args.timeout,
        &context.interrupt,
        send,
    );
    let (ends, ()) = match args.format {
        Format::Stream => {
            let (ends, ()) = tokio::join!(stream(events, &hubs), running);
            (ends?, ())
        }
        Format::Json => {
            let (ends, ()) = tokio::join!(json(events, &hubs), running);
            (ends?, ())
        }
    };
    if context.interrupt.is_asked() {
        return Ok(Exit::Interrupted);
    }
    Ok(if ends.iter().all(|outcome| outcome.end.is_success()) { Exit::Done } else { Exit::Failed })
}

/// Which hubs, and what would run there, as a shell would take it.
fn dry_run(args: &Args, hubs: &[&Hub]) -> Result<Exit, Failure> {
    if args.format == Format::Json {
        let each = hubs.iter().map(|hub| serde_json::json!({ "hub": hub.name, "command": args.command }));
        print_json(&each.collect::<Vec<_>>())?;
    } else {
        let mut table = Table::new(&["HUB", "COMMAND"], None);
        for hub in hubs {
            table.row([hub.name.as_str(), &quoted(&args.command)]);
        }
        print(&table.to_string())?;
    }
    Ok(Exit::Done)
}

/// Whole lines as they come, standard output to standard output and standard error to standard error. What the command
/// printed is written as it is: only the prefix has fleet's colours, and only where they are wanted.
async fn stream(mut events: mpsc::Receiver<Event>, hubs: &[&Hub]) -> Result<Vec<Outcome>, Failure> {
    let names = || hubs.iter().map(|hub| &hub.name);
    let wanted = |choice| choice != anstream::ColorChoice::Never;
    let out = Prefixes::new(names(), wanted(anstream::AutoStream::choice(&std::io::stdout())));
    let err = Prefixes::new(names(), wanted(anstream::AutoStream::choice(&std::io::stderr())));
    let mut ends = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Line { hub, stream: Stream::Stdout, line } => {
                written(std::io::stdout().lock().write_all(&prefixed(&out, &hub, &line)))?;
            }
            Event::Line { hub, stream: Stream::Stderr, line } => {
                written(std::io::stderr().lock().write_all(&prefixed(&err, &hub, &line)))?;
            }
            Event::Ended(outcome) => {
                if let Some(why) = why_not(&outcome.end) {
                    tell(&format!("{}{why}\n", err.of(&outcome.hub)));
                }
                ends.push(outcome);
            }
        }
    }
    summary(&ends);
    Ok(ends)
}

/// A whole line in one piece, so that it is written in one piece.
fn prefixed(prefixes: &Prefixes, hub: &HubName, line: &[u8]) -> Vec<u8> {
    let mut whole = prefixes.of(hub).into_bytes();
    whole.extend_from_slice(line);
    whole.push(b'\n');
    whole
}

/// Said at the end where more than one hub was asked and not all went well: the lines have scrolled away by then.
fn summary(ends: &[Outcome]) {
    let mut failed: Vec<&str> =
        ends.iter().filter(|outcome| !outcome.end.is_success()).map(|outcome| outcome.hub.as_str()).collect();
    failed.sort_unstable();
    if ends.len() > 1 && !failed.is_empty() {
        tell(&format!("fleet: failed in {} of {} hubs: {}\n", failed.len(), ends.len(), failed.join(", ")));
    }
}

/// Why a command did not succeed, in one line.
fn why_not(end: &End) -> Option<String> {
    match end {
        End::Exited(0) => None,
        End::Exited(status) => Some(format!("fleet: exit status {status}")),
        End::TimedOut(limit) => Some(format!("fleet: stopped after {}", duration(*limit))),
        End::Interrupted => Some("fleet: interrupted".to_owned()),
        End::Failed { reason, hint } => Some(match hint {
            Some(hint) => format!("fleet: {}; {hint}", one_line(reason)),
            None => format!("fleet: {}", one_line(reason)),
        }),
    }
}

/// What one hub printed, out of memory when it is much.
struct Spool {
    stdout: Printed,
    stderr: Printed,
}

impl Spool {
    fn new() -> Self {
        Self { stdout: Printed::new(), stderr: Printed::new() }
    }
}

/// What one hub printed to one output. It is read again line by line, so that it never has to fit into memory.
struct Printed {
    file: RefCell<SpooledTempFile>,
    /// Why it could not be read again.
    error: Cell<Option<std::io::Error>>,
}

impl Printed {
    fn new() -> Self {
        Self { file: RefCell::new(SpooledTempFile::new(IN_MEMORY)), error: Cell::new(None) }
    }

    fn add(&mut self, line: &[u8]) -> std::io::Result<()> {
        let file = self.file.get_mut();
        file.write_all(line)?;
        file.write_all(b"\n")
    }

    fn each(&self, mut show: impl FnMut(&str) -> std::fmt::Result) -> std::io::Result<std::fmt::Result> {
        let mut file = self.file.borrow_mut();
        file.rewind()?;
        let (mut lines, mut line) = (BufReader::new(&mut *file), Vec::new());
        while lines.read_until(b'\n', &mut line)? > 0 {
            if let Err(error) = show(&String::from_utf8_lossy(&line)) {
                return Ok(Err(error));
            }
            line.clear();
        }
        Ok(Ok(()))
    }
}

impl std::fmt::Display for Printed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // serde_json takes an error of `Display` for one of its own writer's, so this one is kept for later.
        self.each(|line| f.write_str(line)).unwrap_or_else(|error| {
            self.error.set(Some(error));
            Ok(())
        })
    }
}

impl Serialize for Printed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One hub in the JSON.
#[derive(Serialize)]
struct Entry<'a> {
    hub: &'a HubName,
    exit_status: Option<i64>,
    error: Option<String>,
    stdout: Printed,
    stderr: Printed,
    seconds: f64,
}

/// Every chosen hub once, in the order of fleet.toml, the failed ones too.
async fn json(mut events: mpsc::Receiver<Event>, hubs: &[&Hub]) -> Result<Vec<Outcome>, Failure> {
    let mut spools: BTreeMap<HubName, Spool> = BTreeMap::new();
    let mut ends = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Line { hub, stream, line } => {
                let spool = spools.entry(hub).or_insert_with(Spool::new);
                let printed = match stream {
                    Stream::Stdout => &mut spool.stdout,
                    Stream::Stderr => &mut spool.stderr,
                };
                printed.add(&line).map_err(|error| Failure::failed(&error))?;
            }
            Event::Ended(outcome) => ends.push(outcome),
        }
    }
    // What commands printed is not fleet's to change, escape sequences included.
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut separator = "[\n";
    for hub in hubs {
        let Some(outcome) = ends.iter().find(|outcome| outcome.hub == hub.name) else { continue };
        let Spool { stdout, stderr } = spools.remove(&hub.name).unwrap_or_else(Spool::new);
        let exit_status = match outcome.end {
            End::Exited(status) => Some(status),
            _ => None,
        };
        let error = if exit_status.is_some() { None } else { why_not(&outcome.end) };
        let seconds = outcome.took.as_secs_f64();
        let entry = Entry { hub: &hub.name, exit_status, error, stdout, stderr, seconds };
        written(out.write_all(separator.as_bytes()))?;
        written(serde_json::to_writer_pretty(&mut out, &entry).map_err(Into::into))?;
        for printed in [&entry.stdout, &entry.stderr] {
            if let Some(error) = printed.error.take() {
                return Err(Failure::failed(&error));
            }
        }
        separator = ",\n";
    }
    written(out.write_all(b"\n]\n").and_then(|()| out.flush()))?;
    Ok(ends)
}
