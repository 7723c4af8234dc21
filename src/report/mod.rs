//! Turns what was observed, planned and done into tables, JSON and progress. Decides nothing.

pub mod exec;
mod failure;
pub mod journal;
pub mod marks;
pub mod openrc;
pub mod orphans;
mod prefix;
mod progress;
mod table;
mod units;

pub use failure::failure;
pub use prefix::Prefixes;
pub use progress::Progress;
pub use table::Table;
pub use units::{age, bytes, duration, gib};
