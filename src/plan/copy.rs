//! What `fleet cp` is asked for: which words are files here, which are paths in sandboxes, and what an archive that comes out of
//! a sandbox may put where.

mod guard;
#[cfg(test)]
mod tests;
mod told;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::hub::HubName;

pub use guard::{What, as_a_directory, as_a_file, what, within};
pub use told::{CUT, MOUNTED, Told, told};

/// A word of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A file here.
    Here(PathBuf),
    /// A path in sandboxes.
    There(There),
}

/// A path in sandboxes: `ou23s:/srv/x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// Which: a name, names with commas, globs. Empty where options say it.
    pub hubs: String,
    /// Absolute.
    pub path: String,
}

/// Which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// Into sandboxes.
    Out {
        /// Files and directories here.
        from: Vec<PathBuf>,
        /// Where to.
        to: There,
    },
    /// Out of sandboxes.
    Back {
        /// Which: as in [`There::hubs`].
        hubs: String,
        /// What, in each.
        from: Vec<String>,
        /// Where to.
        to: PathBuf,
    },
}

/// Reads a word as scp does: what has a colon before any slash is elsewhere.
pub fn word(text: &OsStr) -> Result<Word, String> {
    let bytes = text.as_encoded_bytes();
    if bytes.is_empty() {
        return Err("an empty name; what was it to be?".to_owned());
    }
    let is_there = bytes.iter().take_while(|byte| **byte != b'/').any(|byte| *byte == b':');
    if !is_there {
        return Ok(Word::Here(text.into()));
    }
    // A terminal, a shell and the engine take paths in sandboxes as text.
    let text = text.to_str().ok_or_else(|| {
        format!("{:?} is no UTF-8, as paths in sandboxes have to be", text.to_string_lossy())
    })?;
    let (hubs, path) = text.split_once(':').unwrap_or(("", text));
    if !path.starts_with('/') {
        return Err(format!(
            "{text:?}: a path in a sandbox begins with '/'{}",
            if path.is_empty() { "; it has none" } else { "; a file here with a colon in its name: ./NAME" }
        ));
    }
    Ok(Word::There(There { hubs: hubs.to_owned(), path: path.to_owned() }))
}

/// Which way it goes: all but the last word are what is copied. Every problem is told at once.
pub fn course(words: &[OsString]) -> Result<Course, Vec<String>> {
    let (mut here, mut there, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let mut last_is_there = false;
    for text in words {
        match word(text) {
            Ok(Word::Here(path)) => {
                last_is_there = false;
                here.push(path);
            }
            Ok(Word::There(place)) => {
                last_is_there = true;
                there.push(place);
            }
            Err(why) => problems.push(why),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if words.len() < 2 {
        return Err(vec!["what is copied, and where to, are two words at least".to_owned()]);
    }
    let course = match (here.len(), there.len()) {
        (_, 0) => {
            return Err(vec![
                "none of these is in a sandbox: HUB:/PATH, or :/PATH in all chosen hubs".to_owned(),
            ]);
        }
        (0, _) => {
            return Err(vec![
                "nothing is copied from sandbox to sandbox; copy it here first, and from here".to_owned(),
            ]);
        }
        (_, 1) if last_is_there => match there.pop() {
            Some(to) => Course::Out { from: here, to },
            None => return Err(Vec::new()),
        },
        (1, _) if !last_is_there => match (here.pop(), there.first().map(|first| first.hubs.clone())) {
            (Some(to), Some(hubs)) => {
                if there.iter().any(|place| place.hubs != hubs) {
                    problems.push("what is copied at once comes from the same hubs".to_owned());
                }
                Course::Back { hubs, from: there.into_iter().map(|place| place.path).collect(), to }
            }
            _ => return Err(Vec::new()),
        },
        _ => {
            return Err(vec![
                "what is copied is either all here or all in sandboxes, and the last word is where it goes"
                    .to_owned(),
            ]);
        }
    };
    if let Course::Back { from, .. } = &course {
        problems.extend(names(from).err().unwrap_or_default());
    }
    if problems.is_empty() { Ok(course) } else { Err(problems) }
}

/// The names that paths in sandboxes get here: their last parts.
pub fn names(paths: &[String]) -> Result<Vec<&str>, Vec<String>> {
    let (mut names, mut problems): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for path in paths {
        match path.trim_end_matches('/').rsplit('/').next().unwrap_or_default() {
            "" | "." | ".." => problems.push(format!("{path:?} does not end with a name; give it one")),
            name if names.contains(&name) => {
                problems.push(format!("two of them are called {name:?}, and would be one file here"));
            }
            name => names.push(name),
        }
    }
    if problems.is_empty() { Ok(names) } else { Err(problems) }
}

/// Whether this names one hub and can name no other one: then what comes back is not put into directories of hubs.
pub fn is_one(hubs: &str) -> bool {
    HubName::new(hubs).is_ok()
}
