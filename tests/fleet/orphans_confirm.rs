//! Confirmation: what is typed at a terminal, and the brake.

use crate::common::pty::Pty;
use crate::common::volumes::{ONLY_ANCIENT, Planted, Wanted, all_ids, plant, run};
use crate::common::{Fleet, breaking, standing};

fn at_a_terminal(fleet: &Fleet, config: &str) -> Pty {
    fleet.at_terminal(&["--config", config, "orphans", "--delete"])
}

fn some() -> [Planted; 2] {
    [plant("alpha", &[Wanted::orphan(), Wanted::orphan().gib(2)]), plant("beta", &[Wanted::orphan()])]
}

fn without(all: &std::collections::BTreeSet<String>, gone: &[Planted]) -> std::collections::BTreeSet<String> {
    all.iter()
        .filter(|id| !gone.iter().any(|planted| planted.ids().contains(&id.as_str())))
        .cloned()
        .collect()
}

#[test]
fn at_a_terminal_the_number_and_the_project_are_typed() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("confirming.toml", ONLY_ANCIENT);
    let planted = some();
    let before = all_ids();
    let mut terminal = at_a_terminal(fleet, &config);
    let shown = terminal.shows("To confirm, type 2@alpha 1@beta (anything else keeps them): ");
    // The plan comes first, every volume of it.
    for id in planted.iter().flat_map(Planted::ids) {
        assert!(shown.contains(id), "{shown}");
    }
    terminal.types("2@alpha 1@beta\r");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
    assert_eq!(all_ids(), without(&before, &planted));
    let journal = run(fleet, &["journal", "--format", "json"]).exits(0).json();
    assert_eq!(journal["runs"].as_array().unwrap().last().unwrap()["confirmed"], "2@alpha 1@beta");
}

#[test]
fn anything_else_that_is_typed_deletes_nothing() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("confirming.toml", ONLY_ANCIENT);
    let _planted = some();
    let before = all_ids();
    for typed in ["yes\r", "\r", "2@alpha\r", "3@alpha 1@beta\r", "2@alpha 1@beta 1@beta\r", "\u{4}"] {
        let mut terminal = at_a_terminal(fleet, &config);
        terminal.shows("To confirm, type ");
        terminal.types(typed);
        assert_eq!(terminal.end(), Some(4), "{typed:?}: {}", terminal.shown());
        assert!(terminal.shown().contains("nothing is deleted"), "{}", terminal.shown());
    }
    assert_eq!(all_ids(), before);
}

#[test]
fn ctrl_c_at_the_question_deletes_nothing() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("confirming.toml", ONLY_ANCIENT);
    let _planted = some();
    let before = all_ids();
    let mut terminal = at_a_terminal(fleet, &config);
    terminal.shows("To confirm, type ");
    terminal.types("\u{3}");
    assert_eq!(terminal.end(), Some(130), "{}", terminal.shown());
    assert_eq!(all_ids(), before);
}

#[test]
fn more_than_usual_has_to_be_asked_for_by_number() {
    let _breaking = breaking();
    let fleet = standing();
    let planted = some();
    let before = all_ids();
    for (setting, why) in [
        ("brake_volumes = 2", "3 volumes would be deleted for good: more than 2 at once (brake_volumes)"),
        ("brake_percent = 2", "volumes of project alpha, more than 2 % (brake_percent)"),
    ] {
        let config = fleet.variant("confirming.toml", &format!("{ONLY_ANCIENT}\n{setting}"));
        let command = format!("fleet --config {config} orphans --delete --confirm --max 3");
        for confirm in [&["--confirm"][..], &[]] {
            let args = [&["--config", &config, "orphans", "--delete"][..], confirm].concat();
            run(fleet, &args).exits(4).says(why).says(&command);
        }
        run(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--max", "2"])
            .exits(4)
            .says("more than --max 2")
            .says(&command);
    }
    assert_eq!(all_ids(), before);
    // What the message proposes works.
    let config = fleet.variant("confirming.toml", &format!("{ONLY_ANCIENT}\nbrake_volumes = 2"));
    run(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--max", "3"]).exits(0);
    assert_eq!(all_ids(), without(&before, &planted));
}
