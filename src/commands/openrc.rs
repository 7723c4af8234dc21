//! `fleet openrc`: the credentials of hubs, looked at and renewed.

mod check;
mod set;

use super::context::Context;
use crate::exit::{Exit, Failure};

/// Look at the openrc files of hubs, and give them new credentials
///
/// A sandbox holds its openrc by the file's inode and not by its name, so a new file under the old name changes nothing in
/// it. These commands write such files in place.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet openrc check\n  fleet openrc check --within 30d\n  fleet openrc set ou23s new.sh\n  fleet openrc set \
--project alpha new.sh"
)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Set(set::Args),
    Check(check::Args),
}

/// Does it.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.action {
        Action::Set(args) => Box::pin(set::run(args, context)).await,
        Action::Check(args) => Box::pin(check::run(args, context)).await,
    }
}
