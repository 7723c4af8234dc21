//! `fleet.toml`: where it is found, how it becomes a checked [`Fleet`](crate::hub::Fleet), and how it is edited
//! with every comment kept.
//!
//! Every problem in the file is told at once, each with its line. Secrets never go in it: they are in the
//! openrc files, which [`openrc`] looks at without ever running them.

mod check;
mod contexts;
mod edit;
mod endpoint;
mod engine;
mod engines;
mod find;
mod load;
mod lock;
pub mod openrc;
mod problems;
mod reader;
mod schema;
mod select;
mod shell;
mod surroundings;
pub mod values;

#[cfg(test)]
mod tests;

pub use edit::{NewHub, add_hub, load_or_new, preview_hub, remove_hub};
pub use find::{FILE, find, find_or_new};
pub use load::load;
pub use lock::{Lock, lock_hub};
pub use select::resolve;

/// What `fuzz/` reads a fleet's file with.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::path::Path;

    use super::surroundings::Surroundings;

    /// A fleet, or all that is wrong told.
    pub fn parse(text: &str) {
        let around = Surroundings {
            base: "/f".into(),
            home: Some("/home/op".into()),
            docker_host: None,
            docker_config: None,
        };
        let path = Path::new("/f/fleet.toml");
        if let Err(problems) = super::load::parse(path, text, &around) {
            let _ = problems.failure(path).to_string();
        }
    }
}
