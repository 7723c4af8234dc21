//! A stand-in for everything that fleet asks: Keystone, Cinder, Nova, API servers and a Docker engine, as far as fleet asks
//! them, at the level of HTTP.
//!
//! It is there for what real parts do not have on demand: faults ([`Fault`]), and sizes ([`sized`]). What it answers
//! otherwise is held against the real parts by a test. Everything it needs is in one directory, which is ready for fleet:
//! `fleet.toml`, the openrc files, and the hubs' state directories with the sockets of their clusters.

mod certificates;
mod cinder;
mod clock;
pub mod content;
mod docker;
mod fault;
mod files;
mod keystone;
mod kubernetes;
mod nova;
mod pages;
mod request;
mod serve;
pub mod sized;
mod state;
mod table;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;

use self::certificates::{Certificates, Error};
pub use self::clock::now;
use self::content::Content;
pub use self::fault::{Fault, Rule};
pub use self::request::Service;
use self::serve::{Shared, lock};
pub use self::state::Entry;
use self::state::{Sandbox, State};

/// A stand-in that runs until it is dropped.
pub struct Standin {
    dir: PathBuf,
    shared: Shared,
    // Its threads are the servers.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Standin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standin").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Standin {
    /// Starts one in a directory, which has to be there and empty.
    pub fn start(content: Content, dir: &Path) -> Result<Self, Error> {
        let dir = dir.canonicalize()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let shared = runtime.block_on(start(content, &dir))?;
        Ok(Self { dir, shared, runtime: Some(runtime) })
    }

    /// Its directory, with `fleet.toml` in it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where Keystone, Cinder and Nova are: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        lock(&self.shared).url.clone()
    }

    /// Id and secret of a project's application credential.
    pub fn credential(&self, project: &str) -> Option<(String, String)> {
        let state = lock(&self.shared);
        let found = state.projects.iter().find(|known| known.name == project)?;
        Some((found.credential.clone(), found.secret.clone()))
    }

    /// From now on, this goes wrong. Of several rules for one request the first one counts.
    pub fn break_with(&self, rule: Rule) {
        lock(&self.shared).rules.push(rule);
    }

    /// From now on, all goes well.
    pub fn mend(&self) {
        lock(&self.shared).rules.clear();
    }

    /// All requests until now, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Entry> {
        lock(&self.shared).log.clone()
    }

    /// Forgets the requests until now.
    pub fn forget_requests(&self) {
        lock(&self.shared).log.clear();
    }

    /// Ids of the volumes that Cinder was asked to delete, once for each request.
    pub fn deletions(&self) -> Vec<String> {
        let state = lock(&self.shared);
        let asked =
            state.log.iter().filter(|entry| entry.service == Service::Cinder && entry.method == "DELETE");
        let id = |entry: &Entry| {
            let (path, _) = entry.target.split_once('?').unwrap_or((&entry.target, ""));
            Some(path.rsplit_once("/volumes/")?.1.to_owned())
        };
        asked.filter_map(id).collect()
    }

    /// Ids of all volumes of a project, in the order of Cinder's list.
    pub fn volumes(&self, project: &str) -> Vec<String> {
        let state = lock(&self.shared);
        let found = state.projects.iter().find(|known| known.name == project);
        found
            .into_iter()
            .flat_map(|project| project.volumes.values())
            .map(|volume| volume.id.clone())
            .collect()
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn start(content: Content, dir: &Path) -> Result<Shared, Error> {
    let cloud = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", cloud.local_addr()?);
    let engine = UnixListener::bind(files::engine(dir))?;
    let mut clusters = Vec::new();
    let mut sandboxes = Vec::new();
    for (place, hub) in content.hubs.iter().enumerate() {
        let Certificates { acceptor, kubeconfig } = Certificates::new()?;
        files::write_state(dir, hub, &content.ip_of(place), &kubeconfig)?;
        clusters.push((UnixListener::bind(files::socket(dir, &hub.name))?, acceptor, hub.name.clone()));
        sandboxes.push(Sandbox {
            hub: hub.name.clone(),
            openrc: files::openrc(dir, &hub.project),
            state: files::state(dir, &hub.name),
        });
    }
    files::write_fleet(dir, &content)?;
    let mut state = State::new(content, url.clone(), sandboxes);
    for project in &state.projects {
        files::write_openrc(dir, &url, project)?;
    }
    state.file = Some(File::create(dir.join("requests.log"))?);
    let shared = Arc::new(Mutex::new(state));
    tokio::spawn(serve::cloud(cloud, Arc::clone(&shared)));
    tokio::spawn(serve::engine(engine, Arc::clone(&shared)));
    for (listener, acceptor, hub) in clusters {
        tokio::spawn(serve::cluster(listener, acceptor, hub, Arc::clone(&shared)));
    }
    Ok(shared)
}
