//! Where what comes out of a sandbox is until it is whole: a directory of its own beside the place that it goes to.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What its name begins with.
const PREFIX: &str = ".fleet-cp-";

/// One that is younger may just not be held yet by whoever made it.
const YOUNG: Duration = Duration::from_mins(1);

/// See the module. It goes with this, and one whose fleet was killed goes with the next one.
#[derive(Debug)]
pub struct Stage {
    dir: tempfile::TempDir,
    /// Held as long as this is there: the kernel lets it go however fleet ends.
    _held: File,
}

impl Stage {
    /// Makes one in a directory.
    pub fn new(directory: &Path) -> io::Result<Self> {
        sweep(directory);
        let private = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(directory)?;
        let held = File::open(dir.path())?;
        // Some network file systems have no locks; then nobody takes it for a forgotten one either.
        let _ = held.try_lock();
        Ok(Self { dir, _held: held })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Takes away what a fleet that was killed left: what is called so, is ours, and is held by nobody.
fn sweep(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let uid = rustix::process::getuid().as_raw();
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_ours(&path, uid) && is_free(&path) {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

fn is_ours(path: &Path, uid: u32) -> bool {
    let named = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
    named
        && std::fs::symlink_metadata(path).is_ok_and(|meta| {
            let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            meta.is_dir()
                && meta.uid() == uid
                && meta.mode() & 0o7777 == 0o700
                && age.is_some_and(|age| age > YOUNG)
        })
}

fn is_free(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(path: &Path) {
        let then = SystemTime::now() - 2 * YOUNG;
        File::open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn what_a_killed_one_left_goes_with_the_next_and_one_that_is_used_stays() {
        let dir = tempfile::tempdir().unwrap();
        let used = Stage::new(dir.path()).unwrap();
        let [left, young, other] =
            [".fleet-cp-left", ".fleet-cp-young", ".other"].map(|name| dir.path().join(name));
        for path in [&left, &young, &other] {
            std::fs::create_dir(path).unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
            crate::files::replace(&path.join("a"), b"", 0o600).unwrap();
        }
        for path in [&left, &other, &used.path().to_owned()] {
            old(path);
        }
        let one = Stage::new(dir.path()).unwrap();
        assert!(!left.exists() && young.exists() && other.exists() && used.path().exists());
        drop(used);
        drop(one);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
