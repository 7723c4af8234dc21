//! fleet runs many `JupyterHub`s: one managed Docker sandbox per hub, commands across all of them, and orphaned volumes
//! found as the difference between what `OpenStack` holds and what the clusters use.
//!
//! Data flows one way: `fleet.toml` -> [`config`] -> [`hub::Fleet`] -> [`observe`] -> [`observed`] -> [`plan`] ->
//! [`apply`] -> [`report`]. All judgement sits in [`plan`], which is pure.

pub mod clock;
pub mod exit;
pub mod hub;
pub mod observed;
pub mod secret;
