//! The options by which hubs are chosen: the same for every command that takes them.

mod named;

use super::context::Context;
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::observe::{Sandboxes, files_of, look_at_openrc_files};
use crate::plan::choose::{Asked, Refused, choose, in_projects};
use crate::report::Progress;

pub use named::Hubs;

/// Which hubs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which hubs")]
pub struct Choice {
    /// Every hub of the fleet
    #[arg(long, conflicts_with_all = ["hub", "tag", "project", "engine"])]
    all: bool,

    /// These hubs: names, globs ('ou*', '{ou,fsu}*') or regular expressions ('/^ou[0-9]+/')
    #[arg(long, value_name = "HUB,...")]
    hub: Vec<String>,

    /// Hubs with one of these tags (`tags` in fleet.toml); globs and regular expressions too
    #[arg(long, value_name = "TAG,...")]
    tag: Vec<String>,

    /// Hubs whose credentials lead to one of these projects, by name or id; their sandboxes are asked
    #[arg(long, value_name = "PROJECT,...")]
    project: Vec<String>,

    /// Hubs that live on one of these engines (`[engines]` in fleet.toml; the one without a name is `default`)
    #[arg(long, value_name = "ENGINE,...")]
    engine: Vec<String>,

    /// Not these hubs, whatever chooses them
    #[arg(long, value_name = "HUB,...")]
    exclude: Vec<String>,
}

impl Choice {
    fn asked(&self) -> Asked {
        Asked {
            all: self.all,
            hubs: self.hub.clone(),
            tags: self.tag.clone(),
            projects: self.project.clone(),
            engines: self.engine.clone(),
            exclude: self.exclude.clone(),
        }
    }

    /// The chosen hubs, in the order of `fleet.toml`. None is an error.
    pub(super) async fn hubs<'f>(
        &self,
        context: &Context,
        fleet: &'f Fleet,
    ) -> Result<Vec<&'f Hub>, Failure> {
        chosen(&self.asked(), context, fleet).await
    }

    /// The same where a word of the command may name hubs instead; empty, it does not.
    pub(super) async fn hubs_or_named<'f>(
        &self,
        named: &str,
        context: &Context,
        fleet: &'f Fleet,
    ) -> Result<Vec<&'f Hub>, Failure> {
        let asked = self.asked();
        if named.is_empty() {
            return chosen(&asked, context, fleet).await;
        }
        if !asked.is_nothing() {
            return Err(Failure::usage(format!("hubs are named by {named:?} and by options too"))
                .hint("either HUB:/PATH, or :/PATH with --all, --hub, --tag or --project"));
        }
        chosen(&Asked { hubs: vec![named.to_owned()], ..asked }, context, fleet).await
    }

    /// The same for a command that changes nothing: where no hubs are asked for, all of them.
    pub(super) async fn hubs_or_all<'f>(
        &self,
        context: &Context,
        fleet: &'f Fleet,
    ) -> Result<Vec<&'f Hub>, Failure> {
        or_all(self.asked(), context, fleet).await
    }
}

async fn or_all<'f>(asked: Asked, context: &Context, fleet: &'f Fleet) -> Result<Vec<&'f Hub>, Failure> {
    let all = asked.all || asked.is_nothing();
    if all && asked.exclude.is_empty() {
        return Ok(fleet.hubs.iter().collect());
    }
    chosen(&Asked { all, ..asked }, context, fleet).await
}

async fn chosen<'f>(asked: &Asked, context: &Context, fleet: &'f Fleet) -> Result<Vec<&'f Hub>, Failure> {
    let hubs = choose(fleet, asked)?;
    let projects = asked.projects();
    if projects.is_empty() {
        return Ok(hubs);
    }
    let engine = context.engine(fleet).await?;
    let sandboxes = Sandboxes::look(&engine, fleet).await?;
    let files = files_of(fleet, &hubs);
    let progress = Progress::new("asking sandboxes for their projects", files.len());
    let looking = look_at_openrc_files(&engine, fleet, &sandboxes, &files, &context.interrupt, || {
        progress.done_one();
    });
    let looks = context.unless_interrupted(looking).await?;
    drop(progress);
    Ok(in_projects(hubs, &looks, &projects)?)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let exit = if refused.cannot_tell { Exit::CannotTell } else { Exit::Usage };
        Self { exit, problems: refused.problems, hint: Some(refused.hint) }
    }
}
