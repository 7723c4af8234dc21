//! What can stand in `fleet.toml`, table by table, and what holds where a key is left out.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use crate::hub::{
    EngineName, ExecRules, Foreign, HubName, JumpAddress, OrphanRules, SandboxSettings, Timeouts,
};

use super::endpoint::{Usual, usual_engine};
use super::engine::EngineTable;
use super::problems::Problems;
use super::reader::Reader;
use super::surroundings::Surroundings;
use super::values;

/// The fleet's name where none is given.
pub(super) const NAME: &str = "fleet";
/// Where state directories are, from the file's directory.
pub(super) const STATE_DIR: &str = "jhubs";
/// What `images/sandbox` builds.
pub(super) const IMAGE: &str = "fleet/sandbox:latest";
/// The account of Ubuntu's cloud images, which the masters run.
pub(super) const SSH_USER: &str = "ubuntu";
/// SSH's port.
pub(super) const SSH_PORT: u16 = 22;
/// The keys that OpenSSH itself tries, the better one first.
pub(super) const SSH_KEYS: [&str; 2] = [".ssh/id_ed25519", ".ssh/id_rsa"];

/// Enough for two `openstack` clients at once, each 150 MiB, beside `kubectl` and `helm`.
const MEMORY: u64 = 1 << 30;
const PIDS: u32 = 512;
/// The kernel's own most (`PID_MAX_LIMIT`); with fewer than 16 no shell pipeline runs beside the tunnel.
const PIDS_BOUNDS: std::ops::RangeInclusive<i64> = 16..=4_194_304;

const TIMEOUTS: Timeouts = Timeouts {
    engine: Duration::from_secs(30),
    ssh: Duration::from_secs(20),
    openrc: Duration::from_secs(10),
    openstack: Duration::from_secs(30),
    kubernetes: Duration::from_secs(15),
    tunnel: Duration::from_secs(30),
};

const MIN_AGE: Duration = Duration::from_hours(24);
/// Measured on real parts: from 8 to 32 the wait for Cinder goes away; beyond that its API has no more to give.
const PARALLEL: usize = 32;
/// Long enough to have a plan reviewed by somebody who works in another part of the day.
const PLAN_EXPIRES: Duration = Duration::from_hours(24);
/// More deletions at once than Cinder's workers take are only queued there.
const PARALLEL_BOUNDS: std::ops::RangeInclusive<i64> = 1..=256;

/// More than that, nobody reads line by line.
const BRAKE_VOLUMES: u64 = 50;
/// More than any project has.
const BRAKE_VOLUMES_BOUNDS: std::ops::RangeInclusive<i64> = 0..=1_000_000;
/// Users come and go, but not every fifth one between two looks.
const BRAKE_PERCENT: u64 = 20;

/// What takes something away that nobody can bring back.
const GUARD: [&str; 3] = ["kubectl delete", "openstack * delete", "helm uninstall"];

/// The file, key by key checked, nothing filled in.
pub(super) struct File {
    pub name: Option<String>,
    pub state_dir: Option<PathBuf>,
    pub engine: Option<Spanned<Usual>>,
    pub engines: Vec<EngineTable>,
    pub image: Option<String>,
    pub sandbox: SandboxSettings,
    pub timeouts: Timeouts,
    pub orphans: OrphanRules,
    pub exec: ExecRules,
    pub defaults: Master,
    pub hubs: Vec<HubTable>,
    pub foreign: Vec<ForeignTable>,
}

/// The keys that `[defaults]` and every `[[hub]]` have in common.
pub(super) struct Master {
    pub ssh_user: Option<String>,
    pub ssh_port: Option<u16>,
    pub ssh_key: Option<PathBuf>,
    /// `Some(None)`: the default does not hold here.
    pub ssh_jump: Option<Spanned<Option<JumpAddress>>>,
    pub ssh_jump_key: Option<Spanned<PathBuf>>,
    /// `Some(None)`: the default does not hold here.
    pub ssh_agent: Option<Spanned<Option<PathBuf>>>,
    pub project_domain: Option<Spanned<String>>,
}

