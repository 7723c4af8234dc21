//! Clusters that use the projects' volumes, or may, and that fleet knows nothing of.
//!
//! A volume of such a cluster looks like an orphan: no PV of any hub refers to it. So each cluster that is found blocks
//! deletion in its project until the operator answers for it in `fleet.toml`. What tells of one:
//!
//! - a server whose name is that of a node ([`names`]);
//! - a server, whatever its name, with the marks that kubespray, Magnum or Cluster API leave: metadata, tags, security
//!   groups, key pair; or with a claim's volume attached to it that no hub's PV refers to;
//! - a container of the old scripts, whose project is not known, so that it blocks all of them;
//! - a volume whose metadata names the cluster.
//!
//! A server is a hub's if its name has the hub's name in the cluster's place, or if it or a server of the same cluster has
//! the hub's address; and only in a project that the hub's openrc leads to, because two clusters of one name are two.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use serde::Serialize;

use crate::hub::{Foreign, HubName, OrphanRules};
use crate::observed::{ClusterVolumes, OldContainer, Project, ProjectVolumes, Server, Volume, VolumeView};

use super::claim_name::{is_claim_name, uuids_in};
use super::names::{self, Reading};
use super::references::References;
use super::{hubs_named, marks};

/// What is in a server's metadata, tags or security groups if it is a node of a cluster.
const KUBERNETES: [&str; 3] = ["kube", "k8s", "cluster"];

/// What kubespray calls the key pair of a cluster: this, and the cluster's name.
const KEY_PAIR: &str = "kubernetes-";

/// What tells of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sign<'v> {
    /// A server that is, or may be, one of its nodes.
    Server {
        /// The project it is in.
        project: &'v str,
        /// Its id.
        id: &'v str,
        /// Its name.
        name: &'v str,
        /// What makes it one.
        why: Vec<String>,
    },
    /// A container that the old scripts made.
    Container {
        /// Its id.
        id: &'v str,
        /// Its name.
        name: &'v str,
        /// Its image.
        image: &'v str,
        /// Its state.
        state: &'v str,
        /// The address of the cluster's master, where the container's environment has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        ip: Option<IpAddr>,
    },
    /// A volume that names it.
    Volume {
        /// The project it is in.
        project: &'v str,
        /// Its id.
        id: &'v str,
        /// Its name.
        name: &'v str,
        /// The piece of metadata: its key.
        key: &'v str,
        /// And its value.
        value: &'v str,
    },
    /// A claim's volume that is attached to a server which the project does not show, and is no hub's.
    Attachment {
        /// The project it is in.
        project: &'v str,
        /// The volume's id.
        id: &'v str,
        /// The volume's name.
        name: &'v str,
        /// What holds it: the server, or what Cinder names instead.
        server: &'v str,
    },
}

/// Why a cluster does not block deletion in a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Answer<'v> {
    /// The project.
    pub project: &'v Project,
    /// The operator's reason, or what else answers for it.
    pub reason: String,
}

/// A cluster that is not in `fleet.toml` as a hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForeignCluster<'v> {
    /// What it is called, as its servers or its volumes carry the name.
    pub name: &'v str,
    /// The projects in which it blocks deletion: those that it may use, and that nobody answered for.
    pub blocks: Vec<&'v Project>,
    /// The projects that somebody answered for.
    pub answered: Vec<Answer<'v>>,
    /// What tells of it.
    pub signs: Vec<Sign<'v>>,
}

impl ForeignCluster<'_> {
    /// Whether nobody answered for it, in some project that it may use.
    pub fn is_unknown(&self) -> bool {
        !self.blocks.is_empty() || self.answered.is_empty()
    }
}

