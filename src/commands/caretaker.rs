//! `fleet caretaker`: ends what a `fleet` that was killed has left in sandboxes. No operator calls it.

use crate::exec::take_care;
use crate::exit::{Exit, Failure};

/// Listens on standard input to the fleet that started it.
pub fn run() -> Result<Exit, Failure> {
    match take_care(std::io::stdin().lock()) {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Ok(Exit::Failed),
        Err(error) => Err(Failure::failed(&error)),
    }
}
