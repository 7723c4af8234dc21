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

/// What a private key's file in OpenSSH's own form begins with, and what its content does.
const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

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
    /// An ed25519 key that OpenSSH read only from 9.6 on.
    #[error("it is an ed25519 key in PKCS8 form, which the ssh of most sandboxes cannot read")]
    Ed25519Pkcs8,
    /// Something else.
    #[error("it is not a private key in OpenSSH's or PEM format")]
    NotAKey,
}

impl KeyProblem {
    /// What to do about it; `named` is what names the file in fleet.toml.
    pub(super) fn hint(&self, path: &Path, named: &str) -> Option<String> {
        Some(match self {
            KeyProblem::Missing | KeyProblem::NotAFile | KeyProblem::NotAKey => {
                let host = if named == "ssh_key" { "master" } else { "jump host" };
                let option = named.replace('_', "-");
                format!("name the private key that the {host} knows, with --{option} or as {named} in fleet.toml")
            }
            KeyProblem::TooOpen(_) => format!("chmod 600 {}", path.display()),
            KeyProblem::Public => "name the private key, the file without .pub".to_owned(),
            KeyProblem::Passphrase => format!(
                "the tunnel has to come up with nobody there: let an agent have the key (`mkdir -m 700 ~/.ssh-agent`, `ssh-agent -a \
                 ~/.ssh-agent/agent.sock`, `SSH_AUTH_SOCK=~/.ssh-agent/agent.sock ssh-add {}`) and name its socket with \
                 --ssh-agent or as ssh_agent in fleet.toml; or make a key without a passphrase for fleet",
                path.display()
            ),
            KeyProblem::Ed25519Pkcs8 => {
                "make one in OpenSSH's own form: ssh-keygen -t ed25519, and put its public half beside the old one".to_owned()
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
    let Some(body) = text.strip_prefix(OPENSSH) else {
        return check_pem(text);
    };
    // PROTOCOL.key of OpenSSH: a magic, then the cipher's name.
    let bytes = decode(body).ok_or(KeyProblem::NotAKey)?;
    match bytes.strip_prefix(MAGIC).and_then(wire_string) {
        Some(b"none") => Ok(()),
        Some(_) => Err(KeyProblem::Passphrase),
        None => Err(KeyProblem::NotAKey),
    }
}

/// The lines of base64 up to the closing one.
fn decode(body: &str) -> Option<Vec<u8>> {
    let body: String = body.lines().take_while(|line| !line.starts_with('-')).map(str::trim).collect();
    STANDARD.decode(body).ok()
}

fn pem_body(text: &str) -> Option<Vec<u8>> {
    decode(text.split_once('\n')?.1)
}

/// Whether a PKCS8 key is of the algorithm id-Ed25519 (RFC 8410): 1.3.101.112.
fn is_ed25519(der: &[u8]) -> bool {
    der.get(..24).unwrap_or(der).windows(5).any(|part| part == [0x06, 0x03, 0x2b, 0x65, 0x70])
}

/// The public half of a key, as it goes over the wire, where its file or the one beside it tells.
pub(super) fn public_half(path: &Path) -> Option<Vec<u8>> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let text = |path: &Path| {
        let is_file = path.metadata().is_ok_and(|file| file.is_file() && file.len() <= KEY_LIMIT);
        is_file.then(|| std::fs::read_to_string(path).ok().map(SecretString::from)).flatten()
    };
    let own = text(path).and_then(|text| public_half_in(text.expose_secret()));
    own.or_else(|| text(Path::new(&beside)).and_then(|text| public_half_in(text.expose_secret())))
}

fn public_half_in(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_start();
    let Some(body) = text.strip_prefix(OPENSSH) else {
        // A public key's line: the type, the key, and whose it is.
        let mut words = text.lines().next()?.split_whitespace();
        let (kind, key) = (words.next()?, STANDARD.decode(words.next()?).ok()?);
        return (wire_string(&key) == Some(kind.as_bytes())).then_some(key);
    };
    // Locked or not, the public half is in the open: cipher, function, its options, the number of keys, the key.
    let bytes = decode(body)?;
    let mut rest = bytes.strip_prefix(MAGIC)?;
    for _ in 0..3 {
        rest = rest.get(4 + wire_string(rest)?.len()..)?;
    }
    wire_string(rest.get(4..)?).map(<[u8]>::to_vec)
}

fn check_pem(text: &str) -> Result<(), KeyProblem> {
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("-----BEGIN ") || !first.contains("PRIVATE KEY") {
        Err(KeyProblem::NotAKey)
    } else if text.contains("ENCRYPTED") {
        Err(KeyProblem::Passphrase)
    } else if first.starts_with("-----BEGIN PRIVATE KEY")
        && pem_body(text).is_some_and(|der| is_ed25519(&der))
    {
        Err(KeyProblem::Ed25519Pkcs8)
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
            let _ = (public_half_in(&text), is_ed25519(&bytes));
            let _ = public_half_in(&format!("{OPENSSH}\n{}", STANDARD.encode([MAGIC, &bytes].concat())));
            let _ = check_key_text(&format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}", STANDARD.encode(bytes))).is_ok();
        }
    }
}