/// Whether an answer in `fleet.toml` is about a project of a view. Where two have one name, only the id tells which.
fn is_about_one(answer: &Foreign, project: &Project, view: &VolumeView) -> bool {
    let others = view.projects.iter().map(|half| &half.project);
    let is_only_one =
        others.filter(|other| other.name == project.name).all(|other| other.key.id == project.key.id);
    is_about(answer, project)
        && (is_only_one || answer.project.as_ref().is_none_or(|named| *named == project.key.id))
}

/// Whether an answer in `fleet.toml` may be about a project.
fn is_about(answer: &Foreign, project: &Project) -> bool {
    answer.project.as_ref().is_none_or(|named| *named == project.name || *named == project.key.id)
}

/// The names that volumes of the fleet's own clusters may carry in a project: its hubs', without those of clusters in that
/// project that were answered for as foreign ones.
pub(super) fn own_names<'v>(
    hubs: impl IntoIterator<Item = &'v str>,
    rules: &OrphanRules,
    project: &Project,
) -> BTreeSet<&'v str> {
    let foreign = |hub: &&str| rules.foreign.iter().any(|one| one.name == *hub && is_about(one, project));
    hubs.into_iter().filter(|hub| !foreign(hub)).collect()
}

/// All clusters that there are signs of and that are no hub's, by name.
pub(super) fn find<'v>(
    view: &'v VolumeView,
    rules: &OrphanRules,
    references: References<'v, '_>,
) -> Vec<ForeignCluster<'v>> {
    let mut signs = BTreeMap::<&str, Signs<'v>>::new();
    for (place, half) in view.projects.iter().enumerate() {
        let own = own_names(hubs_of(half, view), rules, &half.project);
        let servers = Servers::new(view, half, &own);
        let nodes = servers.foreign_nodes(references);
        let elsewhere = servers.attached_elsewhere(references);
        let volumes = half.volumes.iter().flat_map(|volume| named_by(volume, &half.project, &own));
        for (cluster, sign) in nodes.into_iter().chain(elsewhere).chain(volumes) {
            signs.entry(cluster).or_default().push(place, sign);
        }
    }
    for container in &view.outside.containers {
        if let Some((cluster, sign)) = managed_by(container, view) {
            signs.entry(cluster).or_default().everywhere.push(sign);
        }
    }
    signs.into_iter().map(|(name, signs)| judge(name, signs, view, rules)).collect()
}

/// The hubs whose openrc leads to a project, and those of which nobody knows where theirs leads. (Two openrc files may lead
/// to one project under two URLs.) A cluster of a hub's name in another project is another cluster.
pub(super) fn hubs_of<'v>(half: &ProjectVolumes, view: &'v VolumeView) -> BTreeSet<&'v str> {
    let is_the_same = |other: &ProjectVolumes| {
        other.project.key.id == half.project.key.id && other.project.key.region == half.project.key.region
    };
    let in_others = view.projects.iter().filter(|other| !is_the_same(other));
    let elsewhere: BTreeSet<&str> = in_others.flat_map(|other| &other.hubs).map(HubName::as_str).collect();
    let here = view.projects.iter().filter(|other| is_the_same(other));
    let here = here.flat_map(|half| &half.hubs).map(HubName::as_str);
    hubs_named(view).into_iter().filter(|hub| !elsewhere.contains(hub)).chain(here).collect()
}

/// The signs of one cluster.
#[derive(Default)]
struct Signs<'v> {
    by_project: BTreeMap<usize, Vec<Sign<'v>>>,
    /// Those whose project is not known.
    everywhere: Vec<Sign<'v>>,
}

impl<'v> Signs<'v> {
    fn push(&mut self, place: usize, sign: Sign<'v>) {
        self.by_project.entry(place).or_default().push(sign);
    }
}

