//! Servers' host keys, as they go over the wire and as OpenSSH writes them. Pure.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

/// What fleet asks for, best first. `ssh-rsa`, RSA with SHA-1, is left out: OpenSSH has refused it since 8.8.
pub(super) const HOST_KEY_ALGORITHMS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// A server's public host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    key_type: String,
    blob: Vec<u8>,
}

impl HostKey {
    /// From a key as it goes over the wire (RFC 4253, 6.6): its type's name is in front. Only types that fleet asks
    /// for.
    pub(super) fn from_blob(blob: &[u8]) -> Option<Self> {
        let key_type = std::str::from_utf8(wire_string(blob)?).ok()?;
        let known = key_type == "ssh-rsa" || HOST_KEY_ALGORITHMS.contains(&key_type);
        known.then(|| Self { key_type: key_type.to_owned(), blob: blob.to_vec() })
    }

    /// The key of a server as fleet's own `known_hosts` files have it.
    pub fn from_known_hosts(text: &str, host: impl Display, port: u16) -> Option<Self> {
        let host = known_hosts_name(host, port);
        text.lines().find_map(|line| {
            let mut fields = line.split_whitespace();
            let (names, key_type, key) = (fields.next()?, fields.next()?, fields.next()?);
            let key = Self::from_blob(&STANDARD.decode(key).ok()?)?;
            (names.split(',').any(|name| name == host) && key.key_type == key_type).then_some(key)
        })
    }

    /// The type's name, as OpenSSH writes it: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`.
    pub fn key_type(&self) -> &str {
        &self.key_type
    }

    /// The key itself, base64.
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.blob)
    }

    /// The fingerprint as `ssh-keygen -l` shows it: `SHA256:...`.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// The line of a `known_hosts` file, without an end of line.
    pub fn known_hosts_line(&self, host: impl Display, port: u16) -> String {
        format!("{} {} {}", known_hosts_name(host, port), self.key_type, self.base64())
    }

    /// OpenSSH's `HostKeyAlgorithms` for this key. Without it OpenSSH may ask the server for a key of another type, which
    /// is in no `known_hosts` then.
    pub fn host_key_algorithms(&self) -> &str {
        // One RSA key signs with several hashes; the key's type is no algorithm that is safe today.
        if self.key_type == "ssh-rsa" { "rsa-sha2-512,rsa-sha2-256" } else { &self.key_type }
    }
}

/// A server's name in a `known_hosts` file (sshd(8)), by its address or its own name.
fn known_hosts_name(host: impl Display, port: u16) -> String {
    if port == 22 { host.to_string() } else { format!("[{host}]:{port}") }
}

/// The first length-prefixed string of SSH's wire format (RFC 4251, 5).
pub(super) fn wire_string(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Made by ssh-keygen, with the fingerprint that it shows.
    const ED25519: [&str; 3] = [
        "ssh-ed25519",
        "AAAAC3NzaC1lZDI1NTE5AAAAIOYNbefro74KI7BspaFv70ncQZt2TFJFTfwkgIvhDqz1",
        "SHA256:z3rsSoxlFy7vzGbiWM4W4UnkHjKs7BOFk7+pVGKelYs",
    ];
    const ECDSA: [&str; 3] = [
        "ecdsa-sha2-nistp256",
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBB4VsixNofUPH9VEJzSx4sYPR68iutgURDltBOGtgy7VRirACJNJMZUU\
         +KNlyK+h7Vu47G4ARXmsL6RNU3HTUl0=",
        "SHA256:xBwv95AdZAG3UV8ImZIyYpFJkBnzb6O0oOgKuz0z2wo",
    ];

    fn key(of: [&str; 3]) -> HostKey {
        HostKey::from_blob(&STANDARD.decode(of[1]).unwrap()).unwrap()
    }

    /// A wire string, as in keys.
    fn wire(text: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(text);
        bytes
    }

    #[test]
    fn fingerprints_are_those_of_ssh_keygen() {
        for of in [ED25519, ECDSA] {
            let key = key(of);
            assert_eq!([key.key_type(), &key.base64(), &key.fingerprint()], of);
        }
    }

    #[test]
    fn known_hosts_lines_are_those_of_openssh() {
        let [name, blob, _] = ED25519;
        let line = |ip: &str, port| key(ED25519).known_hosts_line(ip.parse::<IpAddr>().unwrap(), port);
        assert_eq!(line("10.0.0.5", 22), format!("10.0.0.5 {name} {blob}"));
        assert_eq!(line("10.0.0.5", 2222), format!("[10.0.0.5]:2222 {name} {blob}"));
        assert_eq!(line("2001:DB8:0::5", 22), format!("2001:db8::5 {name} {blob}"));
        assert_eq!(line("2001:db8::5", 2222), format!("[2001:db8::5]:2222 {name} {blob}"));
    }

    #[test]
    fn openssh_is_told_which_key_to_ask_for() {
        assert_eq!(key(ED25519).host_key_algorithms(), "ssh-ed25519");
        let rsa = HostKey::from_blob(&wire(b"ssh-rsa")).unwrap();
        assert_eq!(rsa.host_key_algorithms(), "rsa-sha2-512,rsa-sha2-256");
    }

    #[test]
    fn a_key_of_a_kind_that_nobody_asked_for_is_none() {
        for blob in [wire(b"ssh-dss"), wire(b"\xff\xfe"), wire(b"x y\nz"), vec![], vec![0, 0, 0, 9, b's']] {
            assert_eq!(HostKey::from_blob(&blob), None);
        }
    }

    proptest! {
        #[test]
        fn a_known_hosts_line_is_found_again(ip: IpAddr, port: u16, other: IpAddr) {
            prop_assume!(ip != other);
            let line = key(ED25519).known_hosts_line(ip, port);
            let text = format!("# comment\n\n{}\n{line}\n", key(ECDSA).known_hosts_line(other, port));
            prop_assert_eq!(HostKey::from_known_hosts(&text, ip, port), Some(key(ED25519)));
            prop_assert_eq!(HostKey::from_known_hosts(&text, ip, port.wrapping_add(1)), None);
            prop_assert!(!line.contains('\n') && line.split(' ').count() == 3);
        }

        #[test]
        fn nothing_brings_the_readers_down(text in "(?s).{0,200}", bytes: Vec<u8>) {
            let _ = HostKey::from_known_hosts(&text, HERE, 22);
            let _ = HostKey::from_blob(&bytes);
        }
    }
}
