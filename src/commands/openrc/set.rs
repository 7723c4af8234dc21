//! `fleet openrc set`: new credentials for a hub, or for all hubs of a project.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::apply::openrc::{Place, Replaced, Target, rehearse, replace_all};
use crate::commands::context::{Context, tell};
use crate::config::{self, openrc as content};
use crate::exit::{Exit, Failure};
use crate::hub::{Fleet, Hub};
use crate::observe::{Sandboxes, file_id, files_of, look_at_openrc_files};
use crate::observed::{Login, OpenrcFile, Sandbox, SandboxState, Validity};
use crate::plan::openrc::{NoProject, objection, of_project};
use crate::report::Progress;
use crate::secret::Script;
use crate::systems::docker::Engine;

/// How long fleet waits for the whole of what is piped into it: a person may have to unlock a password store first.
const INPUT: Duration = Duration::from_mins(2);

/// Give a hub, or all hubs of a project, new credentials
///
/// Hubs that share an openrc file all get them, and it is told which. Before anything is changed, the new openrc is looked at,
/// sourced in the sandboxes of these hubs, and tried against Keystone; it must lead to the project that the old one led to.
/// Then it is written over the old content, in place, so that every sandbox has it at once, and is proved from inside each: the
/// same file, the same content, and it works. If that fails, the old content comes back. It stays beside the file as
/// FILE.fleet-backup (mode 0600; there is one, the content before the last change): remove it when you do not need it any more.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "Examples:\n  fleet openrc set ou23s new.sh\n  pass openstack/alpha | fleet openrc set ou23s -\n  fleet openrc set \
--project alpha new.sh\n  fleet openrc set ou23s beta.sh --move-project\n\nExit status: 0 done; 1 it does not work, and nothing has \
changed, or a sandbox is left with the old credentials, which is told; 2 usage; 3 cannot tell which project hubs are in."
)]
pub struct Args {
    /// The hub
    #[arg(required_unless_present = "project", conflicts_with = "project")]
    hub: Option<String>,

    /// The new openrc; `-` for standard input
    file: PathBuf,

    /// All hubs whose credentials lead to this project, by name or id
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,

    /// The new credentials may lead to another project than the old ones, or the old ones' project is not known
    #[arg(long)]
    move_project: bool,
}

/// Sets it.
pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let fleet = context.fleet()?;
    let named: Vec<&Hub> = match &args.hub {
        Some(hub) => config::resolve(&fleet, std::slice::from_ref(hub))?,
        None => fleet.hubs.iter().collect(),
    };
    let script = new_text(context, &args.file).await?;
    let engine = context.engine(&fleet).await?;
    let sandboxes = Sandboxes::look(&engine, &fleet).await?;
    let files = files_of(&fleet, &named);
    let progress = Progress::new("asking sandboxes", files.len());
    let looking = look_at_openrc_files(&engine, &fleet, &sandboxes, &files, &context.interrupt, || {
        progress.done_one();
    });
    let mut looks = context.unless_interrupted(looking).await?;
    drop(progress);
    if let Some(wanted) = &args.project {
        let mut chosen =
            of_project(&looks, wanted).map_err(|why| no_project(&looks, wanted, why))?.into_iter();
        let mut next = chosen.next();
        let mut index = 0;
        looks.retain(|_| {
            let is_it = next == Some(index);
            if is_it {
                next = chosen.next();
            }
            index += 1;
            is_it
        });
    }
    change(args, context, &engine, &fleet, &sandboxes, &looks, &script).await
}

