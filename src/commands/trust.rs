//! `fleet trust`: a master that shows another host key, after somebody has looked at both.

use super::context::{Context, tell};
use super::new::fingerprint;
use super::prompt::{self, unconfirmed};
use crate::apply::create::wait_for_tunnel;
use crate::apply::host_keys::{jump_key, master_key, pinned, pinned_by_others, pinned_jump};
use crate::apply::tunnel;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::hub::{Hub, HubName};
use crate::observe::Sandboxes;
use crate::plan::trust::{Verdict, judge, trusts};
use crate::report::Progress;
use crate::systems::ssh::{HostKey, Pins};

/// Pin a master's new host key, after looking at both
///
/// A tunnel refuses a master that shows another host key than the one that was pinned: it may have been rebuilt, or somebody
/// may be in between. This asks the master for its key, shows both fingerprints, and pins the new one once that is confirmed:
/// at a terminal by typing `yes` or the fingerprint, in scripts with --host-key. Then the tunnel connects again. Where the way leads by
/// a jump host, the same is done with its key first (--jump-host-key).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet trust ou23s\n  fleet trust ou23s --host-key SHA256:WkrXFdcRkHnsYQ...\n  fleet trust ou23s --kubeconfig   \
                  the cluster was made anew, too\n\nHow to make sure: on the master's console (`openstack console log show`), or from who runs \
                  it: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n\nExit status: 0 when the API answers through the tunnel; 1 otherwise; \
                  4 when it was not confirmed."
)]
pub struct Args {
    /// The hub
    #[arg(value_name = "HUB")]
    hub: HubName,

    /// The host key that the master must show: SHA256:...
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    host_key: Option<String>,

    /// The host key that the jump host must show: SHA256:...
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    jump_host_key: Option<String>,

    /// Fetch the cluster's kubeconfig again as well: its certificates were renewed, or the cluster was made anew
    #[arg(long)]
    kubeconfig: bool,
}

/// Does it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let name = [args.hub.to_string()];
    let hubs = config::resolve(&fleet, &name)?;
    let [hub] = hubs.as_slice() else { return Ok(Exit::Done) };
    let _alone = config::lock_hub(&fleet, &hub.name)?;
    if !hub.tunnel_dir().is_dir() {
        return Err(Failure::usage(format!("hub {} has no state yet, and no key was pinned", hub.name))
            .hint(format!(
                "fleet up {} makes its sandbox, and pins the key that the master shows",
                hub.name
            )));
    }
    if args.jump_host_key.is_some() && hub.ssh.jump.is_none() {
        return Err(Failure::usage(format!(
            "--jump-host-key is for a jump host, and hub {} has none (`ssh_jump` in fleet.toml)",
            hub.name
        )));
    }
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let running = sandboxes.running(&fleet, hub).ok().map(|sandbox| sandbox.id.as_str());

    let jump = match &hub.ssh.jump {
        None => None,
        Some(jump) => {
            let old = pinned_jump(hub);
            let progress = Progress::new(&format!("asking the jump host of {}", hub.name), 0);
            let asked = context.unless_interrupted(jump_key(&fleet, jump, old.as_ref())).await?;
            drop(progress);
            let server = Server { hub, is_jump: true, name: format!("jump host {}", jump.at) };
            Some(decide(context, &server, old, asked, args.jump_host_key.as_deref()).await?)
        }
    };
    let progress = Progress::new(&format!("asking the master of {}", hub.name), 0);
    let way = jump.as_ref().map(|(key, _)| key);
    let asked = context.unless_interrupted(Box::pin(master_key(&fleet, hub, way))).await?;
    drop(progress);
    let server = Server { hub, is_jump: false, name: format!("master at {}", hub.ip) };
    let (master, master_is_pinned) =
        decide(context, &server, pinned(hub), asked, args.host_key.as_deref()).await?;
    let is_pinned = master_is_pinned && jump.as_ref().is_none_or(|(_, is_pinned)| *is_pinned);
    let keys = Pins { master, jump: jump.map(|(key, _)| key) };
    if !is_pinned || args.kubeconfig || running.is_some() {
        context.begins(&fleet, [&hub.name]);
    }
    if !is_pinned {
        tunnel::pin(&engine, &fleet, hub, running, &keys, &context.interrupt)
            .await
            .map_err(|failure| of_hub(hub, failure))?;
        for key in keys.jump.iter().chain([&keys.master]) {
            tell(&format!("{}: pinned {} ({})\n", hub.name, key.fingerprint(), key.key_type()));
        }
    }
    for (other, _) in pinned_by_others(&fleet, hub).iter().filter(|(_, key)| Some(key) != keys.jump.as_ref())
    {
        tell(&format!("{other}: has pinned another key for the same jump host: fleet trust {other}\n"));
    }
    if args.kubeconfig {
        let fetched =
            context.unless_interrupted(Box::pin(tunnel::fetch_kubeconfig(&fleet, hub, &keys))).await?;
        let kept = fetched.map_err(|failure| of_hub(hub, failure))?;
        tell(&format!("{}: fetched the kubeconfig from the master\n", hub.name));
        if let Some(kept) = kept {
            tell(&format!("    the one that was there is {}\n", kept.display()));
        }
    }
    let Some(sandbox) = running else {
        tell(&format!("{0}: its sandbox does not run: fleet up {0}\n", hub.name));
        return Ok(Exit::Done);
    };
    let progress = Progress::new(&format!("waiting for the tunnel of {}", hub.name), 0);
    let waiting = async {
        // A key that was pinned already says nothing of the tunnel: it may be down for another reason.
        if is_pinned {
            Box::pin(tunnel::reconnect(&engine, &fleet, hub, sandbox, &context.interrupt)).await
        } else {
            Box::pin(wait_for_tunnel(&engine, &fleet, hub, sandbox)).await
        }
    };
    let came = context.unless_interrupted(waiting).await?;
    drop(progress);
    came.map_err(|failure| of_hub(hub, failure))?;
    tell(&format!("{}: its API answers\n", hub.name));
    Ok(Exit::Done)
}

