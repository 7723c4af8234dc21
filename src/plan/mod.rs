//! All judgement: pure and synchronous, with no clock, network or randomness of its own.

pub mod adopt;
pub mod brake;
pub mod diagnose;
pub mod openrc;
pub mod orphans;
pub mod reconcile;
pub mod saved;
pub mod trust;
pub mod tunnel;
