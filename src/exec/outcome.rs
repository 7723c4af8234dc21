//! How a command went in each hub, and what that comes to for all of them.

use std::time::Duration;

use super::output::End;
use crate::exit::Exit;
use crate::hub::HubName;
use crate::report::duration;
use crate::text::one_line;

/// How it went in one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which: its place among the chosen ones.
    pub hub: usize,
    /// How it ended.
    pub fate: Fate,
    /// How long it took.
    pub took: Duration,
}

/// How a command ended in one of many hubs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was begun, or tried, and this came of it.
    Ended(End),
    /// It was stopped before its end, and nothing of it runs any more.
    Stopped(Stop),
    /// It was not begun.
    NotBegun(Stop),
}

/// Why commands were stopped in all hubs at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Somebody asked fleet to stop.
    Asked,
    /// Whoever read the output has gone.
    ReaderGone,
    /// The time for all hubs was up.
    Deadline(Duration),
    /// It failed in this hub, and that was to be the end of it.
    Failed(HubName),
    /// Somebody was asked, and did not say yes.
    Declined,
}

impl Fate {
    /// Whether all went well.
    pub fn is_success(&self) -> bool {
        self.exit_status() == Some(0)
    }

    /// The command's own status, where it ended by itself.
    pub fn exit_status(&self) -> Option<i64> {
        match self {
            Self::Ended(End::Exited(status)) => Some(*status),
            _ => None,
        }
    }

    /// Why it did not go well, in one line; `None` where it did.
    pub fn why(&self) -> Option<String> {
        let stop = |stop: &Stop| match stop {
            Stop::Asked => "interrupted".to_owned(),
            Stop::ReaderGone => "nobody reads the output any more".to_owned(),
            Stop::Deadline(limit) => format!("the {} for all hubs are over", duration(*limit)),
            Stop::Failed(hub) => format!("it failed in {hub}"),
            Stop::Declined => "nobody said yes".to_owned(),
        };
        match self {
            Self::Ended(End::Exited(0)) => None,
            Self::Ended(End::Exited(status)) => Some(match signal(*status) {
                Some(name) => format!("exit status {status} ({name})"),
                None => format!("exit status {status}"),
            }),
            Self::Ended(End::TimedOut(limit)) => Some(format!("stopped after {}", duration(*limit))),
            Self::Ended(End::Interrupted) | Self::Stopped(Stop::Asked) => Some("interrupted".to_owned()),
            Self::Ended(End::Failed { reason, hint: Some(hint) }) => {
                Some(format!("{}; {hint}", one_line(reason)))
            }
            Self::Ended(End::Failed { reason, hint: None }) => Some(one_line(reason)),
            Self::Stopped(why) => Some(format!("stopped: {}", stop(why))),
            Self::NotBegun(why) => Some(format!("not begun: {}", stop(why))),
        }
    }
}

/// The signal that a status stands for, as shells have it.
fn signal(status: i64) -> Option<&'static str> {
    Some(match status - 128 {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// fleet's own status: done when it went well in every hub that was chosen, and somebody heard of each.
pub fn exit_of(outcomes: &[Outcome], chosen: usize, interrupted: bool) -> Exit {
    let not_well: Vec<&Fate> =
        outcomes.iter().map(|outcome| &outcome.fate).filter(|fate| !fate.is_success()).collect();
    if interrupted {
        Exit::Interrupted
    } else if outcomes.len() != chosen {
        Exit::Failed
    } else if not_well.is_empty() {
        Exit::Done
    } else if not_well.iter().all(|fate| **fate == Fate::NotBegun(Stop::Declined)) {
        Exit::Unconfirmed
    } else {
        Exit::Failed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_fate() -> impl Strategy<Value = Fate> {
        let second = Duration::from_secs(1);
        let stop = prop::sample::select(vec![
            Stop::Asked,
            Stop::ReaderGone,
            Stop::Deadline(second),
            Stop::Failed(HubName::new("ou23s").unwrap()),
            Stop::Declined,
        ]);
        let failed = End::Failed { reason: "gone".to_owned(), hint: None };
        prop_oneof![
            (0_i64..256).prop_map(|status| Fate::Ended(End::Exited(status))),
            Just(Fate::Ended(End::Exited(0))),
            Just(Fate::Ended(End::TimedOut(second))),
            Just(Fate::Ended(End::Interrupted)),
            Just(Fate::Ended(failed)),
            stop.clone().prop_map(Fate::Stopped),
            stop.prop_map(Fate::NotBegun),
        ]
    }

    #[test]
    fn a_signal_is_named_and_its_status_stays() {
        let why = |status| Fate::Ended(End::Exited(status)).why().unwrap();
        assert_eq!(why(7), "exit status 7");
        assert_eq!(why(137), "exit status 137 (SIGKILL)");
        assert_eq!(why(255), "exit status 255");
    }

    proptest! {
        #[test]
        fn the_status_is_0_exactly_when_it_was_0_in_every_chosen_hub(
            fates in prop::collection::vec(a_fate(), 0..6),
            lost in 0_usize..2,
            interrupted in any::<bool>(),
        ) {
            let outcomes: Vec<Outcome> = fates
                .into_iter()
                .enumerate()
                .map(|(hub, fate)| Outcome { hub, fate, took: Duration::ZERO })
                .collect();
            let exit = exit_of(&outcomes, outcomes.len() + lost, interrupted);
            let zero = |outcome: &Outcome| outcome.fate == Fate::Ended(End::Exited(0));
            let well = lost == 0 && !interrupted && outcomes.iter().all(zero);
            prop_assert_eq!(exit == Exit::Done, well);
            prop_assert_eq!(exit == Exit::Interrupted, interrupted);
            let declined = |outcome: &Outcome| outcome.fate == Fate::NotBegun(Stop::Declined);
            if exit == Exit::Unconfirmed {
                prop_assert!(outcomes.iter().all(|outcome| zero(outcome) || declined(outcome)));
                prop_assert!(outcomes.iter().any(declined));
            }
        }

        #[test]
        fn what_did_not_go_well_says_why_in_one_line_and_has_no_status_of_0(fate in a_fate()) {
            prop_assert_eq!(fate.why().is_none(), fate.is_success());
            prop_assert_eq!(fate.exit_status() == Some(0), fate.is_success());
            prop_assert!(fate.why().is_none_or(|why| !why.is_empty() && why.lines().count() == 1));
        }
    }
}
