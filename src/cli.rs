//! The command line: clap types alone.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands;

/// Runs many JupyterHubs: one managed sandbox per hub, commands across all of them, and orphaned volumes that nobody has
/// to be afraid of.
#[derive(Debug, Parser)]
#[command(name = "fleet", version, max_term_width = 110)]
#[command(
    after_help = "Exit status: 0 done; 1 something failed, the report names it; 2 usage or configuration; \
3 cannot tell, so nothing was deleted; 4 confirmation is missing; 130 interrupted."
)]
pub struct Cli {
    /// The fleet's file. Without it: $FLEET_CONFIG, then fleet.toml here or in a directory above
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One verb each; its arguments and its function are in the file of its name in `commands/`.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each shows the help of its own arguments")]
pub enum Command {
    New(commands::new::Args),
    Adopt(commands::adopt::Args),
    Up(commands::up::Args),
    Down(commands::down::Args),
    List(commands::list::Args),
    Status(commands::status::Args),
    Exec(commands::exec::Args),
    Cp(commands::cp::Args),
    Shell(commands::shell::Args),
    Pvc(commands::pvc::Args),
    Kubeconfig(commands::kubeconfig::Args),
    Proxy(commands::proxy::Args),
    Openrc(commands::openrc::Args),
    Tunnel(commands::tunnel::Args),
    Trust(commands::trust::Args),
    Orphans(commands::orphans::Args),
    Journal(commands::journal::Args),
    History(commands::history::Args),
    Rm(commands::rm::Args),
    Doctor(commands::doctor::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
    #[command(hide = true)]
    Caretaker,
}
