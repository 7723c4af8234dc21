//! The machine outside the sandboxes: its own kubectl, a file of `fleet kubeconfig`, and the proxy that leads in.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::fleet::fleet_in;
use super::world::eventually;
use super::{Run, standing};

/// The hubs of the world.
pub const HUBS: [&str; 4] = ["ou23s", "mvu23s", "fsu-s23", "pyaos"];

/// The standing fleet's hubs under a file of their own, with a proxy of their own: their states are links.
pub struct Outside {
    dir: TempDir,
}

impl Outside {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-outside-").tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("jhubs")).expect("made");
        std::fs::create_dir(dir.path().join("home")).expect("made");
        for hub in HUBS {
            symlink(standing().state(hub), dir.path().join("jhubs").join(hub)).expect("linked");
        }
        let outside = Self { dir };
        outside.write("fleet.toml", &standing().toml());
        outside
    }

    /// With the file for all hubs.
    pub fn with_file() -> Self {
        let outside = Self::new();
        outside.fleet(&["kubeconfig", "--all", "--output", outside.file_name()]).exits(0);
        outside
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file_name(&self) -> &'static str {
        "hubs.yaml"
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it reads")
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub fn command(&self, args: &[&str]) -> Command {
        fleet_in(self.dir.path(), args)
    }

    pub fn fleet(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().expect("fleet starts"))
    }

    /// The machine's kubectl with the file. `FLEET_TEST_KUBECTL` names another one.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("FLEET_TEST_KUBECTL").unwrap_or("kubectl".into()));
        command
            .args(args)
            .current_dir(self.path("home"))
            .env("HOME", self.path("home"))
            .env("KUBECONFIG", self.path(self.file_name()))
            .env_remove("FLEET_CONFIG")
            .stdin(Stdio::null());
        command
    }

    pub fn kubectl(&self, args: &[&str]) -> Run {
        Run::of(&self.kubectl_command(args).output().expect("kubectl starts"))
    }

    pub fn start(mut command: Command) -> Child {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    pub fn status(&self) -> Value {
        self.fleet(&["proxy", "--status", "--format", "json"]).exits(0).json()
    }

    pub fn runs(&self) -> bool {
        self.status()["running"] == true
    }

    /// The proxy's port and secret.
    pub fn kept(&self) -> (u16, String) {
        let kept: Value = serde_json::from_str(&self.read("jhubs/_fleet/proxy/settings.json")).expect("JSON");
        let port = kept["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        (port, kept["secret"].as_str().expect("a secret").to_owned())
    }

    /// Has a proxy that is started on demand end sooner.
    pub fn ends_after(&self, idle: &str) {
        let text = self.read(self.file_name());
        let changed: String = text
            .lines()
            .map(|line| match line.trim() {
                "- '--at'" => {
                    format!("{}\n{}\n{line}\n", line.replace("--at", "--idle"), line.replace("--at", idle))
                }
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(changed.matches("--idle").count(), HUBS.len(), "the file is not as it was thought to be");
        self.write(self.file_name(), &changed);
    }

    /// Ids of all proxies of this file.
    pub fn proxies(&self) -> Vec<u32> {
        let config = self.path("fleet.toml").display().to_string();
        let ids = std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            let is_one =
                words.iter().any(|word| *word == config) && words.iter().any(|word| word == "--detached");
            is_one.then_some(id)
        });
        ids.collect()
    }

    /// What a request for a hub's `/readyz` by way of the proxy is answered.
    pub fn curl(&self, hub: &str, user: Option<&str>) -> u16 {
        let proxy = format!("http://127.0.0.1:{}", self.kept().0);
        let url = format!("https://{hub}.fleet.internal:6443/readyz");
        let mut config = format!("proxy = \"{proxy}\"\nurl = \"{url}\"\n");
        if let Some(user) = user {
            config.push_str(&format!("proxy-user = \"{user}\"\n"));
        }
        let mut curl = Command::new("curl")
            .args(["-skm10", "-o", "/dev/null", "-w", "%{http_connect}", "-K", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl starts");
        curl.stdin.take().expect("piped").write_all(config.as_bytes()).expect("curl reads");
        let output = curl.wait_with_output().expect("curl ends");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a status")
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let stopped = self.command(&["proxy", "--stop"]).output();
        if !std::thread::panicking() {
            assert!(stopped.expect("fleet starts").status.success());
            eventually("no proxy is left", Duration::from_secs(10), || self.proxies().is_empty());
        }
    }
}

pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

pub fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}
