//! Runs of deletions that did not live to see their end.

use crate::commands::context::tell;
use crate::hub::Fleet;
use crate::journal::{self, RunHistory};
use crate::text::{clean, count};

/// Tells of them in one line each, with what to do. A journal that cannot be read hides no report.
pub(super) fn tell_unended(fleet: &Fleet) {
    // Before it is read: a run that ends meanwhile is told as one that is under way, and not as one that broke off.
    let under_way = journal::is_under_way(fleet);
    match journal::read(fleet) {
        Ok(history) => {
            // Only one can be at it at a time, and that is the one that began last.
            let last = history.unended().last();
            for run in history.unsettled(&fleet.name) {
                let is_last = last.is_some_and(|last| std::ptr::eq(last, run));
                tell(&format!("{}\n", line(run, under_way && is_last)));
            }
        }
        Err(failure) => tell(&format!("whether all deletions have come to an end is not known: {failure}\n")),
    }
}

fn line(run: &RunHistory, under_way: bool) -> String {
    let (deleted, unknown, not_done) = run.counts();
    let by = run.begin.as_ref().map_or_else(String::new, |begin| {
        format!(" by {} on {}", clean(&begin.by.user), clean(&begin.by.host))
    });
    let head = format!("run {}{by}", clean(&run.id));
    if under_way {
        return format!("{head} is deleting volumes right now: {deleted} deleted, {not_done} not begun");
    }
    let what = match run.end {
        None => format!("did not end: {deleted} deleted, {unknown} not known, {not_done} not done"),
        Some(_) => format!("left {} of which it did not see the end", count(unknown as u64, "deletion")),
    };
    format!("{head} {what}; to settle it: fleet orphans --resume")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::History;

    #[test]
    fn a_run_that_did_not_end_is_told_in_one_line() {
        let begin = r#"{"run":"r1","at":"2026-03-01T12:00:00Z","entry":"begin","fleet":"f","by":{"user":"op\u001b","host":"vm","process":7},"version":"1","confirmed":"--confirm","hubs":[],"volumes":[]}"#;
        let over = r#"{"run":"r1","at":"2026-03-01T12:00:00Z","entry":"over","id":"v1","outcome":"deleted"}"#;
        let history = History::parse(format!("{begin}\n{over}\n").as_bytes());
        assert!(history.problems.is_empty(), "{:?}", history.problems);
        assert_eq!(
            line(&history.runs[0], false),
            "run r1 by op\u{fffd} on vm did not end: 1 deleted, 0 not known, 0 not done; to settle it: fleet orphans --resume"
        );
        let end = r#"{"run":"r1","at":"2026-03-01T12:00:01Z","entry":"end","exit":1}"#;
        let pending = r#"{"run":"r1","at":"2026-03-01T12:00:00Z","entry":"over","id":"v2","outcome":"pending","reason":"-"}"#;
        let ended = History::parse(format!("{begin}\n{over}\n{pending}\n{end}\n").as_bytes());
        assert!(ended.problems.is_empty(), "{:?}", ended.problems);
        assert_eq!(
            line(ended.unsettled("f").next().unwrap(), false),
            "run r1 by op\u{fffd} on vm left 1 deletion of which it did not see the end; to settle it: fleet orphans --resume"
        );
        assert_eq!(ended.unsettled("another fleet").count(), 0);
        assert_eq!(
            line(&history.runs[0], true),
            "run r1 by op\u{fffd} on vm is deleting volumes right now: 1 deleted, 0 not begun"
        );
    }
}
