//! `fleet new`: a hub with its sandbox and its tunnel.

use std::net::IpAddr;
use std::path::PathBuf;

use super::context::{Context, tell};
use crate::apply::create::{Creation, Event, Step, create};
use crate::apply::host_keys::Demanded;
use crate::config::{self, NewHub, values};
use crate::exit::{Exit, Failure, chain};
use crate::hub::{EngineName, Fleet, Hub, HubName};
use crate::observe::look_at_agent;
use crate::plan::reconcile::no_image;
use crate::report::Progress;
use crate::systems::ssh;

/// Make a hub: its sandbox, its state directory, its tunnel
///
/// Everything is checked first. Then fleet shows and pins the master's host key, makes the state directory, fetches the
/// cluster's kubeconfig over SSH where the state has none, makes and starts the sandbox, waits until the API server
/// answers through the tunnel, tries the credentials against Keystone, and only then writes the hub into fleet.toml. If
/// any step fails, nothing is left behind.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet new --name ou23s --ip 149.165.170.10 --openrc ~/openrc/ou23s.sh\n  fleet new --name ou23s --ip \
149.165.170.10 --openrc ~/openrc/ou23s.sh --tag gpu,term=fall --host-key SHA256:WkrXFdcRkHnsYQ...\n  fleet new --name ou23s --ip 10.0.0.5 \
--openrc ~/openrc/ou23s.sh --ssh-jump ubuntu@149.165.170.9:22"
)]
pub struct Args {
    /// The hub's name, a DNS label: its servers, domain and sandbox are named after it
    #[arg(long, value_parser = HubName::new)]
    name: HubName,

    /// The address of its master
    #[arg(long, value_parser = address)]
    ip: IpAddr,

    /// Its openrc file
    #[arg(long, value_name = "PATH")]
    openrc: PathBuf,

    /// The private key for its master; without it, fleet.toml's
    #[arg(long, value_name = "PATH")]
    ssh_key: Option<PathBuf>,

    #[command(flatten)]
    way: Way,

    /// The account on its master; without it, fleet.toml's
    #[arg(long, value_name = "USER")]
    ssh_user: Option<String>,

    /// The port of its master's sshd; without it, fleet.toml's
    #[arg(long, value_name = "PORT")]
    ssh_port: Option<u16>,

    /// The project's DNS domain, to check that the master's name fits into a certificate
    #[arg(long, value_name = "DOMAIN")]
    project_domain: Option<String>,

    /// The sandbox's image; without it, fleet.toml's
    #[arg(long)]
    image: Option<String>,

    /// The engine that its sandbox lives on (`[engines]` in fleet.toml); without it, the usual one
    #[arg(long, value_name = "NAME", value_parser = EngineName::new)]
    engine: Option<EngineName>,

    /// What it is chosen by, beside its name: gpu, or KEY=VALUE, which `fleet exec --each` puts where {tag.KEY} stands
    #[arg(long, value_name = "TAG,...", value_delimiter = ',', value_parser = values::tag)]
    tag: Vec<String>,

    /// The host key that the master must show: SHA256:...
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    host_key: Option<String>,
}

/// How masters are reached, where it is not as fleet.toml says.
#[derive(Debug, clap::Args)]
pub(super) struct Way {
    /// The host that its master is reached by way of; without it, fleet.toml's; `none` for none
    #[arg(long, value_name = "USER@HOST:PORT", value_parser = jump)]
    pub ssh_jump: Option<String>,

    /// The private key for that; without it, fleet.toml's, else the one for the master
    #[arg(long, value_name = "PATH")]
    pub ssh_jump_key: Option<PathBuf>,

    /// The socket of an SSH agent that has the keys; without it, fleet.toml's; `none` for none
    #[arg(long, value_name = "PATH")]
    pub ssh_agent: Option<PathBuf>,

    /// The host key that the jump host must show: SHA256:...
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    pub jump_host_key: Option<String>,
}

impl Way {
    /// Fails where a jump host's key is demanded, and the hub has none.
    pub fn check(&self, hub: &Hub) -> Result<(), Failure> {
        if self.jump_host_key.is_some() && hub.ssh.jump.is_none() {
            return Err(Failure::usage("--jump-host-key is for a jump host, and none is named")
                .hint("name it with --ssh-jump, or as ssh_jump in fleet.toml"));
        }
        Ok(())
    }
}

/// Checked like fleet.toml's, and written as it was typed.
fn jump(text: &str) -> Result<String, String> {
    values::unless_none(text, values::jump).map(|_| text.to_owned())
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "not an IP address, such as 149.165.170.10".to_owned())
}

