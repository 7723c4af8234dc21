//! The same choice for commands to which hubs are named as words of their own, too.

use super::{Choice, chosen};
use crate::commands::context::Context;
use crate::config;
use crate::exit::Failure;
use crate::hub::{Fleet, Hub, HubName};
use crate::plan::choose::Asked;

/// Which hubs: by name, or by the options.
#[derive(Debug, clap::Args)]
pub struct Hubs {
    /// These hubs, as with --hub
    #[arg(value_name = "HUB", conflicts_with = "all")]
    hubs: Vec<String>,

    #[command(flatten)]
    choice: Choice,
}

impl Hubs {
    /// The chosen hubs. None is an error.
    pub(in crate::commands) async fn chosen<'f>(
        &self,
        context: &Context,
        fleet: &'f Fleet,
    ) -> Result<Vec<&'f Hub>, Failure> {
        match self.by_name(fleet) {
            Some(hubs) => hubs,
            None => chosen(&self.asked(), context, fleet).await,
        }
    }

    /// The same for a command whose plain form is for all of them.
    pub(in crate::commands) async fn chosen_or_all<'f>(
        &self,
        context: &Context,
        fleet: &'f Fleet,
    ) -> Result<Vec<&'f Hub>, Failure> {
        match self.by_name(fleet) {
            Some(hubs) => hubs,
            None => super::or_all(self.asked(), context, fleet).await,
        }
    }

    /// Hubs that are named, and nothing else, come in the order in which they were named.
    fn by_name<'f>(&self, fleet: &'f Fleet) -> Option<Result<Vec<&'f Hub>, Failure>> {
        let are_names = self.hubs.iter().all(|name| HubName::new(name).is_ok());
        let no_options = self.choice.asked().is_nothing() && self.choice.exclude.is_empty();
        (!self.hubs.is_empty() && are_names && no_options).then(|| config::resolve(fleet, &self.hubs))
    }

    fn asked(&self) -> Asked {
        let mut asked = self.choice.asked();
        asked.hubs.extend_from_slice(&self.hubs);
        asked
    }
}
