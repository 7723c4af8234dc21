//! Every chosen hub once, in the order of `fleet.toml`, the failed ones too.

use std::fmt;
use std::io::{self, BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use super::kept::Kept;
use super::{Paper, Show};
use crate::exec::{Event, Fate, Lossy, Spool};
use crate::hub::HubName;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One array, when all have ended.
    Array,
    /// One line a hub, as soon as it and all before it have ended.
    Lines,
}

/// Writes JSON. What commands printed is not fleet's to change, escape sequences included.
pub struct Json {
    paper: Paper,
    kept: Kept,
    form: Form,
    /// How many hubs are written.
    written: usize,
}

impl Json {
    /// Writes there.
    pub fn new(paper: Paper, form: Form) -> Self {
        Self { kept: Kept::new(paper.hubs.len()), paper, form, written: 0 }
    }

    fn write_next(&mut self) -> io::Result<()> {
        let (place, one) = (self.written, self.kept.of(self.written));
        let fate = one.outcome.as_ref().map(|outcome| &outcome.fate);
        let exit_status = fate.and_then(Fate::exit_status);
        let error = match fate {
            Some(_) if exit_status.is_some() => None,
            Some(fate) => fate.why(),
            None => Some("fleet does not know how it ended".to_owned()),
        };
        let entry = Entry {
            hub: &self.paper.hubs[place],
            exit_status,
            error,
            stdout: Text(&one.stdout),
            stdout_base64: (!one.stdout.is_text()).then_some(Base64(&one.stdout)),
            stderr: Text(&one.stderr),
            stderr_base64: (!one.stderr.is_text()).then_some(Base64(&one.stderr)),
            seconds: one.outcome.as_ref().map_or(0.0, |outcome| outcome.took.as_secs_f64()),
        };
        let mut out = BufWriter::new(&mut self.paper.out);
        match self.form {
            Form::Array => {
                out.write_all(if place == 0 { b"[\n" } else { b",\n" })?;
                serde_json::to_writer_pretty(&mut out, &entry)?;
            }
            Form::Lines => {
                serde_json::to_writer(&mut out, &entry)?;
                out.write_all(b"\n")?;
            }
        }
        one.stdout.error()?;
        one.stderr.error()?;
        out.flush()?;
        drop(out);
        self.kept.forget(place);
        self.written += 1;
        Ok(())
    }
}

impl Show for Json {
    fn event(&mut self, event: Event) -> io::Result<()> {
        self.kept.take(event)?;
        while self.form == Form::Lines
            && self.written < self.kept.len()
            && self.kept.of(self.written).outcome.is_some()
        {
            self.write_next()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        while self.written < self.kept.len() {
            self.write_next()?;
        }
        if self.form == Form::Array {
            self.paper.out.write_all(b"\n]\n")?;
        }
        self.paper.out.flush()
    }
}

/// One hub.
#[derive(Serialize)]
struct Entry<'a> {
    hub: &'a HubName,
    exit_status: Option<i64>,
    error: Option<String>,
    stdout: Text<'a>,
    /// The very bytes, where they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<Base64<'a>>,
    stderr: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<Base64<'a>>,
    seconds: f64,
}

struct Text<'a>(&'a Spool);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lossy = Lossy::default();
        self.0.format(|piece| lossy.push(piece, |text| f.write_str(text)))?;
        lossy.finish(|text| f.write_str(text))
    }
}

struct Base64<'a>(&'a Spool);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A spool's pieces have whole groups of three bytes, so that nothing has to be filled up but at the end.
        self.0.format(|piece| f.write_str(&STANDARD.encode(piece)))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
