//! A request as it came, and an answer as it goes.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Logging in.
    Keystone,
    /// Volumes and snapshots.
    Cinder,
    /// Servers.
    Nova,
    /// A hub's API server.
    Kubernetes,
    /// The engine.
    Docker,
}

impl Service {
    /// Its name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keystone => "keystone",
            Self::Cinder => "cinder",
            Self::Nova => "nova",
            Self::Kubernetes => "kubernetes",
            Self::Docker => "docker",
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who is asked.
    pub service: Service,
    /// The hub whose cluster it is, or the project whose token came along; empty where there is neither.
    pub of: String,
    /// Its method.
    pub method: String,
    /// The service's own path with the query.
    pub target: String,
    /// `X-Auth-Token`.
    pub token: String,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The parts of the path.
    pub fn parts(&self) -> Vec<&str> {
        self.path().split('/').filter(|part| !part.is_empty()).collect()
    }

    /// A value of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(decoded(value))
    }

    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// Headers, beside the content's type and length.
    pub headers: Vec<(&'static str, String)>,
    /// The content's type.
    pub kind: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Of JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// Of text.
    pub fn text(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), kind, body: body.into() }
    }

    /// Without a body.
    pub fn empty(status: u16) -> Self {
        Self::text(status, "", Vec::new())
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// How an answer arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Whole.
    Whole,
    /// It breaks off in the middle of its body.
    CutBody,
    /// It breaks off after the headers.
    CutAfterHeaders,
    /// Nothing comes after the headers.
    HangAfterHeaders,
    /// Nothing comes.
    Hang,
    /// The connection ends without an answer.
    Silent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let asked = Asked {
            service: Service::Kubernetes,
            of: String::new(),
            method: "GET".to_owned(),
            target: "/p/q?limit=2&continue=a%2Bb%3D&x=%zz%".to_owned(),
            token: String::new(),
            body: Bytes::new(),
        };
        assert_eq!(asked.query("continue").as_deref(), Some("a+b="));
        assert_eq!(asked.query("limit").as_deref(), Some("2"));
        assert_eq!(asked.query("x").as_deref(), Some("%zz%"));
        assert_eq!(asked.query("lim"), None);
        assert_eq!(asked.parts(), ["p", "q"]);
    }
}
