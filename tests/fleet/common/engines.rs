//! More Docker engines on this machine: a second daemon with containers, images and a bridge of its own, and a machine with an sshd that
//! leads to it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::Fleet;
use super::dockerd::Dockerd;
use super::sweeper::Sweeper;
use super::world::{docker, eventually, sh, try_sh, world};

/// The second engine, started with the first test that needs it and taken away with this process, however it ends.
pub struct Second {
    engine: Dockerd,
    /// Where it listens with TLS.
    port: u16,
}

pub fn second() -> &'static Second {
    static SECOND: OnceLock<Second> = OnceLock::new();
    SECOND.get_or_init(Second::start)
}

impl Second {
    fn start() -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let engine = Dockerd::start_with("second", |dir| {
            certificates(dir);
            let pem = |name: &str| dir.join(format!("{name}.pem")).display().to_string();
            let tcp = format!("tcp://127.0.0.1:{port}");
            let [ca, cert, key] = ["ca", "server", "server-key"].map(pem);
            let options =
                ["-H", &tcp, "--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
            options.map(str::to_owned).to_vec()
        });
        engine.open_way();
        engine.load("fleet/sandbox:latest");
        Self { engine, port }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.engine.host()
    }

    /// A file of its TLS: `ca`, `client`, `client-key`, and `other`, an authority that has signed nothing.
    pub fn tls(&self, name: &str) -> PathBuf {
        self.engine.dir().join(format!("{name}.pem"))
    }

    /// Where it listens with TLS.
    pub fn tcp(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.engine.socket()
    }

    /// Its process.
    pub fn pid(&self) -> String {
        self.engine.pid()
    }

    /// Runs docker there.
    pub fn docker(&self, args: &[&str]) -> String {
        self.engine.docker(args)
    }

    /// The containers of a fleet there, by name.
    pub fn containers(&self, fleet: &Fleet) -> Vec<String> {
        let filter = format!("name=^{}-", fleet.name);
        let all = self.docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        all.lines().map(str::to_owned).collect()
    }
}

/// What TLS goes by, in files.
#[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
fn certificates(dir: &Path) {
    let write =
        |name: &str, pem: String| std::fs::write(dir.join(format!("{name}.pem")), pem).expect("written");
    // Each has another name: one that is named as its issuer would look self-signed.
    let named = |name: &str, addresses: Vec<String>| {
        let mut params = CertificateParams::new(addresses).expect("names");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let authority = |name: &str| {
        let mut params = named(name, Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
    };
    let ca = authority("engines");
    write("ca", ca.pem());
    write("other", authority("others").pem());
    for (name, addresses) in [("server", vec!["127.0.0.1".to_owned()]), ("client", Vec::new())] {
        let key = KeyPair::generate().expect("a key");
        write(name, named(name, addresses).signed_by(&key, &ca).expect("signed").pem());
        write(&format!("{name}-key"), key.serialize_pem());
    }
}

/// A fleet with the second engine under the name `second`, by way of a door that can be shut. Its sandboxes there go with it.
pub struct TwoEngines {
    pub fleet: Fleet,
}

impl TwoEngines {
    /// With more lines for `[engines.second]`.
    pub fn new(more: &str) -> Self {
        let two = Self { fleet: Fleet::empty() };
        two.open();
        let url = format!("unix://{}", two.door().display());
        two.settings(&format!("[engines.second]\nurl = \"{url}\"\nnetwork = \"bridge\"\n{more}\n"));
        two
    }

    /// What its file has beside the usual.
    pub fn settings(&self, text: &str) {
        self.fleet
            .write("fleet.toml", &format!("{}\n[timeouts]\nengine = \"3s\"\n{text}", self.fleet.header()));
    }

    /// `fleet new` for a hub of the world, on an engine.
    #[track_caller]
    pub fn add(&self, hub: &str, engine: &str) {
        let hub = world().hub(hub);
        self.fleet.add_as(&hub.name, hub, &["--engine", engine]).exits(0);
    }

    fn door(&self) -> PathBuf {
        self.fleet.path("door.sock")
    }

    /// The engine cannot be reached any more.
    pub fn shut(&self) {
        std::fs::remove_file(self.door()).expect("it was open");
    }

    /// It answers as before, but says nothing any more on a connection on which it was asked for something with that in its first line.
    pub fn hangs_at(&self, what: &'static str) {
        self.shut();
        let listener = UnixListener::bind(self.door()).expect("it is shut");
        std::thread::spawn(move || pass_all(what, listener.incoming().flatten()));
    }

    /// The same engine over TCP, as if it were on another machine: the port.
    pub fn over_tcp_hangs_at(what: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            // One kind of socket has all that is needed of the other.
            pass_all(
                what,
                listener.incoming().flatten().map(|client| UnixStream::from(OwnedFd::from(client))),
            );
        });
        port
    }

    /// It can.
    pub fn open(&self) {
        symlink(second().socket(), self.door()).expect("it was shut");
    }
}

