//! What of this machine the meaning of `fleet.toml` depends on.

use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::files;

/// What of this machine the file's meaning depends on.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// Where relative paths start: the file's directory, absolute.
    pub base: PathBuf,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// `$DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Where Docker's own client keeps its contexts: `$DOCKER_CONFIG`, else `~/.docker`.
    pub docker_config: Option<PathBuf>,
}

impl Surroundings {
    /// Those of a file at that path.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        Ok(Self {
            base: files::parent(&path).to_owned(),
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            docker_host: std::env::var_os("DOCKER_HOST").map(|host| host.to_string_lossy().into_owned()),
            docker_config: std::env::var_os("DOCKER_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
                .or_else(|| Some(std::env::home_dir()?.join(".docker"))),
        })
    }

    /// A path of the file, absolute.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let path = files::expand_home(Path::new(text), self.home.as_deref()).ok_or_else(|| {
            format!("{text:?}: only \"~\" and \"~/...\" are understood, and only with a home directory")
        })?;
        // Takes out "." and doubled slashes too, so that one directory is not told in two ways.
        std::path::absolute(self.base.join(path)).map_err(|error| format!("{text:?}: {error}"))
    }
}
