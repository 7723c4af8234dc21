//! What is wrong with a file, each problem with its place.

use std::collections::BTreeSet;
use std::path::Path;

use crate::exit::{Exit, Failure};

/// The problems of one file, gathered as they are found so that all are told at once.
pub(super) struct Problems<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    /// The lines with syntax errors.
    broken: BTreeSet<usize>,
    found: Vec<Problem>,
}

/// The most syntax errors that are told. A file with more of them is not a fleet's at all.
const MOST_SYNTAX_ERRORS: usize = 100;

/// One problem. Its message never has the value of a key that fleet does not know: it may be a secret in a
/// wrong place.
struct Problem {
    /// Where: bytes from the file's beginning.
    at: usize,
    message: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The file is not TOML here.
    Syntax,
    /// A key that must be there is not.
    Missing,
    /// What is wrong is not in the file, but in what counts where the file says nothing.
    Elsewhere,
    /// Anything else.
    Meaning,
}

impl<'t> Problems<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let line_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(line_breaks.map(|(at, _)| at + 1)).collect();
        Self { text, lines, broken: BTreeSet::new(), found: Vec::new() }
    }

    /// Notes a syntax error. Of one line only the first counts: the others follow from it.
    pub(super) fn syntax(&mut self, at: usize, message: String) {
        if self.broken.len() < MOST_SYNTAX_ERRORS && self.broken.insert(self.line(at)) {
            self.found.push(Problem { at, message, kind: Kind::Syntax });
        }
    }

    pub(super) fn missing(&mut self, at: usize, message: String) {
        self.found.push(Problem { at, message, kind: Kind::Missing });
    }

    pub(super) fn add(&mut self, at: usize, message: impl Into<String>) {
        self.found.push(Problem { at, message: message.into(), kind: Kind::Meaning });
    }

    /// Notes what is wrong with something that counts where the file says nothing. The message says where.
    pub(super) fn elsewhere(&mut self, message: impl Into<String>) {
        self.found.push(Problem { at: 0, message: message.into(), kind: Kind::Elsewhere });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The line at a place, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    /// The column at a place: characters, counted from 1.
    fn column(&self, at: usize) -> usize {
        let begin = self.lines.get(self.line(at) - 1).copied().unwrap_or_default();
        let end = self.text.floor_char_boundary(at);
        self.text.get(begin..end).map_or(0, |before| before.chars().count()) + 1
    }

    /// The lines with syntax errors.
    pub(super) fn broken_lines(&self) -> &BTreeSet<usize> {
        &self.broken
    }

    /// The problems alone, in the file's order.
    pub(super) fn messages(self) -> Vec<String> {
        self.told().found.into_iter().map(|problem| problem.message).collect()
    }

    /// The problems as lines that editors and terminals can jump to.
    pub(super) fn failure(self, path: &Path) -> Failure {
        let told = self.told();
        let lines = told.found.iter().map(|problem| {
            if problem.kind == Kind::Elsewhere {
                return problem.message.clone();
            }
            let (line, column) = (told.line(problem.at), told.column(problem.at));
            format!("{}:{line}:{column}: {}", path.display(), problem.message)
        });
        Failure { exit: Exit::Usage, problems: lines.collect(), hint: None }
    }

    /// In the file's order, without what only follows from a syntax error: the rest of such a line, and
    /// keys that seem to be missing because the parser could not read them.
    fn told(mut self) -> Self {
        let mut found = std::mem::take(&mut self.found);
        found.retain(|problem| match problem.kind {
            Kind::Syntax | Kind::Elsewhere => true,
            Kind::Missing => self.broken.is_empty(),
            Kind::Meaning => !self.broken.contains(&self.line(problem.at)),
        });
        found.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
        self.found = found;
        self
    }
}
