//! What is kept of a proxy between its runs, in `<state_dir>/_fleet/proxy`: its port and its secret, so that the kubeconfigs
//! that have them stay good. The directory also has the proxy's socket, its lock, and what it said last.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::address;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::hub::Fleet;
use crate::text::hex;

/// Ports that Linux gives to nobody of its own accord (they begin at 32768), and few services are known by.
const PORTS: Range<u16> = 20_000..32_768;

/// How many ports are tried. Where so many are taken, something else is wrong.
const TRIES: usize = 50;

/// Bytes of randomness in a secret.
const SECRET: usize = 32;

/// The most that is read of what is kept.
const MOST_BYTES: u64 = 4096;

/// The bits of a file's mode that are the group's and everybody's.
const OTHERS: u32 = 0o077;

/// The directory of a fleet's proxy.
#[derive(Debug, Clone)]
pub struct Place {
    directory: PathBuf,
}

/// A proxy's port and secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens, on loopback.
    pub port: u16,
    /// What who connects has to know.
    pub secret: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Written {
    port: u16,
    secret: String,
}

/// Only one proxy of a fleet has this, for as long as it runs.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Place {
    /// A fleet's.
    pub fn of(fleet: &Fleet) -> Self {
        Self { directory: fleet.state_dir.join("_fleet/proxy") }
    }

    /// Where the proxy is asked how it is.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// What a proxy that was started on demand says.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn settings(&self) -> PathBuf {
        self.directory.join("settings.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// The port and the secret; made where there are none yet.
    pub fn settings_or_new(&self) -> Result<Settings, Failure> {
        self.enter()?;
        match self.read() {
            Ok(settings) => return Ok(settings),
            Err(Missing::None) => {}
            Err(Missing::Failure(failure)) => return Err(failure),
        }
        let new = Settings { port: free_port()?, secret: new_secret()? };
        match files::create(&self.settings(), &new.text()?, 0o600) {
            Ok(()) => Ok(new),
            // Somebody else made them a moment ago.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.kept(),
            Err(error) => Err(Failure::failed(&error)),
        }
    }

    /// The port and the secret that there are.
    pub fn kept(&self) -> Result<Settings, Failure> {
        self.enter()?;
        self.read().map_err(|missing| match missing {
            Missing::Failure(failure) => failure,
            Missing::None => Failure::usage("this fleet has no proxy yet").hint(WRITE_AGAIN),
        })
    }

    /// Takes another port. Nobody may be listening at the old one: have the [lock](Self::lock).
    pub fn move_to(&self, port: u16, _lock: &Lock) -> Result<Settings, Failure> {
        let moved = Settings { port, ..self.settings_or_new()? };
        files::replace(&self.settings(), &moved.text()?, 0o600).map_err(|error| Failure::failed(&error))?;
        Ok(moved)
    }

    /// The right to be this fleet's proxy; `None` where somebody has it. The kernel takes it back, however they end.
    pub fn lock(&self) -> Result<Option<Lock>, Failure> {
        self.enter()?;
        let path = self.lock_file();
        let lock = || {
            let mut file = private(OpenOptions::new().read(true).write(true).create(true)).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(Some(Lock { _file: file }))
        };
        lock().map_err(|source| Failure::failed(&files::Error::new("lock", &path, source)))
    }

    /// The process that has the lock, as it wrote itself down.
    pub fn holder(&self) -> Option<u32> {
        let mut id = String::new();
        File::open(self.lock_file()).and_then(|file| file.take(20).read_to_string(&mut id)).ok()?;
        id.parse().ok()
    }

    /// An empty file for what the proxy says. There is one proxy, and so one writer.
    pub fn new_log(&self, _lock: &Lock) -> Result<File, Failure> {
        let path = self.log();
        private(OpenOptions::new().append(true).create(true))
            .open(&path)
            .and_then(|file| file.set_len(0).map(|()| file))
            .map_err(|source| Failure::failed(&files::Error::new("write", &path, source)))
    }

    /// Makes the directory, and sees to it that nobody else can get at what is in it.
    fn enter(&self) -> Result<(), Failure> {
        files::private_dir(&self.directory).map_err(|error| Failure::failed(&error))?;
        check_private(&self.directory, "700")
    }

    fn read(&self) -> Result<Settings, Missing> {
        let path = self.settings();
        let mut text = Vec::new();
        match private(OpenOptions::new().read(true)).open(&path) {
            Ok(file) => {
                file.take(MOST_BYTES).read_to_end(&mut text).map_err(|error| Missing::read(&path, error))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Missing::None),
            Err(error) => return Err(Missing::read(&path, error)),
        };
        check_private(&path, "600").map_err(Missing::Failure)?;
        // serde's own message could quote the secret.
        let written: Option<Written> = serde_json::from_slice(&text).ok();
        let settings = written.filter(|written| written.port != 0 && written.secret.len() >= SECRET);
        let Written { port, secret } = settings.ok_or_else(|| {
            Missing::Failure(
                Failure::usage(format!("{} does not read", path.display()))
                    .hint(format!("remove it: a new one is made. Then {WRITE_AGAIN}")),
            )
        })?;
        Ok(Settings { port, secret: secret.into() })
    }
}

