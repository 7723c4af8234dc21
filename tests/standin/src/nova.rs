//! Nova: servers.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::clock::{plain, zulu};
use crate::content::Server;
use crate::fault::Fault;
use crate::keystone::unauthorized;
use crate::pages::{self, List};
use crate::request::{Answer, Asked};
use crate::state::{Project, State};

/// An error as Nova writes it.
pub(crate) fn error(code: u16, message: &str) -> Answer {
    crate::cinder::error(code, message)
}

pub(crate) fn answer(state: &State, asked: &Asked, fault: Option<&Fault>) -> Answer {
    let Some(place) = state.project_of(&asked.token) else { return unauthorized(state) };
    let project = &state.projects[place];
    match (asked.method.as_str(), asked.parts().as_slice()) {
        ("GET", ["v2.1", "servers", "detail"]) => {
            let url = format!("{}/compute", state.url);
            let list = List { key: "servers", url: url.clone(), largest: state.largest_page, asked, fault };
            let mut attached: HashMap<&str, Vec<&str>> = HashMap::new();
            for volume in project.volumes.values() {
                for server in &volume.attached_to {
                    attached.entry(server).or_default().push(&volume.id);
                }
            }
            let show = |server: &Server| {
                let volumes = attached.get(server.id.as_str()).map_or(&[][..], Vec::as_slice);
                server_json(&url, project, server, volumes)
            };
            pages::page(&list, &project.servers, show, |marker| {
                error(400, &format!("marker [{marker}] not found"))
            })
        }
        _ => error(404, "The resource could not be found."),
    }
}

fn server_json(url: &str, project: &Project, server: &Server, volumes: &[&str]) -> Value {
    let Server { id, name, created_at, addresses, metadata } = server;
    let flavor = "9c0b5da1-51af-419c-8e8a-4745745eea20";
    let found: Vec<Value> = addresses
        .iter()
        .map(|address| {
            json!({
                "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01", "version": 4, "addr": address,
                "OS-EXT-IPS:type": "fixed",
            })
        })
        .collect();
    let networks = if found.is_empty() { json!({}) } else { json!({ "auto_allocated_network": found }) };
    let volumes: Vec<Value> = volumes.iter().map(|volume| json!({ "id": volume })).collect();
    json!({
        "accessIPv4": "", "accessIPv6": "", "addresses": networks, "created": zulu(*created_at),
        "flavor": { "id": flavor, "links": [{ "rel": "bookmark", "href": format!("{url}/flavors/{flavor}") }] },
        "hostId": "83525f5aac1092d7de491f5862d5b3b5e278a68d4b41a6594bcde945", "id": id, "image": "",
        "links": [
            { "rel": "self", "href": format!("{url}/v2.1/servers/{id}") },
            { "rel": "bookmark", "href": format!("{url}/servers/{id}") },
        ],
        "metadata": metadata, "name": name, "status": "ACTIVE", "tenant_id": project.id,
        "user_id": project.user, "updated": zulu(*created_at), "OS-DCF:diskConfig": "MANUAL", "progress": 0,
        "OS-EXT-AZ:availability_zone": "nova", "config_drive": "", "key_name": null,
        "OS-SRV-USG:launched_at": plain(*created_at), "OS-SRV-USG:terminated_at": null,
        "OS-EXT-STS:task_state": null, "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:power_state": 1,
        "os-extended-volumes:volumes_attached": volumes,
    })
}
