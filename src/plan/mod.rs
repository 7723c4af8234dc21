//! All judgement: pure and synchronous, with no clock, network or randomness of its own.

pub mod adopt;
pub mod agent;
pub mod brake;
pub mod choose;
pub mod copy;
pub mod diagnose;
pub mod each;
pub mod fold;
pub mod guard;
pub mod mask;
pub mod mounts;
pub mod openrc;
pub mod orphans;
pub mod reconcile;
pub mod rounds;
pub mod saved;
pub mod script;
pub mod trust;
pub mod tunnel;
