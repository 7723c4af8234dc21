//! What fleet is busy with, on standard error, for eyes alone.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line that says what is going on. It is there only on a terminal, and is gone when it is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Begins. `total` is the number of things to do, 0 where it is not known.
    pub fn new(what: &str, total: usize) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let template =
            if total == 0 { "{spinner} {msg} {elapsed}" } else { "{spinner} {msg} {pos}/{len} {elapsed}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Says what it is about now.
    pub fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// One more is done.
    pub fn done_one(&self) {
        self.bar.inc(1);
    }

    /// Writes something else while the line is out of the way.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
