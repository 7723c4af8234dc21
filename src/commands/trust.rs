//! `fleet trust`: a master that shows another host key, after somebody has looked at both.

use super::context::{Context, tell};
use super::new::fingerprint;
use super::prompt::{self, unconfirmed};
use crate::apply::create::{master_key, pinned, wait_for_tunnel};
use crate::apply::tunnel;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::hub::{Hub, HubName};
use crate::observe::Sandboxes;
use crate::plan::trust::{Verdict, judge, trusts};
use crate::report::Progress;
use crate::systems::ssh::HostKey;

/// Pin a master's new host key, after looking at both
///
/// A tunnel refuses a master that shows another host key than the one that was pinned: it may have been rebuilt, or somebody
/// may be in between. This asks the master for its key, shows both fingerprints, and pins the new one once that is confirmed:
/// at a terminal by typing `yes` or the fingerprint, in scripts with --host-key. Then the tunnel connects again.
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
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let running = sandboxes.running(&fleet, hub).ok().map(|sandbox| sandbox.id.as_str());

    let (old, progress) = (pinned(hub), Progress::new(&format!("asking the master of {}", hub.name), 0));
    let asked = context.unless_interrupted(master_key(&fleet, hub)).await?;
    drop(progress);
    let key = asked.map_err(|failure| of_hub(hub, failure))?;
    let shown = key.fingerprint();
    let is_pinned =
        match judge(old.as_ref().map(HostKey::fingerprint).as_deref(), &shown, args.host_key.as_deref()) {
            Verdict::Pinned => true,
            Verdict::Demanded => false,
            Verdict::NotDemanded => {
                return Err(of_hub(
                    hub,
                    Failure {
                        exit: Exit::Failed,
                        problems: vec![format!(
                            "the master at {} shows the host key {shown}, and not the one that is demanded",
                            hub.ip
                        )],
                        hint: Some("do not go on before you know why; nothing was changed".to_owned()),
                    },
                ));
            }
            Verdict::Ask => {
                tell(&both(hub, old.as_ref(), &key));
                confirm(context, hub, &shown).await?;
                false
            }
        };
    if !is_pinned || args.kubeconfig || running.is_some() {
        context.begins(&fleet, [&hub.name]);
    }
    if is_pinned {
        tell(&format!("{}: the master at {} shows the key that is pinned: {shown}\n", hub.name, hub.ip));
    } else {
        tunnel::pin(&engine, &fleet, hub, running, &key, &context.interrupt)
            .await
            .map_err(|failure| of_hub(hub, failure))?;
        tell(&format!("{}: pinned {shown} ({})\n", hub.name, key.key_type()));
    }
    if args.kubeconfig {
        let fetched =
            context.unless_interrupted(Box::pin(tunnel::fetch_kubeconfig(&fleet, hub, &key))).await?;
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

/// Both keys, for somebody who compares them.
fn both(hub: &Hub, old: Option<&HostKey>, new: &HostKey) -> String {
    let told = |key: &HostKey| format!("{} ({})", key.fingerprint(), key.key_type());
    let old = old.map_or_else(|| format!("none for {}", hub.ip), told);
    format!(
        "{}: the master at {} shows another host key than the one that is pinned\n    pinned  {old}\n    shown   {}\n\
         It may have been rebuilt, or somebody may be in between. On the master's console:\n    \
         ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n",
        hub.name,
        hub.ip,
        told(new)
    )
}

async fn confirm(context: &Context, hub: &Hub, shown: &str) -> Result<(), Failure> {
    let nothing = "the old key stays pinned";
    if !prompt::can_type() {
        return Err(unconfirmed(
            format!("hub {}: the new host key was not confirmed; {nothing}", hub.name),
            format!("once you have made sure of it: fleet trust {} --host-key {shown}", hub.name),
        ));
    }
    let typed = prompt::ask(
        context,
        "Is the key that is shown the master's? Type yes, or its fingerprint: ",
        nothing,
    )
    .await?;
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
