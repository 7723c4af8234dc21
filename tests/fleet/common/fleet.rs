//! A fleet of a test's own: its file, its copies of openrc and key, and what fleet printed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::world::{WorldHub, docker, sh, try_sh, world};

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
    fn of(output: &Output) -> Self {
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
}

impl Fleet {
    /// One without hubs. Its openrc files and key are copies that the test may break.
    pub fn empty() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::tempdir().expect("a directory");
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
            "# A fleet for a test.\nname = \"{}\"\n\n[sandbox]\nnetwork = \"{}\"\n\n[defaults]\nssh_key = \"id_ed25519\"  # a copy\nproject_domain = \"test.example\"\n",
            self.name,
            world().network.name
        )
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("FLEET_CONFIG", self.path("fleet.toml"))
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null());
        command
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

    /// Everything in its directory, for before and after.
    pub fn files(&self) -> Vec<String> {
        sh("find", &[self.dir.path().to_str().expect("UTF-8"), "-printf", "%P %y %s\n"])
            .lines()
            .map(str::to_owned)
            .filter(|line| !line.is_empty() && !line.starts_with(' '))
            .collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for id in self.containers() {
            try_sh("docker", &["rm", "-f", &id]);
        }
    }
}

/// The world's four hubs, made once and shared by all tests that leave them as they are. `scripts/test` clears it away.
pub fn standing() -> &'static Fleet {
    static STANDING: OnceLock<Fleet> = OnceLock::new();
    STANDING.get_or_init(|| {
        let hubs: Vec<&str> = world().hubs.iter().map(|hub| hub.name.as_str()).collect();
        Fleet::with(&hubs)
    })
}
