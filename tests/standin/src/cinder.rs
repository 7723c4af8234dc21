//! Cinder: volumes and snapshots.

use std::time::Instant;

use serde_json::{Value, json};

use crate::clock::plain;
use crate::content::{Snapshot, Volume};
use crate::fault::Fault;
use crate::keystone::unauthorized;
use crate::pages::{self, List};
use crate::request::{Answer, Asked};
use crate::sized::claimed;
use crate::state::{Project, State};

const NOT_NOW: &str = "Invalid volume: Volume status must be available or error or error_restoring or \
    error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots, \
    awaiting a transfer, or be disassociated from snapshots after volume transfer.";

/// An error as Cinder writes it.
pub(crate) fn error(code: u16, message: &str) -> Answer {
    let name = match code {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        503 => "serviceUnavailable",
        _ => "computeFault",
    };
    Answer::json(code, &json!({ name: { "code": code, "message": message } }))
}

fn no_volume(id: &str) -> Answer {
    error(404, &format!("Volume {id} could not be found."))
}

pub(crate) fn answer(state: &mut State, asked: &Asked, fault: Option<&Fault>) -> Answer {
    let Some(place) = state.project_of(&asked.token) else { return unauthorized(state) };
    let (url, deleting, largest) = (state.url.clone(), state.deleting, state.largest_page);
    let project = &mut state.projects[place];
    sweep(project);
    let parts = asked.parts();
    let Some((["v3", id], rest)) = parts.split_at_checked(2) else { return nothing() };
    if *id != project.id {
        return error(400, "Malformed request url");
    }
    let list = |key| List { key, url: format!("{url}/volume"), largest, asked, fault };
    match (asked.method.as_str(), rest) {
        ("GET", ["volumes", "detail"]) => pages::page(
            &list("volumes"),
            &project.volumes,
            |volume| volume_json(&url, project, volume),
            no_volume,
        ),
        ("GET", ["snapshots", "detail"]) => pages::page(
            &list("snapshots"),
            &project.snapshots,
            |snapshot| snapshot_json(project, snapshot),
            |id| error(404, &format!("Snapshot {id} could not be found.")),
        ),
        ("GET", ["volumes", id]) => match project.volumes.get(id) {
            Some(volume) => Answer::json(200, &json!({ "volume": volume_json(&url, project, volume) })),
            None => no_volume(id),
        },
        ("DELETE", ["volumes", id]) => delete(project, id, Instant::now() + deleting),
        (method, ["volumes", id, "metadata", key @ ..]) => {
            let Some(volume) = project.volumes.get_mut(id) else { return no_volume(id) };
            metadata(volume, method, key, asked)
        }
        _ => nothing(),
    }
}

/// What there is no such path for: a page of the web server's own.
fn nothing() -> Answer {
    Answer::text(404, "text/html; charset=UTF-8", "<html><head><title>404 Not Found</title></head></html>")
}

/// Takes away what has been deleted for long enough.
fn sweep(project: &mut Project) {
    let now = Instant::now();
    let volumes = &mut project.volumes;
    project.going.retain(|(id, gone_at)| {
        let stays = *gone_at > now;
        if !stays {
            volumes.remove(id);
        }
        stays
    });
}

fn delete(project: &mut Project, id: &str, gone_at: Instant) -> Answer {
    let has_snapshots = project.snapshots.values().any(|snapshot| snapshot.volume_id == id);
    let Some(volume) = project.volumes.get_mut(id) else { return no_volume(id) };
    let may = volume.status == "available" || volume.status.starts_with("error");
    if !may || !volume.attached_to.is_empty() || has_snapshots {
        return error(400, NOT_NOW);
    }
    "deleting".clone_into(&mut volume.status);
    project.going.push((id.to_owned(), gone_at));
    Answer::text(202, "text/html; charset=UTF-8", Vec::new())
}

fn metadata(volume: &mut Volume, method: &str, key: &[&str], asked: &Asked) -> Answer {
    match (method, key) {
        ("GET", []) => {}
        ("POST" | "PUT", []) => {
            let body = asked.json();
            let Some(wanted) = body["metadata"].as_object() else {
                return error(400, "Invalid input for field/attribute metadata.");
            };
            if method == "PUT" {
                volume.metadata.clear();
            }
            volume.metadata.extend(
                wanted
                    .iter()
                    .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())),
            );
        }
        ("DELETE", [key]) => {
            if volume.metadata.remove(*key).is_none() {
                return error(404, &format!("Volume {} has no metadata with key {key}.", volume.id));
            }
            return Answer::text(200, "text/html; charset=UTF-8", Vec::new());
        }
        _ => return nothing(),
    }
    Answer::json(200, &json!({ "metadata": volume.metadata }))
}

fn volume_json(url: &str, project: &Project, volume: &Volume) -> Value {
    let Volume { id, name, created_at, size, status, metadata, attached_to, bootable } = volume;
    let attachments: Vec<Value> = attached_to
        .iter()
        .map(|server| {
            json!({
                "id": id, "attachment_id": server, "volume_id": id, "server_id": server, "host_name": null,
                "device": "/dev/sdb", "attached_at": plain(*created_at),
            })
        })
        .collect();
    json!({
        "id": id, "status": status, "size": size, "availability_zone": "nova", "created_at": plain(*created_at),
        "updated_at": plain(*created_at), "name": name, "description": "Created by OpenStack Cinder CSI driver",
        "volume_type": "__DEFAULT__", "snapshot_id": null, "source_volid": null, "metadata": metadata,
        "links": [
            { "rel": "self", "href": format!("{url}/volume/v3/{}/volumes/{id}", project.id) },
            { "rel": "bookmark", "href": format!("{url}/volume/{}/volumes/{id}", project.id) },
        ],
        "user_id": project.user, "bootable": if *bootable { "true" } else { "false" }, "encrypted": false,
        "replication_status": null, "consistencygroup_id": null, "multiattach": false,
        "attachments": attachments, "os-vol-tenant-attr:tenant_id": project.id,
    })
}

fn snapshot_json(project: &Project, snapshot: &Snapshot) -> Value {
    let Snapshot { id, volume_id, created_at } = snapshot;
    json!({
        "id": id, "created_at": plain(*created_at), "updated_at": plain(*created_at), "name": "a snapshot",
        "description": null, "volume_id": volume_id, "status": "available", "size": 1, "metadata": {},
        "os-extended-snapshot-attributes:project_id": project.id,
        "os-extended-snapshot-attributes:progress": "100%",
    })
}

/// Deletes volumes of pages that were given already, so many after skipping so many, backwards from the marker.
pub(crate) fn lose(state: &mut State, asked: &Asked, skip: usize, many: usize) {
    let (Some(place), Some(marker)) = (state.project_of(&asked.token), asked.query("marker")) else { return };
    let volumes = &mut state.projects[place].volumes;
    for id in volumes.up_to(&marker).into_iter().skip(skip).take(many) {
        volumes.remove(&id);
    }
}

/// Makes volumes, as the CSI driver does.
pub(crate) fn gain(state: &mut State, asked: &Asked, many: usize) {
    let Some(place) = state.project_of(&asked.token) else { return };
    for _ in 0..many {
        // Far from the numbers of any content.
        let volume = claimed(u64::from(u32::MAX) + state.next(), state.now());
        state.projects[place].volumes.insert(volume.created_at, &volume.id.clone(), volume);
    }
}
