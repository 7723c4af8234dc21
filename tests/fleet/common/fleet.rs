//! A fleet of a test's own: its file, its copies of openrc and key, and what fleet printed.

use std::collections::hash_map::DefaultHasher;
use std::fs::OpenOptions;
use std::hash::{Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::pty::Pty;
use super::sweeper::Sweeper;
use super::world::{WorldHub, docker, try_sh, world};

/// A fleet with a directory of its own. When it is dropped, its sandboxes go with it.
pub struct Fleet {
    pub name: String,
    pub dir: TempDir,
}

/// What a run of fleet gave.
pub struct Run {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// What a process of it gave.
    pub fn of(output: &Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run, if it ended with that status.
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{}\n{}", self.stdout, self.stderr))
    }

    /// Fails unless standard error has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "standard error does not say {text:?}:\n{}", self.stderr);
        self
    }

    /// Fails unless standard output has this text.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "standard output does not have {text:?}:\n{}", self.stdout);
        self
    }

    /// What one hub printed to standard output, without the hub's name in front of each line.
    pub fn lines_of(&self, hub: &str) -> Vec<&str> {
        lines_of(&self.stdout, hub)
    }
}

/// The lines that begin with a hub's name, without it.
pub fn lines_of<'a>(text: &'a str, hub: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(" | "))
        .filter(|(name, _)| name.trim_end() == hub)
        .map(|(_, line)| line)
        .collect()
}

/// A fleet command that runs beside the test.
pub struct Background(Child);

impl Background {
    /// Sends it a signal: `INT`, `TERM`.
    pub fn signal(&self, signal: &str) {
        try_sh("kill", &[&format!("-{signal}"), &self.0.id().to_string()]);
    }

    /// Waits until it has ended.
    pub fn end(self) -> Run {
        Run::of(&self.0.wait_with_output().expect("fleet ends"))
    }
}

/// Clusters that volumes name which the seed and tests plant, and that no fleet here has.
const FOREIGN: [&str; 2] = ["somebody-elses", "elsewhere"];

/// `[[foreign]]` tables for clusters.
pub fn answers(clusters: &[&str]) -> String {
    let table = |name: &&str| {
        format!("\n[[foreign]]\nname = \"{name}\"\nreason = \"all its volumes carry its name\"\n")
    };
    clusters.iter().map(table).collect()
}

/// Where all fleets of this process have their directories. What is left of them goes with this process, containers too.
fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<(PathBuf, Sweeper)> = OnceLock::new();
    let (path, _) = SCRATCH.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("fleet-test-").tempdir().expect("a directory").keep();
        let rest = "docker ps -aq --filter \"name=^$1-\" | xargs -r docker rm -f; rm -rf \"$2\"";
        let sweeper = Sweeper::new(Command::new("sh"), rest, &[prefix().as_ref(), dir.as_os_str()]);
        (dir, sweeper)
    });
    path
}

/// The fleet command for the `fleet.toml` of a directory, ready to be run.
pub fn fleet_in(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command
        .args(args)
        .current_dir(dir)
        .env("FLEET_CONFIG", dir.join("fleet.toml"))
        .env_remove("DOCKER_HOST")
        .stdin(Stdio::null());
    command
}

/// What the names of this process's fleets begin with.
fn prefix() -> String {
    format!("test-{}", std::process::id())
}

