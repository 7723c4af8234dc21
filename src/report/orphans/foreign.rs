//! Clusters that are not in `fleet.toml` as hubs: those that block deletion, and those that somebody answered for.

use std::io::{self, Write};

use crate::observed::Project;
use crate::plan::orphans::{ForeignCluster, OrphanPlan, Sign};
use crate::text::{clean, count};

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
        let places =
            if cluster.blocks.is_empty() { "every project".to_owned() } else { projects(&cluster.blocks) };
        writeln!(out, "  {} in {places}: {}", clean(cluster.name), clean(&signs(cluster)))?;
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

/// One line for each unknown cluster and one with what to do, for standard error.
pub fn unknown_in_words(plan: &OrphanPlan<'_>) -> String {
    let mut text = String::new();
    for cluster in plan.unknown_clusters() {
        let (name, places) = (clean(cluster.name), projects(&cluster.blocks));
        text += &format!(
            "unknown cluster {name} in {places}: {}\n    {}\n",
            clean(&signs(cluster)),
            clean(&hint(cluster))
        );
    }
    text
}

fn projects(projects: &[&Project]) -> String {
    let names: Vec<_> = projects.iter().map(|project| clean(&project.name)).collect();
    let one = if names.len() == 1 { "project" } else { "projects" };
    format!("{one} {}", names.join(", "))
}

fn hint(cluster: &ForeignCluster<'_>) -> String {
    format!(
        "make it a hub (`fleet new`); or, if it has no volumes there or all of them carry its name, say so in fleet.toml: \
         [[foreign]] with name = {:?} and a reason",
        cluster.name
    )
}

/// What tells of a cluster, in one line.
pub(super) fn signs(cluster: &ForeignCluster<'_>) -> String {
    let mut told: Vec<String> = cluster.signs.iter().take(MOST).map(sign).collect();
    if let Some(more) = cluster.signs.len().checked_sub(MOST).filter(|more| *more > 0) {
        told.push(format!("and {}", count(more as u64, "sign more").replace("signs more", "more signs")));
    }
    told.join("; ")
}

fn sign(sign: &Sign<'_>) -> String {
    match sign {
        Sign::Server { id, name, why, .. } => format!("server {name} ({id}) by {}", why.join(", ")),
        Sign::Container { name, image, state, ip, .. } => {
            let ip = ip.map_or_else(String::new, |ip| format!(", for {ip}"));
            format!("container {name} of the old scripts ({image}, {state}{ip})")
        }
        Sign::Volume { id, key, value, .. } => format!("volume {id} has {key}={value}"),
    }
}
