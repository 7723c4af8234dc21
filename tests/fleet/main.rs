//! Every command of fleet against real parts: a Docker engine, SSH servers, Kubernetes API servers, Keystone, Cinder and
//! Nova. `scripts/test` starts them; without them every test here fails and says so.

mod bad_input;
mod common;
mod exec;
mod list;