async fn change(
    args: &Args,
    context: &Context,
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    looks: &[OpenrcFile],
    script: &Script,
) -> Result<Exit, Failure> {
    let users = looks.iter().flat_map(|look| look.hubs.iter().map(|mount| &mount.hub));
    let _alone: Vec<_> = users.map(|hub| config::lock_hub(fleet, hub)).collect::<Result<_, _>>()?;
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    for look in looks {
        let holders = holders(fleet, sandboxes, look);
        if look.id.is_none() {
            problems.push(format!("there is no {}: put it back first", look.file.display()));
        } else if holders.is_empty() {
            problems.push(nobody_holds(look));
        }
        targets.push(Target { path: &look.file, digest: look.digest.as_deref(), holders });
    }
    if !problems.is_empty() {
        let first =
            looks.first().and_then(|look| look.hubs.first()).map_or("HUB", |mount| mount.hub.as_str());
        return Err(Failure { exit: Exit::Failed, problems, hint: None }
            .hint(format!("nothing was changed; `fleet up {first}` starts a sandbox, `fleet openrc check {first} --fix` mends a stale one")));
    }
    let place = Place { engine, fleet, interrupt: &context.interrupt };
    let all: Vec<(&Hub, &Sandbox)> = targets.iter().flat_map(|target| target.holders.clone()).collect();
    let trying = Box::pin(rehearse(place, &all, script));
    let login = context.unless_interrupted(trying).await?.map_err(|mut failure| {
        failure.problems.push("the new credentials do not work: nothing was changed".to_owned());
        failure
    })?;
    let objections: Vec<String> = looks.iter().filter_map(|look| objection(look, &login.project)).collect();
    if !objections.is_empty() && !args.move_project {
        return Err(Failure { exit: Exit::Failed, problems: objections, hint: None }.hint(
            "nothing was changed; if that is meant: --move-project (the volumes that its cluster uses stay in the old project)",
        ));
    }
    context.begins(fleet, all.iter().map(|(hub, _)| &hub.name));
    let replaced = Box::pin(replace_all(place, &targets, script, &login)).await?;
    let mut exit = Exit::Done;
    for (look, replaced) in looks.iter().zip(&replaced) {
        if !told(look, replaced, &login) {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// The new openrc, if nothing is plainly wrong with it.
async fn new_text(context: &Context, file: &Path) -> Result<Script, Failure> {
    if file != Path::new("-") {
        return Ok(content::load(file)?);
    }
    let mut bytes = Vec::new();
    let mut input = tokio::io::stdin().take(content::MOST_BYTES + 1);
    let reading = tokio::time::timeout(INPUT, input.read_to_end(&mut bytes));
    match context.unless_interrupted(reading).await? {
        Ok(Ok(_)) => Ok(content::check_text(Path::new("(standard input)"), bytes)?),
        Ok(Err(error)) => Err(Failure::failed(&error)),
        Err(_) => Err(Failure::usage(format!(
            "standard input did not end within {}",
            crate::report::duration(INPUT)
        ))
        .hint("pipe the openrc into fleet, or name a file")),
    }
}

/// The running sandboxes that hold what is at the path.
fn holders<'a>(fleet: &'a Fleet, sandboxes: &'a Sandboxes, look: &OpenrcFile) -> Vec<(&'a Hub, &'a Sandbox)> {
    look.hubs
        .iter()
        .filter_map(|mount| {
            let hub = fleet.hub(&mount.hub)?;
            let sandbox = sandboxes.running(fleet, hub).ok()?;
            // One that could not source the old text holds the file all the same, or not: the proof tells.
            let is_stale = mount.stale.seen() == Some(&true) || file_id(&look.file) != look.id;
            (!is_stale).then_some((hub, sandbox))
        })
        .collect()
}

fn nobody_holds(look: &OpenrcFile) -> String {
    let why: Vec<String> = look
        .hubs
        .iter()
        .map(|mount| match (&mount.state, mount.stale.seen()) {
            (Some(SandboxState::Running), Some(true)) => format!("the sandbox of {} is stale", mount.hub),
            (Some(SandboxState::Running), _) => format!("the sandbox of {} does not answer", mount.hub),
            (Some(state), _) => format!("the sandbox of {} is not running ({state})", mount.hub),
            (None, _) => match mount.stale.unseen() {
                Some(unseen) => format!("hub {}: {}", mount.hub, unseen.reason),
                None => format!("hub {} has no sandbox", mount.hub),
            },
        })
        .collect();
    format!("{} cannot be tried in any sandbox: {}", look.file.display(), why.join(", "))
}

fn no_project(looks: &[OpenrcFile], wanted: &str, why: NoProject) -> Failure {
    match why {
        NoProject::None => {
            let mut known: Vec<&str> =
                looks.iter().filter_map(|look| look.project()).map(|project| project.name.as_str()).collect();
            known.sort_unstable();
            known.dedup();
            Failure::usage(format!("no hub's credentials lead to a project {wanted:?}"))
                .hint(format!("there are: {}", known.join(", ")))
        }
        NoProject::Several(projects) => {
            let mut failure = Failure::usage(format!("{} projects are called {wanted:?}:", projects.len()));
            let each =
                projects.iter().map(|project| format!("  {} at {}", project.key.id, project.key.auth_url));
            failure.problems.extend(each);
            failure.hint("name one of them by its id")
        }
        NoProject::CannotTell(unknown) => {
            let each = unknown.iter().filter_map(|index| looks.get(*index)).map(|look| {
                let why = look.unseen().map_or("it was not asked", |unseen| unseen.reason.as_str());
                format!(
                    "cannot tell which project the credentials in {} ({}) lead to: {why}",
                    look.file.display(),
                    look.hub_names()
                )
            });
            Failure { exit: Exit::CannotTell, problems: each.collect(), hint: None }
                .hint("nothing was changed; name a hub instead of the project: fleet openrc set HUB FILE")
        }
    }
}

/// Tells what came of one file. Whether every sandbox that runs has it.
fn told(look: &OpenrcFile, replaced: &Replaced, login: &Login) -> bool {
    let path = look.file.display();
    let have = look.hubs.iter().filter(|mount| mount.stale.seen() != Some(&true));
    let hubs = have.map(|mount| mount.hub.as_str()).collect::<Vec<_>>().join(", ");
    let valid = match login.valid {
        Validity::NoEnd => "without end".to_owned(),
        Validity::Until(at) => format!("valid until {at:.0}"),
        Validity::Unknown => "valid for a time that Keystone does not tell".to_owned(),
    };
    match replaced {
        Replaced::Written { backup } => {
            tell(&format!(
                "{hubs}: {path} has the new credentials (project {}, {valid}), and they work in the sandboxes\n",
                login.project
            ));
            tell(&format!(
                "    the old content is in {}; remove it when nobody needs it any more\n",
                backup.display()
            ));
        }
        Replaced::AsItWas => tell(&format!(
            "{hubs}: {path} has this content already (project {}, {valid}), and it works in the sandboxes\n",
            login.project
        )),
    }
    if let Some(mode) = look.mode.filter(|mode| mode & 0o077 != 0) {
        tell(&format!("{path}: others on this machine can open it (mode {mode:04o}): chmod 600 {path}\n"));
    }
    let mut all = true;
    for mount in &look.hubs {
        let hub = &mount.hub;
        match mount.state {
            Some(SandboxState::Running) if mount.stale.seen() == Some(&true) => {
                all = false;
                tell(&format!(
                    "hub {hub}: its sandbox holds another file, and goes on with the old credentials\n    fleet openrc check {hub} \
                     --fix\n"
                ));
            }
            Some(SandboxState::Running) => {}
            // Its engine does not answer: it may run, and hold something else.
            None if mount.unseen => {
                all = false;
                let why = mount.stale.unseen().map_or("nobody can see it", |unseen| unseen.reason.as_str());
                tell(&format!(
                    "hub {hub}: whether its sandbox has the new credentials cannot be told: {why}\n"
                ));
            }
            _ => tell(&format!(
                "hub {hub}: its sandbox does not run; it gets the new credentials when it is started\n"
            )),
        }
    }
    all
}