/// A fingerprint that is demanded.
pub(super) fn fingerprint(text: &str) -> Result<String, String> {
    // 32 bytes of SHA-256 are 43 characters of unpadded base64.
    let ok = text.strip_prefix("SHA256:").is_some_and(|hash| {
        hash.len() == 43 && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    });
    if ok {
        Ok(text.to_owned())
    } else {
        Err("not a fingerprint as ssh-keygen -lf shows it: SHA256:...".to_owned())
    }
}

/// Makes it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let path = config::find_or_new(context.config.as_deref())?;
    let new = NewHub {
        name: args.name.clone(),
        ip: args.ip,
        openrc: args.openrc.clone(),
        ssh_user: args.ssh_user.clone(),
        ssh_port: args.ssh_port,
        ssh_key: args.ssh_key.clone(),
        ssh_jump: args.way.ssh_jump.clone(),
        ssh_jump_key: args.way.ssh_jump_key.clone(),
        ssh_agent: args.way.ssh_agent.clone(),
        project_domain: args.project_domain.clone(),
        image: args.image.clone(),
        state: None,
        container: None,
        engine: args.engine.clone(),
        tags: args.tag.clone(),
    };
    let (fleet, hub) = config::preview_hub(&path, &new)?;
    check_files(&fleet, &hub)?;
    args.way.check(&hub)?;
    let _alone = config::lock_hub(&fleet, &hub.name)?;
    let engine = context.engine(&fleet).await?;
    let container = fleet.container_of(&hub.name);
    let there = engine.on(&hub.engine)?;
    if there.container_is_ours(&container, &fleet.name).await?.is_some() {
        return Err(Failure::usage(format!("there is a container {container} already"))
            .hint(format!("remove it (`docker rm -f {container}`), or choose another name")));
    }
    if there.image_id(&hub.image).await?.is_none() {
        return Err(Failure::usage(no_image(&hub)).hint(format!(
            "docker pull {0}, or build fleet's own: docker build -t {0} images/sandbox",
            hub.image
        )));
    }
    context.begins(&fleet, [&hub.name]);
    let progress = Progress::new("checking", 0);
    let host_keys = Demanded { master: args.host_key.as_deref(), jump: args.way.jump_host_key.as_deref() };
    let creation = Creation { host_keys, ..Creation::new(&engine, &fleet, &hub, &context.interrupt) };
    create(&creation, &new, &mut |event| show(&progress, &hub, &event)).await?;
    drop(progress);
    tell(&format!("hub {} is up: fleet exec --hub {0} kubectl get nodes\n", hub.name));
    Ok(Exit::Done)
}

fn show(progress: &Progress, hub: &Hub, event: &Event<'_>) {
    match event {
        Event::Begin(step) => progress.say(&begin(*step)),
        event => progress.aside(|| tell(&told(hub, event))),
    }
}

/// What an event says.
pub(super) fn told(hub: &Hub, event: &Event<'_>) -> String {
    match event {
        Event::Begin(step) => format!("{}: {}\n", hub.name, begin(*step)),
        Event::JumpHostKey(jump, key) => format!(
            "{}: the jump host {} shows the host key {} ({})\n",
            hub.name,
            jump.at,
            key.fingerprint(),
            key.key_type()
        ),
        Event::HostKey(key) => {
            format!(
                "{}: the master at {} shows the host key {} ({})\n",
                hub.name,
                hub.ip,
                key.fingerprint(),
                key.key_type()
            )
        }
        Event::KubeconfigKept(path) => format!("{}: using the kubeconfig {}\n", hub.name, path.display()),
        Event::Project(project) => format!("{}: the credentials lead to project {project}\n", hub.name),
        Event::StoneKept(path) => format!(
            "{}: this cluster does not have all that a hub of the name used which was taken out of the fleet; that stays remembered \
             in {}, and is no orphan; remove that file when nothing uses it any more\n",
            hub.name,
            path.display()
        ),
    }
}

/// What a step says while it goes on.
pub(super) fn begin(step: Step) -> String {
    format!("{step} ...")
}

/// What the hub needs on this machine. All problems at once.
fn check_files(fleet: &Fleet, hub: &Hub) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let mut hint = None;
    match config::openrc::check(&hub.openrc) {
        Ok(warnings) => {
            for warning in warnings {
                tell(&format!("warning: {warning}\n"));
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            problems.extend(failure.problems);
            hint = failure.hint;
        }
    }
    if let Err(error) = ssh::check_keys(&hub.ssh) {
        problems.push(chain(&error));
        hint = hint.or(error.hint());
    }
    problems.extend(look_at_agent(fleet, hub).err());
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure { exit: Exit::Usage, problems, hint })
}
