//! `fleet completions`: what the shell needs to complete fleet's command line.

use clap_complete::Shell;

use super::context::print;
use crate::complete;
use crate::exit::{Exit, Failure};

/// Print completions for a shell
///
/// The shell then asks fleet itself, which knows the hubs and tags of fleet.toml, and asks nobody.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  source <(fleet completions bash)       in ~/.bashrc\n  source <(fleet completions zsh)        in ~/.zshrc, \
after compinit\n  fleet completions fish | source        in ~/.config/fish/config.fish"
)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints them.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let script = complete::registration(&args.shell.to_string(), &program())
        .map_err(|error| Failure::failed(&error))?;
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// How the shell finds fleet: by its name, unless it was found by its path now.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let path = std::path::Path::new(&called);
    if path.components().count() < 2 {
        return "fleet".to_owned();
    }
    std::path::absolute(path).map_or_else(|_| "fleet".to_owned(), |path| path.to_string_lossy().into_owned())
}