fn judge<'v>(
    name: &'v str,
    signs: Signs<'v>,
    view: &'v VolumeView,
    rules: &OrphanRules,
) -> ForeignCluster<'v> {
    let Signs { by_project, everywhere } = signs;
    let (mut blocks, mut answered) = (Vec::new(), Vec::new());
    for (place, half) in view.projects.iter().enumerate() {
        let is_here = by_project.contains_key(&place);
        if !is_here && everywhere.is_empty() {
            continue;
        }
        let project = &half.project;
        let answer =
            rules.foreign.iter().find(|answer| answer.name == name && is_about_one(answer, project, view));
        let reason =
            answer.map(|answer| answer.reason.clone()).or_else(|| remembered(name, half, view, is_here));
        match reason {
            Some(reason) => answered.push(Answer { project, reason }),
            None => blocks.push(project),
        }
    }
    blocks.sort_unstable();
    blocks.dedup();
    answered.sort_unstable();
    answered.dedup();
    let mut signs: Vec<Sign<'v>> = by_project.into_values().flatten().chain(everywhere).collect();
    signs.sort_unstable();
    signs.dedup();
    ForeignCluster { name, blocks, answered, signs }
}

/// Why the cluster of a hub that was taken out of the fleet needs no other answer: what it used then is remembered, and what
/// was made since is kept. That holds in a project that has volumes which it used; elsewhere a cluster of that name may be
/// another one. Of a container that the old scripts made for that hub, nothing more is known than its name.
fn remembered(name: &str, half: &ProjectVolumes, view: &VolumeView, is_here: bool) -> Option<String> {
    let mut named = view.clusters.iter().filter(|cluster| cluster.hub.as_str() == name);
    let (stone, at) = named.find_map(|stone| Some((stone, stone.removed_at?)))?;
    (!is_here || uses_any(stone, &half.volumes)).then(|| {
        format!(
            "hub {name} was taken out of the fleet on {}, and what it uses is remembered",
            at.strftime("%F")
        )
    })
}

fn uses_any(cluster: &ClusterVolumes, volumes: &[Volume]) -> bool {
    let used: HashSet<u128> = cluster
        .persistent_volumes
        .iter()
        .flat_map(|pv| pv.volume_ids.iter().flat_map(|id| uuids_in(id)))
        .collect();
    volumes.iter().flat_map(|volume| uuids_in(&volume.id)).any(|id| used.contains(&id))
}

fn named_by<'v>(
    volume: &'v Volume,
    project: &'v Project,
    own: &BTreeSet<&str>,
) -> impl Iterator<Item = (&'v str, Sign<'v>)> {
    marks::all_foreign(&volume.metadata, own).map(|(key, value, cluster)| {
        let sign = Sign::Volume { project: &project.name, id: &volume.id, name: &volume.name, key, value };
        (cluster, sign)
    })
}

/// The cluster that a container of the old scripts is for, unless it is a hub's.
///
/// `openstack.sh` makes containers of the same image that are for no cluster. They have neither a `CLUSTER` nor a place for
/// a kubeconfig, and a name that Docker chose, with an underscore, which no cluster's name has.
fn managed_by<'v>(container: &'v OldContainer, view: &'v VolumeView) -> Option<(&'v str, Sign<'v>)> {
    let OldContainer { id, name, image, state, cluster, ip, has_kubeconfig, mounts: _, engine } = container;
    if cluster.is_none() && !has_kubeconfig && name.contains('_') {
        return None;
    }
    let cluster = cluster.as_deref().unwrap_or(name);
    let addresses = &view.outside.addresses;
    // A hub's name with the address of another machine is another cluster, of this name or under it.
    let is_a_hubs = if let Some(ip) = *ip {
        addresses.values().any(|hub| same(*hub, ip))
    } else {
        // Of the same name on an engine where no hub of the name lives is somebody else's.
        let mut homes = view.outside.engines.iter().filter(|(hub, _)| hub.as_str() == cluster);
        hubs_named(view).contains(cluster) && homes.all(|(_, home)| home == engine)
    };
    (!is_a_hubs).then_some((cluster, Sign::Container { id, name, image, state, ip: *ip }))
}

fn same(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other.to_canonical()
}

