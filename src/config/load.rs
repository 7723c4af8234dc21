//! From the file's text to a [`Fleet`] with everything filled in, or to all of its problems.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File as OpenFile;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use crate::exit::Failure;
use crate::hub::{Fleet, Hub, HubDefaults, JumpHost, SshTarget};
use crate::plan::agent::Around;

use super::check::{agents, check};
use super::engines::Engines;
use super::problems::Problems;
use super::reader::Reader;
use super::schema::{self, File, ForeignTable, HubTable, Master};
use super::surroundings::Surroundings;

/// The most that is read: a file of a thousand hubs has 200 KiB.
const MOST_BYTES: u64 = 4 << 20;

/// Loads and checks the fleet's file. Every problem in it is told at once, each as a line that begins with the
/// file, the line and the column. The openrc files are not looked at: one that is gone must not hide the other
/// hubs.
pub fn load(path: &Path) -> Result<Fleet, Failure> {
    let text = read(path).map_err(|error| unreadable(path, &error))?;
    parse(path, &text, &Surroundings::of(path)?).map_err(|problems| problems.failure(path))
}

/// The file's text.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    OpenFile::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (good, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        // One piece more than line breaks.
        let line = good.split(|byte| *byte == b'\n').count();
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8 text"))
    })
}

/// Says that the file could not be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::usage(format!("cannot read {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound => failure.hint(
            "name the fleet's file with --config or $FLEET_CONFIG; 'fleet new' makes it with the first hub",
        ),
        _ => failure,
    }
}

/// The fleet that a text declares.
pub(super) fn parse<'t>(path: &Path, text: &'t str, around: &Surroundings) -> Result<Fleet, Problems<'t>> {
    let mut problems = Problems::of(text);
    let readable = readable(text, &mut problems);
    let (root, _) = DeTable::parse_recoverable(&readable);
    let file = File::read(Reader::new(root.get_ref(), 0, "the file"), around, &mut problems);
    check(&file, &mut problems);
    let shown: Vec<_> = agents(&file).collect();
    let fleet = fill_in(path, file, around, &mut problems);
    for (at, socket) in shown {
        if let Some(why) =
            Around::of(&fleet, around.home.as_deref()).refuses(socket.parent().unwrap_or(&socket))
        {
            problems.add(at, format!("\"ssh_agent\": {}: {why}", socket.display()));
        }
    }
    if problems.is_empty() { Ok(fleet) } else { Err(problems) }
}

/// How often the parser is started again.
const ROUNDS: usize = 20;

/// Notes the syntax errors, and blanks the lines that the parser goes no further than, so that the rest of the
/// file is checked as well. Every other byte stays in its place.
fn readable<'t>(text: &'t str, problems: &mut Problems<'t>) -> Cow<'t, str> {
    let mut readable = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        let (_, errors) = DeTable::parse_recoverable(&readable);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            problems.syntax(at, format!("this is not TOML: {}", explain(error.message())));
        }
        match blank(&readable, problems.broken_lines()) {
            Some(blanked) => readable = Cow::Owned(blanked),
            None => break,
        }
    }
    readable
}

/// The parser's message, which is made of its own words alone, never of the file's.
fn explain(message: &str) -> &str {
    // What it says of `ip = 149.165.1.2` and of `name = hub`, which are the likely slips.
    if message.starts_with("invalid float")
        || message.starts_with("invalid integer")
        || message.contains("must be quoted")
    {
        return "a value here is neither a number nor text in quotes";
    }
    message
}

/// The text with spaces in the place of those lines of it that have a key and no value. `None` where there is
/// nothing to blank.
fn blank(text: &str, lines: &BTreeSet<usize>) -> Option<String> {
    let stops = |index: usize, line: &str| {
        let line_stops =
            !line.contains('=') && !line.trim_start().starts_with('[') && !line.trim().is_empty();
        line_stops && lines.contains(&(index + 1))
    };
    let lines = || text.split_inclusive('\n').enumerate();
    lines().any(|(index, line)| stops(index, line)).then(|| {
        let blanked = |line: &str| line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        lines()
            .map(|(index, line)| if stops(index, line) { blanked(line) } else { line.to_owned() })
            .collect()
    })
}

