//! `fleet completions`: what the shell needs to complete fleet's command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::context::print;
use crate::cli::Cli;
use crate::exit::{Exit, Failure};

/// Print completions for a shell
///
/// For bash: fleet completions bash > ~/.local/share/bash-completion/completions/fleet
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints them.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fleet", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
