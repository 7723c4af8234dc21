//! Completions with what the fleet's file has: the shell asks fleet itself, which reads that one file and asks nobody.
//!
//! Where the file cannot be read, or is half written, there is less to choose from, and never an error: somebody is in the middle of
//! a command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap_complete::engine::ValueCompleter as _;
use clap_complete::env::{EnvCompleter, Shells};
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};

use crate::cli::Cli;
use crate::config;
use crate::files;

/// Set by the shell when it asks.
pub const VARIABLE: &str = "FLEET_COMPLETE";

/// What an argument is completed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hubs,
    Tags,
    /// Hubs, or files here.
    Paths,
}

/// Answers a shell that asks, if one does: then that is all that this process is for.
pub fn answer() -> bool {
    CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), None).unwrap_or(true)
}

/// What a shell needs to ask. `program` is how it finds fleet.
pub fn registration(shell: &str, program: &str) -> std::io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell: &dyn EnvCompleter =
        shells.completer(shell).ok_or_else(|| std::io::Error::other(format!("unknown shell {shell}")))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "fleet", "fleet", program, &mut script)?;
    Ok(script)
}

/// fleet's command line, and what its arguments are completed with: they are known by what they are called in the help, so that a
/// new command needs nothing here.
fn command() -> clap::Command {
    with_completers(Cli::command())
}

fn with_completers(command: clap::Command) -> clap::Command {
    let is_cp = command.get_name() == "cp";
    let command = command.mut_args(|arg| match kind(&arg, is_cp) {
        Some(kind) => arg.add(ArgValueCompleter::new(move |current: &OsStr| complete(kind, current))),
        None => arg,
    });
    command.mut_subcommands(with_completers)
}

fn kind(arg: &clap::Arg, is_cp: bool) -> Option<Kind> {
    let named = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str().to_owned());
    match named.as_deref() {
        Some("HUB" | "HUB,...") => Some(Kind::Hubs),
        Some("TAG,...") => Some(Kind::Tags),
        Some("PATH") if is_cp => Some(Kind::Paths),
        _ if ["hub", "hubs"].contains(&arg.get_id().as_str()) => Some(Kind::Hubs),
        _ => None,
    }
}

fn complete(kind: Kind, current: &OsStr) -> Vec<CompletionCandidate> {
    let known = std::env::args_os().collect::<Vec<_>>();
    let known = Known::read(named_config(&known).as_deref());
    let Some(text) = current.to_str() else { return Vec::new() };
    candidates(kind, text, &known)
}

fn candidates(kind: Kind, current: &str, known: &Known) -> Vec<CompletionCandidate> {
    match kind {
        Kind::Paths => {
            let hubs =
                known.hubs.iter().filter(|(name, _)| !current.contains('/') && name.starts_with(current));
            let hubs = hubs.map(|(name, _)| CompletionCandidate::new(format!("{name}:/")));
            let files = clap_complete::PathCompleter::any();
            hubs.chain(files.complete(OsStr::new(current))).collect()
        }
        Kind::Hubs => {
            let each = known.hubs.iter().map(|(name, tags)| (name.as_str(), tags.join(", ")));
            last_of_list(current, each)
        }
        Kind::Tags => {
            let mut tags: Vec<&str> =
                known.hubs.iter().flat_map(|(_, tags)| tags).map(String::as_str).collect();
            tags.sort_unstable();
            tags.dedup();
            last_of_list(current, tags.into_iter().map(|tag| (tag, String::new())))
        }
    }
}

/// The last part of a list with commas; what is in it already is not offered again.
fn last_of_list<'k>(
    current: &str,
    names: impl Iterator<Item = (&'k str, String)>,
) -> Vec<CompletionCandidate> {
    let (before, last) = match current.rfind(',') {
        Some(comma) => current.split_at(comma + 1),
        None => ("", current),
    };
    let used: Vec<&str> = before.split(',').collect();
    names
        .filter(|(name, _)| name.starts_with(last) && !used.contains(name))
        .map(|(name, help)| {
            let help = (!help.is_empty()).then(|| StyledStr::from(help));
            CompletionCandidate::new(format!("{before}{name}")).help(help)
        })
        .collect()
}

