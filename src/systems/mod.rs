//! The systems that fleet talks to, each with the only module that imports its client. They return fleet's own types.

pub mod openstack;
