//! The confirmation that everything destructive asks for.

use crate::plan::orphans::Deletions;

/// Somebody saw what will be deleted and said yes. Functions that destroy something demand one; only this module can
/// make one. (Saved plans and typed confirmations become further ways to one, here.)
#[derive(Debug)]
pub struct Confirmed(());

impl Confirmed {
    /// From `--confirm` on the command line. It is asked for what is deleted, so that nothing can be confirmed before
    /// there is a plan; nothing to delete needs no confirmation and gets none.
    pub fn by_flag(shown: &Deletions, confirm: bool) -> Option<Self> {
        (confirm && !shown.is_empty()).then_some(Self(()))
    }
}
