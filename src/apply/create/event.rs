//! The steps of making a hub, and what happens meanwhile.

use std::path::Path;

use crate::hub::JumpHost;
use crate::observed::Project;
use crate::systems::ssh::HostKey;

/// One step of making a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look at the master's host key.
    HostKey,
    /// Log in on the master.
    Reach,
    /// Make the state directory.
    State,
    /// Fetch the kubeconfig.
    Kubeconfig,
    /// Make and start the sandbox.
    Sandbox,
    /// Wait until the API server answers through the tunnel.
    Tunnel,
    /// Try the credentials.
    Credentials,
    /// Write the hub into fleet.toml.
    Declare,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::HostKey => "pin the master's host key",
            Step::Reach => "reach the master",
            Step::State => "make the state directory",
            Step::Kubeconfig => "fetch the cluster's kubeconfig",
            Step::Sandbox => "make the sandbox",
            Step::Tunnel => "bring the tunnel up",
            Step::Credentials => "try the credentials",
            Step::Declare => "write the hub into fleet.toml",
        })
    }
}

/// What happens while a hub is made.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step begins.
    Begin(Step),
    /// The jump host showed this key.
    JumpHostKey(&'a JumpHost, &'a HostKey),
    /// The master showed this key.
    HostKey(&'a HostKey),
    /// The state already has a kubeconfig; it is used as it is.
    KubeconfigKept(&'a Path),
    /// The credentials lead to this project.
    Project(&'a Project),
    /// What a hub of this name used that was taken out of the fleet stays remembered.
    StoneKept(&'a Path),
}
