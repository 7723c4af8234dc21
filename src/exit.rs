//! Exit statuses, and the one error type that commands end with.

use std::fmt;
use std::process::{ExitCode, Termination};

/// How a run of fleet ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Some hub, command or deletion failed; the report names it.
    Failed = 1,
    /// Usage or configuration; nothing was changed.
    Usage = 2,
    /// Cannot tell: the view was incomplete, so nothing was deleted.
    CannotTell = 3,
    /// Confirmation is missing.
    Unconfirmed = 4,
    /// Interrupted.
    Interrupted = 130,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// Why a command ended without doing what was asked: what was wrong, where, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The status that fleet ends with.
    pub exit: Exit,
    /// What was wrong and where, one line a problem.
    pub problems: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// Bad input: nothing has been changed.
    pub fn usage(problem: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, problems: vec![problem.into()], hint: None }
    }

    /// Something that was tried did not work. The chain of causes is told in one line.
    pub fn failed(error: &dyn std::error::Error) -> Self {
        Self { exit: Exit::Failed, problems: vec![chain(error)], hint: None }
    }

    /// The user stopped it.
    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, problems: vec!["interrupted".to_owned()], hint: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same where it may be that nobody knows.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for Failure {}

/// An error and all its causes in one line. Errors here do not repeat their source, so nothing is said twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Libraries do repeat their source now and then.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
