//! Secrets from an openrc, and scrubbing them out of text that comes back from elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

use crate::text::hex;

/// An openrc's text. `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub struct Script {
    bytes: SecretSlice<u8>,
}

impl Script {
    /// That text.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The text itself.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.expose_secret()
    }

    /// Its SHA-256, as `sha256sum` writes it: two texts are compared by it where one is in a sandbox. It is never shown.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.bytes()))
    }
}

/// The `OS_*` variables that sourcing an openrc leaves. `Debug` shows names alone.
#[derive(Clone, Default)]
pub struct OpenrcEnv {
    vars: BTreeMap<String, SecretString>,
}

impl OpenrcEnv {
    /// From the output of `env -0`: only variables that begin with `OS_` are taken.
    pub fn from_env0(bytes: &[u8]) -> Self {
        let vars = bytes
            .split(|b| *b == 0)
            .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
            .filter(|(name, _)| name.starts_with("OS_"))
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
            .collect();
        Self { vars }
    }

    /// A variable's value. Unset and empty are the same, as they are for the `openstack` client.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(ExposeSecret::expose_secret).filter(|value| !value.is_empty())
    }

    /// Text from elsewhere with every secret of this openrc blotted out.
    pub fn scrub(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, value) in &self.vars {
            let value = value.expose_secret();
            let secret = ["PASSWORD", "SECRET", "TOKEN", "PASSCODE"].iter().any(|word| name.contains(word));
            if secret && !value.is_empty() {
                out = out.replace(value, "[secret]");
            }
        }
        out
    }
}

impl PartialEq for OpenrcEnv {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |((name, value), (its_name, its_value)): ((&String, &SecretString), (&String, &SecretString))| {
                name == its_name && value.expose_secret() == its_value.expose_secret()
            };
        self.vars.len() == other.vars.len() && self.vars.iter().zip(&other.vars).all(same)
    }
}

impl fmt::Debug for OpenrcEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}
