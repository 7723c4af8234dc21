//! `fleet doctor`: what is wrong on this machine and with each hub, each with what to do about it.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;

use super::context::{Context, print, print_json};
use super::status::{examine, old_containers};
use crate::commands::format::Format;
use crate::exit::{Exit, Failure, chain};
use crate::hub::{EngineName, Fleet, Hub, HubName};
use crate::observe::{Depth, Sandboxes, look_at_agent};
use crate::plan::diagnose::{Finding, Severity, works};
use crate::systems::docker::{Engine, Error, Of, Silent};
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
    /// None where there is but the usual one: what is wrong with it is wrong with the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    engines: Vec<EngineFindings>,
    hubs: Vec<HubFindings>,
}

#[derive(Serialize)]
struct EngineFindings {
    engine: EngineName,
    findings: Vec<Finding>,
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
    let mut diagnosis = Diagnosis { machine: on_disk(&fleet), engines: Vec::new(), hubs: Vec::new() };
    let look = async {
        let engine = Engine::connect(&fleet.engines, fleet.timeouts.engine).await?;
        let sandboxes = Sandboxes::look(&engine, &fleet).await?;
        Ok::<_, Error>((engine, sandboxes))
    };
    match look.await {
        Err(error) => diagnosis.machine.push(Finding::error(chain(&error), error.hint().unwrap_or_default())),
        Ok((engine, sandboxes)) => {
            engines(&engine, &fleet, &sandboxes, &mut diagnosis).await;
            let hubs: Vec<_> = fleet.hubs.iter().collect();
            diagnosis.hubs = examine(context, &engine, &fleet, &sandboxes, &hubs, Depth::Everything)
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
    let engines_work = diagnosis.engines.iter().all(|engine| works(&engine.findings));
    let hubs_work = diagnosis.hubs.iter().all(|hub| works(&hub.findings));
    let all_work = works(&diagnosis.machine) && engines_work && hubs_work;
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

/// What the engines should have, and what they have that nobody asked for. One that does not answer hides nothing of the others.
async fn engines(engine: &Engine, fleet: &Fleet, sandboxes: &Sandboxes, diagnosis: &mut Diagnosis) {
    let machine = &mut diagnosis.machine;
    for stranger in sandboxes.strangers(fleet) {
        machine.push(Finding::warning(
            format!("there is a sandbox for hub {}, which fleet.toml does not have", stranger.hub),
            format!(
                "put the hub back into fleet.toml, or, if its cluster is gone for good, docker rm -f {}; until then nothing is \
                 called an orphan",
                fleet.container_of(&stranger.hub)
            ),
        ));
    }
    // It is an error only where there is but one engine.
    let old = old_containers(engine, fleet).await.unwrap_or_else(|error| Of {
        found: Vec::new(),
        silent: fleet.engines.iter().map(|only| Silent::of(&only.name, &error)).collect(),
    });
    machine.extend(old.found);
    for declared in &fleet.engines {
        let silent = sandboxes.silent().chain(&old.silent).find(|silent| silent.engine == declared.name);
        let findings = match silent {
            Some(silent) => Err(silent.clone()),
            None => images(engine, fleet, &declared.name)
                .await
                .map_err(|error| Silent::of(&declared.name, &error)),
        };
        let findings = findings.unwrap_or_else(|silent| vec![not_answering(fleet, silent)]);
        if fleet.engines.len() == 1 {
            diagnosis.machine.extend(findings);
        } else {
            diagnosis.engines.push(EngineFindings { engine: declared.name.clone(), findings });
        }
    }
}

fn not_answering(fleet: &Fleet, silent: Silent) -> Finding {
    // Where it is the only one, this is told of the machine.
    let it = if fleet.engines.len() == 1 { "the engine" } else { "it" };
    Finding::error(
        format!("{it} does not answer: {}", silent.reason),
        silent.hint.unwrap_or_else(|| "bring it back; until then its hubs are silent".to_owned()),
    )
}

/// The images that an engine's hubs are made of, and it has not.
async fn images(engine: &Engine, fleet: &Fleet, name: &EngineName) -> Result<Vec<Finding>, Error> {
    let hubs = fleet.hubs.iter().filter(|hub| hub.engine == *name);
    let mut images: Vec<&str> = hubs.map(|hub| hub.image.as_str()).collect();
    if *name == fleet.usual_engine {
        images.push(&fleet.defaults.image);
    }
    images.sort_unstable();
    images.dedup();
    let mut findings = Vec::new();
    for image in images {
        if engine.on(name)?.image_id(image).await?.is_none() {
            findings.push(Finding::error(
                format!("the engine has no image {image}"),
                format!("docker pull {image}, or build fleet's own: docker build -t {image} images/sandbox"),
            ));
        }
    }
    Ok(findings)
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    let machine = std::iter::once(("this machine".to_owned(), &diagnosis.machine));
    let engines =
        diagnosis.engines.iter().map(|engine| (format!("engine {}", engine.engine), &engine.findings));
    let hubs = diagnosis.hubs.iter().map(|hub| (hub.hub.to_string(), &hub.findings));
    for (whose, findings) in machine.chain(engines).chain(hubs) {
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
