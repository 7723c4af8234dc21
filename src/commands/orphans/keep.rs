//! `fleet orphans keep` and `unkeep`: somebody asks that a volume is never deleted, or takes that back.

use crate::apply::delete::{Limits, STALE_AFTER};
use crate::apply::mark::{Annotator as _, change};
use crate::apply::world::RealWorld;
use crate::clock;
use crate::commands::context::{Context, tell, tell_unseen};
use crate::exit::{Exit, Failure};
use crate::hub::Fleet;
use crate::journal;
use crate::observe::{Clusters, Sandboxes, look_at_projects};
use crate::observed::{Metadata, Project, ProjectVolumes, Unseen, Volume};
use crate::plan::orphans::keep::{Change, Wish, meant, stays, take_back, wishes};
use crate::text::clean;

/// What is asked for volume by volume.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Ask that a volume is kept: it is no orphan from now on
    Keep(Keep),
    /// Take that back
    Unkeep(Unkeep),
}

/// Writes `fleet.keep`, or `fleet.keep-until`, and `fleet.keep-reason` into the volume's metadata.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet orphans keep 6ec122bb-8936-436b-9806-50eeffc60e68\n  fleet orphans keep \
pvc-296e5429-5d06-4e83-ad80-0daedfa463ce --until 2027-06-30 --reason \"Anna's thesis\""
)]
pub struct Keep {
    /// The volume's id, or its name if no other volume has it
    volume: String,

    /// Up to the end of this day, or this time; for good without it
    #[arg(long, value_name = "DATE")]
    until: Option<String>,

    /// Why; the report shows it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Takes `fleet.keep`, `fleet.keep-until` and `fleet.keep-reason` out of the volume's metadata.
#[derive(Debug, clap::Args)]
pub struct Unkeep {
    /// The volume's id, or its name if no other volume has it
    volume: String,
}

impl Action {
    fn volume(&self) -> &str {
        match self {
            Self::Keep(Keep { volume, .. }) | Self::Unkeep(Unkeep { volume }) => volume,
        }
    }

    fn change(&self, volume: &Volume) -> Result<Change, Failure> {
        match self {
            Self::Keep(Keep { until, reason, .. }) => {
                Wish { until: until.as_deref(), reason: reason.as_deref() }
                    .change(&volume.metadata, clock::now())
                    .map_err(Failure::usage)
            }
            Self::Unkeep(_) => Ok(take_back(&volume.metadata)),
        }
    }
}

/// Changes what the volume's metadata says. No cluster is asked.
pub(super) async fn run(action: &Action, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    // What is wrong with the wish needs no cloud to be told.
    if let Action::Keep(Keep { until, reason, .. }) = action {
        let wish = Wish { until: until.as_deref(), reason: reason.as_deref() };
        wish.change(&Metadata::new(), clock::now()).map_err(Failure::usage)?;
    }
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let looking = look_at_projects(&engine, &fleet, &sandboxes, &context.interrupt);
    let (clouds, projects, unseen) = context.unless_interrupted(looking).await?;
    let (project, volume) = find(&projects, &unseen, action.volume())?;
    let change_to = action.change(volume)?;
    context.begins(&fleet, []);
    let clusters = Clusters::default();
    let world = RealWorld::new(&clusters, &clouds);
    change(&world, &project.key, &volume.id, &change_to, &Limits::default())
        .await
        .map_err(|trouble| Failure::failed(&trouble))?;
    if matches!(action, Action::Keep(_)) {
        see_that_it_stays(context, &fleet, &world, project, volume).await?;
    }
    tell(&told(action, project, volume, &change_to));
    Ok(Exit::Done)
}

/// A run of deletions that took its second look at the volume just before the wish was there does not know of it. So
/// where one is under way, this waits as long as such a look may be acted on, and looks what has become of the volume.
async fn see_that_it_stays(
    context: &Context,
    fleet: &Fleet,
    world: &RealWorld<'_>,
    project: &Project,
    volume: &Volume,
) -> Result<(), Failure> {
    if journal::is_under_way(fleet) {
        let seconds = STALE_AFTER.as_secs();
        tell(&format!("volumes of this fleet are being deleted right now: looking again in {seconds} s\n"));
        context.unless_interrupted(tokio::time::sleep(STALE_AFTER)).await?;
    }
    let asking = world.look_up(&project.key, &volume.id);
    let now = context.unless_interrupted(asking).await?.map_err(|trouble| {
        Failure { exit: Exit::CannotTell, ..Failure::failed(&trouble) }
            .hint("the wish is written into the volume; whether it came in time is not known: ask again")
    })?;
    stays(now.as_ref()).map_err(|what| Failure {
        exit: Exit::Failed,
        problems: vec![format!("volume {} cannot be kept: {what}", volume.id)],
        hint: Some(format!("fleet journal --volume {} tells who deleted it", volume.id)),
    })
}

fn find<'v>(
    projects: &'v [ProjectVolumes],
    unseen: &[Unseen],
    wanted: &str,
) -> Result<(&'v Project, &'v Volume), Failure> {
    let found = meant(projects, wanted);
    // A name says nothing where not everybody answered: another project may have it too.
    let by_id = found.as_ref().is_ok_and(|(_, volume)| volume.id == wanted);
    if !unseen.is_empty() && !by_id {
        tell_unseen(unseen);
        return Err(Failure {
            exit: Exit::CannotTell,
            problems: vec![format!("cannot tell which volume {wanted:?} is: not every project answered")],
            hint: Some("an id is enough where the volume's own project answers".to_owned()),
        });
    }
    found.map_err(|all| {
        if all.is_empty() {
            return Failure::usage(format!("no project of the fleet has a volume {wanted:?}"));
        }
        let each = all.iter().map(|(project, volume)| {
            format!("  {} ({} GiB, project {})", volume.id, volume.size_gib, clean(&project.name))
        });
        let mut failure = Failure::usage(format!("{} volumes are called {wanted:?}:", all.len()));
        failure.problems.extend(each);
        failure.hint("name one of them by its id")
    })
}

fn told(action: &Action, project: &Project, volume: &Volume, change: &Change) -> String {
    let what = match action {
        Action::Keep(Keep { until: None, .. }) => "is kept for good",
        Action::Keep(Keep { until: Some(until), .. }) => &format!("is kept until {until}"),
        Action::Unkeep(_) if change.remove.is_empty() => "was not kept by anybody",
        Action::Unkeep(_) => "is not kept any more",
    };
    let text = format!(
        "volume {} ({}, {} GiB, project {}) {what}",
        volume.id, volume.name, volume.size_gib, project.name
    );
    // Somebody else's wish may have been a longer one.
    let before = match (action, wishes(&volume.metadata)) {
        (Action::Keep(_), Some(wishes)) => format!(" (before: {wishes})"),
        _ => String::new(),
    };
    format!("{}\n", clean(&(text + &before)))
}
