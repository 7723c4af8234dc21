//! The real parts, and fleets of their own for tests.

pub mod fleet;
pub mod openstack;
pub mod world;

pub use fleet::{Fleet, Run, standing};
pub use world::{WorldHub, breaking, using, world};
