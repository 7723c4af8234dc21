//! Openrc files, each once, however many hubs use it: what `fleet openrc` goes by.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use futures_util::future::join_all;

use super::openrc::{file_id, look_at_openrc, try_openrc};
use super::sandboxes::Sandboxes;
use super::volumes::{credentials_unseen, tokens};
use crate::config::openrc as content;
use crate::hub::{Fleet, Hub};
use crate::interrupt::Interrupt;
use crate::observed::{Answer, Login, OpenrcFile, OpenrcMount};
use crate::secret::{OpenrcEnv, Script};
use crate::systems::docker::Engine;
use crate::systems::openstack::{Cloud, Error, Tokens, known_of};

/// The hubs of each openrc file that one of `hubs` uses, in the order of `fleet.toml`. Two names of one file are one file:
/// what is written through one is read through the other.
pub fn files_of<'f>(fleet: &'f Fleet, hubs: &[&Hub]) -> Vec<Vec<&'f Hub>> {
    let same =
        |one: &Path, other: &Path| one == other || file_id(one).is_some_and(|id| file_id(other) == Some(id));
    let mut files: Vec<Vec<&Hub>> = Vec::new();
    for hub in &fleet.hubs {
        match files.iter_mut().find(|users| same(&users[0].openrc, &hub.openrc)) {
            Some(users) => users.push(hub),
            None => files.push(vec![hub]),
        }
    }
    files.retain(|users| users.iter().any(|user| hubs.iter().any(|hub| hub.name == user.name)));
    files
}

/// Looks at files side by side. One that hangs costs its own time limit and nobody else's.
pub async fn look_at_openrc_files(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    files: &[Vec<&Hub>],
    interrupt: &Interrupt,
    seen_one: impl Fn(),
) -> Vec<OpenrcFile> {
    let seen_one = &seen_one;
    join_all(files.iter().map(async |hubs| {
        // On the heap: it holds the state of every client.
        let look = Box::pin(look_at_openrc_file(engine, fleet, sandboxes, hubs, interrupt)).await;
        seen_one();
        look
    }))
    .await
}

/// Looks at the file that these hubs share: sources it in every sandbox of theirs that runs, and logs in once.
pub async fn look_at_openrc_file(
    engine: &Engine,
    fleet: &Fleet,
    sandboxes: &Sandboxes,
    hubs: &[&Hub],
    interrupt: &Interrupt,
) -> OpenrcFile {
    let path = &hubs[0].openrc;
    let id = file_id(path);
    // Before anything is sourced: what is written later is written over this text or not at all.
    let text = content::text(path).ok();
    let looks = join_all(hubs.iter().map(async |hub| {
        let sandbox = sandboxes.running(fleet, hub)?;
        look_at_openrc(engine, fleet, hub, sandbox, interrupt).await
    }))
    .await;
    let mounts = hubs.iter().zip(&looks).map(|(hub, look)| OpenrcMount {
        hub: hub.name.clone(),
        state: sandboxes.of(&hub.name).map(|sandbox| sandbox.state),
        unseen: sandboxes.silence_of(hub).is_some(),
        stale: match look {
            Ok(look) => look.stale.map_or(Answer::NotAsked, Answer::Seen),
            Err(unseen) => Answer::Unseen(unseen.clone()),
        },
        held: look.as_ref().ok().and_then(|look| look.held),
    });
    let mut file = OpenrcFile {
        file: path.clone(),
        hubs: mounts.collect(),
        mode: std::fs::metadata(path).ok().map(|about| about.mode() & 0o7777),
        id,
        digest: text.as_ref().map(Script::digest),
        kind: None,
        login: Answer::NotAsked,
        refused: false,
        remembered: None,
    };
    let fresh = looks.iter().flatten().find(|look| look.stale == Some(false));
    // No sandbox holds it: what it is worth is tried in one that holds an older one.
    let other = hubs.iter().zip(&looks).find(|(_, look)| look.is_ok()).map(|(hub, _)| *hub);
    let env = match (fresh, other, &text) {
        (Some(look), _, _) => Ok(look.env.clone()),
        (None, Some(hub), Some(text)) => match sandboxes.running(fleet, hub) {
            Ok(sandbox) => try_openrc(engine, fleet, hub, sandbox, text, interrupt).await,
            Err(unseen) => Err(unseen),
        },
        _ => match looks.into_iter().find_map(Result::err) {
            Some(unseen) => Err(unseen),
            // It is gone, or cannot be read by whoever runs fleet.
            None => return file,
        },
    };
    match env {
        Ok(env) => try_out(fleet, hubs[0], &env, &mut file).await,
        Err(unseen) => file.login = Answer::Unseen(unseen),
    }
    file
}

async fn try_out(fleet: &Fleet, hub: &Hub, env: &OpenrcEnv, file: &mut OpenrcFile) {
    (file.kind, file.remembered) = known_of(env, &tokens(fleet));
    match log_in(fleet, env).await {
        Ok(login) => file.login = Answer::Seen(login),
        Err(error) => {
            file.refused = error.is_credentials();
            file.login = Answer::Unseen(credentials_unseen(&hub.name, &error));
        }
    }
}

/// Logs in with what sourcing an openrc left.
pub async fn log_in(fleet: &Fleet, env: &OpenrcEnv) -> Result<Login, Error> {
    // Nothing that was kept: whether the credentials work now is the question.
    let cloud = Cloud::connect(env, fleet.timeouts.openstack, &Tokens::not_kept()).await?;
    Ok(Login { project: cloud.project().clone(), valid: cloud.valid().await? })
}
