//! fleet runs many `JupyterHub`s: one managed Docker sandbox per hub, commands across all of them, and orphaned volumes
//! found as the difference between what `OpenStack` holds and what the clusters use.
//!
//! Data flows one way: `fleet.toml` -> [`config`] -> [`hub::Fleet`] -> [`observe`] -> [`observed`] -> [`plan`] ->
//! [`apply`] -> [`report`]. All judgement sits in [`plan`], which is pure.

pub mod apply;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod complete;
pub mod config;
pub mod confirm;
pub mod copy;
pub mod exec;
pub mod exit;
pub mod files;
pub mod history;
pub mod hub;
pub mod interrupt;
pub mod journal;
pub mod known;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod proxy;
pub mod report;
pub mod sandbox;
pub mod saved_plan;
pub mod secret;
pub mod systems;
pub mod text;
pub mod tombstone;
