//! The directory of a hub's SSH agent.

use std::path::Path;

use crate::hub::{Fleet, Hub};
use crate::plan::agent::{AgentDir, Around};

/// Whether the directory of a hub's agent can be mounted into a sandbox; otherwise why not. The agent itself may be away: it is found again
/// when it is back.
pub fn look_at_agent(fleet: &Fleet, hub: &Hub) -> Result<(), String> {
    let Some(socket) = &hub.ssh.agent else { return Ok(()) };
    let of_agent = |why: String| format!("the SSH agent {} cannot be used: {why}", socket.display());
    let dir = socket.parent().unwrap_or(Path::new("/"));
    let found = look(dir, socket).map_err(|error| of_agent(format!("{}: {error}", dir.display())))?;
    let home = std::env::home_dir();
    Around::of(fleet, home.as_deref()).judge(&found).map_or(Ok(()), |why| Err(of_agent(why)))
}

fn look(dir: &Path, socket: &Path) -> std::io::Result<AgentDir> {
    let mut others = Vec::new();
    for entry in dir.read_dir()? {
        let name = entry?.file_name();
        if Some(name.as_os_str()) != socket.file_name() {
            others.push(name.to_string_lossy().into_owned());
        }
    }
    others.sort_unstable();
    Ok(AgentDir { path: dir.canonicalize()?, others })
}
