//! The operator's private key: whether it can be used by somebody who is not there to type a passphrase.

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use super::host_key::wire_string;

/// The most bytes of a private key's file. An RSA key of 16,384 bits has less than 13 KiB.
const KEY_LIMIT: u64 = 64 << 10;

/// Why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    /// No such file.
    #[error("there is no such file")]
    Missing,
    /// A directory, a pipe.
    #[error("it is not a file")]
    NotAFile,
    /// Cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// Readable for others: OpenSSH does not use it then.
    #[error("others than its owner may read it (mode {0:03o}), and ssh refuses such a key")]
    TooOpen(u32),
    /// The other half of the pair.
    #[error("it is a public key")]
    Public,
    /// Locked.
    #[error("it has a passphrase, and nobody is there to type it")]
    Passphrase,
    /// Something else.
    #[error("it is not a private key in OpenSSH's or PEM format")]
    NotAKey,
}

impl KeyProblem {
    pub(super) fn hint(&self, path: &Path) -> Option<String> {
        Some(match self {
            KeyProblem::Missing | KeyProblem::NotAFile | KeyProblem::NotAKey => {
                "name the private key that the master knows, with --ssh-key or as ssh_key in fleet.toml"
                    .to_owned()
            }
            KeyProblem::TooOpen(_) => format!("chmod 600 {}", path.display()),
            KeyProblem::Public => "name the private key, the file without .pub".to_owned(),
            KeyProblem::Passphrase => {
                "make a key without a passphrase for fleet: the tunnel has to come up with nobody there"
                    .to_owned()
            }
            KeyProblem::Unreadable(_) => return None,
        })
    }
}

/// Reads a private key's file.
pub(super) fn load_key(path: &Path) -> Result<SecretString, KeyProblem> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyProblem::Missing,
        _ => KeyProblem::Unreadable(error),
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // Before it is opened: opening a pipe would wait for somebody to write into it.
    if !metadata.is_file() {
        return Err(KeyProblem::NotAFile);
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    match file.take(KEY_LIMIT).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(KeyProblem::NotAKey),
        read => read.map_err(unreadable)?,
    };
    let text = SecretString::from(text);
    check_key_text(text.expose_secret())?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyProblem::TooOpen(mode));
    }
    Ok(text)
}

fn check_key_text(text: &str) -> Result<(), KeyProblem> {
    let text = text.trim_start();
    if ["ssh-", "ecdsa-sha2-", "sk-"].iter().any(|start| text.starts_with(start))
        || text.contains("BEGIN PUBLIC KEY")
    {
        return Err(KeyProblem::Public);
    }
    let Some(body) = text.strip_prefix("-----BEGIN OPENSSH PRIVATE KEY-----") else {
        return check_pem(text);
    };
    // PROTOCOL.key of OpenSSH: a magic, then the cipher's name.
    let body: String = body.lines().take_while(|line| !line.starts_with('-')).map(str::trim).collect();
    let bytes = STANDARD.decode(body).map_err(|_| KeyProblem::NotAKey)?;
    match bytes.strip_prefix(b"openssh-key-v1\0").and_then(wire_string) {
        Some(b"none") => Ok(()),
        Some(_) => Err(KeyProblem::Passphrase),
        None => Err(KeyProblem::NotAKey),
    }
}

fn check_pem(text: &str) -> Result<(), KeyProblem> {
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("-----BEGIN ") || !first.contains("PRIVATE KEY") {
        Err(KeyProblem::NotAKey)
    } else if text.contains("ENCRYPTED") {
        Err(KeyProblem::Passphrase)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    /// A wire string, as in keys.
    fn wire(text: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(text);
        bytes
    }

    /// The file of a private key, by the name of the cipher that locks it. No key is in it.
    fn openssh_key(cipher: &str) -> String {
        let body = [b"openssh-key-v1\0".as_slice(), &wire(cipher.as_bytes()), &[0; 100]].concat();
        format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
            STANDARD.encode(body)
        )
    }

    fn key_file(dir: &Path, text: &str, mode: u32) -> PathBuf {
        let path = dir.join("key");
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn key_problem(path: &Path) -> KeyProblem {
        load_key(path).unwrap_err()
    }

    #[test]
    fn a_private_key_that_cannot_be_used_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let problem = |text: &str| key_problem(&key_file(dir.path(), text, 0o600));
        assert!(matches!(problem("ssh-ed25519 AAAA me"), KeyProblem::Public));
        assert!(matches!(problem(&openssh_key("aes256-ctr")), KeyProblem::Passphrase));
        assert!(matches!(
            problem("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"),
            KeyProblem::Passphrase
        ));
        assert!(matches!(problem("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), KeyProblem::Passphrase));
        assert!(matches!(problem("PuTTY-User-Key-File-3: ssh-ed25519"), KeyProblem::NotAKey));
        assert!(matches!(problem(""), KeyProblem::NotAKey));
        assert!(matches!(problem("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"), KeyProblem::NotAKey));
        assert!(matches!(key_problem(&dir.path().join("none")), KeyProblem::Missing));
        assert!(matches!(key_problem(dir.path()), KeyProblem::NotAFile));
        let open = key_problem(&key_file(dir.path(), &openssh_key("none"), 0o640));
        assert!(matches!(open, KeyProblem::TooOpen(0o640)));
        for text in [openssh_key("none"), "-----BEGIN RSA PRIVATE KEY-----\n".to_owned()] {
            load_key(&key_file(dir.path(), &text, 0o600)).unwrap();
        }
    }

    proptest! {
        #[test]
        fn nothing_brings_the_reader_down(text in "(?s).{0,200}", bytes: Vec<u8>) {
            let _ = check_key_text(&text).is_ok();
            let _ = check_key_text(&format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}", STANDARD.encode(bytes))).is_ok();
        }
    }
}
