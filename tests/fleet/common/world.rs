//! The world that `scripts/world` started: which parts there are, and who may break them when.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// What `world.json` says.
#[derive(Debug, Deserialize)]
pub struct World {
    #[serde(skip)]
    pub dir: PathBuf,
    pub network: Network,
    pub cloud: Cloud,
    pub hubs: Vec<WorldHub>,
    pub volumes: Vec<PlantedVolume>,
}

#[derive(Debug, Deserialize)]
pub struct Network {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct Cloud {
    pub container: String,
    pub ip: String,
    pub auth_url: String,
    /// Ids by name.
    pub projects: std::collections::BTreeMap<String, String>,
}

/// A master.
#[derive(Debug, Clone, Deserialize)]
pub struct WorldHub {
    pub name: String,
    pub project: String,
    pub container: String,
    pub ip: String,
    pub host_key_fingerprint: String,
}

/// A volume that the seed made, with what it is: see `kind` in world.json.
#[derive(Debug, Clone, Deserialize)]
pub struct PlantedVolume {
    pub id: String,
    pub name: String,
    pub project: String,
    pub kind: String,
    /// What `fleet orphans` has to call it.
    pub class: String,
    /// GiB.
    pub size: u64,
    #[serde(default)]
    pub hub: Option<String>,
    #[serde(default)]
    pub claim: Option<String>,
}

/// The world of this run.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let dir = std::env::var_os("FLEET_TEST_WORLD").map(PathBuf::from).expect(
            "the real parts are missing: FLEET_TEST_WORLD does not say where they are. Run `scripts/test`, or start them with \
             `scripts/world up test` and set FLEET_TEST_WORLD=$PWD/target/world/test",
        );
        let text = std::fs::read_to_string(dir.join("world.json")).unwrap_or_else(|error| {
            panic!("the real parts are missing: {}/world.json: {error}; run `scripts/world up test`", dir.display())
        });
        let mut world: World = serde_json::from_str(&text).expect("world.json reads");
        world.dir = dir;
        world
    })
}

impl World {
    /// The master of that name.
    pub fn hub(&self, name: &str) -> &WorldHub {
        self.hubs.iter().find(|hub| hub.name == name).unwrap_or_else(|| panic!("the world has no hub {name}"))
    }

    /// Volumes of one kind.
    pub fn volumes_of(&self, kind: &str) -> Vec<&PlantedVolume> {
        let found: Vec<_> = self.volumes.iter().filter(|volume| volume.kind == kind).collect();
        assert!(!found.is_empty(), "the world has no volume of kind {kind}");
        found
    }

    /// The openrc of a project: `alpha`, `beta`, `expired`.
    pub fn openrc(&self, project: &str) -> PathBuf {
        self.dir.join(format!("openrc-{project}.sh"))
    }

    /// The operator's private key.
    pub fn key(&self) -> PathBuf {
        self.dir.join("id_ed25519")
    }
}

static ORDER: RwLock<()> = RwLock::new(());

/// For tests that use the world and leave every part of it as it is for others.
pub fn using() -> RwLockReadGuard<'static, ()> {
    ORDER.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// For tests that pause, stop or cut off a part, or change what volumes and PVs there are: nobody else is at it meanwhile.
pub fn breaking() -> RwLockWriteGuard<'static, ()> {
    ORDER.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs a program that has to succeed.
pub fn sh(program: &str, args: &[&str]) -> String {
    let output = try_sh(program, args);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs a program.
pub fn try_sh(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs docker.
pub fn docker(args: &[&str]) -> String {
    sh("docker", args)
}

/// Runs kubectl on a master, as its administrator.
pub fn kubectl(hub: &WorldHub, args: &[&str]) -> String {
    let mut all =
        vec!["exec", hub.container.as_str(), "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"];
    all.extend(args);
    docker(&all)
}

/// Applies a manifest on a master.
pub fn apply(hub: &WorldHub, manifest: &serde_json::Value) {
    use std::io::Write as _;
    let mut child = Command::new("docker")
        .args([
            "exec",
            "-i",
            &hub.container,
            "kubectl",
            "--kubeconfig",
            "/etc/kubernetes/admin.conf",
            "apply",
            "-f",
            "-",
        ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("docker starts");
    child.stdin.take().expect("piped").write_all(manifest.to_string().as_bytes()).expect("kubectl reads");
    assert!(child.wait().expect("docker ends").success(), "kubectl apply: {manifest}");
}

/// Waits until something holds.
pub fn eventually(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Undoes something when the test is over, however it ends.
pub struct Undo<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for Undo<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second panic would end the whole run of tests. What failed is on stderr all the same.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut self.0));
        } else {
            (self.0)();
        }
    }
}

/// A master that hangs, until this is dropped.
pub fn pause(hub: &WorldHub) -> Undo<impl FnMut()> {
    docker(&["pause", &hub.container]);
    let container = hub.container.clone();
    Undo(move || {
        try_sh("docker", &["unpause", &container]);
    })
}