/// Whose host key it is about.
struct Server<'a> {
    hub: &'a Hub,
    is_jump: bool,
    name: String,
}

/// The key that a server shows, once it may be pinned, and whether it is.
async fn decide(
    context: &Context,
    server: &Server<'_>,
    old: Option<HostKey>,
    asked: Result<HostKey, Failure>,
    demanded: Option<&str>,
) -> Result<(HostKey, bool), Failure> {
    let Server { hub, name, .. } = server;
    let key = asked.map_err(|failure| of_hub(hub, failure))?;
    let shown = key.fingerprint();
    match judge(old.as_ref().map(HostKey::fingerprint).as_deref(), &shown, demanded) {
        Verdict::Pinned => {
            tell(&format!("{}: the {name} shows the key that is pinned: {shown}\n", hub.name));
            Ok((key, true))
        }
        Verdict::Demanded => Ok((key, false)),
        Verdict::NotDemanded => {
            let problem = format!("the {name} shows the host key {shown}, and not the one that is demanded");
            let failure = Failure { exit: Exit::Failed, problems: vec![problem], hint: None };
            Err(of_hub(hub, failure.hint("do not go on before you know why; nothing was changed")))
        }
        Verdict::Ask => {
            tell(&both(server, old.as_ref(), &key));
            confirm(context, server, &shown).await?;
            Ok((key, false))
        }
    }
}

/// Both keys, for somebody who compares them.
fn both(server: &Server<'_>, old: Option<&HostKey>, new: &HostKey) -> String {
    let Server { hub, is_jump, name } = server;
    let told = |key: &HostKey| format!("{} ({})", key.fingerprint(), key.key_type());
    let none = || if *is_jump { "none for it".to_owned() } else { format!("none for {}", hub.ip) };
    let old = old.map_or_else(none, told);
    let console = if *is_jump { "On it" } else { "On the master's console" };
    format!(
        "{}: the {name} shows another host key than the one that is pinned\n    pinned  {old}\n    shown   {}\n\
         It may have been rebuilt, or somebody may be in between. {console}:\n    \
         ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n",
        hub.name,
        told(new)
    )
}

async fn confirm(context: &Context, server: &Server<'_>, shown: &str) -> Result<(), Failure> {
    let Server { hub, is_jump, .. } = server;
    let nothing = "the old key stays pinned";
    let (whose, option) =
        if *is_jump { ("the jump host's", "jump-host-key") } else { ("the master's", "host-key") };
    if !prompt::can_type() {
        return Err(unconfirmed(
            format!("hub {}: the new host key was not confirmed; {nothing}", hub.name),
            format!("once you have made sure of it: fleet trust {} --{option} {shown}", hub.name),
        ));
    }
    let question = format!("Is the key that is shown {whose}? Type yes, or its fingerprint: ");
    let typed = prompt::ask(context, &question, nothing).await?;
    if trusts(&typed, shown) {
        return Ok(());
    }
    Err(unconfirmed(format!("hub {}: not confirmed; {nothing}", hub.name), "run it again"))
}

fn of_hub(hub: &Hub, mut failure: Failure) -> Failure {
    for problem in &mut failure.problems {
        *problem = format!("hub {}: {problem}", hub.name);
    }
    failure
}
