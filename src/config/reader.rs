//! Reads a table key by key, and knows afterwards which keys nobody asked for.
//!
//! serde's derive would stop at the first problem; here all of them are gathered.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::Problems;
use crate::text::nearest;

/// A table of the file while it is read. What is read of a table that is not there is not there either.
pub(super) struct Reader<'t, 'i> {
    table: Option<&'t DeTable<'i>>,
    /// Where the table begins: its header.
    at: usize,
    /// How the table is called in messages: `[sandbox]`.
    name: &'static str,
    /// Every key that was asked for: the keys that fleet knows.
    known: Vec<&'static str>,
}

impl<'t, 'i> Reader<'t, 'i> {
    pub(super) fn new(table: &'t DeTable<'i>, at: usize, name: &'static str) -> Self {
        Self { table: Some(table), at, name, known: Vec::new() }
    }

    /// Where the table begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether a key is there, whatever it says.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// Notes it if a key that must be there is not.
    pub(super) fn require(&self, key: &'static str, why: &str, problems: &mut Problems) {
        if self.table.is_some_and(|table| !table.contains_key(key)) {
            problems.missing(self.at, format!("{} needs {key:?}: {why}", self.name));
        }
    }

    /// A string that is not empty, made into something else.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Spanned<T>> {
        let value = self.value(key)?;
        let parsed = match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                Err(format!("{key:?} is empty; give it a value or take the line out"))
            }
            other => string(key, other, parse),
        };
        parsed
            .map(|parsed| Spanned::new(value.span(), parsed))
            .map_err(|message| problems.add(value.span().start, message))
            .ok()
    }

    /// An array of strings, each made into something else.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("{key:?} must be an array of strings, not {}", kind(value.get_ref()));
            problems.add(value.span().start, message);
            return None;
        };
        let mut list = Vec::new();
        for item in array {
            match string(key, item.get_ref(), &parse) {
                Ok(parsed) => list.push(parsed),
                Err(message) => problems.add(item.span().start, message),
            }
        }
        Some(list)
    }

    /// A whole number within bounds.
    pub(super) fn integer<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<i64>,
        problems: &mut Problems,
    ) -> Option<T> {
        let value = self.value(key)?;
        let (least, most) = (bounds.start(), bounds.end());
        let result = match value.get_ref() {
            // No number means one that is too large even for 64 bits.
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .filter(|number| bounds.contains(number))
                .and_then(|number| T::try_from(number).ok())
                .ok_or_else(|| format!("{key:?} must be from {least} to {most}, not {digits}")),
            other => Err(format!("{key:?} must be a whole number, not {}", kind(other))),
        };
        result.map_err(|message| problems.add(value.span().start, message)).ok()
    }

    /// A table in this one.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        name: &'static str,
        problems: &mut Problems,
    ) -> Reader<'t, 'i> {
        let none = Reader { table: None, at: 0, name, known: Vec::new() };
        let Some(value) = self.value(key) else { return none };
        if let DeValue::Table(table) = value.get_ref() {
            return Reader::new(table, value.span().start, name);
        }
        let message = format!("{key:?} must be a table, {name}, not {}", kind(value.get_ref()));
        problems.add(value.span().start, message);
        none
    }

    /// The tables in a table, each with its name, in the file's order.
    pub(super) fn named_tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        each: &'static str,
        problems: &mut Problems,
    ) -> Vec<(Spanned<String>, Reader<'t, 'i>)> {
        let Some(table) = self.table(key, name, problems).table else { return Vec::new() };
        let mut readers = Vec::new();
        for (key, value) in table {
            let called = Spanned::new(key.span(), key.get_ref().to_string());
            match value.get_ref() {
                DeValue::Table(table) => readers.push((called, Reader::new(table, key.span().start, each))),
                other => problems.add(
                    key.span().start,
                    format!("{:?} must be a table, {each}, not {}", key.get_ref(), kind(other)),
                ),
            }
        }
        readers.sort_by_key(|(called, _)| called.span().start);
        readers
    }

    /// The tables of an array, in the file's order.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        name: &'static str,
        problems: &mut Problems,
    ) -> Vec<Reader<'t, 'i>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let message =
                format!("{key:?} must be written {name}, once for each, not {}", kind(value.get_ref()));
            problems.add(value.span().start, message);
            return Vec::new();
        };
        let mut readers = Vec::new();
        for item in array {
            match item.get_ref() {
                DeValue::Table(table) => readers.push(Reader::new(table, item.span().start, name)),
                other => problems.add(
                    item.span().start,
                    format!("each {key:?} must be a table, {name}, not {}", kind(other)),
                ),
            }
        }
        readers
    }

    /// Notes every key that nobody asked for. Its value is never told: it may be a secret in a wrong place.
    pub(super) fn finish(self, problems: &mut Problems) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                problems.add(key.span().start, self.unknown(name));
            }
        }
    }

    fn unknown(&self, key: &str) -> String {
        let place = self.name;
        if looks_secret(key) {
            return format!(
                "unknown key {key:?} in {place}: secrets never go in this file; leave it in the hub's openrc"
            );
        }
        match nearest(key, self.known.iter().copied()) {
            Some(near) => format!("unknown key {key:?} in {place}; did you mean {near:?}?"),
            None => format!("unknown key {key:?} in {place}; it knows {}", self.known.join(", ")),
        }
    }
}

/// A string, made into something else.
fn string<T>(key: &str, value: &DeValue, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    match value {
        // They have no place in any name, path or address, and would let a file forge lines of output.
        DeValue::String(text) if text.chars().any(char::is_control) => {
            Err(format!("{key:?} has a line break or another control character in it"))
        }
        DeValue::String(text) => parse(text).map_err(|why| format!("{key:?}: {why}")),
        other => Err(format!("{key:?} must be a string, not {}", kind(other))),
    }
}

fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("os_")
        || ["password", "passwd", "secret", "token", "credential"].iter().any(|w| key.contains(w))
}

/// How a value's type is called, and nothing of the value.
fn kind(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
