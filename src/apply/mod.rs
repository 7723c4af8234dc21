//! What changes the world. Nothing here chooses: it carries a plan out and tells what happens.

pub mod adopt;
pub mod create;
pub mod delete;
mod elsewhere;
mod held;
pub mod host_keys;
pub mod mark;
pub mod openrc;
pub mod reconcile;
pub mod tunnel;
mod turns;
pub mod upgrade;
pub mod world;