/// `--config` on the command line that is completed: behind `--` of this process's own.
fn named_config(args: &[OsString]) -> Option<PathBuf> {
    let line = args.iter().skip_while(|arg| *arg != "--").skip(1).collect::<Vec<_>>();
    line.iter().enumerate().find_map(|(place, arg)| {
        let arg = arg.to_str()?;
        if arg == "--config" {
            return line.get(place + 1).map(PathBuf::from);
        }
        arg.strip_prefix("--config=").map(PathBuf::from)
    })
}

/// What the fleet's file has, as far as it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// Names, each with its tags.
    hubs: Vec<(String, Vec<String>)>,
}

impl Known {
    fn read(named: Option<&Path>) -> Self {
        // The shell has not taken care of `~` yet.
        let home = std::env::home_dir();
        let named = named.and_then(|path| files::expand_home(path, home.as_deref()));
        let Ok(path) = config::find(named.as_deref()) else { return Self::default() };
        // A pipe or a device would keep the shell waiting.
        if !path.is_file() {
            return Self::default();
        }
        std::fs::read_to_string(path).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let Ok(file) = text.parse::<toml::Table>() else { return Self::default() };
        let strings = |value: &toml::Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        };
        let hubs = file.get("hub").and_then(toml::Value::as_array).into_iter().flatten();
        let hubs = hubs.filter_map(|hub| {
            let name = hub.get("name")?.as_str()?.to_owned();
            Some((name, hub.get("tags").map(strings).unwrap_or_default()))
        });
        Self { hubs: hubs.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "state_dir = 1\n[[hub]]\nname = \"ou23s\"\ntags = [\"gpu\", \"fall\"]\n[[hub]]\nname = \"ou24s\"\n[[hub]]\nip = 1\n[[hub]]\nname = \"fsu\"\ntags = [\"gpu\"]\n";

    fn offered(kind: Kind, current: &str) -> Vec<String> {
        let all = candidates(kind, current, &Known::parse(FILE));
        all.iter().map(|one| one.get_value().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn hubs_and_tags_are_offered_one_after_the_other() {
        assert_eq!(offered(Kind::Hubs, ""), ["ou23s", "ou24s", "fsu"]);
        assert_eq!(offered(Kind::Hubs, "ou"), ["ou23s", "ou24s"]);
        assert_eq!(offered(Kind::Hubs, "fsu,ou23s,"), ["fsu,ou23s,ou24s"]);
        assert_eq!(offered(Kind::Tags, ""), ["fall", "gpu"]);
        assert_eq!(offered(Kind::Tags, "gpu,f"), ["gpu,fall"]);
        assert_eq!(offered(Kind::Paths, "fs"), ["fsu:/"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_offers_nothing() {
        for text in ["", "hub", "[[hub", "hub = 1", "[[hub]]\nname = 1\n"] {
            assert_eq!(Known::parse(text), Known::default(), "{text}");
        }
        assert_eq!(Known::read(Some(Path::new("/nonexistent/fleet.toml"))), Known::default());
    }

    #[test]
    fn the_file_is_the_one_that_the_command_line_names() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(named_config(&args(&["fleet", "--", "fleet", "--config", "a", "exec"])), Some("a".into()));
        assert_eq!(named_config(&args(&["fleet", "--", "fleet", "exec", "--config=b"])), Some("b".into()));
        assert_eq!(named_config(&args(&["fleet", "--config", "a", "--", "fleet", "--config"])), None);
    }

    #[test]
    fn every_argument_that_takes_hubs_is_completed() {
        fn missing(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                if ["hub", "hubs", "exclude", "tag"].contains(&id) && arg.get::<ArgValueCompleter>().is_none()
                {
                    found.push(format!("{path} {id}"));
                }
            }
            for command in command.get_subcommands() {
                missing(command, &format!("{path} {}", command.get_name()), found);
            }
        }
        let mut found = Vec::new();
        missing(&command(), "fleet", &mut found);
        assert_eq!(found, [""; 0]);
    }
}
