//! Adds hubs to `fleet.toml` and takes them out. Every other byte of the file stays as it is: `toml_edit` tells where
//! tables are and how values are written, and only those bytes are put in or cut out.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{EngineName, Fleet, Hub, HubName};

use super::load::{parse, read, unreadable};
use super::surroundings::Surroundings;
use super::{lock, values};

/// How long to wait for another process that edits the file: it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The mode of a new file. There are no secrets in it, and colleagues read it.
const MODE: u32 = 0o644;

/// The beginning of a new file.
const HEADER: &str = "\
# The hubs of this fleet. 'fleet new' adds one and 'fleet rm' takes one out; edit the rest by hand.
# Every key and its default: README.md. Secrets never go in this file: they stay in the openrc files.
#
# [defaults]
# ssh_user = \"ubuntu\"
# ssh_key = \"~/.ssh/id_ed25519\"
# project_domain = \"<project>.projects.jetstream-cloud.org\"
";

/// A hub that `fleet new` adds. What is `None` is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHub {
    /// Its name.
    pub name: HubName,
    /// Its master's address.
    pub ip: IpAddr,
    /// Its openrc; relative to the working directory, as it comes from the command line.
    pub openrc: PathBuf,
    /// The account on the master.
    pub ssh_user: Option<String>,
    /// The port of its sshd.
    pub ssh_port: Option<u16>,
    /// The private key; relative to the working directory.
    pub ssh_key: Option<PathBuf>,
    /// The jump host, or the word that undoes the default.
    pub ssh_jump: Option<String>,
    /// The private key for it; relative to the working directory.
    pub ssh_jump_key: Option<PathBuf>,
    /// The socket of an SSH agent, relative to the working directory, or the word that undoes the default.
    pub ssh_agent: Option<PathBuf>,
    /// The project's DNS domain.
    pub project_domain: Option<String>,
    /// The sandbox's image.
    pub image: Option<String>,
    /// The state directory; relative to the working directory.
    pub state: Option<PathBuf>,
    /// The container of the old scripts that is its sandbox.
    pub container: Option<String>,
    /// The engine that its sandbox lives on.
    pub engine: Option<EngineName>,
    /// What it is chosen by, beside its name.
    pub tags: Vec<String>,
}

/// All that [`add_hub`] would refuse, found before anything is done, and nothing written: the fleet as it would
/// be, and the new hub with what it inherits.
pub fn preview_hub(path: &Path, new: &NewHub) -> Result<(Fleet, Hub), Failure> {
    let real = real(path)?;
    let directory = files::parent(&real);
    rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let problem = format!("cannot write {}: {}: {error}", path.display(), directory.display());
        Failure::usage(problem)
            .hint("the hub would be added to this file; make its directory, or make it yours")
    })?;
    let (_, fleet, hub) = with_hub(path, new)?;
    Ok((fleet, hub))
}

/// The fleet of a file; of one with nothing in it where there is none yet.
pub fn load_or_new(path: &Path) -> Result<Fleet, Failure> {
    current(path).map(|(_, fleet)| fleet)
}

/// Adds a hub at the file's end. Makes the file where there is none. May wait 10 s for another process that edits it.
pub fn add_hub(path: &Path, new: &NewHub) -> Result<(), Failure> {
    edit(path, || with_hub(path, new).map(|(text, ..)| text))
}

/// Takes a hub out, with the comment lines that stand directly above it. May wait 10 s for another process that
/// edits the file.
pub fn remove_hub(path: &Path, name: &HubName) -> Result<(), Failure> {
    edit(path, || without_hub(path, name))
}

fn edit(path: &Path, change: impl FnOnce() -> Result<String, Failure>) -> Result<(), Failure> {
    let real = real(path)?;
    let _lock = lock::take(&real, PATIENCE)?;
    // The file is read under the lock, or what another process has just added would be lost.
    let text = change()?;
    let mode = fs::metadata(&real).map_or(MODE, |metadata| metadata.mode() & 0o7777);
    files::replace(&real, text.as_bytes(), mode).map_err(|error| Failure::failed(&error))
}

