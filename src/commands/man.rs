//! `fleet man`: a manual page for each command.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::context::tell;
use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::text::count;

/// Everybody may read a manual.
const MODE: u32 = 0o644;

/// Write a manual page for each command into a directory
///
/// The pages are called fleet.1, fleet-exec.1, fleet-openrc-set.1 and so on, and replace those of the same names.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  fleet man ~/.local/share/man/man1 && man fleet-exec\n\nman finds them where the directory is called man1 \
and its parent is in `manpath`."
)]
pub struct Args {
    /// The directory, which is made where it is not there
    directory: PathBuf,
}

/// Writes them.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    fs::create_dir_all(&args.directory)
        .map_err(|error| Failure::failed(&files::Error::new("make", &args.directory, error)))?;
    let written = write(&cli, &args.directory)?;
    tell(&format!("{} has {}\n", args.directory.display(), count(written, "page")));
    Ok(Exit::Done)
}

/// A page for the command and each of its own. How many.
fn write(command: &clap::Command, directory: &Path) -> Result<u64, Failure> {
    let mut written = 1;
    for of_it in command.get_subcommands().filter(|of_it| !of_it.is_hide_set()) {
        written += write(of_it, directory)?;
    }
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| Failure::failed(&error))?;
    files::replace(&directory.join(man.get_filename()), &page, MODE)
        .map_err(|error| Failure::failed(&error))?;
    Ok(written)
}
