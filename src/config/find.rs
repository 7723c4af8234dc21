//! Where `fleet.toml` is.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// The file's name, as it is looked for.
pub const FILE: &str = "fleet.toml";

/// The variable that names the file.
const VARIABLE: &str = "FLEET_CONFIG";

/// Finds the fleet's file: what `--config` names, else what `$FLEET_CONFIG` names, else `fleet.toml` in the
/// working directory or the nearest one above it. A file that was named is not looked for:
/// [`load`](super::load) tells when it is not there.
pub fn find(explicit: Option<&Path>) -> Result<PathBuf, Failure> {
    let from = working_directory()?;
    look(explicit, env::var_os(VARIABLE), &from).ok_or_else(|| {
        Failure::usage(format!("there is no {FILE} in {} or in any directory above it", from.display()))
            .hint(format!("name the file with --config or ${VARIABLE}, or let 'fleet new' begin one here"))
    })
}

/// As [`find`], for the one command that may begin a fleet: `fleet.toml` in the working directory where none
/// was found.
pub fn find_or_new(explicit: Option<&Path>) -> Result<PathBuf, Failure> {
    let from = working_directory()?;
    Ok(look(explicit, env::var_os(VARIABLE), &from).unwrap_or_else(|| PathBuf::from(FILE)))
}

fn working_directory() -> Result<PathBuf, Failure> {
    env::current_dir().map_err(|error| {
        Failure::usage(format!("there is no working directory to look for {FILE} in: {error}"))
            .hint("change to a directory that exists, or name the file with --config")
    })
}

fn look(explicit: Option<&Path>, variable: Option<OsString>, from: &Path) -> Option<PathBuf> {
    let named = explicit.map(Path::to_owned);
    // A variable that is set to nothing is one that is not set, as for most programs.
    let named = named.or_else(|| variable.filter(|value| !value.is_empty()).map(PathBuf::from));
    named.or_else(|| upward(from))
}

fn upward(from: &Path) -> Option<PathBuf> {
    let directory = from.ancestors().find(|directory| directory.join(FILE).is_file())?;
    // A bare name in the working directory, because messages begin with it.
    Some(if directory == from { PathBuf::from(FILE) } else { directory.join(FILE) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_comes_before_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        crate::files::replace(&dir.path().join(FILE), b"", 0o644).unwrap();
        let look = |explicit: Option<&str>, variable: Option<&str>| {
            look(explicit.map(Path::new), variable.map(OsString::from), dir.path()).unwrap()
        };
        assert_eq!(look(Some("a.toml"), Some("b.toml")), Path::new("a.toml"));
        assert_eq!(look(None, Some("b.toml")), Path::new("b.toml"));
        assert_eq!(look(None, Some("")), Path::new(FILE));
    }

    #[test]
    fn the_nearest_file_above_is_found_and_a_directory_of_that_name_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        std::fs::create_dir_all(deep.join(FILE)).unwrap();
        crate::files::replace(&dir.path().join(FILE), b"", 0o644).unwrap();
        assert_eq!(look(None, None, &deep), Some(dir.path().join(FILE)));
    }
}
