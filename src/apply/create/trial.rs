//! Tries what was made: whether the tunnel leads to the cluster, and the credentials to a project.

use std::time::Duration;

use tokio::time::Instant;

use crate::exit::{Exit, Failure, chain};
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observe::{Sandboxes, look_at_openrc, route, tunnel_log};
use crate::observed::{Project, Unseen};
use crate::report::duration;
use crate::systems::docker::Engine;
use crate::systems::kube::{Cluster, Kind};
use crate::systems::openstack::{Cloud, Tokens};
use crate::text::one_line;

/// Between two looks at a tunnel that is coming up.
const POLL: Duration = Duration::from_millis(150);

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
            problem = format!("{problem}; {}", one_line(&words));
        }
        let failure = Failure { exit: Exit::Failed, problems: vec![problem], hint: None };
        return Err(failure.hint(error.hint().unwrap_or_else(|| {
            format!("waited {}; a longer time is `tunnel` under [timeouts] in fleet.toml", duration(limit))
        })));
    }
}

/// Logs in to OpenStack with what the sandbox's openrc says.
pub(in crate::apply) async fn try_credentials(
    engine: &Engine,
    fleet: &Fleet,
    hub: &Hub,
    interrupt: &Interrupt,
) -> Result<Project, Failure> {
    let unseen =
        |unseen: Unseen| Failure { exit: Exit::Failed, problems: vec![unseen.reason], hint: unseen.hint };
    let sandboxes = Sandboxes::look_for(engine, fleet, &[hub]).await?;
    let sandbox = sandboxes.running(fleet, hub).map_err(unseen)?;
    let look = look_at_openrc(engine, fleet, hub, sandbox, interrupt).await.map_err(unseen)?;
    let cloud = Cloud::connect(&look.env, fleet.timeouts.openstack, &Tokens::not_kept()).await;
    let cloud = cloud.map_err(|error| Failure::failed(&error).maybe_hint(error.hint()))?;
    Ok(cloud.project().clone())
}
