//! One process at a time edits a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::{Fleet, HubName};

/// How often the lock is tried: unnoticed by people, and no load.
const PAUSE: Duration = Duration::from_millis(20);

/// The right to edit a file, or to make a hub, until it is dropped. The kernel gives it back too, however the process ends.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock is given back, so that nobody else's is taken away. It is no harm if this does not work.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Waits for the right to edit a file. The lock is a file beside it, because the file itself is replaced.
pub(super) fn take(edited: &Path, patience: Duration) -> Result<Lock, Failure> {
    let path = lock_path(edited);
    let begin = Instant::now();
    loop {
        match attempt(&path) {
            Ok(Some(file)) => return Ok(Lock { path, _file: file }),
            Ok(None) if begin.elapsed() >= patience => return Err(held(edited, &path, patience)),
            Ok(None) => std::thread::sleep(PAUSE),
            Err(error) => return Err(Failure::failed(&files::Error::new("lock", &path, error))),
        }
    }
}

/// The right to make or change a hub of that name. Of two processes that make one at once, the one that fails would take
/// away what the other has made, so it is not waited for: the second is told.
pub fn lock_hub(fleet: &Fleet, hub: &HubName) -> Result<Lock, Failure> {
    let path = lock_path(&fleet.path.with_file_name(format!("{hub}.hub")));
    match attempt(&path) {
        Ok(Some(file)) => Ok(Lock { path, _file: file }),
        Ok(None) => {
            let mut failure = Failure::usage(format!("hub {hub} is being worked on by {}", holder(&path)));
            failure.exit = Exit::Failed;
            Err(failure)
        }
        Err(error) => Err(Failure::failed(&files::Error::new("lock", &path, error))),
    }
}

fn lock_path(edited: &Path) -> PathBuf {
    let name = edited.file_name().unwrap_or_default().display();
    files::parent(edited).join(format!(".{name}.lock"))
}

/// `None` where somebody else has the lock.
fn attempt(path: &Path) -> io::Result<Option<File>> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Its last holder may have removed the file between the opening and the locking: then this lock holds nobody off.
    let same = |there: std::fs::Metadata, here: std::fs::Metadata| {
        (there.dev(), there.ino()) == (here.dev(), here.ino())
    };
    if !std::fs::symlink_metadata(path).is_ok_and(|there| file.metadata().is_ok_and(|here| same(there, here)))
    {
        return Ok(None);
    }
    file.set_len(0)?;
    write!(file, "{}", std::process::id())?;
    Ok(Some(file))
}

/// Who has a lock.
fn holder(path: &Path) -> String {
    let mut id = String::new();
    match File::open(path).and_then(|file| file.take(20).read_to_string(&mut id)) {
        Ok(_) if id.parse::<u32>().is_ok() => format!("process {id}"),
        _ => "another process".to_owned(),
    }
}

fn held(edited: &Path, path: &Path, patience: Duration) -> Failure {
    let mut failure = Failure::usage(format!(
        "{} is being edited by {}; waited {} s for it",
        edited.display(),
        holder(path),
        patience.as_secs()
    ));
    failure.exit = Exit::Failed;
    failure.hint("try again when it is done; nothing was changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_names_its_holder_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let edited = dir.path().join("fleet.toml");
        let lock = take(&edited, Duration::ZERO).unwrap();
        let failure = take(&edited, Duration::ZERO).err().unwrap();
        assert!(failure.to_string().contains(&format!("process {}", std::process::id())), "{failure}");
        drop(lock);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(take(&edited, Duration::ZERO).is_ok());
    }
}
