//! The systems that fleet talks to, each behind one file: the only importer of its client crate. They return fleet's own
//! types from [`crate::observed`] and errors that say what was tried; they judge nothing.

pub mod docker;
pub mod kube;
pub mod kubeconfig;
pub mod openstack;
mod quantity;
pub mod socket;
pub mod ssh;
pub mod tmux;
mod unique;
pub mod wire;
