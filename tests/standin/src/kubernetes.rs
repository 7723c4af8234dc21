//! A cluster's API server: whether it is ready, and its PVs, claims and nodes, in chunks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::zulu;
use crate::content::{Hub, PersistentVolume};
use crate::fault::Fault;
use crate::pages::without;
use crate::request::{Answer, Asked};
use crate::sized::uuid;
use crate::state::State;

/// What the cluster's state is called. Nothing changes it.
const VERSION: u64 = 4211;

const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a \
    new list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
    the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
    modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// A list: its kind, and its objects by the key that etcd sorts them by, as the text that is sent.
#[derive(Debug)]
struct Objects {
    kind: &'static str,
    items: Vec<(String, String)>,
}

impl Objects {
    fn new(kind: &'static str, items: impl Iterator<Item = (String, Value)>) -> Self {
        let mut items: Vec<_> = items.map(|(key, object)| (key, object.to_string())).collect();
        items.sort_unstable();
        Self { kind, items }
    }
}

/// A hub's cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    volumes: Objects,
    claims: Objects,
    nodes: Objects,
}

impl Cluster {
    pub(crate) fn new(hub: &Hub) -> Self {
        let numbered = || (0u64..).zip(&hub.volumes);
        let volumes = numbered().map(|(number, pv)| (pv.name.clone(), pv_json(number, pv)));
        let bound = numbered().filter(|(_, pv)| pv.phase == "Bound");
        let claims = bound.map(|(number, pv)| (format!("jhub/{}", pv.claim), claim_json(number, pv)));
        let nodes = hub.nodes.iter().map(|name| (name.clone(), node_json(name)));
        Self {
            volumes: Objects::new("PersistentVolumeList", volumes),
            claims: Objects::new("PersistentVolumeClaimList", claims),
            nodes: Objects::new("NodeList", nodes),
        }
    }
}

/// An error as an API server writes it, about what was asked for.
pub(crate) fn error(asked: &Asked, code: u16) -> Answer {
    let what = asked.parts().last().copied().unwrap_or_default().to_owned();
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized".to_owned()),
        403 => (
            "Forbidden",
            format!(
                "{what} is forbidden: User \"kubernetes-admin\" cannot list resource \"{what}\" in API group \"\" at the \
                 cluster scope"
            ),
        ),
        404 => ("NotFound", "the server could not find the requested resource".to_owned()),
        410 => ("Expired", TOO_OLD.to_owned()),
        429 => ("TooManyRequests", "Too many requests, please try again later.".to_owned()),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
        _ => ("InternalError", "Internal error occurred".to_owned()),
    };
    let mut body = status(code, reason, &message);
    match code {
        403 => body["details"] = json!({ "kind": what }),
        404 => body["details"] = json!({}),
        // Where an inconsistent list would go on.
        410 => body["metadata"]["continue"] = json!(place(-1, "standin")),
        _ => {}
    }
    Answer::json(code, &body)
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    })
}

pub(crate) fn answer(state: &State, asked: &Asked, fault: Option<&Fault>) -> Answer {
    let Some(cluster) = state.clusters.get(&asked.of) else { return error(asked, 503) };
    let objects = match asked.path() {
        "/readyz" => return Answer::text(200, "text/plain; charset=utf-8", "ok"),
        "/api/v1/persistentvolumes" => &cluster.volumes,
        "/api/v1/persistentvolumeclaims" => &cluster.claims,
        "/api/v1/nodes" => &cluster.nodes,
        _ => return error(asked, 404),
    };
    chunk(objects, asked, fault)
}

/// Where a list goes on: after this key.
fn place(version: i64, key: &str) -> String {
    let start = format!("{key}\u{0}");
    STANDARD_NO_PAD.encode(json!({ "v": "meta.k8s.io/v1", "rv": version, "start": start }).to_string())
}

/// The key that a list goes on after.
fn key_of(place: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(place).ok()?;
    let place: Value = serde_json::from_slice(&bytes).ok()?;
    Some(place["start"].as_str()?.trim_end_matches('\u{0}').to_owned())
}

