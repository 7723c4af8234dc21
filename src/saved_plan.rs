//! Files of saved plans: written whole or not at all, and read with all that is wrong with them told at once.

mod document;
mod json;
mod reader;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::exit::{Exit, Failure};
use crate::files;
use crate::plan::orphans::{Deletions, OrphanPlan};
use crate::plan::saved::{SavedPlan, Terms};

/// The largest plan that is read, in bytes: 100,000 volumes take half of it. Whatever is larger is no plan, and would
/// take the memory of the machine.
const LARGEST: u64 = 256 << 20;

/// It has users' names in it.
const MODE: u32 = 0o600;

/// Writes a plan: what may be deleted, with all that a reviewer wants to know of each volume. A file that is there is
/// only replaced if that is asked for: a plan that somebody has reviewed is work.
pub fn write(
    path: &Path,
    terms: &Terms,
    plan: &OrphanPlan<'_>,
    deletions: &Deletions,
    overwrite: bool,
) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::failed(error);
    let bytes = document::bytes(terms, plan, deletions).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure {
            exit: Exit::Failed,
            problems: vec![format!("a plan of {} bytes would not be read again", bytes.len())],
            hint: Some("delete with 'fleet orphans --delete', which needs no file".to_owned()),
        });
    }
    let written =
        if overwrite { files::replace(path, &bytes, MODE) } else { files::create(path, &bytes, MODE) };
    written.map_err(|error| failed(&error))
}

/// Reads a plan. The failure has every problem of the file, each with its line.
pub fn read(path: &Path) -> Result<SavedPlan, Failure> {
    let bytes = bytes(path, LARGEST)?;
    reader::parse(&bytes).map_err(|problems| Failure {
        exit: Exit::Usage,
        problems: problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect(),
        hint: Some(
            "volumes can be taken out of a plan, and nothing else of it changed; a new one: fleet orphans --save FILE"
                .to_owned(),
        ),
    })
}

fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>, Failure> {
    let failed = |source| {
        let error = files::Error::new("read", path, source);
        Failure { exit: Exit::Usage, ..Failure::failed(&error) }
    };
    let mut bytes = Vec::new();
    // Not by the size that the file system tells: a pipe has none.
    File::open(path).and_then(|file| file.take(largest + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > largest {
        let problem = format!("{} is larger than {largest} bytes, so it is no plan", path.display());
        return Err(Failure::usage(problem));
    }
    Ok(bytes)
}

/// What `fuzz/` reads a plan with.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// A plan, or all that is wrong with it.
    pub fn parse(bytes: &[u8]) {
        if let Ok(plan) = super::reader::parse(bytes) {
            for volume in &plan.volumes {
                assert_eq!(plan.terms.seal(volume).len(), 64);
            }
        }
    }
}
