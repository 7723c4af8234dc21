//! What mends an openrc file.
//!
//! A file whose name is gone altogether cannot be given back to the path: the kernel makes no name for it across the
//! sandbox's mount (`/proc/<pid>/root` leads there, and `link` says EXDEV), and the mount is read-only, so that nothing can be
//! written through it either. Then only starting the sandbox again helps.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Place, backup_of};
use crate::apply::adopt::bring_tunnel_up;
use crate::apply::create::wait_for_tunnel;
use crate::config::openrc as content;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::Hub;
use crate::observed::Sandbox;

/// Takes from a file what lets others open it.
pub fn close(path: &Path, mode: u32) -> Result<(), Failure> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| Failure::failed(&files::Error::new("change the mode of", path, error)))
}

/// Gives the file that sandboxes hold the text that is at the path, and then the path itself. `from` is the name that it has
/// meanwhile; its old text goes into the backup.
pub fn give_back(from: &Path, path: &Path) -> Result<(), Failure> {
    let failed = |error: files::Error| Failure::failed(&error);
    let (new, old) = (content::text(path)?, content::text(from)?);
    let mode = std::fs::metadata(path)
        .map_err(|error| failed(files::Error::new("look at", path, error)))?
        .permissions();
    files::replace(&backup_of(path), old.bytes(), 0o600).map_err(failed)?;
    files::write_in_place(from, new.bytes()).map_err(failed)?;
    let move_it = || {
        std::fs::set_permissions(from, mode)?;
        std::fs::rename(from, path)
    };
    move_it().map_err(|error| {
        let mut failure = failed(files::Error::new("rename to the openrc's name", from, error));
        // The sandboxes have the new text now, which is what was wanted; the next --fix goes on from here.
        failure.problems.push(format!("{} has the new content all the same", from.display()));
        failure
    })
}

/// Stops a sandbox and starts it, so that it holds what is at the openrc's path.
pub async fn restart(place: Place<'_>, hub: &Hub, sandbox: &Sandbox) -> Result<(), Failure> {
    let Place { engine, fleet, interrupt } = place;
    let _hold = interrupt.hold();
    for path in [&hub.openrc, &hub.ssh.key].into_iter().chain(hub.ssh.jump.as_ref().map(|jump| &jump.key)) {
        // The engine would refuse to start it, and there would be none.
        if !path.is_file() {
            return Err(Failure {
                exit: Exit::Failed,
                problems: vec![format!("there is no {}", path.display())],
                hint: None,
            });
        }
    }
    engine.stop(&sandbox.id).await?;
    engine.start(&sandbox.id).await?;
    if sandbox.adopted {
        return bring_tunnel_up(engine, fleet, hub, &sandbox.id, interrupt).await;
    }
    wait_for_tunnel(engine, fleet, hub, &sandbox.id).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::file_id;

    #[test]
    fn what_gives_the_file_back_keeps_both_texts_and_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (path, held) = (dir.path().join("alpha.sh"), dir.path().join("alpha.sh~"));
        files::replace(&held, b"export OLD=1\n", 0o644).unwrap();
        files::replace(&path, b"export NEW=1\n", 0o600).unwrap();
        let id = file_id(&held);
        give_back(&held, &path).unwrap();
        assert_eq!(file_id(&path), id);
        assert_eq!(std::fs::read(&path).unwrap(), b"export NEW=1\n");
        assert_eq!(std::fs::read(backup_of(&path)).unwrap(), b"export OLD=1\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!held.exists());
    }

    #[test]
    fn a_file_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alpha.sh");
        files::replace(&path, b"export A=1\n", 0o644).unwrap();
        close(&path, 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(close(&dir.path().join("none"), 0o600).is_err());
    }
}
