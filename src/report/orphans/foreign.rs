//! Clusters that are not in `fleet.toml` as hubs: those that block deletion, and those that somebody answered for.

use std::io::{self, Write};

use crate::plan::orphans::{ForeignCluster, OrphanPlan, Sign};
use crate::text::clean;

/// The most servers, containers and volumes that are named. The JSON has all of them.
const MOST: usize = 4;

/// Both kinds, the unknown ones with what to do.
pub(super) fn write(out: &mut impl Write, plan: &OrphanPlan<'_>) -> io::Result<()> {
    let mut unknown = plan.unknown_clusters().peekable();
    if unknown.peek().is_some() {
        writeln!(
            out,
            "\nUnknown clusters: fleet.toml does not have them, so nothing is deleted in their projects"
        )?;
    }
    for cluster in unknown {
        writeln!(out, "  {} in {}", clean(cluster.name), places(cluster))?;
        signs(out, cluster)?;
        writeln!(out, "    {}", clean(&hint(cluster)))?;
    }
    let mut answered = plan.answered_clusters().peekable();
    if answered.peek().is_some() {
        writeln!(
            out,
            "\nForeign clusters that were answered for: they have no volumes here that do not carry their name"
        )?;
    }
    for cluster in answered {
        for answer in &cluster.answered {
            let (name, place) = (clean(cluster.name), clean(&answer.project.name));
            writeln!(out, "  {name} in {place}: {}", clean(&answer.reason))?;
        }
    }
    Ok(())
}

/// What tells of a cluster, one line each.
pub(super) fn signs(out: &mut impl Write, cluster: &ForeignCluster<'_>) -> io::Result<()> {
    for sign in told(cluster) {
        writeln!(out, "    {}", clean(&sign))?;
    }
    Ok(())
}

/// One line for each unknown cluster and one with what to do, for standard error.
pub fn unknown_in_words(plan: &OrphanPlan<'_>) -> String {
    let lines = plan.unknown_clusters().map(|cluster| {
        let (name, signs, hint) = (clean(cluster.name), told(cluster).join("; "), hint(cluster));
        format!("unknown cluster {name} in {}: {}\n    {}\n", places(cluster), clean(&signs), clean(&hint))
    });
    lines.collect()
}

/// The projects that it blocks. One that only a container tells of blocks also those that were not seen.
fn places(cluster: &ForeignCluster<'_>) -> String {
    // By name, as people look for them; projects themselves are sorted by their ids.
    let mut names: Vec<_> = cluster.blocks.iter().map(|project| clean(&project.name)).collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => "every project".to_owned(),
        [one] => format!("project {one}"),
        more => format!("projects {}", more.join(", ")),
    }
}

fn hint(cluster: &ForeignCluster<'_>) -> String {
    format!(
        "make it a hub (`fleet new`); or, if it has no volumes there or all of them carry its name, say so in fleet.toml: \
         [[foreign]] with name = {:?} and a reason",
        cluster.name
    )
}

fn told(cluster: &ForeignCluster<'_>) -> Vec<String> {
    let mut told: Vec<String> = cluster.signs.iter().take(MOST).map(sign).collect();
    match cluster.signs.len().saturating_sub(MOST) {
        0 => {}
        1 => told.push("and one more".to_owned()),
        more => told.push(format!("and {more} more")),
    }
    told
}

fn sign(sign: &Sign<'_>) -> String {
    match sign {
        Sign::Server { id, name, why, .. } => format!("server {name} ({id}): {}", why.join(", ")),
        Sign::Container { name, image, state, ip, .. } => {
            let ip = ip.map_or_else(String::new, |ip| format!(", for {ip}"));
            format!("container {name} of the old scripts ({image}, {state}{ip})")
        }
        Sign::Volume { id, key, value, .. } => format!("volume {id}: {key}={value}"),
        Sign::Attachment { id, name, server, .. } => {
            format!(
                "claim's volume {name} ({id}): it is attached to {server}, which is none of the project's servers"
            )
        }
    }
}
