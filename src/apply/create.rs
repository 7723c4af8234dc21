//! Makes a hub: its state, its sandbox, its tunnel. What cannot be finished is undone, and the error names the step.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::elsewhere::{has_files, has_the_same};
use super::host_keys::{self, Demanded, ssh_failure};
use crate::config::{self, NewHub};
use crate::exit::{Failure, chain};
use crate::files;
use crate::hub::{Fleet, Hub, JumpHost};
use crate::interrupt::Interrupt;
use crate::known;
use crate::observe::{Sandboxes, look_at_openrc, route, tunnel_log};
use crate::observed::Project;
use crate::report::duration;
use crate::sandbox::{Owner, SandboxSpec};
use crate::systems::docker::{self, Engine};
use crate::systems::kube::{self, Cluster, Kind};
use crate::systems::kubeconfig;
use crate::systems::openstack::{Cloud, Tokens};
use crate::systems::ssh::{self, HostKey, Pins};
use crate::tombstone;

/// Between two looks at a tunnel that is coming up.
const POLL: Duration = Duration::from_millis(150);

/// One step of making a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look at the master's host key.
    HostKey,
    /// Log in on the master.
    Reach,
    /// Make the state directory.
    State,
    /// Fetch the kubeconfig.
    Kubeconfig,
    /// Make and start the sandbox.
    Sandbox,
    /// Wait until the API server answers through the tunnel.
    Tunnel,
    /// Try the credentials.
    Credentials,
    /// Write the hub into fleet.toml.
    Declare,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::HostKey => "pin the master's host key",
            Step::Reach => "reach the master",
            Step::State => "make the state directory",
            Step::Kubeconfig => "fetch the cluster's kubeconfig",
            Step::Sandbox => "make the sandbox",
            Step::Tunnel => "bring the tunnel up",
            Step::Credentials => "try the credentials",
            Step::Declare => "write the hub into fleet.toml",
        })
    }
}

