//! Whether the directory of an SSH agent's socket may be seen in a sandbox. The directory is mounted and not the socket, so that an agent
//! that was restarted, and has a new socket, is found again; so nothing else may be in it.

use std::path::{Path, PathBuf};

use crate::hub::{Endpoint, Fleet};

/// Directories that all programs of a machine share, beside those right below `/`.
const SHARED: [&str; 7] =
    ["/var/run", "/var/tmp", "/var/lib", "/run/lock", "/run/user", "/run/systemd", "/dev/shm"];

/// Where each user's programs have their sockets: `/run/user/1000`.
const RUNTIME_DIRS: [&str; 2] = ["/run/user", "/var/run/user"];

/// What of this machine no sandbox may see.
#[derive(Debug, Clone)]
pub struct Around<'a> {
    home: Option<&'a Path>,
    engines: Vec<&'a Path>,
    state: &'a Path,
    base: &'a Path,
}

/// What is in an agent's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentDir {
    /// The directory, without symbolic links.
    pub path: PathBuf,
    /// What is in it, the socket left out.
    pub others: Vec<String>,
}

impl<'a> Around<'a> {
    /// Of a fleet, and whoever runs it.
    pub fn of(fleet: &'a Fleet, home: Option<&'a Path>) -> Self {
        let socket = |endpoint: &'a Endpoint| match endpoint {
            Endpoint::Unix(path) => Some(path.as_path()),
            Endpoint::Tcp { .. } | Endpoint::Ssh { .. } => None,
        };
        let engines = fleet.engines.iter().filter_map(|engine| socket(&engine.endpoint)).collect();
        Self { home, engines, state: &fleet.state_dir, base: fleet.base() }
    }

    /// Why a directory would show a sandbox more than an agent, as far as its place tells.
    pub fn refuses(&self, dir: &Path) -> Option<String> {
        let reason = if dir.components().count() <= 2 || SHARED.iter().any(|shared| dir == Path::new(shared))
        {
            "it is shared by all programs of the machine"
        } else if RUNTIME_DIRS.iter().any(|all| dir.parent() == Some(Path::new(all))) {
            "all programs of a user have their sockets there"
        } else if self.home.is_some_and(|home| home.starts_with(dir)) {
            "a home directory is in it"
        } else if self.home.is_some_and(|home| dir == home.join(".ssh")) {
            "private keys are in it"
        } else if self.engines.iter().any(|engine| engine.starts_with(dir)) {
            "a Docker engine's socket is in it, and whoever has that has the machine"
        } else if self.state.starts_with(dir) || self.base.starts_with(dir) {
            "the fleet's own files are in it"
        } else {
            return None;
        };
        Some(format!(
            "its directory {} would be mounted into the sandbox, and {reason}; {INSTEAD}",
            dir.display()
        ))
    }

    /// The same for a directory that was looked at.
    pub fn judge(&self, found: &AgentDir) -> Option<String> {
        if let Some(why) = self.refuses(&found.path) {
            return Some(why);
        }
        let first = found.others.first()?;
        let more = match found.others.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "its directory {} would be mounted into the sandbox, and there is more in it than the socket: {first}{more}; {INSTEAD}",
            found.path.display()
        ))
    }
}

const INSTEAD: &str = "give the agent a directory of its own (mkdir -m 700 DIR; ssh-agent -a DIR/agent.sock)";

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Around<'static> {
        Around {
            home: Some(Path::new("/home/op")),
            engines: vec![Path::new("/run/docker.sock")],
            state: Path::new("/srv/hubs/jhubs"),
            base: Path::new("/srv/hubs"),
        }
    }

    #[test]
    fn a_directory_that_shows_more_than_an_agent_is_refused() {
        for dir in [
            "/",
            "/tmp",
            "/run",
            "/var",
            "/home",
            "/var/run",
            "/var/tmp",
            "/dev/shm",
            "/home/op",
            "/home/op/.ssh",
            "/run/user",
            "/run/user/1000",
            "/srv",
            "/srv/hubs",
            "/srv/hubs/jhubs",
        ] {
            assert!(around().refuses(Path::new(dir)).is_some(), "{dir}");
        }
        let other = Around {
            engines: vec![Path::new("/run/docker.sock"), Path::new("/srv/engine/docker.sock")],
            ..around()
        };
        assert!(other.refuses(Path::new("/srv/engine")).unwrap().contains("Docker"));
    }

    #[test]
    fn a_directory_of_its_own_is_taken_if_nothing_else_is_in_it() {
        for dir in
            ["/home/op/agent", "/run/user/1000/agent", "/tmp/ssh-XXXX", "/srv/hubs/agent", "/run/agent"]
        {
            assert_eq!(around().refuses(Path::new(dir)), None, "{dir}");
        }
        let dir = |others: &[&str]| AgentDir {
            path: "/home/op/agent".into(),
            others: others.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(around().judge(&dir(&[])), None);
        let why = around().judge(&dir(&["id_rsa", "x"])).unwrap();
        assert!(why.contains("id_rsa and 1 more") && why.contains("ssh-agent -a"), "{why}");
        let linked = AgentDir { path: "/home/op".into(), others: Vec::new() };
        assert!(around().judge(&linked).is_some());
    }
}
