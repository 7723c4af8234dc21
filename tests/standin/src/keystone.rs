//! Keystone: tokens for application credentials, and when those expire.

use jiff::ToSpan as _;
use serde_json::{Value, json};

use crate::clock::plain;
use crate::request::{Answer, Asked};
use crate::sized::uuid;
use crate::state::{Project, State};

const REFUSED: &str = "The request you have made requires authentication.";

/// An error as Keystone writes it.
pub(crate) fn error(code: u16, message: &str) -> Answer {
    let title = crate::state::reason(code);
    Answer::json(code, &json!({ "error": { "code": code, "message": message, "title": title } }))
}

/// Cinder's and Nova's answer to who has no token, which Keystone's middleware gives in their place.
pub(crate) fn unauthorized(state: &State) -> Answer {
    error(401, REFUSED).with("www-authenticate", format!("Keystone uri=\"{}/identity/v3\"", state.url))
}

pub(crate) fn answer(state: &mut State, asked: &Asked) -> Answer {
    match (asked.method.as_str(), asked.parts().as_slice()) {
        ("POST", ["v3", "auth", "tokens"]) => log_in(state, &asked.json()),
        ("GET", ["v3", "users", user, "application_credentials", id]) => credential(state, asked, user, id),
        _ => error(404, "The resource could not be found."),
    }
}

fn log_in(state: &mut State, body: &Value) -> Answer {
    let asked = &body["auth"]["identity"]["application_credential"];
    let id = asked["id"].as_str().unwrap_or_default();
    let Some(place) = state.projects.iter().position(|project| project.credential == id) else {
        return error(404, &format!("Could not find Application Credential: {id}."));
    };
    if asked["secret"] != state.projects[place].secret.as_str() {
        return unauthorized(state);
    }
    let number = state.next();
    // As long as a Fernet token of Keystone's is.
    let token = format!("gAAAAABstandin{number:0166x}");
    state.tokens.insert(token.clone(), place);
    let project = &state.projects[place];
    let now = state.now();
    let expires = now.checked_add(1.hour()).unwrap_or(now);
    let domain = json!({ "id": "default", "name": "Default" });
    let body = json!({ "token": {
        "methods": ["application_credential"],
        "user": {
            "domain": domain, "id": project.user, "name": format!("{}-operator", project.name),
            "password_expires_at": null,
        },
        "audit_ids": [format!("standin{number:015}")],
        "expires_at": format!("{}Z", plain(expires)),
        "issued_at": format!("{}Z", plain(now)),
        "project": { "domain": domain, "id": project.id, "name": project.name },
        "is_domain": false,
        "roles": [{ "id": "85811c929a6a467c813d480b60b5ca20", "name": "member" }],
        "catalog": catalog(&state.url, project),
        "application_credential": {
            "id": project.credential, "name": format!("fleet-{}", project.name), "restricted": true,
        },
    } });
    Answer::json(201, &body).with("x-subject-token", token)
}

fn catalog(url: &str, project: &Project) -> Value {
    let services = [
        ("identity", "keystone", format!("{url}/identity/v3/")),
        ("volumev3", "cinderv3", format!("{url}/volume/v3/{}", project.id)),
        ("block-storage", "cinder", format!("{url}/volume/v3/{}", project.id)),
        ("compute", "nova", format!("{url}/compute/v2.1")),
    ];
    let id = |number: u64| uuid(number).replace('-', "");
    let entries = (0u64..).zip(services).map(|(number, (kind, name, url))| {
        let endpoints = (1u64..).zip(["public", "internal", "admin"]).map(|(at, interface)| {
            json!({
                "id": id(number * 10 + at), "interface": interface, "region_id": "RegionOne", "url": url,
                "region": "RegionOne",
            })
        });
        json!({
            "endpoints": endpoints.collect::<Vec<_>>(), "id": id(number * 10), "type": kind, "name": name,
        })
    });
    Value::Array(entries.collect())
}

fn credential(state: &State, asked: &Asked, user: &str, id: &str) -> Answer {
    let Some(place) = state.project_of(&asked.token) else { return unauthorized(state) };
    let project = &state.projects[place];
    if project.user != user || project.credential != id {
        return error(404, &format!("Could not find Application Credential: {id}."));
    }
    Answer::json(
        200,
        &json!({ "application_credential": {
            "id": id, "name": format!("fleet-{}", project.name), "description": null, "user_id": user,
            "project_id": project.id, "system": null, "expires_at": null, "unrestricted": null,
            "roles": [{
                "id": "85811c929a6a467c813d480b60b5ca20", "name": "member", "domain_id": null,
                "description": null, "options": { "immutable": true },
            }],
            "links": { "self": format!("{}/identity/v3/application_credentials/{id}", state.url) },
        } }),
    )
}
