//! `--format`, as most reports have it.

use clap::ValueEnum;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, for eyes.
    Table,
    /// JSON, for programs.
    Json,
}
