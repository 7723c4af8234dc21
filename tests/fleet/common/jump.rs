//! A jump host: another sshd on the world's network, with an account and a key of its own.

use std::path::Path;
use std::time::Duration;

use super::Fleet;
use super::world::{Undo, docker, eventually, sh, try_sh, world};

/// Where its sshd listens: not where sshd usually does.
pub const PORT: u16 = 2222;

/// The account on it.
pub const USER: &str = "hopper";

/// A container with an sshd that is started again when it has ended.
pub struct Jump {
    pub container: String,
    pub ip: String,
}

impl Jump {
    /// Starts one that takes the key `name` of a fleet's directory, which is made.
    pub fn new(fleet: &Fleet, name: &str) -> (Self, Undo<impl FnMut() + use<>>) {
        let key = fleet.path(name);
        sh("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().expect("UTF-8")]);
        let public = std::fs::read_to_string(fleet.path(format!("{name}.pub"))).expect("made");
        let container = format!("{}-jump", fleet.name);
        let image = docker(&["inspect", "--format", "{{.Config.Image}}", &world().hubs[0].container]);
        let script = format!(
            "mkdir -p /run/sshd && ssh-keygen -q -A && useradd --create-home --password '*' {USER} && mkdir -p /home/{USER}/.ssh \
             && echo \"$KEY\" > /home/{USER}/.ssh/authorized_keys && chown -R {USER} /home/{USER} \
             && while :; do /usr/sbin/sshd -D -e -p {PORT} $(cat /sshd-options 2>/dev/null); sleep 0.3; done"
        );
        let env = format!("KEY={}", public.trim());
        let network = &world().network.name;
        let mut args = vec!["run", "-d", "--init", "--name", &container, "--network", network, "-e", &env];
        args.extend(["--entrypoint", "bash", &image, "-c", &script]);
        docker(&args);
        let undo = container.clone();
        let gone = Undo(move || {
            try_sh("docker", &["rm", "-f", "-v", &undo]);
        });
        let ip = ip_of(&container);
        let jump = Self { container, ip };
        jump.wait();
        (jump, gone)
    }

    /// Waits until its sshd takes connections.
    pub fn wait(&self) {
        let listens = || std::net::TcpStream::connect((self.ip.as_str(), PORT)).is_ok();
        eventually("the jump host's sshd is there", Duration::from_secs(30), listens);
    }

    /// As fleet.toml names it.
    pub fn address(&self) -> String {
        format!("{USER}@{}:{PORT}", self.ip)
    }

    /// The fingerprint of its host key, as somebody reads it on its console.
    pub fn fingerprint(&self) -> String {
        let line =
            docker(&["exec", &self.container, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"]);
        line.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    }

    /// Runs something on it.
    pub fn run(&self, script: &str) {
        docker(&["exec", &self.container, "sh", "-c", script]);
    }

    /// Ends its sshd with all that goes through it; it is started again.
    pub fn cut(&self) {
        self.run("pkill -KILL sshd");
    }
}

/// Whether an address has a connection to a master's sshd.
pub fn is_connected(master: &str, from: &str) -> bool {
    let table = docker(&["exec", master, "cat", "/proc/net/tcp"]);
    let octets: Vec<u8> = from.split('.').map(|octet| octet.parse().expect("an address")).collect();
    let remote = octets.iter().rev().map(|octet| format!("{octet:02X}")).collect::<String>();
    // Local end, remote end, state: 16 is 22, 01 is established.
    let is_it = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() > 3
            && fields[1].ends_with(":0016")
            && fields[2].starts_with(&remote)
            && fields[3] == "01"
    };
    table.lines().any(is_it)
}

/// The address of a container in the world's network.
pub fn ip_of(container: &str) -> String {
    docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container])
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
