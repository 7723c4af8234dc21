//! `fleet caretaker`: ends what a `fleet` that was killed has left in sandboxes. No operator calls it.

use super::context::tell;
use crate::exec::{Caretaker, take_care};
use crate::exit::{Exit, Failure};

/// Listens on standard input to the fleet that started it.
pub fn run() -> Result<Exit, Failure> {
    match take_care(std::io::stdin().lock()) {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Ok(Exit::Failed),
        Err(error) => Err(Failure::failed(&error)),
    }
}

/// Starts one for a command that begins others in sandboxes. Without one it goes on, and says what that means.
pub(super) fn start() -> Option<Caretaker> {
    Caretaker::start().inspect_err(without).ok()
}

/// Tells where it could not be told everything.
pub(super) fn tell_trouble(caretaker: Option<&Caretaker>) {
    if let Some(error) = caretaker.and_then(Caretaker::trouble) {
        without(&error);
    }
}

fn without(error: &std::io::Error) {
    tell(&format!("warning: were fleet killed, nobody would end the command in the sandboxes: {error}\n"));
}