/// One `[[hub]]`.
pub(super) struct HubTable {
    /// Where it begins.
    pub at: usize,
    pub name: Option<Spanned<HubName>>,
    pub ip: Option<Spanned<IpAddr>>,
    pub openrc: Option<PathBuf>,
    pub master: Master,
    pub image: Option<String>,
    pub state: Option<Spanned<PathBuf>>,
    pub container: Option<Spanned<String>>,
    pub tags: Vec<String>,
    pub engine: Option<Spanned<EngineName>>,
}

/// One `[[foreign]]`.
pub(super) struct ForeignTable {
    pub name: Option<Spanned<String>>,
    pub reason: Option<String>,
    pub project: Option<Spanned<String>>,
}

impl File {
    pub(super) fn read(mut reader: Reader, around: &Surroundings, problems: &mut Problems) -> Self {
        let name = reader.parsed("name", problems, fleet_name).map(Spanned::into_inner);
        let state_dir = path(&mut reader, "state_dir", around, problems);
        let engine = reader.parsed("engine", problems, usual_engine);
        let tables = reader.named_tables("engines", "[engines]", "[engines.NAME]", problems);
        let engines = tables
            .into_iter()
            .filter_map(|(name, table)| EngineTable::read(&name, table, around, problems))
            .collect();
        let (image, sandbox) = sandbox(reader.table("sandbox", "[sandbox]", problems), problems);
        let timeouts = timeouts(reader.table("timeouts", "[timeouts]", problems), problems);
        let orphans = orphans(reader.table("orphans", "[orphans]", problems), problems);
        let exec = exec(reader.table("exec", "[exec]", problems), problems);
        let mut table = reader.table("defaults", "[defaults]", problems);
        let defaults = Master::read(&mut table, around, problems);
        table.finish(problems);
        let tables = reader.tables("hub", "[[hub]]", problems);
        let hubs = tables.into_iter().map(|table| HubTable::read(table, around, problems)).collect();
        let tables = reader.tables("foreign", "[[foreign]]", problems);
        let foreign = tables.into_iter().map(|table| ForeignTable::read(table, problems)).collect();
        reader.finish(problems);
        Self {
            name,
            state_dir,
            engine,
            engines,
            image,
            sandbox,
            timeouts,
            orphans,
            exec,
            defaults,
            hubs,
            foreign,
        }
    }
}

impl Master {
    fn read(reader: &mut Reader, around: &Surroundings, problems: &mut Problems) -> Self {
        Self {
            ssh_user: reader.parsed("ssh_user", problems, values::user).map(Spanned::into_inner),
            ssh_port: reader.integer("ssh_port", 1..=i64::from(u16::MAX), problems),
            ssh_key: path(reader, "ssh_key", around, problems),
            ssh_jump: reader.parsed("ssh_jump", problems, |text| values::unless_none(text, values::jump)),
            ssh_jump_key: reader.parsed("ssh_jump_key", problems, |text| around.path(text)),
            ssh_agent: reader.parsed("ssh_agent", problems, |text| {
                values::unless_none(text, |text| around.path(text).and_then(values::agent))
            }),
            project_domain: reader.parsed("project_domain", problems, values::domain),
        }
    }
}

impl HubTable {
    fn read(mut reader: Reader, around: &Surroundings, problems: &mut Problems) -> Self {
        reader.require("name", "what the hub is called", problems);
        reader.require("ip", "the address of its master", problems);
        reader.require("openrc", "the file with its OpenStack credentials", problems);
        let hub = Self {
            at: reader.at(),
            name: reader.parsed("name", problems, |text| HubName::new(text).map_err(|bad| bad.to_string())),
            ip: reader.parsed("ip", problems, values::ip),
            openrc: path(&mut reader, "openrc", around, problems),
            master: Master::read(&mut reader, around, problems),
            image: reader.parsed("image", problems, values::image).map(Spanned::into_inner),
            state: reader.parsed("state", problems, |text| around.path(text)),
            container: reader.parsed("container", problems, values::container),
            tags: reader.list("tags", problems, values::tag).unwrap_or_default(),
            engine: reader.parsed("engine", problems, EngineName::new),
        };
        reader.finish(problems);
        hub
    }
}

