//! fleet runs many `JupyterHub`s: one managed Docker sandbox per hub, commands across all of them, and orphaned volumes
//! found as the difference between what `OpenStack` holds and what the clusters use.
//!
//! Data flows one way: `fleet.toml` -> [`config`] -> [`hub::Fleet`] -> [`observe`] -> [`observed`] -> [`plan`] ->
//! [`apply`] -> [`report`]. All judgement sits in [`plan`], which is pure.

pub mod apply;
pub mod clock;
pub mod confirm;
pub mod exit;
pub mod hub;
pub mod observed;
pub mod plan;
pub mod report;
pub mod secret;
pub mod systems;
