//! One verb a file: its arguments, and the function that wires config, observe, plan, apply and report together.

pub mod adopt;
pub mod caretaker;
pub mod choose;
pub mod completions;
pub mod context;
pub mod cp;
pub mod doctor;
pub mod down;
pub mod exec;
pub mod format;
pub mod history;
pub mod journal;
pub mod kubeconfig;
pub mod list;
pub mod man;
pub mod new;
pub mod openrc;
pub mod orphans;
mod prompt;
pub mod proxy;
pub mod pvc;
pub mod rm;
pub mod shell;
pub mod status;
pub mod trust;
pub mod tunnel;
pub mod up;
