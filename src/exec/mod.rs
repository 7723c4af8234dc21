//! Commands in sandboxes: one in one, and one in many side by side.

mod across;
mod caretaker;
mod ending;
mod lines;
mod one;
mod outcome;
mod output;
mod spool;
mod utf8;

pub use across::{Event, Job, across};
pub use caretaker::{COMMAND as CARETAKER, Caretaker, Watched, take_care};
pub use ending::{end, run_mark};
pub use lines::{LONGEST_LINE, Lines};
pub use one::{Captured, Input, Place, capture, capture_fed, run, run_bare};
pub use outcome::{Fate, Outcome, Stop, exit_of};
pub use output::{End, Stream};
pub use spool::{Fingerprint, Spool, Spools, scratch};
pub use utf8::{Lossy, Utf8};