/// The file that a path leads to, so that a symbolic link is not replaced by a file.
fn real(path: &Path) -> Result<PathBuf, Failure> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(real),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => Ok(path.to_owned()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The text and the fleet that it declares; of a new file where there is none.
fn current(path: &Path) -> Result<(String, Fleet), Failure> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HEADER.to_owned(),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let fleet = parse(path, &text, &Surroundings::of(path)?).map_err(|problems| problems.failure(path))?;
    Ok((text, fleet))
}

fn with_hub(path: &Path, new: &NewHub) -> Result<(String, Fleet, Hub), Failure> {
    let (mut text, before) = current(path)?;
    tables(path, &text)?;
    text.push_str(separator(&text));
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    text.push_str(&render(new)?.replace('\n', line_break));
    // The file's own rules are the only ones there are: the hub is judged by reading it back.
    let mut after = parse(path, &text, &Surroundings::of(path)?)
        .map_err(|problems| refused(path, new, problems.messages()))?;
    let hub = after.hubs.pop().ok_or_else(|| unsafe_edit(path))?;
    if after != before || hub.name != new.name {
        return Err(unsafe_edit(path));
    }
    after.hubs.push(hub.clone());
    Ok((text, after, hub))
}

fn without_hub(path: &Path, name: &HubName) -> Result<String, Failure> {
    let (mut text, mut before) = current(path)?;
    let Some(index) = before.hubs.iter().position(|hub| hub.name == *name) else {
        return Err(Failure::usage(before.unknown_hub(name.as_str())));
    };
    let table = tables(path, &text)?.get(index).and_then(|table| extent(table, text.len()));
    let cut = table.map(|table| with_attached(&text, table)).ok_or_else(|| unsafe_edit(path))?;
    text.replace_range(cut, "");
    let after = parse(path, &text, &Surroundings::of(path)?).map_err(|_| unsafe_edit(path))?;
    before.hubs.remove(index);
    if after != before {
        return Err(unsafe_edit(path));
    }
    Ok(text)
}

/// The `[[hub]]` tables of a text that has been checked, with their places in it.
fn tables(path: &Path, text: &str) -> Result<ArrayOfTables, Failure> {
    let document = toml_edit::Document::parse(text).map_err(|_| unsafe_edit(path))?;
    match document.into_item() {
        Item::Table(mut root) => match root.remove("hub") {
            None => Ok(ArrayOfTables::new()),
            Some(Item::ArrayOfTables(tables)) => Ok(tables),
            Some(_) => Err(Failure::usage(format!(
                "{} has its hubs in one array, which fleet does not edit",
                path.display()
            ))
            .hint("write each hub as a [[hub]] table; the README shows how")),
        },
        _ => Err(unsafe_edit(path)),
    }
}

/// What no input should lead to. Nothing was written.
fn unsafe_edit(path: &Path) -> Failure {
    let mut failure =
        Failure::usage(format!("cannot edit {} without changing more of it than the hub", path.display()));
    failure.exit = Exit::Failed;
    failure.hint("edit it by hand; nothing was changed")
}

fn refused(path: &Path, new: &NewHub, messages: Vec<String>) -> Failure {
    let problems = messages
        .into_iter()
        .map(|message| format!("cannot add {} to {}: {message}", new.name, path.display()));
    Failure { exit: Exit::Usage, problems: problems.collect(), hint: None }
}

/// What makes a blank line between the text and what is added to it.
fn separator(text: &str) -> &'static str {
    let crlf = text.contains("\r\n");
    let lines = text.replace("\r\n", "\n");
    match (lines.as_str(), crlf) {
        ("", _) => "",
        (lines, _) if lines.ends_with("\n\n") || lines == "\n" => "",
        (lines, false) if lines.ends_with('\n') => "\n",
        (lines, true) if lines.ends_with('\n') => "\r\n",
        (_, false) => "\n\n",
        (_, true) => "\r\n\r\n",
    }
}