fn chunk(objects: &Objects, asked: &Asked, fault: Option<&Fault>) -> Answer {
    let items = &objects.items;
    let from = match asked.query("continue").filter(|place| !place.is_empty()) {
        None => 0,
        Some(_) if fault == Some(&Fault::ForgetPlace) => return error(asked, 410),
        Some(_) if fault == Some(&Fault::RepeatPage) => 0,
        Some(place) => {
            let Some(key) = key_of(&place) else {
                let message = "invalid continue token: continue key is not valid";
                return Answer::json(400, &status(400, "BadRequest", message));
            };
            items.partition_point(|(known, _)| *known <= key)
        }
    };
    let limit = asked.query("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    let until = limit.map_or(items.len(), |limit| items.len().min(from + limit));
    let shown = &items[from..until];
    let mut meta = json!({ "resourceVersion": VERSION.to_string() });
    let left = items.len() - until;
    if let (true, Some((key, _))) = (left > 0, shown.last()) {
        meta["continue"] = json!(place(VERSION.cast_signed(), key));
        meta["remainingItemCount"] = json!(left);
    }
    let mut texts: Vec<String> = shown.iter().map(|(_, text)| text.clone()).collect();
    match fault {
        Some(Fault::LoopLink) => {
            meta["continue"] = json!(asked.query("continue").unwrap_or_else(|| place(1, "")));
        }
        Some(Fault::EmptyPage) => {
            texts.clear();
            meta["continue"] = json!(place(1, shown.last().map_or("", |(key, _)| key)));
        }
        Some(Fault::WithoutField(pointer)) => {
            if let Some(first) = texts.first_mut()
                && let Ok(mut object) = serde_json::from_str(first)
            {
                without(&mut object, pointer);
                *first = object.to_string();
            }
        }
        _ => {}
    }
    let body = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"v1\",\"metadata\":{meta},\"items\":[{}]}}\n",
        objects.kind,
        texts.join(",")
    );
    Answer::text(200, "application/json", body)
}

