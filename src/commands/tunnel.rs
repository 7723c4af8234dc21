//! `fleet tunnel`: the SSH tunnels that lead from sandboxes to their masters.

mod logs;
mod restart;
mod status;

use super::context::Context;
use crate::exit::{Exit, Failure};

/// Look at the tunnels to the masters, connect them again, read what they say
///
/// Each sandbox holds its own tunnel, which comes back by itself within 10 s after its master, the network or the
/// sandbox was away; no fleet process has to run. These commands are for when it does not.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet tunnel status\n  fleet tunnel restart ou23s\n  fleet tunnel logs ou23s --follow"
)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Status(status::Args),
    Restart(restart::Args),
    Logs(logs::Args),
}

/// Does it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.action {
        Action::Status(args) => Box::pin(status::run(args, context)).await,
        Action::Restart(args) => Box::pin(restart::run(args, context)).await,
        Action::Logs(args) => Box::pin(logs::run(args, context)).await,
    }
}
