//! How the output of a command is shown.

use std::io;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::exec::Event;
use crate::exit::Failure;
use crate::hub::Hub;
use crate::report::Progress;
use crate::report::exec::{
    Deciding, Files, Form, Gathered, Json, Paper, Show, Streamed, Tables, free_directory,
};

/// How it is written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// How to write the output. Left out: at a terminal `gather` where it is over within a second or so, else `stream`
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// As `gather`, the others as their difference from the most frequent output
    #[arg(long)]
    diff: bool,

    /// Write nothing but three files a hub into this directory: HUB.stdout, HUB.stderr, HUB.status
    #[arg(id = "output_dir", long = "output-dir", value_name = "DIR", conflicts_with_all = ["format", "diff"])]
    directory: Option<PathBuf>,
}

/// How output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Whole lines as they come, the hub's name in front of each
    Stream,
    /// Equal output of many hubs once, with the hubs that gave it
    Gather,
    /// Tables, as kubectl get and helm list print them, as one table with a column HUB
    Table,
    /// One JSON array: hub, exit status or error, stdout, stderr, seconds
    Json,
    /// The same, one line a hub, as soon as it and those before it have ended
    Ndjson,
}

impl Output {
    /// What clap cannot tell. `live`: somebody decides hub by hub, and has to see what came of it.
    pub(super) fn check(&self, live: bool) -> Result<(), Failure> {
        if live && (self.diff || !matches!(self.format, None | Some(Format::Stream))) {
            return Err(Failure::usage("--confirm-each cannot be used with another --format than stream"));
        }
        if self.diff && !matches!(self.format, None | Some(Format::Gather)) {
            return Err(Failure::usage("--diff cannot be used with another --format than gather"));
        }
        Ok(())
    }

    /// Whether a program reads it.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.format, Some(Format::Json | Format::Ndjson))
    }

    /// What shows it, and whether somebody has to be told meanwhile that something is going on.
    pub(super) fn show(
        &self,
        hubs: &[&Hub],
        live: bool,
    ) -> Result<(Box<dyn Show>, Option<Progress>), Failure> {
        let paper = || Paper::standard(hubs.iter().map(|hub| hub.name.clone()).collect());
        let quiet = |show: Box<dyn Show>| (show, Some(Progress::new("running", hubs.len())));
        if let Some(directory) = &self.directory {
            free_directory(directory)
                .map_err(|why| Failure::usage(why).hint("name another directory with --output-dir"))?;
            let files = Files::new(paper(), directory).map_err(|error| Failure::failed(&error))?;
            return Ok((Box::new(files), None));
        }
        Ok(match self.format {
            _ if self.diff => quiet(Box::new(Gathered::new(paper(), true))),
            Some(Format::Gather) => quiet(Box::new(Gathered::new(paper(), false))),
            Some(Format::Table) => quiet(Box::new(Tables::new(paper()))),
            Some(Format::Json) => quiet(Box::new(Json::new(paper(), Form::Array))),
            Some(Format::Ndjson) => (Box::new(Json::new(paper(), Form::Lines)), None),
            None if io::stdout().is_terminal() && !live => (Box::new(Deciding::new(paper(), paper())), None),
            Some(Format::Stream) | None => (Box::new(Streamed::new(paper())), None),
        })
    }
}

/// Shows events until there are no more. Whoever waits for one goes on when an error ends this: the channel is closed then.
pub(super) fn show(
    (mut show, progress): (Box<dyn Show>, Option<Progress>),
    mut events: mpsc::Receiver<Event>,
    runtime: &Handle,
) -> io::Result<()> {
    runtime.block_on(async {
        loop {
            let event = match show.waits_until() {
                None => events.recv().await,
                Some(until) => {
                    let Ok(event) = tokio::time::timeout_at(until, events.recv()).await else {
                        show.late()?;
                        continue;
                    };
                    event
                }
            };
            let Some(event) = event else { break };
            let waiting = match &event {
                Event::Pause(waiting) => Some(waiting.clone()),
                _ => None,
            };
            if let (Event::Ended(_), Some(progress)) = (&event, &progress) {
                progress.done_one();
            }
            show.event(event)?;
            if let Some(waiting) = waiting {
                // There is room for one, and there is one.
                let _ = waiting.try_send(());
            }
        }
        drop(progress);
        show.finish()
    })
}