/// A project's servers, with what tells whose they are.
struct Servers<'v, 'a> {
    half: &'v ProjectVolumes,
    named: Vec<(&'v Server, Reading<'v>)>,
    /// The project's own hubs, where their masters are.
    hubs: Vec<(&'v HubName, Option<IpAddr>)>,
    own: &'a BTreeSet<&'v str>,
    /// Names that more than one server has.
    twice: HashSet<&'v str>,
}

impl<'v, 'a> Servers<'v, 'a> {
    fn new(view: &'v VolumeView, half: &'v ProjectVolumes, own: &'a BTreeSet<&'v str>) -> Self {
        let names = hubs_of(half, view);
        let all = view.projects.iter().flat_map(|half| &half.hubs);
        let hubs: BTreeSet<&HubName> = all.filter(|hub| names.contains(hub.as_str())).collect();
        let addresses = &view.outside.addresses;
        let mut seen: HashSet<&str> = HashSet::new();
        let names = half.servers.iter().map(|server| server.name.as_str());
        Self {
            half,
            named: half.servers.iter().map(|server| (server, names::read(&server.name))).collect(),
            hubs: hubs.into_iter().map(|hub| (hub, addresses.get(hub).copied())).collect(),
            own,
            twice: names.filter(|&name| !seen.insert(name)).collect(),
        }
    }

    /// The servers that are nodes of a cluster which is no hub's.
    fn foreign_nodes(&self, references: References<'v, '_>) -> Vec<(&'v str, Sign<'v>)> {
        let attached = self.attached(references);
        let own = self.of_hubs();
        let mut clusters: BTreeSet<&str> = BTreeSet::new();
        let mut nodes = Vec::new();
        let mut numbered = Vec::new();
        for (server, reading) in &self.named {
            if own.contains(server.id.as_str()) {
                continue;
            }
            let mut why = reasons(server, reading);
            why.extend(attached.get(server.id.as_str()).into_iter().flatten().cloned());
            if self.is_named_as_a_hub(reading) && self.is_twice(server) {
                why.push("another server is called the same, and one of them is not the hub's".to_owned());
            }
            if why.is_empty() {
                numbered.push((*server, reading));
            } else {
                clusters.insert(reading.cluster);
                nodes.push((reading.cluster, sign(&self.half.project, server, why)));
            }
        }
        // Of a cluster that other servers tell of, these are the masters.
        let masters = numbered.into_iter().filter(|(_, reading)| clusters.contains(reading.cluster));
        nodes.extend(masters.map(|(server, reading)| {
            let why = vec![format!("its name is {} and a number", reading.cluster)];
            (reading.cluster, sign(&self.half.project, server, why))
        }));
        nodes
    }

    /// Ids of the servers of the project's hubs.
    fn of_hubs(&self) -> HashSet<&'v str> {
        let mut found = HashSet::new();
        for (hub, address) in &self.hubs {
            let at_address =
                |server: &Server| address.is_some_and(|hub| server.addresses.iter().any(|ip| same(*ip, hub)));
            let mut there = self.named.iter().filter(|(server, _)| at_address(server));
            // Inner addresses are not unique: where two servers have it, nobody knows which is the hub's.
            let master = there.next().filter(|_| there.next().is_none());
            let is_master = |server: &Server| master.is_some_and(|(master, _)| master.id == server.id);
            let cluster = master.map(|(_, name)| name).filter(|name| !name.names_nothing);
            let has_name = self.by_name(hub.as_str());
            for (server, name) in &self.named {
                let is_its = cluster.is_some_and(|cluster| cluster.cluster == name.cluster) || has_name(name);
                // Whoever makes a cluster calls no two servers alike: then there are two clusters of one name.
                if is_master(server) || is_its && !self.is_twice(server) {
                    found.insert(server.id.as_str());
                }
            }
        }
        found
    }

