//! Asks hubs and projects, side by side, and returns what was seen with what could not be seen as data.

mod agent;
mod claims;
mod clusters;
mod hubs;
mod openrc;
mod openrc_files;
mod order;
mod sandboxes;
mod tunnels;
mod volumes;

pub use agent::look_at_agent;
pub use claims::{ClaimRow, look_at_claims};
pub use clusters::{Clusters, pinned_elsewhere};
pub use hubs::{Depth, look_at_hubs};
pub use openrc::{OpenrcLook, OpenrcProof, file_id, look_at_openrc, prove_openrc, try_openrc};
pub use openrc_files::{files_of, log_in, look_at_openrc_file, look_at_openrc_files};
#[cfg(test)]
pub(crate) use order::in_order;
pub use sandboxes::{Sandboxes, route, silence};
pub use tunnels::{goes_another_way, look_at_tunnels, tunnel_log};
pub use volumes::{Clouds, look_at_projects, look_at_volumes};
