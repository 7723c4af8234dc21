//! A file of the operator's that is run in each sandbox.

use std::path::Path;

use tokio::io::AsyncReadExt as _;

use crate::commands::context::Context;
use crate::exit::Failure;
use crate::plan::script::{NoScript, Runs, lines, runs};

/// How it gets into a sandbox and is run there.
const RUN: &str = include_str!("../../exec/script.sh");

/// The most that is sent to each hub.
const LARGEST: u64 = 16 << 20;

/// A script, and what it is called where it is shown.
pub(super) struct Script {
    pub name: String,
    pub content: Vec<u8>,
    runs: Runs,
}

impl Script {
    /// Reads it. It may be a pipe: `--script <(...)`.
    pub(super) async fn read(path: &Path, context: &Context) -> Result<Self, Failure> {
        let unreadable = |error: std::io::Error| {
            Failure::usage(format!("cannot read the script {}: {error}", path.display()))
                .hint("--script takes a file of this machine; a program of the sandbox needs no --script")
        };
        let reading = async {
            let mut content = Vec::new();
            let file = tokio::fs::File::open(path).await?;
            file.take(LARGEST + 1).read_to_end(&mut content).await?;
            Ok(content)
        };
        let content = context.unless_interrupted(reading).await?.map_err(unreadable)?;
        if content.len() as u64 > LARGEST {
            return Err(Failure::usage(format!("the script {} is larger than 16 MiB", path.display()))
                .hint("give data with --stdin"));
        }
        let no_script = |NoScript { why, hint }| {
            Failure::usage(format!("{} cannot be run as a script: {why}", path.display())).hint(hint)
        };
        let runs = runs(&content).map_err(no_script)?;
        Ok(Self { name: path.display().to_string(), content, runs })
    }

    /// What is run in a sandbox, with the script before everything else on its standard input.
    pub(super) fn argv(&self, arguments: &[String], is_fed: bool) -> Vec<String> {
        let program = match &self.runs {
            Runs::Itself(program) => program,
            Runs::Shell => "",
        };
        let length = self.content.len().to_string();
        let fed = if is_fed { "fed" } else { "" };
        let words = ["sh", "-c", RUN, "fleet-script", &length, fed, program];
        words.into_iter().map(str::to_owned).chain(arguments.iter().cloned()).collect()
    }

    /// What a guard looks at.
    pub(super) fn lines(&self) -> Vec<String> {
        lines(&self.content)
    }
}
