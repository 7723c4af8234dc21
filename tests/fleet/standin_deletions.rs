//! Faults while volumes are deleted: what was sent is followed to its end, what was not done is done again, and a hub that
//! falls silent on the way stops the rest.

use std::collections::BTreeSet;

use serde_json::Value;
use standin::{Fault, Rule, Service};

use crate::common::Run;
use crate::common::standin::{Servers, deletes_the_orphans, ids, impatient, orphans, small};

const DELETE: [&str; 5] = ["orphans", "--delete", "--confirm", "--format", "json"];

fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after: None }
}

/// What Cinder is asked to delete.
fn deleting(fault: Fault) -> Rule {
    Rule::of(Service::Cinder, fault).method("DELETE")
}

/// One orphan's deletion.
fn deleting_one(number: u64, fault: Fault) -> Rule {
    deleting(fault).path(ids(&[number]).first().expect("one"))
}

/// What became of each volume, by id, as the report says it.
#[track_caller]
fn outcomes(run: &Run) -> Vec<(String, Value)> {
    let told = run.json();
    let volumes = told["volumes"].as_array().unwrap_or_else(|| panic!("{told}")).clone();
    volumes.into_iter().map(|volume| (volume["id"].as_str().expect("an id").to_owned(), volume)).collect()
}

#[test]
fn standin_a_deletion_that_is_put_off_is_sent_again_after_another_look() {
    for code in [429, 503] {
        let servers = Servers::with(small(), [deleting_one(7, status(code)).times(1)]);
        deletes_the_orphans(&servers);
        let again = servers.standin.deletions();
        assert_eq!(again.len(), 3 + 1, "{code}");
    }
}

#[test]
fn standin_a_deletion_that_was_carried_out_and_answered_with_503_is_told_as_done_and_takes_nothing_else() {
    for code in [500, 503] {
        let servers = Servers::with(small(), [deleting(Fault::DoneBut { code })]);
        deletes_the_orphans(&servers);
        // None was sent twice: each was seen to be on its way.
        assert_eq!(servers.standin.deletions().len(), 3, "{code}");
    }
}

#[test]
fn standin_a_deletion_whose_answer_is_lost_is_followed_to_its_end() {
    for fault in [Fault::DoneButSilent, Fault::CutAfterHeaders, Fault::HangAfterHeaders] {
        let servers = Servers::with(impatient(), [deleting(fault.clone())]);
        deletes_the_orphans(&servers);
        assert_eq!(servers.standin.deletions().len(), 3, "{fault:?}");
    }
}

#[test]
fn standin_a_deletion_that_cinder_refuses_is_told_and_not_sent_again() {
    for code in [400, 403, 409] {
        let servers = Servers::with(small(), [deleting_one(7, status(code))]);
        let run = servers.run(&DELETE).exits(1);
        let failed: BTreeSet<String> = outcomes(&run)
            .into_iter()
            .filter(|(_, told)| told["outcome"] == "failed")
            .map(|(id, _)| id)
            .collect();
        assert_eq!(failed, ids(&[7]), "{code}: {}", run.stdout);
        assert_eq!(servers.standin.deletions().len(), 3, "{code}");
        assert_eq!(servers.standin.volumes("alpha").len(), 14 - 2);
    }
}

#[test]
fn standin_a_token_that_expires_before_a_deletion_is_renewed_and_the_deletion_is_sent() {
    let servers = Servers::with(small(), [deleting(Fault::RevokeTokens).times(1)]);
    servers.run(&DELETE).exits(0);
    assert_eq!(servers.standin.deletions().into_iter().collect::<BTreeSet<_>>(), orphans());
    assert_eq!(servers.standin.volumes("alpha").len(), 14 - 3);
}

#[test]
fn standin_a_hub_that_falls_silent_before_the_second_look_stops_everything() {
    for fault in [status(403), status(503), Fault::CutBody, Fault::HangAfterHeaders, Fault::NotJson] {
        // The first list of PVs comes whole.
        let pvs = Rule::of(Service::Kubernetes, fault.clone()).at("two").path("/persistentvolumes?").after(1);
        let servers = Servers::with(impatient(), [pvs]);
        let run = servers.run(&DELETE).exits(3);
        assert_eq!(servers.standin.deletions(), Vec::<String>::new(), "{fault:?}");
        assert!(run.stderr.contains("hub two"), "{}", run.stderr);
    }
}

#[test]
fn standin_a_volume_that_cinder_does_not_show_whole_in_the_second_look_is_not_deleted() {
    let seven = ids(&[7]);
    let id = seven.first().expect("one");
    for fault in [status(403), status(500), Fault::CutBody, Fault::NotJson, Fault::WrongType] {
        let look = Rule::of(Service::Cinder, fault.clone()).method("GET").path(&format!("/volumes/{id}"));
        let servers = Servers::with(small(), [look]);
        servers.run(&DELETE).exits(1);
        let asked: BTreeSet<String> = servers.standin.deletions().into_iter().collect();
        assert_eq!(asked, &orphans() - &seven, "{fault:?}");
    }
}
