//! Execs through the engine's API, each the three requests that one needs: made, started, asked for its end.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Client;
use serde_json::{Value, json};

use super::Result;

/// Runs a command in every container with that label, so many at once, and reads what it prints to its end.
pub(super) async fn exec(label: &str, parallel: usize, argv: &[String]) -> Result<()> {
    let client = Client::builder().unix_socket(std::path::PathBuf::from("/var/run/docker.sock")).build()?;
    let client = &client;
    let filter = json!({ "label": [label] }).to_string();
    let encoded: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let found = ask(client, "GET", &format!("/containers/json?filters={encoded}"), None).await?;
    let ids: Vec<&str> =
        found.as_array().ok_or("no list")?.iter().filter_map(|one| one["Id"].as_str()).collect();
    let ended = stream::iter(ids).map(|id| one(client, id, argv)).buffer_unordered(parallel);
    let statuses: Vec<i64> = ended.try_collect().await?;
    if statuses.is_empty() || statuses.iter().any(|status| *status != 0) {
        return Err(format!("statuses: {statuses:?}").into());
    }
    Ok(())
}

async fn one(client: &Client, container: &str, argv: &[String]) -> Result<i64> {
    let spec = json!({ "AttachStdout": true, "AttachStderr": true, "Cmd": argv });
    let made = ask(client, "POST", &format!("/containers/{container}/exec"), Some(spec)).await?;
    let id = made["Id"].as_str().ok_or("no exec")?;
    // Without an upgrade, the engine sends the output as the answer's body and closes the connection at its end.
    let start = json!({ "Detach": false, "Tty": false });
    let mut answer = send(client, "POST", &format!("/exec/{id}/start"), Some(start)).await?;
    while answer.chunk().await?.is_some() {}
    loop {
        let found = ask(client, "GET", &format!("/exec/{id}/json"), None).await?;
        if let (Some(false), Some(status)) = (found["Running"].as_bool(), found["ExitCode"].as_i64()) {
            return Ok(status);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn ask(client: &Client, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
    Ok(serde_json::from_slice(&send(client, method, path, body).await?.bytes().await?)?)
}

async fn send(client: &Client, method: &str, path: &str, body: Option<Value>) -> Result<reqwest::Response> {
    let mut request = client.request(method.parse()?, format!("http://localhost{path}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    Ok(request.send().await?.error_for_status()?)
}