/// A hub as a table of the file.
fn render(new: &NewHub) -> Result<String, Failure> {
    let NewHub {
        name,
        ip,
        openrc,
        ssh_user,
        ssh_port,
        ssh_key,
        ssh_jump,
        ssh_jump_key,
        ssh_agent,
        project_domain,
        image,
        state,
        container,
        engine,
        tags,
    } = new;
    let agent = |path: &Path| {
        // The word, and no file of that name.
        if path == Path::new(values::NONE) { Ok(values::NONE.to_owned()) } else { path_text(path) }
    };
    let mut table = Table::new();
    let mut put = |key: &str, value: Option<toml_edit::Value>| {
        if let Some(value) = value {
            table.insert(key, Item::Value(value));
        }
    };
    put("name", Some(name.as_str().into()));
    put("ip", Some(ip.to_string().into()));
    put("openrc", Some(path_text(openrc)?.into()));
    put("ssh_user", ssh_user.as_ref().map(Into::into));
    put("ssh_port", ssh_port.map(|port| i64::from(port).into()));
    put("ssh_key", ssh_key.as_deref().map(path_text).transpose()?.map(Into::into));
    put("ssh_jump", ssh_jump.as_ref().map(Into::into));
    put("ssh_jump_key", ssh_jump_key.as_deref().map(path_text).transpose()?.map(Into::into));
    put("ssh_agent", ssh_agent.as_deref().map(agent).transpose()?.map(Into::into));
    put("project_domain", project_domain.as_ref().map(Into::into));
    put("image", image.as_ref().map(Into::into));
    put("state", state.as_deref().map(path_text).transpose()?.map(Into::into));
    put("container", container.as_ref().map(Into::into));
    put("engine", engine.as_ref().map(|engine| engine.as_str().into()));
    put("tags", (!tags.is_empty()).then(|| tags.iter().collect()));
    let mut tables = ArrayOfTables::new();
    tables.push(table);
    let mut document = DocumentMut::new();
    document.insert("hub", Item::ArrayOfTables(tables));
    Ok(document.to_string().trim_start_matches('\n').to_owned())
}

/// A path from the command line, absolute, because the file's relative paths start elsewhere.
fn path_text(path: &Path) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("{} cannot be written to the fleet's file: {why}", path.display()))
    };
    let home = std::env::home_dir();
    let path = files::expand_home(path, home.as_deref()).unwrap_or_else(|| path.to_owned());
    let absolute = std::path::absolute(&path).map_err(|error| wrong(&error.to_string()))?;
    absolute.into_os_string().into_string().map_err(|_| wrong("it is not UTF-8"))
}

/// Where a table is, from its header to its last value.
fn extent(table: &Table, length: usize) -> Option<Range<usize>> {
    let header = table.span()?;
    let values = table.iter().filter_map(|(_, item)| Some(item.span()?.end));
    let end = values.max().unwrap_or(header.end).max(header.end);
    (header.start <= end && end <= length).then_some(header.start..end)
}

/// A table's place, widened to what belongs to it: whole lines, the comment lines directly above, and one of
/// the blank lines that set it apart. Comments below it stay: they cannot be told from those of the table that
/// follows.
fn with_attached(text: &str, table: Range<usize>) -> Range<usize> {
    let mut start = line_start(text, table.start);
    while let Some((above, line)) = line_above(text, start)
        && line.trim_start().starts_with('#')
    {
        start = above;
    }
    let mut end = text[table.end..].find('\n').map_or(text.len(), |line_break| table.end + line_break + 1);
    let blank_above = line_above(text, start).filter(|(_, line)| line.trim().is_empty());
    let rest = &text[end..];
    let blank_below = rest.split_inclusive('\n').next().filter(|line| line.trim().is_empty());
    match (blank_above, blank_below) {
        // At the file's end, the blank line above set it apart; elsewhere either did.
        (Some((above, _)), _) if rest.is_empty() => start = above,
        (_, Some(line)) => end += line.len(),
        _ => {}
    }
    start..end
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |line_break| line_break + 1)
}

/// The line above the one that begins at `start`, and where it begins.
fn line_above(text: &str, start: usize) -> Option<(usize, &str)> {
    let end = start.checked_sub(1)?;
    let above = line_start(text, end);
    Some((above, &text[above..end]))
}