/// What happens while a hub is made.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step begins.
    Begin(Step),
    /// The jump host showed this key.
    JumpHostKey(&'a JumpHost, &'a HostKey),
    /// The master showed this key.
    HostKey(&'a HostKey),
    /// The state already has a kubeconfig; it is used as it is.
    KubeconfigKept(&'a Path),
    /// The credentials lead to this project.
    Project(&'a Project),
    /// What a hub of this name used that was taken out of the fleet stays remembered.
    StoneKept(&'a Path),
}

/// Everything that making a hub needs.
#[derive(Debug)]
pub struct Creation<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The fleet, with the hub.
    pub fleet: &'a Fleet,
    /// The hub, with what it inherits.
    pub hub: &'a Hub,
    /// The fingerprints that must be shown, where the operator knows them.
    pub host_keys: Demanded<'a>,
    /// The id of the sandbox that this one takes the place of.
    pub replaces: Option<&'a str>,
    /// Whether that one's tunnel may go another way to the master: then it stays until the master was reached on the new one.
    pub by_another_way: bool,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
}

impl<'a> Creation<'a> {
    /// One of which nothing special is known: any key may be shown, and nothing is replaced.
    pub fn new(engine: &'a Engine, fleet: &'a Fleet, hub: &'a Hub, interrupt: &'a Interrupt) -> Self {
        let host_keys = Demanded::default();
        Self { engine, fleet, hub, host_keys, replaces: None, by_another_way: false, interrupt }
    }
}

/// Makes a hub that fleet.toml does not have and writes it in there, or leaves nothing behind.
pub async fn create(
    creation: &Creation<'_>,
    new: &NewHub,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let mut undo = Undo::default();
    let mut at = Step::Sandbox;
    let steps = async {
        has_files(creation.engine, creation.fleet, creation.hub).await?;
        at = Step::HostKey;
        let pins = look_at_keys(creation.fleet, creation.hub, creation.host_keys, tell).await?;
        steps(creation, &pins, &mut undo, &mut at, tell).await?;
        at = Step::Declare;
        tell(Event::Begin(at));
        declare(creation.engine, creation.fleet, creation.hub, new, tell).await
    };
    // On the heap: it holds the state of every client.
    let made = creation.interrupt.or(Box::pin(steps)).await;
    let made = made.unwrap_or_else(|| Err(Failure::interrupted()));
    let made =
        made.and_then(|()| undo.container.as_deref().map_or(Ok(()), |id| known::made(creation.fleet, id)));
    let Err(mut failure) = made else { return Ok(()) };
    for problem in &mut failure.problems {
        *problem = format!("hub {}: cannot {at}: {problem}", creation.hub.name);
    }
    failure.problems.extend(undo.all(creation.engine).await);
    Err(failure)
}

async fn steps(
    creation: &Creation<'_>,
    pins: &Pins,
    undo: &mut Undo,
    at: &mut Step,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let Creation { engine, fleet, hub, replaces, interrupt, .. } = creation;
    let mut begin = |step, tell: &mut dyn FnMut(Event<'_>)| {
        *at = step;
        tell(Event::Begin(step));
    };

    // First of all: what is pinned must never be newer than the tunnel that goes by it, or the old cluster would answer in
    // the new one's name.
    if let Some(old) = replaces {
        begin(Step::Sandbox, tell);
        engine.remove(old).await?;
    }

    begin(Step::State, tell);
    let owner = make_state(fleet, hub, pins, undo)?;

    begin(Step::Kubeconfig, tell);
    if hub.kubeconfig().exists() {
        check_kubeconfig(&hub.kubeconfig())?;
        tell(Event::KubeconfigKept(&hub.kubeconfig()));
    } else {
        fetch_kubeconfig(fleet, hub, pins, owner, undo).await?;
    }

    begin(Step::Sandbox, tell);
    let spec = SandboxSpec::new(fleet, hub, owner);
    let id = undo.make_container(engine, spec.clone(), interrupt).await?;
    engine.start(&id).await?;
    has_the_same(engine, fleet, hub, &spec, &id, interrupt).await?;

    begin(Step::Tunnel, tell);
    wait_for_tunnel(engine, fleet, hub, &id).await?;

    begin(Step::Credentials, tell);
    let project = try_credentials(engine, fleet, hub, interrupt).await?;
    tell(Event::Project(&project));
    Ok(())
}

/// Makes what is missing of a hub that fleet.toml has. What was made stays where a later step fails: the sandbox goes on
/// trying, and the next run goes on from there.
pub async fn complete(creation: &Creation<'_>, tell: &mut dyn FnMut(Event<'_>)) -> Result<(), Failure> {
    let mut at = Step::Sandbox;
    let mut undo = Undo::default();
    let steps = async {
        has_files(creation.engine, creation.fleet, creation.hub).await?;
        at = Step::HostKey;
        // A master that was pinned need not be there for its sandbox to be made again.
        let pins = match host_keys::pins(creation.hub) {
            Some(pins) => pins,
            None => look_at_keys(creation.fleet, creation.hub, creation.host_keys, tell).await?,
        };
        if creation.by_another_way {
            // What is there leads to the master; whether the other way does shows only when it is gone.
            at = Step::Reach;
            tell(Event::Begin(at));
            host_keys::reach(creation.fleet, creation.hub, &pins).await?;
        }
        steps(creation, &pins, &mut undo, &mut at, tell).await
    };
    let completed = Box::pin(steps).await;
    // It stays, however far that got.
    let remembered = undo.container.as_deref().map_or(Ok(()), |id| known::made(creation.fleet, id));
    completed.and(remembered).map_err(|mut failure| {
        for problem in &mut failure.problems {
            *problem = format!("cannot {at}: {problem}");
        }
        if creation.replaces.is_some() && matches!(at, Step::HostKey | Step::Reach) {
            failure.problems.push("its sandbox stays as it is".to_owned());
        }
        failure
    })
}

pub(super) async fn declare(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    new: &NewHub,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let stone = stone_of(engine, fleet, hub).await?;
    config::add_hub(&fleet.path, new)?;
    match stone {
        // One that cannot be removed keeps more than it has to, and that is all.
        Stone::Superseded if tombstone::remove(fleet, &hub.name).is_ok() => {}
        Stone::Superseded | Stone::StillNeeded => {
            tell(Event::StoneKept(&tombstone::path_of(fleet, &hub.name)));
        }
        Stone::None => {}
    }
    Ok(())
}

/// What is remembered of a hub of this name that was taken out of the fleet.
enum Stone {
    None,
    /// The cluster has all of it, so it says it by itself from now on.
    Superseded,
    /// The cluster does not have all of it: it may be another cluster, and the first may still be there.
    StillNeeded,
}

async fn stone_of(engine: &Engine, fleet: &Fleet, hub: &Hub) -> Result<Stone, Failure> {
    let Some(stone) = tombstone::of(fleet, &hub.name)? else { return Ok(Stone::None) };
    let way = Sandboxes::look(engine, fleet).await?.route(fleet, hub);
    let asked = async {
        let limit = fleet.timeouts.kubernetes;
        let cluster = Cluster::connect(&hub.kubeconfig(), way, limit).await?;
        Ok::<_, kube::Error>((cluster.persistent_volumes().await?, cluster.claims().await?))
    };
    let (volumes, claims) = asked.await.map_err(|error| Failure::failed(&error))?;
    // One that remembers nothing says nothing of which cluster it was.
    let says_nothing = stone.persistent_volumes.is_empty();
    let (more_volumes, more_claims) = tombstone::not_in(stone, &volumes, &claims);
    let superseded = !says_nothing && more_volumes.is_empty() && more_claims.is_empty();
    Ok(if superseded { Stone::Superseded } else { Stone::StillNeeded })
}

/// The host keys on the way to the master, if they are the ones that are demanded or were pinned before.
pub(super) async fn look_at_keys(
    fleet: &Fleet,
    hub: &Hub,
    demanded: Demanded<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Pins, Failure> {
    tell(Event::Begin(Step::HostKey));
    let pins = host_keys::shown(fleet, hub, demanded).await?;
    if let (Some(jump), Some(key)) = (&hub.ssh.jump, &pins.jump) {
        tell(Event::JumpHostKey(jump, key));
    }
    tell(Event::HostKey(&pins.master));
    Ok(pins)
}

fn file_failure(error: &files::Error) -> Failure {
    Failure::failed(error)
}

/// Makes what is missing of the state, in the layout of the old scripts. What is there stays as it is.
fn make_state(fleet: &Fleet, hub: &Hub, pins: &Pins, undo: &mut Undo) -> Result<Owner, Failure> {
    undo.make_shared_dir(&fleet.state_dir)?;
    undo.make_dir(&hub.state)?;
    let owner = owner_of(&hub.state)?;
    for dir in SandboxSpec::state_dirs(hub) {
        undo.make_dir(&dir)?;
        undo.give(&dir, owner)?;
    }
    let secrets = hub.state.join("secrets.yaml");
    if !secrets.exists() {
        undo.make_file(&secrets, b"", 0o600, owner)?;
    }
    for (path, text) in host_keys::files_of(hub, pins) {
        undo.make_file(&path, text.as_bytes(), 0o600, owner)?;
    }
    Ok(owner)
}

fn owner_of(path: &Path) -> Result<Owner, Failure> {
    Owner::of(path).map_err(|source| file_failure(&files::Error::new("look at", path, source)))
}

pub(super) fn check_kubeconfig(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| file_failure(&files::Error::new("read", path, source)))?;
    let wanted =
        kubeconfig::rewrite_server(&text, kubeconfig::SERVER).map_err(|error| Failure::failed(&error))?;
    if wanted == text {
        return Ok(());
    }
    Err(Failure::usage(format!("{} is there, and its server is not {}", path.display(), kubeconfig::SERVER))
        .hint("set its `server:` to that, or move the file away: fleet then fetches it from the master"))
}

async fn fetch_kubeconfig(
    fleet: &Fleet,
    hub: &Hub,
    pins: &Pins,
    owner: Owner,
    undo: &mut Undo,
) -> Result<(), Failure> {
    let text = kubeconfig_of_master(fleet, hub, pins).await?;
    undo.make_file(&hub.kubeconfig(), text.as_bytes(), 0o600, owner)
}

/// The kubeconfig that a master has, as the sandbox needs it. It is a secret.
pub(super) async fn kubeconfig_of_master(fleet: &Fleet, hub: &Hub, pins: &Pins) -> Result<String, Failure> {
    let text = ssh::read_admin_conf(&hub.ssh, hub.ip, pins, fleet.timeouts.ssh)
        .await
        .map_err(|error| ssh_failure(&error))?;
    kubeconfig::rewrite_server(&text, kubeconfig::SERVER).map_err(|error| Failure::failed(&error))
}

/// Waits until `/readyz` answers through the tunnel.
pub async fn wait_for_tunnel(engine: &Engine, fleet: &Fleet, hub: &Hub, id: &str) -> Result<(), Failure> {
    let limit = fleet.timeouts.tunnel;
    let deadline = Instant::now() + limit;
    loop {
        let request = fleet.timeouts.kubernetes.min(limit);
        let error = match Cluster::connect(&hub.kubeconfig(), route(engine, fleet, hub, id), request).await {
            Ok(cluster) => match cluster.ready().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        // A certificate that is refused now is refused in a minute too.
        let can_change = matches!(
            error.kind(),
            Kind::NoTunnel | Kind::Closed | Kind::Hanging | Kind::ServerError | Kind::Other
        );
        if can_change && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
            continue;
        }
        let mut problem = chain(&error);
        let words = tunnel_log(engine, fleet, hub, id, 3).await.unwrap_or_default();
        if !words.trim().is_empty() {
            problem = format!("{problem}; {}", crate::text::one_line(&words));
        }
        let failure = Failure { exit: crate::exit::Exit::Failed, problems: vec![problem], hint: None };
        return Err(failure.hint(error.hint().unwrap_or_else(|| {
            format!("waited {}; a longer time is `tunnel` under [timeouts] in fleet.toml", duration(limit))
        })));
    }
}

pub(super) async fn try_credentials(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    interrupt: &Interrupt,
) -> Result<Project, Failure> {
    let unseen = |unseen: crate::observed::Unseen| Failure {
        exit: crate::exit::Exit::Failed,
        problems: vec![unseen.reason],
        hint: unseen.hint,
    };
    let sandboxes = Sandboxes::look(engine, fleet).await?;
    let sandbox = sandboxes.running(fleet, hub).map_err(unseen)?;
    let look = look_at_openrc(engine, fleet, hub, sandbox, interrupt).await.map_err(unseen)?;
    match Cloud::connect(&look.env, fleet.timeouts.openstack, &Tokens::not_kept()).await {
        Ok(cloud) => Ok(cloud.project().clone()),
        Err(error) => {
            let failure = Failure::failed(&error);
            Err(match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}

/// What has been made so far, to be taken away again if the rest fails.
#[derive(Debug, Default)]
struct Undo {
    creating: Option<JoinHandle<Result<String, docker::Error>>>,
    container: Option<String>,
    made: Vec<PathBuf>,
    /// Directories that other hubs may have begun to use meanwhile.
    shared: Vec<PathBuf>,
}

impl Undo {
    /// Makes a container. In a task of its own, which an interrupt does not cut off: the engine would go on and make it all
    /// the same, and nobody would know its id.
    async fn make_container(
        &mut self,
        engine: &Engine,
        spec: SandboxSpec,
        interrupt: &Interrupt,
    ) -> Result<String, Failure> {
        // Whoever takes it away again has to know that it is there.
        let _hold = interrupt.hold();
        let engine = engine.clone();
        let creating = self.creating.insert(tokio::spawn(async move { engine.create(&spec).await }));
        let made = creating.await;
        self.creating = None;
        let id = made.map_err(|error| Failure::failed(&error))??;
        self.container = Some(id.clone());
        Ok(id)
    }

    /// Makes the directory of all states, and what is missing above it.
    fn make_shared_dir(&mut self, dir: &Path) -> Result<(), Failure> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|above| !above.is_dir()).collect();
        for dir in missing.into_iter().rev() {
            files::private_dir(dir).map_err(|error| file_failure(&error))?;
            self.shared.push(dir.to_owned());
        }
        Ok(())
    }

    /// Makes a directory that only its owner reads, unless it is there.
    fn make_dir(&mut self, dir: &Path) -> Result<(), Failure> {
        if dir.is_dir() {
            return Ok(());
        }
        files::private_dir(dir).map_err(|error| file_failure(&error))?;
        self.made.push(dir.to_owned());
        Ok(())
    }

    /// Makes a file; one that is there is replaced by the same content only.
    fn make_file(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), Failure> {
        let was_there = path.exists();
        files::replace(path, bytes, mode).map_err(|error| file_failure(&error))?;
        if !was_there {
            self.made.push(path.to_owned());
        }
        self.give(path, owner)
    }

    /// Gives what was just made to the one who owns the state: root may run fleet for somebody else.
    fn give(&self, path: &Path, owner: Owner) -> Result<(), Failure> {
        if self.made.iter().any(|made| made == path) && owner_of(path)? != owner {
            std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid))
                .map_err(|source| file_failure(&files::Error::new("give to its owner", path, source)))?;
        }
        Ok(())
    }

    /// Takes everything away, the last first. Returns what could not be.
    async fn all(mut self, engine: &Engine) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(Ok(Ok(id))) = OptionFuture::from(self.creating.take()).await {
            self.container = Some(id);
        }
        if let Some(id) = self.container.take()
            && let Err(error) = engine.remove(&id).await
        {
            left.push(format!("and its container is still there: {}", chain(&error)));
        }
        for path in self.made.iter().rev() {
            // Directories were made empty by this run: what is in them came from the sandbox that has just gone.
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            if let Err(error) = removed
                && error.kind() != std::io::ErrorKind::NotFound
            {
                left.push(format!("and {} is still there: {error}", path.display()));
            }
        }
        for dir in self.shared.iter().rev() {
            // One that is in use stays, and so do those above it.
            let _ = std::fs::remove_dir(dir);
        }
        left
    }
}
