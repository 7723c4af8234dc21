//! What runs in a container.

use bollard::query_parameters::{InspectContainerOptions, TopOptions};

use super::{Connection, Error};
use crate::observed::{Process, Processes};

impl Connection {
    /// The processes of a container, none where it does not run, each by its program's name alone: a command line may have somebody's secret in it.
    pub async fn processes(&self, id: &str) -> Result<Processes, Error> {
        let what = || format!("see what runs in container {id}");
        let about =
            self.ask(what, self.docker.inspect_container(id, None::<InspectContainerOptions>)).await?;
        let first = about.state.and_then(|state| state.pid).unwrap_or_default();
        let options = TopOptions { ps_args: "-eo pid,ppid,comm".to_owned() };
        let top = match self.ask(what, self.docker.top_processes(id, Some(options))).await {
            Ok(top) => top,
            // It has ended meanwhile, and with it whatever ran in it.
            Err(error) if error.is_conflict() => return Ok(Processes { first, all: Vec::new() }),
            Err(error) => return Err(error),
        };
        let rows = top.processes.unwrap_or_default();
        let read = |row: &Vec<String>| {
            let [pid, parent, name @ ..] = row.as_slice() else { return None };
            Some(Process { id: pid.parse().ok()?, parent: parent.parse().ok()?, name: name.join(" ") })
        };
        Ok(Processes { first, all: rows.iter().filter_map(read).collect() })
    }
}
