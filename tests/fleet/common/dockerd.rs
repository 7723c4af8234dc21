//! A Docker engine of a test's own, beside the machine's: another data root, another socket, another bridge. It can be stopped and
//! started again while everybody else's containers go on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::sweeper::Sweeper;
use super::world::{docker, eventually, sh, try_sh};

/// An engine takes 1 to 3 s to start on a quiet machine.
const STARTS: Duration = Duration::from_secs(60);

/// Stopping waits for its containers, each of which has an init.
const STOPS: Duration = Duration::from_secs(30);

/// Networks for bridges: `10.214.N.0/24`. The world's are `10.213.N.0/24`.
const NETWORKS: std::ops::RangeInclusive<u8> = 0..=255;

/// What takes everything away that an engine leaves: its containers' processes, its mounts, its bridge, its files. Given the directory and
/// the bridge. Runs when the test is over, and when it was killed.
const AWAY: &str = r#"
dir=$1 bridge=$2
pid=$(cat "$dir/pid" 2>/dev/null) && grep -qs dockerd "/proc/$pid/cmdline" && {
    timeout 20 docker -H "unix://$dir/docker.sock" ps -aq | xargs -r timeout 60 docker -H "unix://$dir/docker.sock" rm -fv
    kill -TERM "$pid"
    for _ in $(seq 100); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
    kill -KILL "$pid"
}
# The engine's own containerd outlives one that was killed.
pid=$(cat "$dir/exec/containerd/containerd.pid" 2>/dev/null) && grep -qs "$dir" "/proc/$pid/cmdline" && kill -KILL "$pid"
awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n1 umount -l
for way in -i -o; do iptables -D DOCKER-USER "$way" "$bridge" -j ACCEPT 2>/dev/null; done
ip link delete "$bridge"
rm -rf "$dir"
"#;

/// An engine that is taken away, with all it has, when this is dropped.
pub struct Dockerd {
    dir: PathBuf,
    bridge: String,
    /// The machine's address in the engine's network.
    pub gateway: String,
    engine: Option<Child>,
    /// What it is started with beside the usual.
    more: Vec<String>,
    /// Takes everything away.
    away: Option<Sweeper>,
}

impl Dockerd {
    /// Starts one. The name is for people who look at the machine meanwhile: a few letters.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, |_| Vec::new())
    }

    /// Starts one with more options, made for its directory.
    pub fn start_with(name: &str, more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let dir = TempDir::with_prefix(format!("fleet-test-dockerd-{name}-")).expect("a directory").keep();
        // The kernel's names have 15 characters at most.
        let bridge = format!("ft{}{name}", std::process::id()).chars().take(15).collect::<String>();
        let away = Sweeper::new(as_root("sh"), AWAY, &[dir.as_os_str(), bridge.as_ref()]);
        // From here on whatever fails, it is taken away.
        let more = more(&dir);
        let mut this = Self { dir, bridge, gateway: String::new(), engine: None, more, away: Some(away) };
        this.make_bridge();
        this.begin();
        this
    }

    /// A bridge with a network that nobody has. The engine never makes or removes one itself: of `docker0` there is one a machine, and
    /// it belongs to the other engine.
    fn make_bridge(&mut self) {
        static ONE_AFTER_THE_OTHER: Mutex<()> = Mutex::new(());
        let _alone = ONE_AFTER_THE_OTHER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let ip = |args: &[&str]| {
            let output = as_root("ip").args(args).output().expect("ip starts");
            assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        ip(&["link", "add", &self.bridge, "type", "bridge"]);
        let taken = ip(&["-4", "addr"]);
        let free = NETWORKS.rev().find(|n| !taken.contains(&format!("10.214.{n}."))).expect("a free network");
        self.gateway = format!("10.214.{free}.1");
        ip(&["addr", "add", &format!("{}/24", self.gateway), "dev", &self.bridge]);
        // Of its own: else it has that of one of its containers, and another one whenever that goes, which the others only notice when
        // their ARP caches are old enough.
        ip(&["link", "set", &self.bridge, "address", &format!("02:42:0a:d6:{free:02x}:01")]);
        ip(&["link", "set", &self.bridge, "up"]);
    }

    /// Starts the engine, and waits until it answers.
    pub fn begin(&mut self) {
        let path = |name: &str| self.dir.join(name).to_str().expect("UTF-8").to_owned();
        // Not the machine's own settings: they may name its data root.
        std::fs::File::create(self.dir.join("daemon.json"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"{}"))
            .expect("written");
        let log =
            std::fs::File::options().create(true).append(true).open(self.dir.join("log")).expect("a log");
        let engine = as_root("dockerd")
            .args(["--config-file", &path("daemon.json")])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["-H", &self.host(), "--bridge", &self.bridge])
            // Packet filters are the machine's, and its own engine's.
            .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"])
            // What works on this machine.
            .args(["--storage-driver", &docker(&["info", "--format", "{{.Driver}}"])])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("dockerd starts");
        self.engine = Some(engine);
        let answers = || try_sh("docker", &["-H", &self.host(), "version"]).status.success();
        eventually(&format!("the engine answers (its log: {})", path("log")), STARTS, answers);
    }

    /// Stops the engine as the machine's shutdown does: its containers are stopped, and stay.
    pub fn stop(&mut self) {
        let mut engine = self.engine.take().expect("it runs");
        as_root("kill").args(["-TERM", &engine.id().to_string()]).status().expect("kill starts");
        let began = std::time::Instant::now();
        while engine.try_wait().expect("waited for").is_none() {
            assert!(began.elapsed() < STOPS, "the engine does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets its containers through to those of the machine's engine, which lets nothing through between bridges.
    pub fn open_way(&self) {
        for way in ["-i", "-o"] {
            let mut rule = as_root("iptables");
            rule.args(["-I", "DOCKER-USER", way, &self.bridge, "-j", "ACCEPT"]);
            assert!(rule.status().expect("iptables starts").success());
        }
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its process.
    pub fn pid(&self) -> String {
        std::fs::read_to_string(self.dir.join("pid")).expect("it runs").trim().to_owned()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// Its address: for `docker -H`, and for `engine` in fleet.toml.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Runs docker on it.
    pub fn docker(&self, args: &[&str]) -> String {
        let host = self.host();
        sh("docker", &[&["-H", host.as_str()], args].concat())
    }

    /// Gives it an image of the machine's engine.
    pub fn load(&self, image: &str) {
        let script = "docker save \"$1\" | docker -H \"$2\" load";
        sh("sh", &["-c", script, "sh", image, &self.host()]);
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Whoever waits for a process to be gone waits for its parent, too.
        let engine = self.engine.take().map(|mut engine| std::thread::spawn(move || engine.wait()));
        drop(self.away.take());
        if let Some(engine) = engine {
            let _ = engine.join();
        }
    }
}

/// A program that only root may run.
fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
