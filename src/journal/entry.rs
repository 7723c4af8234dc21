//! The journal's lines. Their fields are a promise: they are added to, and not renamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::apply::delete::{Evidence, Outcome};
use crate::exit::Exit;
use crate::hub::HubName;
use crate::observed::{Project, Volume};
use crate::plan::orphans::{Decided, Deletions, Planned};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The run that it is of.
    pub run: String,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A run of deletions begins.
    Begin(Begin),
    /// A deletion is about to be sent.
    Deleting(DeletingEntry),
    /// It is known what became of a volume.
    Over(OverEntry),
    /// A run has ended.
    End(End),
}

/// A run of deletions, before anything of it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The fleet's name.
    pub fleet: String,
    /// Who runs it.
    pub by: Who,
    /// fleet's version.
    pub version: String,
    /// How it was confirmed: `--confirm`, or what was typed.
    pub confirmed: String,
    /// The runs that it goes on with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumes: Vec<String>,
    /// The hubs whose PVs were listed for the plan: none of them refers to any of the volumes.
    pub hubs: Vec<HubName>,
    /// All volumes that may be deleted in it.
    pub volumes: Vec<PlannedVolume>,
}

/// Who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The account.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub process: u32,
}

/// A volume of a run's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedVolume {
    /// The volume as it was when that was decided.
    #[serde(flatten)]
    pub decided: Decided,
    /// Whom it was made for, where its metadata tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_for: Option<String>,
}

impl PlannedVolume {
    /// All of a plan.
    pub fn all(deletions: &Deletions) -> Vec<Self> {
        let of = |planned: &Planned| Self {
            decided: Decided::from(planned),
            made_for: planned.made_for().map(str::to_owned),
        };
        deletions.volumes().iter().map(of).collect()
    }
}

/// A deletion that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletingEntry {
    /// The project.
    pub project: Project,
    /// The volume as the second look saw it, metadata included.
    pub volume: Volume,
    /// What the second look rests on.
    pub evidence: Evidence,
}

/// What became of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverEntry {
    /// The volume.
    pub id: String,
    /// Found out by a later run, because this one did not live to see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// Outcome and reason.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A run has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The status that it ended with; none where it was ended by another run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// The run that goes on with it, where it did not live to end itself and something was left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_by: Option<String>,
}

impl End {
    /// It ended by itself.
    pub fn with(exit: Exit) -> Self {
        Self { exit: Some(exit as u8), resumed_by: None }
    }
}
