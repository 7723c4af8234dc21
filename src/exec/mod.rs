//! Commands in sandboxes: one in one, and one in many side by side.

mod across;
mod lines;
mod one;

pub use across::{Event, Outcome, across};
pub use lines::{LONGEST_LINE, Lines};
pub use one::{Captured, End, Stream, capture, capture_fed, end, run, run_mark};
