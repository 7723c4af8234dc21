//! The proxy that lets kubectl and k9s on this machine reach every hub's API server.
//!
//! It is an HTTP proxy on loopback that knows one request, `CONNECT <hub>.fleet.internal:6443`, and answers it by joining the
//! connection to that hub's tunnel. TLS is between kubectl and the API server: the proxy sees nothing, and holds no key of a
//! cluster. Who may use it has its secret, which is in the kubeconfigs that [`kubeconfig`] composes.
//!
//! It runs on demand. These kubeconfigs name fleet as their credential plugin, so that each kubectl asks fleet first, and
//! fleet sees to it that the proxy runs before anything is sent. Other users of the machine can listen at the proxy's port
//! while it does not run, and would be sent its secret: so it is never asked at that port whether it is there, but at a socket
//! in a directory that nobody else can enter ([`control`]).

pub mod control;
pub mod credential;
pub mod kept;
pub mod kubeconfig;
mod request;
pub mod serve;
pub mod start;

use std::net::{Ipv4Addr, SocketAddr};

use crate::hub::HubName;

/// What hubs' names end with at the proxy. `.internal` is set aside for names that are nobody's in the DNS.
const DOMAIN: &str = "fleet.internal";

/// The port that is asked for, whichever one the master has: the tunnel leads to one place only.
const API_PORT: u16 = 6443;

/// Where a hub is at the proxy.
fn target(hub: &HubName) -> String {
    format!("{hub}.{DOMAIN}:{API_PORT}")
}

/// Where a proxy listens: nowhere but on loopback.
pub fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
