//! `fleet list`: the hubs that fleet.toml declares.

use super::context::{Context, print, print_json};
use crate::cli::Format;
use crate::exit::{Exit, Failure};
use crate::report::Table;

/// List the hubs in fleet.toml
///
/// Asks nobody: what it shows is what fleet.toml says. `fleet status` shows what is there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  fleet list\n  fleet list --format json | jq -r '.[].name'")]
pub struct Args {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Prints it.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    match args.format {
        Format::Json => {
            let hubs: Vec<_> = fleet
                .hubs
                .iter()
                .map(|hub| {
                    serde_json::json!({
                        "name": hub.name,
                        "ip": hub.ip,
                        "openrc": hub.openrc,
                        "state": hub.state,
                        "image": hub.image,
                        "container": fleet.container_of(&hub.name),
                        "ssh": { "user": hub.ssh.user, "port": hub.ssh.port, "key": hub.ssh.key },
                        "project_domain": hub.project_domain,
                    })
                })
                .collect();
            print_json(&hubs)?;
        }
        Format::Table => {
            let mut table = Table::new(&["HUB", "IP", "OPENRC", "STATE", "IMAGE"], None);
            for hub in &fleet.hubs {
                table.row([
                    hub.name.as_str(),
                    &hub.ip.to_string(),
                    &hub.openrc.to_string_lossy(),
                    &hub.state.to_string_lossy(),
                    &hub.image,
                ]);
            }
            print(&table.to_string())?;
        }
    }
    Ok(Exit::Done)
}