/// Puts in what is inherited. Hubs that are incomplete are left out: each has a problem already.
fn fill_in(path: &Path, file: File, around: &Surroundings, problems: &mut Problems) -> Fleet {
    let File {
        name,
        state_dir,
        engine,
        engines,
        image,
        sandbox,
        timeouts,
        mut orphans,
        exec,
        defaults,
        hubs,
        foreign,
    } = file;
    orphans.foreign = foreign.into_iter().filter_map(ForeignTable::complete).collect();
    let state_dir = state_dir.unwrap_or_else(|| around.base.join(schema::STATE_DIR));
    let defaults = HubDefaults {
        ssh_user: defaults.ssh_user.unwrap_or_else(|| schema::SSH_USER.to_owned()),
        ssh_port: defaults.ssh_port.unwrap_or(schema::SSH_PORT),
        ssh_key: defaults.ssh_key,
        ssh_jump: defaults.ssh_jump.and_then(Spanned::into_inner),
        ssh_jump_key: defaults.ssh_jump_key.map(Spanned::into_inner),
        ssh_agent: defaults.ssh_agent.and_then(Spanned::into_inner),
        project_domain: defaults.project_domain.map(Spanned::into_inner),
        image: image.unwrap_or_else(|| schema::IMAGE.to_owned()),
    };
    let engines = Engines::of(engine.as_ref().map(toml::Spanned::get_ref), &engines, around, problems);
    let usual_key = usual_key(around.home.as_deref());
    let hubs = hubs
        .into_iter()
        .filter_map(|table| hub(table, &defaults, &state_dir, usual_key.as_deref(), &engines, problems))
        .collect();
    let Engines { all: engines, usual: usual_engine } = engines;
    Fleet {
        path: around.base.join(path.file_name().unwrap_or_default()),
        name: name.unwrap_or_else(|| schema::NAME.to_owned()),
        engines,
        usual_engine,
        state_dir,
        sandbox,
        timeouts,
        orphans,
        exec,
        defaults,
        hubs,
    }
}

fn hub(
    table: HubTable,
    defaults: &HubDefaults,
    state_dir: &Path,
    usual_key: Option<&Path>,
    engines: &Engines,
    problems: &mut Problems,
) -> Option<Hub> {
    let HubTable { at, name, ip, openrc, master, image, state, container, tags, engine } = table;
    let project_domain = master.project_domain.clone();
    let ssh = ssh_target(master, defaults, usual_key);
    if ssh.is_none() {
        problems.missing(
            at,
            "[[hub]] needs \"ssh_key\": there is no home directory to look for one in".to_owned(),
        );
    }
    let (name, ip) = (name?.into_inner(), ip?.into_inner());
    Some(Hub {
        state: state.map_or_else(|| state_dir.join(name.as_str()), Spanned::into_inner),
        name,
        ip,
        openrc: openrc?,
        ssh: ssh?,
        project_domain: project_domain.map(Spanned::into_inner).or_else(|| defaults.project_domain.clone()),
        image: image.unwrap_or_else(|| defaults.image.clone()),
        container: container.map(Spanned::into_inner),
        engine: engines.of_hub(engine.as_ref().map(Spanned::get_ref), &tags),
        tags,
    })
}

/// How a master is reached; `None` where no key is known.
fn ssh_target(own: Master, defaults: &HubDefaults, usual_key: Option<&Path>) -> Option<SshTarget> {
    let key = own.ssh_key.or_else(|| defaults.ssh_key.clone()).or_else(|| usual_key.map(Path::to_owned))?;
    let jump = own.ssh_jump.map_or_else(|| defaults.ssh_jump.clone(), Spanned::into_inner);
    let jump_key = own.ssh_jump_key.map(Spanned::into_inner).or_else(|| defaults.ssh_jump_key.clone());
    Some(SshTarget {
        user: own.ssh_user.unwrap_or_else(|| defaults.ssh_user.clone()),
        port: own.ssh_port.unwrap_or(defaults.ssh_port),
        jump: jump.map(|at| JumpHost { at, key: jump_key.unwrap_or_else(|| key.clone()) }),
        agent: own.ssh_agent.map_or_else(|| defaults.ssh_agent.clone(), Spanned::into_inner),
        key,
    })
}

/// The key where none is given: the first of the usual ones that is there. If none is, the better one, so that
/// the error that follows names it.
fn usual_key(home: Option<&Path>) -> Option<PathBuf> {
    let keys = schema::SSH_KEYS.map(|key| home.map(|home| home.join(key)));
    keys.iter().flatten().find(|key| key.is_file()).or(keys.iter().flatten().next()).cloned()
}
