//! Makes a hub: its state, its sandbox, its tunnel. What cannot be finished is undone, and the error names the step.

mod declare;
mod event;
mod trial;
mod undo;

use std::path::Path;

use super::elsewhere::{has_files, has_the_same};
use super::host_keys::{self, Demanded, ssh_failure};
use super::turns::{Turn, Turns};
use crate::config::NewHub;
use crate::exit::Failure;
use crate::files;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::known;
use crate::sandbox::{Owner, SandboxSpec};
use crate::systems::docker::Engine;
use crate::systems::kubeconfig;
use crate::systems::ssh::{self, Pins};

pub(super) use self::declare::declare;
pub use self::event::{Event, Step};
pub(super) use self::trial::try_credentials;
pub use self::trial::wait_for_tunnel;
use self::undo::{Undo, owner_of};

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
    let turns = Turns::of(1);
    let turn = turns.turn().await;
    let steps = async {
        has_files(creation.engine, creation.fleet, creation.hub).await?;
        at = Step::HostKey;
        let pins = look_at_keys(creation.fleet, creation.hub, creation.host_keys, tell).await?;
        steps(creation, &pins, &mut undo, &mut at, turn, tell).await?;
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
    mut turn: Turn<'_>,
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
    let to_make = turn.to_make().await;
    let id = undo.make_container(engine, spec.clone(), interrupt).await?;
    drop(to_make);
    let to_start = turn.made().await;
    // Elsewhere a pipe of here has no other end.
    let held = (!fleet.may_be_elsewhere(hub)).then(|| turn.hold(hub)).flatten();
    engine.start(&id).await?;
    drop(to_start);
    has_the_same(engine, fleet, hub, &spec, &id, interrupt).await?;
    turn.runs().await;

    begin(Step::Tunnel, tell);
    turn.connect(held, Box::pin(wait_for_tunnel(engine, fleet, hub, &id))).await?;

    begin(Step::Credentials, tell);
    let project = try_credentials(engine, fleet, hub, interrupt).await?;
    tell(Event::Project(&project));
    Ok(())
}

/// Makes what is missing of a hub that fleet.toml has. What was made stays where a later step fails: the sandbox goes on
/// trying, and the next run goes on from there.
pub async fn complete(
    creation: &Creation<'_>,
    turn: Turn<'_>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
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
        steps(creation, &pins, &mut undo, &mut at, turn, tell).await
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

pub(super) fn check_kubeconfig(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Failure::failed(&files::Error::new("read", path, source)))?;
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
