//! One volume explained, for people and for scripts.

use std::io::{self, Write};

use serde::Serialize;

use crate::observed::Volume;
use crate::plan::orphans::{Asked, Class, Explained, MadeFor, Part, Why};
use crate::text::{clean, count};

use super::{document, foreign};

/// Every volume that was asked for, and after them what was looked at.
pub fn why(out: &mut impl Write, why: &Why<'_>) -> io::Result<()> {
    for one in &why.volumes {
        volume(out, one)?;
        parts(out, one)?;
    }
    asked(out, &why.asked)
}

fn volume(out: &mut impl Write, one: &Explained<'_>) -> io::Result<()> {
    let Explained { judged, snapshots, .. } = one;
    let Volume { id, name, status, size_gib, created_at, attachments, metadata, bootable } = judged.volume;
    let created = created_at.map_or_else(|| "at a time that is not known".to_owned(), |at| at.to_string());
    let list = |texts: &[&str]| if texts.is_empty() { "none".to_owned() } else { texts.join(" ") };
    let attached: Vec<&str> = attachments.iter().map(String::as_str).collect();
    writeln!(out, "{id} in project {}", clean(&judged.project.name))?;
    writeln!(out, "  name         {}", if name.is_empty() { "none".into() } else { clean(name) })?;
    writeln!(out, "  status       {}", clean(status))?;
    writeln!(out, "  size         {size_gib} GiB")?;
    writeln!(out, "  made         {created}")?;
    writeln!(out, "  bootable     {}", if *bootable { "yes" } else { "no" })?;
    writeln!(out, "  attached to  {}", clean(&list(&attached)))?;
    writeln!(out, "  snapshots    {}", clean(&list(snapshots)))?;
    let mut heading = "metadata";
    for (key, value) in metadata {
        writeln!(out, "  {heading:<12} {}", clean(&format!("{key}={value}")))?;
        heading = "";
    }
    if let Some(claim) = judged.made_for.to_text() {
        let user = judged.made_for.user.map_or_else(String::new, |user| format!(", of user {user}"));
        writeln!(out, "  made for     {}", clean(&format!("{claim}{user}")))?;
    }
    writeln!(out, "\n{}: {}", judged.verdict.class, clean(&judged.verdict.reason))
}

fn parts(out: &mut impl Write, one: &Explained<'_>) -> io::Result<()> {
    writeln!(out, "\nAn orphan is a volume of which all of this holds:")?;
    for part in &one.parts {
        let Part { rule, holds, decides, reason, evidence } = part;
        let answer = if *holds { "yes" } else { "NO" };
        let decides = if *decides { ", which decides" } else { "" };
        writeln!(out, "  {answer:<4} {rule}{decides}: {}", clean(reason))?;
        for evidence in evidence {
            writeln!(out, "         {}", clean(&super::evidence_text(evidence)))?;
        }
    }
    writeln!(out)
}

fn asked(out: &mut impl Write, asked: &Asked<'_>) -> io::Result<()> {
    let Asked { projects, hubs, old_containers, foreign_clusters, unseen, seen_at } = asked;
    writeln!(out, "What was looked at, until {seen_at}:")?;
    for one in projects {
        let key = &one.project.key;
        let region = if key.region.is_empty() { String::new() } else { format!(", {}", key.region) };
        let hubs: Vec<&str> = one.hubs.iter().map(crate::hub::HubName::as_str).collect();
        let line = format!(
            "project {} ({}{region} at {}), of {}: {}, {}, {} at {}",
            one.project.name,
            key.id,
            key.auth_url,
            hubs.join(", "),
            count(one.volumes as u64, "volume"),
            count(one.snapshots as u64, "snapshot"),
            count(one.servers as u64, "server"),
            one.seen_at
        );
        writeln!(out, "  {}", clean(&line))?;
    }
    for one in hubs {
        let pvs = count(one.persistent_volumes as u64, "PV");
        match one.removed_at {
            None => writeln!(out, "  hub {}: {pvs} at {}", one.hub, one.seen_at)?,
            Some(at) => writeln!(out, "  hub {}, taken out of the fleet at {at}: {pvs} then", one.hub)?,
        }
    }
    writeln!(out, "  the engine: {} of the old scripts", count(*old_containers as u64, "container"))?;
    for cluster in foreign_clusters {
        let what = if cluster.is_unknown() { "unknown cluster" } else { "foreign cluster" };
        writeln!(out, "  {what} {}", clean(cluster.name))?;
        foreign::signs(out, cluster)?;
        for answer in &cluster.answered {
            let line = format!("answered for in project {}: {}", answer.project.name, answer.reason);
            writeln!(out, "    {}", clean(&line))?;
        }
    }
    super::unseen(out, unseen)
}

#[derive(Serialize)]
struct Document<'a> {
    wanted: &'a str,
    complete: bool,
    volumes: Vec<Entry<'a>>,
    asked: &'a Asked<'a>,
}

#[derive(Serialize)]
struct Entry<'a> {
    project: &'a str,
    project_id: &'a str,
    region: &'a str,
    volume: &'a Volume,
    snapshots: &'a [&'a str],
    made_for: MadeFor<'a>,
    class: Class,
    reason: &'a str,
    rule: &'a [Part<'a>],
}

/// The same for scripts.
pub fn why_json(out: &mut impl Write, why: &Why<'_>) -> io::Result<()> {
    let volumes = why.volumes.iter().map(|one| Entry {
        project: &one.judged.project.name,
        project_id: &one.judged.project.key.id,
        region: &one.judged.project.key.region,
        volume: one.judged.volume,
        snapshots: &one.snapshots,
        made_for: one.judged.made_for,
        class: one.judged.verdict.class,
        reason: &one.judged.verdict.reason,
        rule: &one.parts,
    });
    document::write(
        out,
        &Document {
            wanted: &why.wanted,
            complete: why.is_complete(),
            volumes: volumes.collect(),
            asked: &why.asked,
        },
    )
}