/// What helps where a kubeconfig and what is kept do not fit together.
pub const WRITE_AGAIN: &str = "write the kubeconfig again: fleet kubeconfig --all --output FILE";

enum Missing {
    None,
    Failure(Failure),
}

impl Missing {
    fn read(path: &Path, source: io::Error) -> Self {
        Self::Failure(Failure::failed(&files::Error::new("read", path, source)))
    }
}

impl Settings {
    fn text(&self) -> Result<Vec<u8>, Failure> {
        let written = Written { port: self.port, secret: self.secret.expose_secret().to_owned() };
        serde_json::to_vec(&written).map_err(|error| Failure::failed(&error))
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
}

fn check_private(path: &Path, wanted: &str) -> Result<(), Failure> {
    let about = std::fs::symlink_metadata(path)
        .map_err(|source| Failure::failed(&files::Error::new("look at", path, source)))?;
    if about.mode() & OTHERS == 0 {
        return Ok(());
    }
    let mut failure = Failure::usage(format!(
        "others on this machine can open {} (mode {:04o}), and the proxy's secret is kept there",
        path.display(),
        about.mode() & 0o7777
    ));
    failure.exit = Exit::Failed;
    Err(failure.hint(format!("chmod {wanted} {}", path.display())))
}

fn new_secret() -> Result<SecretString, Failure> {
    let mut bytes = [0; SECRET];
    getrandom::fill(&mut bytes).map_err(|error| Failure::failed(&error))?;
    Ok(hex(&bytes).into())
}

/// A port that nobody listens at now.
fn free_port() -> Result<u16, Failure> {
    for _ in 0..TRIES {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).map_err(|error| Failure::failed(&error))?;
        let port = PORTS.start + u16::from_ne_bytes(bytes) % (PORTS.end - PORTS.start);
        if TcpListener::bind(address(port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::failed(&io::Error::other(format!("no free port for the proxy in {TRIES} tries")))
        .hint("choose one: fleet kubeconfig --port N ..."))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place(dir: &tempfile::TempDir) -> Place {
        Place { directory: dir.path().join("_fleet/proxy") }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn the_port_and_the_secret_stay_and_are_nobody_elses_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        assert!(place.kept().is_err());
        let first = place.settings_or_new().unwrap();
        let again = place.settings_or_new().unwrap();
        assert!(PORTS.contains(&first.port));
        assert_eq!(first.secret.expose_secret().len(), 2 * SECRET);
        assert_eq!((first.port, first.secret.expose_secret()), (again.port, again.secret.expose_secret()));
        assert_eq!((mode(&place.directory), mode(&place.settings())), (0o700, 0o600));
        assert!(!format!("{first:?}").contains(first.secret.expose_secret()));
        let lock = place.lock().unwrap().unwrap();
        let moved = place.move_to(23_456, &lock).unwrap();
        assert_eq!((moved.port, moved.secret.expose_secret()), (23_456, first.secret.expose_secret()));
        assert_eq!(place.kept().unwrap().port, 23_456);
    }

    #[test]
    fn a_directory_or_a_file_that_is_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        place.settings_or_new().unwrap();
        std::fs::set_permissions(place.settings(), Permissions::from_mode(0o640)).unwrap();
        let failure = place.kept().unwrap_err();
        assert!(failure.hint.as_ref().unwrap().starts_with("chmod 600 "), "{failure}");
        std::fs::set_permissions(&place.directory, Permissions::from_mode(0o755)).unwrap();
        let failure = place.lock().unwrap_err();
        assert!(failure.hint.as_ref().unwrap().starts_with("chmod 700 "), "{failure}");
        assert!(place.settings_or_new().is_err());
    }

    #[test]
    fn what_does_not_read_is_told_without_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        place.enter().unwrap();
        for text in ["", "{}", "{\"port\": \"hunter2\"}", "{\"port\": 1, \"secret\": \"hunter2\"}"] {
            files::replace(&place.settings(), text.as_bytes(), 0o600).unwrap();
            let failure = place.settings_or_new().unwrap_err();
            assert!(failure.to_string().ends_with("does not read"), "{failure}");
            assert!(!format!("{failure:?}").contains("hunter2"));
        }
    }

    #[test]
    fn there_is_one_lock_and_it_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(&dir);
        let lock = place.lock().unwrap().unwrap();
        assert!(place.lock().unwrap().is_none());
        assert_eq!(place.holder(), Some(std::process::id()));
        drop(lock);
        assert!(place.lock().unwrap().is_some());
    }
}
