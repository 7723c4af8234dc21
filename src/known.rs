//! What a fleet remembers of its own doings, a line each, so that nothing that it cannot see any more is taken for nothing:
//! the sandboxes that it has made, by the engines' ids, its probes, by their names, and the engines that have answered it.
//!
//! Labels say whose a container is, and anybody's containers can have them: another control VM's fleet of the same name, on an
//! engine that both have. What is taken away on an engine that its hub does not live on has to be known here.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::exit::Failure;
use crate::files::{self, lines};
use crate::hub::Fleet;
use crate::journal::DIRECTORY;

/// Ids of sandboxes, and names of probes.
const SANDBOXES: &str = "sandboxes";

/// Where engines are.
const ENGINES: &str = "engines";

/// The ids of the sandboxes that this fleet has made, and the names of its probes.
pub fn sandboxes(fleet: &Fleet) -> Result<BTreeSet<String>, Failure> {
    read(fleet, SANDBOXES)
}

/// Remembers one that was made.
pub fn made(fleet: &Fleet, id: &str) -> Result<(), Failure> {
    append(fleet, SANDBOXES, &[id.to_owned()])
}

/// Where the engines are that have answered this fleet.
pub fn engines(fleet: &Fleet) -> Result<BTreeSet<String>, Failure> {
    read(fleet, ENGINES)
}

/// Remembers those that answer.
pub fn answered(fleet: &Fleet, engines: &[String]) -> Result<(), Failure> {
    let known = self::engines(fleet)?;
    let new: Vec<String> = engines.iter().filter(|engine| !known.contains(*engine)).cloned().collect();
    if new.is_empty() { Ok(()) } else { append(fleet, ENGINES, &new) }
}

/// The file of the engines, for those who have to take one out.
pub fn engines_path(fleet: &Fleet) -> PathBuf {
    path(fleet, ENGINES)
}

fn path(fleet: &Fleet, name: &str) -> PathBuf {
    fleet.state_dir.join(DIRECTORY).join(name)
}

fn read(fleet: &Fleet, name: &str) -> Result<BTreeSet<String>, Failure> {
    let path = path(fleet, name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(source) => Err(Failure::failed(&files::Error::new("read", &path, source))),
    }
}

fn append(fleet: &Fleet, name: &str, more: &[String]) -> Result<(), Failure> {
    let path = path(fleet, name);
    // An empty line before them costs nothing, and ends what a full disk cut off at this very moment, too.
    let text = format!("\n{}\n", more.join("\n"));
    let written = lines::open(&path).and_then(|file| {
        lines::append(&file, text.as_bytes()).map_err(|source| files::Error::new("write", &path, source))
    });
    written.map_err(|error| Failure::failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::samples;
    use crate::plan::orphans::samples::rules;

    #[test]
    fn what_is_remembered_is_read_again_and_once_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = Fleet { state_dir: dir.path().join("jhubs"), ..samples::fleet(Vec::new(), rules()) };
        assert!(sandboxes(&fleet).unwrap().is_empty() && engines(&fleet).unwrap().is_empty());
        made(&fleet, "a").unwrap();
        made(&fleet, "b").unwrap();
        assert_eq!(sandboxes(&fleet).unwrap(), ["a", "b"].map(str::to_owned).into());
        let all = ["/run/docker.sock", "ssh://op@east"].map(str::to_owned);
        answered(&fleet, &all).unwrap();
        let size = std::fs::metadata(engines_path(&fleet)).unwrap().len();
        answered(&fleet, &all[..1]).unwrap();
        assert_eq!(std::fs::metadata(engines_path(&fleet)).unwrap().len(), size);
        assert_eq!(engines(&fleet).unwrap(), all.into());
        // A file that cannot be read is no empty one.
        std::fs::remove_file(engines_path(&fleet)).unwrap();
        std::fs::create_dir(engines_path(&fleet)).unwrap();
        assert!(engines(&fleet).is_err());
    }
}
