//! Reads a JSON document member by member, with the line of each, and gathers all problems.
//!
//! serde's derive would stop at the first problem; and a tree of values would forget the lines, keep the last of two
//! members of one name, and take several times the memory of the text.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::text::excerpt;

/// The most problems that are told. A file with more of them was not edited by hand.
const MOST: usize = 100;

/// What is wrong with a text, each with its line.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    text: &'t str,
    found: Vec<(usize, String)>,
    more: usize,
}

impl<'t> Problems<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, found: Vec::new(), more: 0 }
    }

    /// Notes a problem with a part of the text.
    pub(super) fn add(&mut self, part: &str, message: impl Into<String>) {
        if self.found.len() >= MOST {
            self.more += 1;
            return;
        }
        let line = self.line(part);
        self.found.push((line, message.into()));
    }

    /// The line on which a part of the text begins.
    fn line(&self, part: &str) -> usize {
        let at = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        // What is no part of it is told at its end.
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `line: message`, by line.
    pub(super) fn told(mut self) -> Vec<String> {
        self.found.sort_by_key(|(line, _)| *line);
        let mut told: Vec<String> =
            self.found.into_iter().map(|(line, message)| format!("{line}: {message}")).collect();
        if self.more > 0 {
            told.push(format!(" and {} more problems", self.more));
        }
        told
    }
}

/// An object while it is read.
pub(super) struct Object<'t> {
    raw: &'t RawValue,
    /// How it is called in messages: `volume 3`.
    place: String,
    members: Vec<(String, &'t RawValue)>,
}

impl<'t> Object<'t> {
    /// The object that a value has to be.
    pub(super) fn new(raw: &'t RawValue, place: &str, problems: &mut Problems<'t>) -> Option<Self> {
        let Ok(Members(members)) = serde_json::from_str::<Members<'t>>(raw.get()) else {
            problems.add(raw.get(), format!("{place} must be an object, {{...}}"));
            return None;
        };
        let mut known = HashSet::new();
        for (name, value) in &members {
            if !known.insert(name) {
                problems.add(value.get(), format!("{place} has {:?} twice", excerpt(name)));
            }
        }
        Some(Self { raw, place: place.to_owned(), members })
    }

    /// A member that has to be there.
    fn take(&mut self, name: &str, problems: &mut Problems<'t>) -> Option<&'t RawValue> {
        let found = self.find(name);
        if found.is_none() {
            problems.add(self.raw.get(), format!("{} has no {name:?}", self.place));
        }
        found
    }

    /// A member that may be there.
    pub(super) fn find(&mut self, name: &str) -> Option<&'t RawValue> {
        let place = self.members.iter().position(|(member, _)| member == name)?;
        let (_, value) = self.members[place];
        // Others of that name have been told.
        self.members.retain(|(member, _)| member != name);
        Some(value)
    }

    /// A value that has to be there; `kind` says in words of what kind.
    pub(super) fn value<T: DeserializeOwned>(
        &mut self,
        name: &str,
        kind: &str,
        problems: &mut Problems<'t>,
    ) -> Option<T> {
        let raw = self.take(name, problems)?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            problems.add(raw.get(), format!("{name:?} of {} must be {kind}", self.place));
        }
        value
    }

    /// An object that has to be there.
    pub(super) fn object(&mut self, name: &str, problems: &mut Problems<'t>) -> Option<Object<'t>> {
        let raw = self.take(name, problems)?;
        Object::new(raw, &format!("{name:?} of {}", self.place), problems)
    }

    /// A list that has to be there.
    pub(super) fn list(&mut self, name: &str, problems: &mut Problems<'t>) -> Option<Vec<&'t RawValue>> {
        let raw = self.take(name, problems)?;
        let list = serde_json::from_str(raw.get()).ok();
        if list.is_none() {
            problems.add(raw.get(), format!("{name:?} of {} must be a list, [...]", self.place));
        }
        list
    }

    /// Notes every member that nobody asked for.
    pub(super) fn finish(self, problems: &mut Problems<'t>) {
        for (name, value) in self.members {
            problems.add(value.get(), format!("{} has an unknown {:?}", self.place, excerpt(&name)));
        }
    }
}

/// An object's members in their order, each as it is written.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Visit).map(Members)
    }
}
