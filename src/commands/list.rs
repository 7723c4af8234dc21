//! `fleet list`: the hubs that fleet.toml declares.

use super::choose::Choice;
use super::context::{Context, print, print_json};
use crate::commands::format::Format;
use crate::exit::{Exit, Failure};
use crate::report::Table;
use crate::text::or_dash;

/// List the hubs in fleet.toml
///
/// What it shows is what fleet.toml says. `fleet status` shows what is there. Hubs are chosen here as for `fleet exec`, so that a
/// choice can be seen before it is used; only --project asks the sandboxes, which alone know where credentials lead.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet list\n  fleet list --tag gpu --exclude 'test*'\n  fleet list --format json | jq -r '.[].name'"
)]
pub struct Args {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    choice: Choice,
}

/// Prints it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let hubs = args.choice.hubs_or_all(context, &fleet).await?;
    match args.format {
        Format::Json => {
            let hubs: Vec<_> = hubs
                .iter()
                .map(|hub| {
                    serde_json::json!({
                        "name": hub.name,
                        "ip": hub.ip,
                        "openrc": hub.openrc,
                        "state": hub.state,
                        "image": hub.image,
                        "container": fleet.container_of(&hub.name),
                        "ssh": {
                            "user": hub.ssh.user,
                            "port": hub.ssh.port,
                            "key": hub.ssh.key,
                            "jump": hub.ssh.jump.as_ref().map(|jump| jump.at.to_string()),
                            "jump_key": hub.ssh.jump.as_ref().map(|jump| &jump.key),
                            "agent": hub.ssh.agent,
                        },
                        "project_domain": hub.project_domain,
                        "tags": hub.tags,
                        "engine": hub.engine,
                    })
                })
                .collect();
            print_json(&hubs)?;
        }
        Format::Table => {
            // Where there is but one engine, every hub lives on it.
            let several = fleet.engines.len() > 1;
            let mut heads = vec!["HUB", "IP", "OPENRC", "STATE", "IMAGE", "TAGS"];
            heads.extend(several.then_some("ENGINE"));
            let mut table = Table::new(&heads, None);
            for hub in &hubs {
                let row = [
                    hub.name.to_string(),
                    hub.ip.to_string(),
                    hub.openrc.to_string_lossy().into_owned(),
                    hub.state.to_string_lossy().into_owned(),
                    hub.image.clone(),
                    or_dash(Some(&hub.tags.join(","))).into_owned(),
                ];
                table.row(row.into_iter().chain(several.then(|| hub.engine.to_string())));
            }
            print(&table.to_string())?;
        }
    }
    Ok(Exit::Done)
}
