//! `fleet rm`: takes a hub out of the fleet.

use super::context::{Context, tell};
use crate::apply::tunnel;
use crate::clock;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, Hub};
use crate::known;
use crate::observe::{Clusters, Sandboxes};
use crate::observed::{ClusterVolumes, SandboxState, Subject, Tombstone, Unseen};
use crate::plan::reconcile::{is_stranger, not_known};
use crate::tombstone;

/// Take a hub out of the fleet: its sandbox goes, its state directory stays
///
/// The hub's cluster is not touched. What volumes it uses is asked once more and remembered, so that they do not look
/// orphaned from now on. A cluster that does not answer can only be taken out when you say that it is gone for good.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet rm ou23s\n  fleet rm ou23s --gone             the cluster does not exist any more\n  fleet rm ou23s \
--purge --confirm  its kubeconfig, secrets.yaml and Terraform state go too"
)]
pub struct Args {
    /// The hub
    hub: String,

    /// The cluster is gone for good: nothing uses its volumes any more
    #[arg(long)]
    gone: bool,

    /// Remove the state directory too
    #[arg(long)]
    purge: bool,

    /// Yes, remove the state directory
    #[arg(long, requires = "purge")]
    confirm: bool,
}

/// Takes it out.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let names = [args.hub.clone()];
    let hubs = config::resolve(&fleet, &names)?;
    let hub = *hubs.first().ok_or_else(|| Failure::usage("no hub"))?;
    if args.purge && !args.confirm {
        tell(&format!(
            "{} would be removed, with its kubeconfig, secrets.yaml and Terraform state\n",
            hub.state.display()
        ));
        return Err(Failure {
            exit: Exit::Unconfirmed,
            problems: vec!["confirmation is missing".to_owned()],
            hint: None,
        }
        .hint(format!("fleet rm {} --purge --confirm", hub.name)));
    }
    let _alone = config::lock_hub(&fleet, &hub.name)?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    context.begins(&fleet, [&hub.name]);
    let used = context.unless_interrupted(used_volumes(&fleet, &sandboxes, hub)).await?;
    let used = match used {
        Ok(used) => Some(used),
        Err(_) if args.gone => None,
        Err(unseen) => return Err(cannot_tell(hub, unseen)),
    };
    // Its sandbox would go on there, and nobody would know what for.
    if let Some(silence) = sandboxes.silence_of(hub) {
        return Err(Failure {
            exit: Exit::Failed,
            problems: vec![format!("{}: its sandbox cannot be removed: {}", silence.subject, silence.reason)],
            hint: silence.hint,
        }
        .hint("bring the engine back, and remove the hub then"));
    }
    if let Some(silent) = sandboxes.silent().next() {
        return Err(failed(format!(
            "hub {}: engine {} does not answer, and may have a sandbox of it: {}",
            hub.name, silent.engine, silent.reason
        ))
        .hint("bring the engine back, and remove the hub then"));
    }
    let known = known::sandboxes(&fleet)?;
    if let Some(stranger) = sandboxes.all_of(&hub.name).find(|sandbox| is_stranger(hub, sandbox, &known)) {
        return Err(failed(format!("hub {}: {}", hub.name, not_known(stranger))));
    }
    // The stone first: whatever happens from here on, the volumes are remembered.
    // Also where there are none yet: the cluster may go on, and make some.
    if let Some(used) = used {
        let ClusterVolumes { hub: name, persistent_volumes, claims, removed_at: _, seen_at: _ } = used;
        let count = persistent_volumes.len();
        let stone = Tombstone { hub: name, removed_at: clock::now(), persistent_volumes, claims };
        tombstone::set(&fleet, stone)?;
        tell(&format!(
            "{count} volumes that its cluster uses are remembered in {}; they, and volumes made from now on, are no orphans until \
             you remove that file, when the cluster is gone\n",
            tombstone::path_of(&fleet, &hub.name).display()
        ));
    }
    match (sandboxes.of(&hub.name), &hub.container) {
        // What fleet did not make it does not remove.
        (Some(sandbox), Some(container)) => {
            if sandbox.state == SandboxState::Running {
                tunnel::end(&engine, &fleet, &sandbox.id, &context.interrupt).await?;
            }
            let _ = std::fs::remove_file(hub.adopted_known_hosts());
            let _ = std::fs::remove_file(hub.adopted_jump_known_hosts());
            let _ = std::fs::remove_file(hub.adopted_way());
            tell(&format!("container {container} stays as it is, without fleet's tunnel\n"));
        }
        (Some(sandbox), None) => engine.remove(&sandbox.id).await?,
        (None, _) => {}
    }
    for more in sandboxes.aside(&hub.name).into_iter().chain(sandboxes.spare(&hub.name)) {
        engine.remove(&more.id).await?;
    }
    config::remove_hub(&fleet.path, &hub.name)?;
    engine.clear_layers().await;
    if args.purge {
        std::fs::remove_dir_all(&hub.state)
            .map_err(|source| Failure::failed(&files::Error::new("remove", &hub.state, source)))?;
    }
    tell(&format!("hub {} is out of the fleet", hub.name));
    tell(&if args.purge {
        "\n".to_owned()
    } else {
        format!("; its state stays in {}\n", hub.state.display())
    });
    Ok(Exit::Done)
}

fn failed(problem: String) -> Failure {
    Failure { exit: Exit::Failed, problems: vec![problem], hint: None }
}

/// The PVs and claims of the hub's cluster.
async fn used_volumes(fleet: &Fleet, sandboxes: &Sandboxes, hub: &Hub) -> Result<ClusterVolumes, Unseen> {
    let (seen, unseen) = Clusters::of_hubs(fleet, sandboxes, &[hub]).await.volumes_used().await;
    match (seen.into_iter().next(), unseen.into_iter().next()) {
        (Some(cluster), _) => Ok(cluster),
        (None, Some(unseen)) => Err(unseen),
        // One is asked, and it answers or it does not.
        (None, None) => Err(Unseen {
            subject: Subject::Hub(hub.name.clone()),
            reason: "it was not asked".to_owned(),
            hint: None,
        }),
    }
}

fn cannot_tell(hub: &Hub, unseen: Unseen) -> Failure {
    let mut hint = format!("if its cluster is gone for good: fleet rm {} --gone", hub.name);
    if let Some(first) = unseen.hint {
        hint = format!("{first}; {hint}");
    }
    Failure {
        exit: Exit::CannotTell,
        problems: vec![format!("cannot tell what volumes hub {} uses: {}", hub.name, unseen.reason)],
        hint: Some(hint),
    }
}
