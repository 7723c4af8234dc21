//! `fleet.toml`: where it is found, how it becomes a checked [`Fleet`](crate::hub::Fleet), and how it is edited
//! with every comment kept.
//!
//! Every problem in the file is told at once, each with its line. Secrets never go in it: they are in the
//! openrc files, which [`openrc`] looks at without ever running them.

mod check;
mod edit;
mod find;
mod load;
mod lock;
mod nearest;
pub mod openrc;
mod problems;
mod reader;
mod schema;
mod select;
mod shell;
pub mod values;

#[cfg(test)]
mod tests;

pub use edit::{NewHub, add_hub, preview_hub, remove_hub};
pub use find::{FILE, find, find_or_new};
pub use load::load;
pub use lock::{Lock, lock_hub};
pub use nearest::nearest;
pub use select::resolve;
