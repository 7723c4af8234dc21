//! What every command is given: where the fleet's file is, where output goes, and whether the user wants it to stop.

use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::config;
use crate::exit::{Exit, Failure, chain};
use crate::history::Record;
use crate::hub::{Fleet, HubName};
use crate::interrupt::Interrupt;
use crate::observed::Unseen;
use crate::systems::docker::{self, Engine, Silent};

/// See the module.
#[derive(Debug)]
pub struct Context {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// What is written down of this command, if it changes or runs something.
    pub history: Record,
}

impl Context {
    /// Reads and checks the fleet's file.
    pub fn fleet(&self) -> Result<Fleet, Failure> {
        config::load(&config::find(self.config.as_deref())?)
    }

    /// Connects to the fleet's engines, all at once. Where there are several, one that does not answer is no error here: its hubs are
    /// silent.
    pub async fn engine(&self, fleet: &Fleet) -> Result<Engine, Failure> {
        let connected = Engine::connect(&fleet.engines, fleet.timeouts.engine).await;
        connected.map_err(|error| no_engine(&error).maybe_hint(error.hint()))
    }

    /// From here on something is changed or run in these hubs: it is written down. That it cannot be stops nothing.
    pub fn begins<'h>(&self, fleet: &Fleet, hubs: impl IntoIterator<Item = &'h HubName>) {
        if let Err(why) = self.history.begin(fleet, hubs) {
            tell(&format!("warning: this is missing in the history: {why}\n"));
        }
    }

    /// The command has ended. What began is written down with its end.
    pub fn ends(&self, exit: Exit) {
        if let Err(why) = self.history.end(exit) {
            tell(&format!("warning: the end of this is missing in the history: {why}\n"));
        }
    }

    /// What something comes to, unless the user stops fleet before.
    pub async fn unless_interrupted<T>(&self, something: impl Future<Output = T>) -> Result<T, Failure> {
        self.interrupt.or(something).await.ok_or_else(Failure::interrupted)
    }
}

/// An engine that is not there is a matter of configuration: nothing was tried yet.
fn no_engine(error: &docker::Error) -> Failure {
    match error {
        docker::Error::NoEngine { .. } => Failure::usage(chain(error)),
        _ => Failure::failed(error),
    }
}

impl From<docker::Error> for Failure {
    fn from(error: docker::Error) -> Self {
        Failure::failed(&error).maybe_hint(error.hint())
    }
}

/// Writes to standard output, without colour where it does not want any.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes a value to standard output as JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(&error))?;
    text.push('\n');
    print(&text)
}

/// Writes to standard error.
pub fn tell(text: &str) {
    // There is nowhere left to complain to.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// Tells what could not be seen, one line a hub, each with what to do.
pub fn tell_unseen(unseen: &[Unseen]) {
    for one in unseen {
        tell(&format!("{}: {}\n", one.subject, crate::text::one_line(&one.reason)));
        if let Some(hint) = &one.hint {
            tell(&format!("    {hint}\n"));
        }
    }
}

/// Tells the engines that do not answer, one line each, with the hubs that are silent by it.
pub fn tell_silent<'s>(silent: impl IntoIterator<Item = &'s Silent>, hubs: impl Fn(&Silent) -> Vec<String>) {
    for one in silent {
        let hubs = match hubs(one) {
            hubs if hubs.is_empty() => String::new(),
            hubs => format!("; its hubs are silent: {}", hubs.join(", ")),
        };
        tell(&format!(
            "engine {} does not answer: {}{hubs}\n",
            one.engine,
            crate::text::one_line(&one.reason)
        ));
        one.hint.iter().for_each(|hint| tell(&format!("    {hint}\n")));
    }
}

/// The width of the terminal that standard output is; `None` for a pipe or a file.
pub fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// A reader that has seen enough (`| head`) is not an error of fleet's; it ends quietly, as other tools do.
pub fn written(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(Failure { exit: Exit::Failed, problems: Vec::new(), hint: None })
        }
        Err(error) => Err(Failure::failed(&error)),
    }
}