    /// Whether a server has a hub's name in the cluster's place. Magnum's id can stand behind it, as long as no other
    /// cluster has that name too.
    fn by_name(&self, hub: &'v str) -> impl Fn(&Reading<'v>) -> bool {
        let is_own = self.own.contains(hub);
        let names = || self.named.iter().map(|(_, name)| name);
        let with_id: BTreeSet<&str> =
            names().filter(|name| name.without_id == Some(hub)).map(|name| name.cluster).collect();
        let only_one = with_id.len() == 1 && !names().any(|name| name.names.contains(&hub));
        move |name| is_own && (name.names.contains(&hub) || only_one && name.without_id == Some(hub))
    }

    fn is_named_as_a_hub(&self, name: &Reading<'v>) -> bool {
        self.hubs.iter().any(|(hub, _)| name.names.contains(&hub.as_str()))
    }

    fn is_twice(&self, server: &Server) -> bool {
        self.twice.contains(server.name.as_str())
    }

    /// Claims' volumes that no hub's PV refers to, attached to servers which Nova does not list: the cluster's nodes are
    /// somewhere else, and its other volumes look like orphans. It is called what holds the volume.
    fn attached_elsewhere(&self, references: References<'v, '_>) -> Vec<(&'v str, Sign<'v>)> {
        let listed: HashSet<&str> = self.half.servers.iter().map(|server| server.id.as_str()).collect();
        let held = self.half.volumes.iter().filter(|volume| !volume.attachments.is_empty());
        let of_nobody = held.filter(|volume| is_claim_name(&volume.name) && references.to(volume).is_empty());
        let elsewhere =
            of_nobody.flat_map(|volume| volume.attachments.iter().map(move |server| (volume, server)));
        elsewhere
            .filter(|(_, server)| !listed.contains(server.as_str()))
            .map(|(volume, server)| {
                let project = &self.half.project.name;
                let sign = Sign::Attachment { project, id: &volume.id, name: &volume.name, server };
                (server.as_str(), sign)
            })
            .collect()
    }

    /// Servers that have a claim's volume attached which no hub's PV refers to: nodes of another cluster, whatever they are
    /// called.
    fn attached(&self, references: References<'v, '_>) -> HashMap<&'v str, Vec<String>> {
        let mut attached = HashMap::<&str, Vec<String>>::new();
        let held = self.half.volumes.iter().filter(|volume| !volume.attachments.is_empty());
        for volume in held.filter(|volume| is_claim_name(&volume.name) && references.to(volume).is_empty()) {
            for server in &volume.attachments {
                let why = format!("claim's volume {} is attached to it, and is no hub's", volume.name);
                attached.entry(server).or_default().push(why);
            }
        }
        attached
    }
}

fn sign<'v>(project: &'v Project, server: &'v Server, why: Vec<String>) -> Sign<'v> {
    Sign::Server { project: &project.name, id: &server.id, name: &server.name, why }
}

/// What of a server itself makes it a node. Of its metadata no value is told: everybody writes there what he likes.
fn reasons(server: &Server, name: &Reading<'_>) -> Vec<String> {
    let mut why = Vec::new();
    if name.is_node {
        why.push("its name is that of a node".to_owned());
    }
    let marked = server
        .metadata
        .iter()
        .filter(|(key, value)| speaks(key, &KUBERNETES) || speaks(value, &KUBERNETES[..2]));
    why.extend(marked.map(|(key, _)| format!("its metadata {key}")));
    why.extend(server.tags.iter().filter(|tag| speaks(tag, &KUBERNETES)).map(|tag| format!("its tag {tag}")));
    let groups = server.security_groups.iter().filter(|group| speaks(group, &KUBERNETES[..2]));
    why.extend(groups.map(|group| format!("its security group {group}")));
    let key = server.key_name.as_ref().filter(|key| key.starts_with(KEY_PAIR));
    why.extend(key.map(|key| format!("its key pair {key}")));
    why
}

fn speaks(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}
