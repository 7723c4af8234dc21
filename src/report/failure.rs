//! A failure as it is shown: what was wrong, where, and what to do.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::exit::Failure;

/// The text for standard error.
pub fn failure(failure: &Failure) -> String {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let bold = Style::new().bold();
    let mut text = String::new();
    for problem in &failure.problems {
        let _ = writeln!(text, "{red}error{red:#}: {problem}");
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "{bold}hint{bold:#}: {hint}");
    }
    text
}