impl ForeignTable {
    fn read(mut reader: Reader, problems: &mut Problems) -> Self {
        reader.require("name", "the cluster's name, as its servers or its volumes carry it", problems);
        reader.require("reason", "why none of the volumes that do not carry its name are its", problems);
        let word = |text: &str| Ok(text.trim().to_owned());
        let foreign = Self {
            name: reader.parsed("name", problems, word),
            reason: reader.parsed("reason", problems, word).map(Spanned::into_inner),
            project: reader.parsed("project", problems, word),
        };
        reader.finish(problems);
        foreign
    }

    /// What it says; `None` where it has a problem.
    pub(super) fn complete(self) -> Option<Foreign> {
        let Self { name, reason, project } = self;
        Some(Foreign { name: name?.into_inner(), reason: reason?, project: project.map(Spanned::into_inner) })
    }
}

fn fleet_name(text: &str) -> Result<String, String> {
    // Containers are named after it, as servers are after a hub.
    HubName::new(text).map(String::from).map_err(|bad| bad.to_string())
}

pub(super) fn path(
    reader: &mut Reader,
    key: &'static str,
    around: &Surroundings,
    problems: &mut Problems,
) -> Option<PathBuf> {
    reader.parsed(key, problems, |text| around.path(text)).map(Spanned::into_inner)
}

fn sandbox(mut reader: Reader, problems: &mut Problems) -> (Option<String>, SandboxSettings) {
    let image = reader.parsed("image", problems, values::image).map(Spanned::into_inner);
    let settings = SandboxSettings {
        memory: reader.parsed("memory", problems, values::memory).map_or(MEMORY, Spanned::into_inner),
        pids: reader.integer("pids", PIDS_BOUNDS, problems).unwrap_or(PIDS),
        network: reader.parsed("network", problems, values::network).map(Spanned::into_inner),
    };
    reader.finish(problems);
    (image, settings)
}

fn timeouts(mut reader: Reader, problems: &mut Problems) -> Timeouts {
    let mut wait =
        |key, default| reader.parsed(key, problems, values::wait).map_or(default, Spanned::into_inner);
    let timeouts = Timeouts {
        engine: wait("engine", TIMEOUTS.engine),
        ssh: wait("ssh", TIMEOUTS.ssh),
        openrc: wait("openrc", TIMEOUTS.openrc),
        openstack: wait("openstack", TIMEOUTS.openstack),
        kubernetes: wait("kubernetes", TIMEOUTS.kubernetes),
        tunnel: wait("tunnel", TIMEOUTS.tunnel),
    };
    reader.finish(problems);
    timeouts
}

fn orphans(mut reader: Reader, problems: &mut Problems) -> OrphanRules {
    let rules = OrphanRules {
        min_age: reader.parsed("min_age", problems, values::duration).map_or(MIN_AGE, Spanned::into_inner),
        parallel: reader.integer("parallel", PARALLEL_BOUNDS, problems).unwrap_or(PARALLEL),
        brake_volumes: reader
            .integer("brake_volumes", BRAKE_VOLUMES_BOUNDS, problems)
            .unwrap_or(BRAKE_VOLUMES),
        brake_percent: reader.integer("brake_percent", 0..=100, problems).unwrap_or(BRAKE_PERCENT),
        plan_expires: reader
            .parsed("plan_expires", problems, values::lifetime)
            .map_or(PLAN_EXPIRES, Spanned::into_inner),
        // They have tables of their own.
        foreign: Vec::new(),
    };
    reader.finish(problems);
    rules
}

fn exec(mut reader: Reader, problems: &mut Problems) -> ExecRules {
    let guard = reader.list("guard", problems, values::guard);
    reader.finish(problems);
    ExecRules { guard: guard.unwrap_or_else(|| GUARD.map(str::to_owned).into()) }
}
