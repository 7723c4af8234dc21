//! `fleet doctor`: what is wrong on this machine and with each hub, each with what to do about it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;

use super::context::{Context, print, print_json};
use super::status::{examine, old_containers};
use crate::cli::Format;
use crate::exit::{Exit, Failure, chain};
use crate::hub::{Fleet, Hub, HubName};
use crate::observe::{Depth, Sandboxes, look_at_agent};
use crate::plan::diagnose::{Finding, Severity, works};
use crate::systems::docker::Engine;
use crate::text::one_line;

/// Say what is wrong on this machine and with each hub, and what to do about it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  fleet doctor\n\nExit status: 0 when nothing is wrong (warnings may be there), 1 otherwise."
)]
pub struct Args {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Serialize)]
struct Diagnosis {
    machine: Vec<Finding>,
    hubs: Vec<HubFindings>,
}

#[derive(Serialize)]
struct HubFindings {
    hub: HubName,
    findings: Vec<Finding>,
}

/// Looks at everything and says what is wrong.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    // A file with problems is not a finding among others: without it there is nothing to look at.
    let fleet = context.fleet()?;
    let mut diagnosis = Diagnosis { machine: on_disk(&fleet), hubs: Vec::new() };
    match Engine::connect(&fleet.engine, fleet.timeouts.engine).await {
        Err(error) => diagnosis.machine.push(Finding::error(chain(&error), error.hint().unwrap_or_default())),
        Ok(engine) => {
            images(&engine, &fleet, &mut diagnosis.machine).await?;
            let hubs: Vec<_> = fleet.hubs.iter().collect();
            diagnosis.hubs = examine(context, &engine, &fleet, &hubs, Depth::Everything)
                .await?
                .into_iter()
                .map(|one| HubFindings { hub: one.look.hub, findings: one.findings })
                .collect();
        }
    }
    match args.format {
        Format::Json => print_json(&diagnosis)?,
        Format::Table => print(&text(&diagnosis))?,
    }
    let all_work = works(&diagnosis.machine) && diagnosis.hubs.iter().all(|hub| works(&hub.findings));
    Ok(if all_work { Exit::Done } else { Exit::Failed })
}

/// Files that fleet relies on.
fn on_disk<'a>(fleet: &'a Fleet) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of_hub = |hub: &'a Hub| {
        let jump = hub.ssh.jump.as_ref().map(|jump| jump.key.as_path());
        std::iter::once(hub.ssh.key.as_path()).chain(jump)
    };
    let mut keys: Vec<&Path> = fleet.hubs.iter().flat_map(of_hub).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        match std::fs::metadata(key) {
            Err(error) => findings.push(Finding::error(
                format!("SSH key {} cannot be used: {error}", key.display()),
                "name the right one (`ssh_key` in fleet.toml)",
            )),
            Ok(file) if file.permissions().mode() & 0o077 != 0 => findings.push(Finding::error(
                format!("SSH key {} can be read by others, and ssh refuses such a key", key.display()),
                format!("chmod 600 {}", key.display()),
            )),
            Ok(_) => {}
        }
    }
    for hub in &fleet.hubs {
        if let Err(why) = look_at_agent(fleet, hub) {
            let hint =
                "give the agent a directory of its own, and name its socket (`ssh_agent` in fleet.toml)";
            findings.push(Finding::error(format!("hub {}: {why}", hub.name), hint));
        }
        let kubeconfig = hub.kubeconfig();
        if let Ok(file) = std::fs::metadata(&kubeconfig)
            && file.permissions().mode() & 0o077 != 0
        {
            findings.push(Finding::warning(
                format!(
                    "{} can be read by others on this machine, and holds an administrator's key",
                    kubeconfig.display()
                ),
                format!("chmod 600 {}", kubeconfig.display()),
            ));
        }
    }
    findings
}

/// What the engine should have, and what it has that nobody asked for.
async fn images(engine: &Engine, fleet: &Fleet, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let mut images: Vec<&str> = fleet.hubs.iter().map(|hub| hub.image.as_str()).collect();
    images.push(&fleet.defaults.image);
    images.sort_unstable();
    images.dedup();
    for image in images {
        if engine.image_id(image).await?.is_none() {
            findings.push(Finding::error(
                format!("the engine has no image {image}"),
                format!("docker pull {image}, or build fleet's own: docker build -t {image} images/sandbox"),
            ));
        }
    }
    for stranger in Sandboxes::look(engine, fleet).await?.strangers(fleet) {
        findings.push(Finding::warning(
            format!("there is a sandbox for hub {}, which fleet.toml does not have", stranger.hub),
            format!(
                "put the hub back into fleet.toml, or, if its cluster is gone for good, docker rm -f {}; until then nothing is \
                 called an orphan",
                fleet.container_of(&stranger.hub)
            ),
        ));
    }
    findings.extend(old_containers(engine, fleet).await?);
    Ok(())
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    let machine = std::iter::once(("this machine", &diagnosis.machine));
    let hubs = diagnosis.hubs.iter().map(|hub| (hub.hub.as_str(), &hub.findings));
    for (whose, findings) in machine.chain(hubs) {
        if findings.is_empty() {
            let _ = writeln!(text, "{whose}: fine");
        }
        for finding in findings {
            let word = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let _ = writeln!(text, "{whose}: {word}: {}", one_line(&finding.what));
            if let Some(hint) = &finding.hint {
                let _ = writeln!(text, "    {hint}");
            }
        }
    }
    text
}