impl Drop for TwoEngines {
    fn drop(&mut self) {
        let url = second().url();
        for name in second().containers(&self.fleet) {
            try_sh("docker", &["-H", &url, "rm", "-f", &name]);
        }
    }
}

fn pass_all(what: &'static str, clients: impl Iterator<Item = UnixStream>) {
    for client in clients {
        std::thread::spawn(move || pass_until(what, client));
    }
}

/// Passes on what is asked and what is answered, until something with that in its first line is asked for.
fn pass_until(what: &str, mut client: UnixStream) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(second().socket())?;
    let (mut answers, mut back) = (engine.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        back.shutdown(Shutdown::Write)
    });
    let (mut piece, mut hangs) = (vec![0; 64 << 10], false);
    loop {
        let count = client.read(&mut piece)?;
        let text = String::from_utf8_lossy(&piece[..count]);
        hangs |= text.lines().next().is_some_and(|line| line.contains(what) && line.contains(" HTTP/1.1"));
        match count {
            0 => return engine.shutdown(Shutdown::Write),
            _ if hangs => {}
            count => engine.write_all(&piece[..count])?,
        }
    }
}

/// What the container with the sshd is called.
fn machine() -> String {
    format!("fleet-test-machine-{}", std::process::id())
}

/// A machine with an sshd, where `docker` leads to the second engine, and what OpenSSH has to know of it.
pub struct Machine {
    pub ip: String,
    dir: TempDir,
    _away: Sweeper,
}

/// Lets the operator's key in, and nothing else.
const SSHD: &str = "mkdir -p /run/sshd /root/.ssh && ssh-keygen -A && printf '%s\\n' \"$KEY\" >/root/.ssh/authorized_keys && \
    chmod 700 /root/.ssh && exec /usr/sbin/sshd -D -e -o PermitRootLogin=prohibit-password";

pub fn over_ssh() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(Machine::start)
}

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
    fn start() -> Self {
        let image = docker(&["inspect", "-f", "{{.Config.Image}}", &world().hubs[0].container]);
        let key = std::fs::read_to_string(world().key().with_extension("pub")).expect("the world has a key");
        let client = sh("sh", &["-c", "readlink -f \"$(command -v docker)\""]);
        let (key, client, socket) = (
            format!("KEY={}", key.trim()),
            format!("{client}:/usr/local/bin/docker:ro"),
            format!("{}:/var/run/docker.sock", second().socket().display()),
        );
        let name = machine();
        let away = Sweeper::new(Command::new("sh"), "docker rm -f \"$1\"", &[&name]);
        docker(&[
            "run",
            "-d",
            "--init",
            "--name",
            &name,
            "--network",
            &world().network.name,
            "-e",
            &key,
            "-v",
            &client,
            "-v",
            &socket,
            "--entrypoint",
            "sh",
            &image,
            "-c",
            SSHD,
        ]);
        let ip =
            docker(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &name]);
        let dir = tempfile::Builder::new().prefix("fleet-ssh-").tempdir().expect("a directory");
        let known = dir.path().join("known_hosts");
        eventually("the machine's sshd answers", Duration::from_secs(15), || {
            let seen = try_sh("ssh-keyscan", &["-T", "2", &ip]);
            let text = String::from_utf8_lossy(&seen.stdout).into_owned();
            std::fs::write(&known, &text).is_ok() && text.contains("ssh-ed25519")
        });
        let config = format!(
            "Host *\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  IdentityFile {}\n  IdentitiesOnly yes\n",
            known.display(),
            world().key().display()
        );
        std::fs::write(dir.path().join("config"), config).expect("written");
        // OpenSSH looks for its configuration in the home that the system's own list of users says.
        let ssh = sh("sh", &["-c", "command -v ssh"]);
        let wrapper = dir.path().join("ssh");
        std::fs::write(
            &wrapper,
            format!("#!/bin/sh\nexec {ssh} -F {}/config \"$@\"\n", dir.path().display()),
        )
        .expect("written");
        sh("chmod", &["755", &wrapper.display().to_string()]);
        Self { ip, dir, _away: away }
    }

    /// Where the engine is.
    pub fn url(&self) -> String {
        format!("ssh://root@{}", self.ip)
    }

    /// The search path on which `ssh` knows the machine.
    pub fn path(&self) -> String {
        format!("{}:{}", self.dir.path().display(), std::env::var("PATH").unwrap_or_default())
    }
}

/// Where Docker's own client would keep its contexts, with one more.
pub fn context(directory: &Path, name: &str, url: &str) {
    let made = Command::new("docker")
        .args(["context", "create", name, "--docker", &format!("host={url}")])
        .env("DOCKER_CONFIG", directory)
        .output()
        .expect("docker starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
