//! A Docker engine with one sandbox for each hub: who they are, and commands in them.
//!
//! A command is run on this machine, with nothing in its environment but what a sandbox has: sourcing an openrc there
//! and here is the same.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command;

use crate::request::{Answer, Asked};
use crate::state::{Sandbox, State};

/// The version of the API that it speaks.
const API: &str = "1.44";

/// Sources the openrc as a sandbox does, and becomes the command.
const RUN: &str = ". \"$OPENRC\" </dev/null 1>&2; exec \"$@\"";

/// Commands by the engine's ids.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    by_id: HashMap<String, Exec>,
}

#[derive(Debug, Clone)]
struct Exec {
    sandbox: Sandbox,
    argv: Vec<String>,
    status: Option<i32>,
}

/// An error as the engine writes it.
pub(crate) fn error(code: u16, message: &str) -> Answer {
    Answer::json(code, &json!({ "message": message }))
}

fn id_of(hub: &str) -> String {
    // 64 hexadecimal digits, as the engine's ids are.
    let hex = hub.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    format!("{hex:0>64}")
}

pub(crate) fn answer(state: &mut State, asked: &Asked) -> Answer {
    let parts = asked.parts();
    // Every path may begin with the version of the API: v1.44.
    let rest = match parts.as_slice() {
        [version, rest @ ..] if version.starts_with("v1.") => rest,
        all => all,
    };
    match (asked.method.as_str(), rest) {
        (_, ["_ping"]) => Answer::text(200, "text/plain; charset=utf-8", "OK").with("api-version", API),
        ("GET", ["version"]) => {
            Answer::json(200, &json!({ "Version": "25.0.0", "ApiVersion": API, "MinAPIVersion": "1.24" }))
        }
        ("GET", ["containers", "json"]) => containers(state, asked),
        ("POST", ["containers", id, "exec"]) => create(state, id, &asked.json()),
        ("POST", ["exec", id, "start"]) if command(state, id).is_some() => {
            // From here on the connection is the command's.
            Answer::text(101, "application/vnd.docker.multiplexed-stream", Vec::new())
                .with("connection", "Upgrade")
                .with("upgrade", "tcp")
        }
        ("GET", ["exec", id, "json"]) => inspect(state, id),
        _ => error(404, "page not found"),
    }
}

fn containers(state: &State, asked: &Asked) -> Answer {
    let filters: Value =
        asked.query("filters").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    // The old form of the filters is an object with `true`s, the newer one a list.
    let wanted: Vec<String> = match &filters["label"] {
        Value::Array(labels) => labels.iter().filter_map(|label| label.as_str().map(str::to_owned)).collect(),
        Value::Object(labels) => labels.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let found = state.sandboxes.iter().filter_map(|Sandbox { hub, .. }| {
        let labels = json!({
            "fleet.name": state.fleet, "fleet.hub": hub, "fleet.schema": "1", "fleet.spec": "standin",
        });
        let has = |label: &String| match label.split_once('=') {
            Some((name, value)) => labels[name] == value,
            None => labels.get(label.as_str()).is_some(),
        };
        wanted.iter().all(has).then(|| {
            json!({
                "Id": id_of(hub), "Names": [format!("/{}-{hub}", state.fleet)], "Image": "fleet/sandbox:latest",
                "ImageID": "sha256:standin", "Command": "/opt/fleet/tunnel", "Created": 1_767_225_600, "Ports": [],
                "Labels": labels, "State": "running", "Status": "Up 3 days",
            })
        })
    });
    Answer::json(200, &Value::Array(found.collect()))
}

fn create(state: &mut State, container: &str, body: &Value) -> Answer {
    let found = state.sandboxes.iter().find(|sandbox| {
        id_of(&sandbox.hub) == container || format!("{}-{}", state.fleet, sandbox.hub) == container
    });
    let Some(sandbox) = found.cloned() else {
        return error(404, &format!("No such container: {container}"));
    };
    let argv =
        body["Cmd"].as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned));
    let exec = Exec { sandbox, argv: argv.collect(), status: None };
    let id = format!("{:064x}", state.next());
    state.execs.by_id.insert(id.clone(), exec);
    Answer::json(201, &json!({ "Id": id }))
}

fn inspect(state: &State, id: &str) -> Answer {
    let Some(exec) = state.execs.by_id.get(id) else {
        return error(404, &format!("No such exec instance: {id}"));
    };
    Answer::json(
        200,
        &json!({
            "ID": id, "Running": exec.status.is_none(), "ExitCode": exec.status, "OpenStdin": false,
            "OpenStderr": true, "OpenStdout": true, "ContainerID": id_of(&exec.sandbox.hub), "Pid": 0,
        }),
    )
}

/// The id of the command that a request starts.
pub(crate) fn started(asked: &Asked) -> Option<String> {
    match asked.parts().as_slice() {
        [.., "exec", id, "start"] if asked.method == "POST" => Some((*id).to_owned()),
        _ => None,
    }
}

/// A command that was made, ready to be run.
pub(crate) fn command(state: &State, id: &str) -> Option<Command> {
    let Exec { sandbox, argv, .. } = state.execs.by_id.get(id)?;
    let (program, rest) = argv.split_first()?;
    let mut command = Command::new("sh");
    match program.as_str() {
        "/opt/fleet/run" => command.args(["-c", RUN, "sh"]).args(rest),
        // Nothing goes on here after the end of its stream.
        "/opt/fleet/end" => command.args(["-c", "exit 0"]),
        _ => command.args(["-c", "exec \"$@\"", "sh"]).args(argv),
    };
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &sandbox.state)
        .env("OPENRC", &sandbox.openrc)
        .env("CLUSTER", &sandbox.hub)
        .env("KUBECONFIG", sandbox.state.join("kube/config"))
        .current_dir(&sandbox.state)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Some(command)
}

/// Notes how a command ended.
pub(crate) fn ended(state: &mut State, id: &str, status: i32) {
    if let Some(exec) = state.execs.by_id.get_mut(id) {
        exec.status = Some(status);
    }
}

/// Runs a command, with its output in the engine's frames. 127 where it could not be started.
pub(crate) async fn run(mut command: Command, to: &mut (impl AsyncWrite + Unpin)) -> i32 {
    let Ok(mut child) = command.spawn() else { return 127 };
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut from_out, mut from_err) = (vec![0; 32 * 1024], vec![0; 32 * 1024]);
    while out.is_some() || err.is_some() {
        let (stream, read) = tokio::select! {
            read = piece(&mut out, &mut from_out), if out.is_some() => (1, read),
            read = piece(&mut err, &mut from_err), if err.is_some() => (2, read),
        };
        let bytes = if stream == 1 { &from_out[..read] } else { &from_err[..read] };
        if read == 0 {
            if stream == 1 {
                out = None;
            } else {
                err = None;
            }
            continue;
        }
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend(u32::try_from(read).unwrap_or(0).to_be_bytes());
        frame.extend(bytes);
        if to.write_all(&frame).await.is_err() {
            break;
        }
    }
    let _ = to.flush().await;
    child.wait().await.ok().and_then(|status| status.code()).unwrap_or(137)
}

async fn piece(from: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(into).await.unwrap_or(0),
        None => 0,
    }
}
