//! The real parts, and fleets of their own for tests.

pub mod dockerd;
pub mod engines;
pub mod fleet;
pub mod jump;
pub mod openstack;
pub mod outside;
pub mod pty;
pub mod standin;
pub mod sweeper;
pub mod volumes;
pub mod watched;
pub mod world;

pub use fleet::{Fleet, Run, answers, lines_of, standing};
pub use world::{WorldHub, breaking, using, world};