impl Fleet {
    /// One without hubs. Its openrc files and key are copies that the test may break.
    pub fn empty() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", prefix(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::tempdir_in(scratch()).expect("a directory");
        let fleet = Self { name, dir };
        for project in ["alpha", "beta", "expired"] {
            let copy = fleet.openrc(project);
            std::fs::copy(world().openrc(project), &copy).expect("the world has an openrc");
        }
        std::fs::copy(world().key(), fleet.path("id_ed25519")).expect("the world has a key");
        fleet.write("fleet.toml", &fleet.header());
        fleet
    }

    /// What its file begins with.
    pub fn header(&self) -> String {
        format!(
            "# A fleet for a test.\nname = \"{}\"\n\n[sandbox]\nnetwork = \"{}\"\n\n[defaults]\nssh_key = \"id_ed25519\"  # a copy\nproject_domain = \"test.example\"\n{}",
            self.name,
            world().network.name,
            answers(&FOREIGN)
        )
    }

    /// Answers in its file for clusters that are none of its hubs.
    pub fn answer_for(&self, clusters: &[&str]) {
        self.write("fleet.toml", &format!("{}{}", self.toml(), answers(clusters)));
    }

    /// One without hubs, with more in its file: `[timeouts]`, say.
    pub fn with_settings(settings: &str) -> Self {
        let fleet = Self::empty();
        fleet.write("fleet.toml", &format!("{}\n{settings}\n", fleet.header()));
        fleet
    }

    /// One with these hubs of the world.
    #[track_caller]
    pub fn with(hubs: &[&str]) -> Self {
        let fleet = Self::empty();
        for hub in hubs {
            fleet.add(world().hub(hub)).exits(0);
        }
        fleet
    }

    /// A path in its directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its copy of a project's openrc.
    pub fn openrc(&self, project: &str) -> PathBuf {
        self.path(format!("openrc-{project}.sh"))
    }

    /// Its file.
    pub fn toml(&self) -> String {
        std::fs::read_to_string(self.path("fleet.toml")).expect("fleet.toml")
    }

    /// Writes a file in its directory.
    #[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// Writes a file of its directory without giving it another inode: a sandbox holds a file and not its name.
    pub fn write_in_place(&self, name: &str, text: &str) {
        let mut file =
            OpenOptions::new().write(true).truncate(true).open(self.path(name)).expect("it is there");
        file.write_all(text.as_bytes()).expect("written");
    }

    /// Puts a new file in the place of one of its directory, as editors do.
    pub fn write_by_rename(&self, name: &str, text: &str) {
        let scratch = format!("{name}.new");
        self.write(&scratch, text);
        let mode = std::fs::metadata(self.path(name)).expect("it is there").permissions();
        std::fs::set_permissions(self.path(&scratch), mode).expect("set");
        std::fs::rename(self.path(&scratch), self.path(name)).expect("renamed");
    }

    /// A file of its directory.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `fleet new` for a hub of the world.
    pub fn add(&self, hub: &WorldHub) -> Run {
        self.add_as(&hub.name, hub, &[])
    }

    /// `fleet new` for a hub of the world under another name, with more arguments.
    pub fn add_as(&self, name: &str, hub: &WorldHub, more: &[&str]) -> Run {
        let openrc = self.openrc(&hub.project);
        let mut args =
            vec!["new", "--name", name, "--ip", &hub.ip, "--openrc", openrc.to_str().expect("UTF-8")];
        args.extend(more);
        self.run(&args)
    }

    /// The command, ready to be run.
    pub fn command(&self, args: &[&str]) -> Command {
        fleet_in(self.dir.path(), args)
    }

    /// Starts fleet beside the test.
    pub fn start(&self, args: &[&str]) -> Background {
        let mut command = self.command(args);
        Background(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("fleet starts"))
    }

    /// Another file for the same hubs and sandboxes: this one with more settings. For `--config`.
    pub fn variant(&self, name: &str, settings: &str) -> String {
        self.write(name, &format!("{}\n{settings}\n", self.toml()));
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// Starts fleet in a terminal of its own. No argument has a blank in it.
    pub fn at_terminal(&self, args: &[&str]) -> Pty {
        let script = format!("exec {} {}", env!("CARGO_BIN_EXE_fleet"), args.join(" "));
        Pty::run(&script, |command| {
            command
                .current_dir(self.dir.path())
                .env("FLEET_CONFIG", self.path("fleet.toml"))
                .env_remove("DOCKER_HOST");
        })
    }

    /// Runs fleet.
    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().expect("fleet starts"))
    }

    /// A hub's container.
    pub fn container(&self, hub: &str) -> String {
        format!("{}-{hub}", self.name)
    }

    /// Ids of all its containers, stopped ones too.
    pub fn containers(&self) -> Vec<String> {
        let filter = format!("label=fleet.name={}", self.name);
        docker(&["ps", "-aq", "--filter", &filter]).lines().map(str::to_owned).collect()
    }

    /// Everything in its directory, for before and after: kind, mode and content.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(self.dir.path(), self.dir.path(), &mut found);
        found.sort();
        found
    }

    /// Everything that a command could have changed: its files, its containers, and the engine's networks and volumes of
    /// its name.
    pub fn everything(&self) -> Vec<String> {
        let mut all = self.files();
        all.extend(
            docker(&["ps", "-aq", "--filter", &format!("name=^{}-", self.name)]).lines().map(str::to_owned),
        );
        for kind in ["network", "volume"] {
            all.push(docker(&[kind, "ls", "-q", "--filter", &format!("name={}", self.name)]));
        }
        all
    }

    /// The state directory of a hub.
    pub fn state(&self, hub: &str) -> PathBuf {
        self.path("jhubs").join(hub)
    }

    /// Command lines of all processes in a hub's sandbox.
    pub fn processes(&self, hub: &str) -> Vec<String> {
        // docker looks for the id itself
        let table = docker(&["top", &self.container(hub), "-eo", "pid,args"]);
        let command = |line: &str| line.trim_start().split_once(' ').map(|(_, args)| args.to_owned());
        table.lines().skip(1).filter_map(command).collect()
    }
}

/// What fleet remembers of its own doings.
const RECORDS: [&str; 3] = ["jhubs/_fleet/history.jsonl", "jhubs/_fleet/sandboxes", "jhubs/_fleet/engines"];

fn walk(root: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        let meta = std::fs::symlink_metadata(&path).expect("it is there");
        let name = path.strip_prefix(root).expect("it is below").display().to_string();
        // Commands write down what they did, also those that leave nothing else behind.
        if RECORDS.iter().any(|record| name.starts_with(record)) {
            continue;
        }
        let content = if meta.is_file() {
            // A hash, so that a failing comparison prints no secrets.
            let mut hasher = DefaultHasher::new();
            std::fs::read(&path).expect("it reads").hash(&mut hasher);
            format!("{:x}", hasher.finish())
        } else {
            String::new()
        };
        let before = found.len();
        if meta.is_dir() {
            walk(root, &path, found);
        }
        // The directories that are there for that alone.
        let has_records = RECORDS.iter().any(|record| root.join(record).exists());
        if has_records && found.len() == before && ["jhubs", "jhubs/_fleet"].contains(&name.as_str()) {
            continue;
        }
        found.push(format!("{name} {:o} {}:{} {content}", meta.mode(), meta.uid(), meta.gid()));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let ids = self.containers();
        if !ids.is_empty() {
            let args: Vec<&str> = ["rm", "-f"].into_iter().chain(ids.iter().map(String::as_str)).collect();
            try_sh("docker", &args);
        }
    }
}

/// The world's four hubs, made once and shared by all tests that leave them as they are.
pub fn standing() -> &'static Fleet {
    static STANDING: OnceLock<Fleet> = OnceLock::new();
    STANDING.get_or_init(|| {
        let hubs: Vec<&str> = world().hubs.iter().map(|hub| hub.name.as_str()).collect();
        Fleet::with(&hubs)
    })
}
