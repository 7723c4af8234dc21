//! Tokens kept between runs. Logging in, and each service's check of a token that it sees for the first time, take longer
//! than most lists.
//!
//! What is kept is the answer to the login, under the state directory, readable for its owner alone. It opens less than the
//! openrc on the same machine, and not for long. Only application credentials have theirs kept: a digest of what was sent
//! stands beside it, and from the digest of a password somebody could guess the password. A token that the cloud does not
//! take any more is answered with 401, and then fleet logs in as usual. With the token is kept where the services are, so one
//! with which a list cannot be had is kept no longer: they may have moved.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::openrc::Settings;
use super::wire::Token;
use crate::files;
use crate::observed::CredentialKind;
use crate::text::hex;

/// A token that ends within this time is as good as none: a run may take as long.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// The bits of a file's mode that are the group's and everybody's.
const OTHERS: u32 = 6;

/// The most that is read. A catalog of a large cloud has 20 KiB.
const MOST_BYTES: u64 = 1 << 20;

/// Where tokens are kept between runs, if they are.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    directory: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Of the login that it is the answer to.
    digest: String,
    token: String,
    answer: Box<RawValue>,
}

impl Tokens {
    /// Kept in a directory, which is made with the first one.
    pub fn within(directory: PathBuf) -> Self {
        Self { directory: Some(directory) }
    }

    /// Not kept: every connection logs in.
    pub fn not_kept() -> Self {
        Self::default()
    }

    /// The answer to the same login, if its token still lives for a while.
    pub(super) fn find(&self, settings: &Settings, now: Timestamp) -> Option<Token> {
        self.remembered(settings).filter(|token| token.expires_at.duration_since(now) > MARGIN)
    }

    /// The answer to the same login, however old.
    pub(super) fn remembered(&self, settings: &Settings) -> Option<Token> {
        let (path, digest) = self.place(settings)?;
        let kept: Kept = serde_json::from_slice(&read(&path)?).ok()?;
        if kept.digest != digest {
            return None;
        }
        let subject = HeaderValue::from_str(&kept.token).ok()?;
        Token::read(Some(&subject), kept.answer.get().as_bytes()).ok()
    }

    /// Keeps an answer. Where that does not work, the next run logs in again.
    pub(super) fn keep(&self, settings: &Settings, subject: Option<&HeaderValue>, answer: &[u8]) {
        let keep = || {
            let (path, digest) = self.place(settings)?;
            let token = subject?.to_str().ok()?.to_owned();
            let answer = serde_json::from_slice(answer).ok()?;
            let text = serde_json::to_vec(&Kept { digest, token, answer }).ok()?;
            files::private_dir(files::parent(&path)).ok()?;
            files::replace(&path, &text, 0o600).ok()
        };
        let _ = keep();
    }

    /// Keeps a login's token no longer.
    pub(super) fn forget(&self, settings: &Settings) {
        if let Some((path, _)) = self.place(settings) {
            // What cannot be removed could not have been kept either; and it ends within hours.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Where a login's token is, and the login's digest.
    fn place(&self, settings: &Settings) -> Option<(PathBuf, String)> {
        let directory =
            self.directory.as_ref().filter(|_| settings.kind == CredentialKind::ApplicationCredential)?;
        // The same secret for another cloud or region is another login: the token's project is known by them too.
        let asked = (&settings.auth_url, &settings.region, &settings.login);
        let digest = hex(&Sha256::digest(serde_json::to_vec(&asked).ok()?));
        Some((directory.join(format!("{}.json", digest.get(..32)?)), digest))
    }
}

/// A file that nobody else can have written or read.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path).ok()?;
    if !is_private(&file) {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn is_private(file: &File) -> bool {
    let user = rustix::process::geteuid().as_raw();
    file.metadata()
        .is_ok_and(|about| about.is_file() && about.uid() == user && about.mode().trailing_zeros() >= OTHERS)
}
