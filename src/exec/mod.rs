//! Commands in sandboxes: one in one, and one in many side by side.

mod across;
mod caretaker;
mod lines;
mod one;
mod outcome;
mod spool;
mod utf8;

pub use across::{Event, Job, across};
pub use caretaker::{COMMAND as CARETAKER, Caretaker, Watched, take_care};
pub use lines::{LONGEST_LINE, Lines};
pub use one::{Captured, End, Input, Place, Stream, capture, capture_fed, end, run, run_bare, run_mark};
pub use outcome::{Fate, Outcome, Stop, exit_of};
pub use spool::{Fingerprint, Spool, Spools, scratch};
pub use utf8::{Lossy, Utf8};