/// Who changed which fields: a good part of every object's size.
fn managed(manager: &str, at: Timestamp, fields: &Value) -> Value {
    json!({
        "manager": manager, "operation": "Update", "apiVersion": "v1", "time": zulu(at), "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    })
}

fn pv_json(number: u64, pv: &PersistentVolume) -> Value {
    let PersistentVolume { name, handle, created_at, phase, claim, size, in_tree } = pv;
    let mut fields = json!({
        "f:metadata": { "f:annotations": { ".": {}, "f:pv.kubernetes.io/provisioned-by": {} } },
        "f:spec": {
            "f:accessModes": {}, "f:capacity": { ".": {}, "f:storage": {} },
            "f:claimRef": { ".": {}, "f:apiVersion": {}, "f:kind": {}, "f:name": {}, "f:namespace": {}, "f:uid": {} },
            "f:csi": { ".": {}, "f:driver": {}, "f:fsType": {}, "f:volumeHandle": {} },
            "f:persistentVolumeReclaimPolicy": {}, "f:storageClassName": {}, "f:volumeMode": {},
        },
    });
    if *in_tree {
        fields["f:spec"]["f:cinder"] = json!({ ".": {}, "f:fsType": {}, "f:volumeID": {} });
        without(&mut fields, "/f:spec/f:csi");
    }
    let mut shown = json!({
        "metadata": {
            "name": name, "uid": uuid(number * 2), "resourceVersion": "403", "creationTimestamp": zulu(*created_at),
            "annotations": { "pv.kubernetes.io/provisioned-by": "cinder.csi.openstack.org" },
            "finalizers": ["kubernetes.io/pv-protection"],
            "managedFields": [
                managed("kube-controller-manager", *created_at, &json!({ "f:status": { "f:phase": {} } })),
                managed("csi-provisioner", *created_at, &fields),
            ],
        },
        "spec": {
            "capacity": { "storage": format!("{size}Gi") },
            "csi": { "driver": "cinder.csi.openstack.org", "volumeHandle": handle, "fsType": "ext4" },
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {
                "kind": "PersistentVolumeClaim", "namespace": "jhub", "name": claim, "uid": claim_uid(name),
                "apiVersion": "v1",
            },
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "default", "volumeMode": "Filesystem",
        },
        "status": { "phase": phase },
    });
    if *in_tree {
        shown["spec"]["cinder"] = json!({ "volumeID": handle, "fsType": "ext4" });
        without(&mut shown, "/spec/csi");
    }
    shown
}

/// The claim that a PV of the CSI driver is named after.
fn claim_uid(pv: &str) -> &str {
    pv.strip_prefix("pvc-").unwrap_or(pv)
}

fn claim_json(number: u64, pv: &PersistentVolume) -> Value {
    let PersistentVolume { name, created_at, claim, size, .. } = pv;
    let user = claim.strip_prefix("claim-").unwrap_or(claim);
    let storage = json!({ "storage": format!("{size}Gi") });
    let made = json!({
        "f:metadata": {
            "f:annotations": { ".": {}, "f:hub.jupyter.org/username": {} },
            "f:labels": { ".": {}, "f:app": {}, "f:component": {}, "f:hub.jupyter.org/username": {} },
        },
        "f:spec": { "f:accessModes": {}, "f:resources": { "f:requests": { ".": {}, "f:storage": {} } } },
    });
    json!({
        "metadata": {
            "name": claim, "namespace": "jhub", "uid": claim_uid(name),
            "resourceVersion": (number + 400).to_string(), "creationTimestamp": zulu(*created_at),
            "labels": {
                "app": "jupyterhub", "chart": "jupyterhub-2.0.0", "component": "singleuser-storage",
                "heritage": "jupyterhub", "hub.jupyter.org/username": user,
            },
            "annotations": {
                "hub.jupyter.org/username": user, "pv.kubernetes.io/bind-completed": "yes",
                "pv.kubernetes.io/bound-by-controller": "yes",
                "volume.beta.kubernetes.io/storage-provisioner": "cinder.csi.openstack.org",
            },
            "finalizers": ["kubernetes.io/pvc-protection"],
            "managedFields": [managed("hub", *created_at, &made)],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": storage }, "volumeName": name,
            "storageClassName": "default", "volumeMode": "Filesystem",
        },
        "status": { "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": storage },
    })
}

fn node_json(name: &str) -> Value {
    let size = json!({ "cpu": "8", "memory": "30Gi", "pods": "110" });
    let at = "2026-01-02T03:04:05Z";
    json!({
        "metadata": {
            "name": name, "uid": uuid(7), "resourceVersion": "347", "creationTimestamp": at,
            "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" },
            "annotations": { "node.alpha.kubernetes.io/ttl": "0" },
            "managedFields": [managed("kubelet", Timestamp::UNIX_EPOCH, &json!({ "f:status": { "f:capacity": {} } }))],
        },
        "spec": { "taints": [{ "key": "node-role.kubernetes.io/master", "effect": "NoSchedule" }] },
        "status": {
            "capacity": size, "allocatable": size,
            "conditions": [{
                "type": "Ready", "status": "True", "lastHeartbeatTime": at, "lastTransitionTime": at,
                "reason": "KubeletReady", "message": "kubelet is posting ready status",
            }],
            "addresses": [{ "type": "Hostname", "address": name }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 0 } },
            "nodeInfo": {
                "machineID": "b2f1fec5d43e43ccbc66bb7fb907963d", "systemUUID": uuid(8), "bootID": uuid(9),
                "kernelVersion": "5.4.0-137-generic", "osImage": "Ubuntu 20.04.6 LTS",
                "containerRuntimeVersion": "containerd://1.4.4", "kubeletVersion": "v1.20.2",
                "kubeProxyVersion": "v1.20.2", "operatingSystem": "linux", "architecture": "amd64",
            },
        },
    })
}
