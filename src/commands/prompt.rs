//! Asking somebody at a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::context::{Context, tell};
use crate::exit::{Exit, Failure};

/// How long fleet waits for somebody who reads what is shown.
const PATIENCE: Duration = Duration::from_mins(10);

/// The most that is read of what is typed.
const LINE: u64 = 4096;

/// Whether somebody is there who reads and types.
pub fn can_type() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks, and returns what is typed up to the end of the line: nothing where there is no more. `unless` is what becomes of it if
/// nothing is typed: "nothing is deleted".
pub async fn ask(context: &Context, question: &str, unless: &str) -> Result<String, Failure> {
    tell(question);
    tokio::select! {
        typed = read_line() => Ok(typed),
        () = tokio::time::sleep(PATIENCE) => {
            tell("\n");
            let minutes = PATIENCE.as_secs() / 60;
            Err(unconfirmed(format!("nothing was typed within {minutes} minutes; {unless}"), "run it again"))
        }
        () = context.interrupt.asked() => {
            tell("\n");
            Err(Failure::interrupted())
        }
    }
}

async fn read_line() -> String {
    let mut line = Vec::new();
    // What cannot be read confirms nothing.
    let _ = BufReader::new(tokio::io::stdin().take(LINE)).read_until(b'\n', &mut line).await;
    String::from_utf8_lossy(&line).into_owned()
}

/// A confirmation is missing: what would be done, and how to confirm it.
pub fn unconfirmed(problem: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure { exit: Exit::Unconfirmed, problems: vec![problem.into()], hint: Some(hint.into()) }
}
