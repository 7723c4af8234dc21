//! What a hub's sandbox is: a pure function of the hub and the fleet. The engine makes it; see
//! [`crate::systems::docker`].

mod passwd;
mod spec;

pub use passwd::with_operator;
pub use spec::{Mount, Owner, PAYLOADS, Part, Payload, SandboxSpec, labels, paths};
