//! Every command of fleet against real parts: a Docker engine, SSH servers, Kubernetes API servers, Keystone, Cinder and
//! Nova. `scripts/test` starts them; without them every test here fails and says so, except those whose names begin with
//! `standin_`: they ask a stand-in, for faults that real parts do not have on demand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::pedantic,
    reason = "a test that cannot go on says so by panicking; and what is easy to read comes first"
)]

mod adopt;
mod bad_input;
mod choose;
mod common;
mod completions;
mod cp;
mod cp_back;
mod doctor;
mod engines;
mod engines_ssh;
mod exec;
mod exec_choose;
mod exec_end;
mod exec_killed;
mod exec_output;
mod exec_rounds;
mod exec_script;
mod history;
mod interrupt;
mod kubeconfig;
mod list;
mod man;
mod new;
mod openrc;
mod orphans_blocked;
mod orphans_confirm;
mod orphans_delete;
mod orphans_journal;
mod orphans_marks;
mod orphans_page;
mod orphans_plans;
mod orphans_report;
mod orphans_undeclared;
mod orphans_unknown;
mod orphans_why;
mod proxy;
mod pvc;
mod rm;
mod secrets;
mod shell;
mod shell_panes;
mod standin_deletions;
mod standin_exec;
mod standin_lists;
mod standin_real;
mod standin_retries;
mod status;
mod tokens;
mod tunnel;
mod tunnel_engine;
mod tunnel_jump;
mod tunnel_keys;
mod up;
