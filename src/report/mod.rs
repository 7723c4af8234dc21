//! What people and scripts read. Nothing here asks or decides anything: what was seen, planned or done is written to
//! whatever is given to write to.

pub mod orphans;
mod text;
