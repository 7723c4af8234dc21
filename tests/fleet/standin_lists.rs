//! Lists that are not whole: whatever is wrong with a list, fleet says that it cannot tell, and deletes nothing.

use std::collections::BTreeSet;
use std::process::Command;

use standin::content::Content;
use standin::{Fault, Rule, Service};

use crate::common::standin::{
    PAGE, Servers, cannot_tell, classes, deletes_the_orphans, ids, impatient, large, many, orphans, small,
};
use crate::common::volumes::Report;

/// From alpha's second page of volumes on.
fn second_page(fault: Fault) -> Rule {
    Rule::of(Service::Cinder, fault).at("alpha").path("/volumes/detail").after(1)
}

/// The PVs of one hub.
fn pvs(fault: Fault) -> Rule {
    Rule::of(Service::Kubernetes, fault).at("two").path("/persistentvolumes?")
}

#[test]
fn standin_without_a_fault_every_page_is_read_and_the_orphans_are_found_and_deleted() {
    let servers = Servers::of(small());
    let report = Report::of(&servers.run(&["orphans", "--format", "json"]).exits(0));
    assert_eq!(report.of_class("orphan"), orphans());
    assert_eq!(classes(&report).len(), 14 + 3);
    assert_eq!(servers.count(Service::Cinder, "GET", "marker="), 14 / PAGE);
    // Nobody was asked for anything that a stand-in does not know.
    let strange: Vec<_> =
        servers.standin.requests().into_iter().filter(|entry| entry.status >= 400).collect();
    assert_eq!(strange, []);
    deletes_the_orphans(&servers);
}

#[test]
fn standin_a_page_that_breaks_off_in_the_middle_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::CutBody)], "project alpha", "cannot list the volumes");
    cannot_tell(&small(), &[pvs(Fault::CutBody)], "hub two", "the connection ended before the answer");
}

#[test]
fn standin_a_connection_that_ends_after_the_headers_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::CutAfterHeaders)], "project alpha", "cannot list the volumes");
    cannot_tell(
        &small(),
        &[pvs(Fault::CutAfterHeaders)],
        "hub two",
        "the connection ended before the answer",
    );
}

#[test]
fn standin_an_answer_that_hangs_after_its_headers_blocks_every_deletion_within_the_time_limit() {
    cannot_tell(
        &impatient(),
        &[second_page(Fault::HangAfterHeaders)],
        "project alpha",
        "no answer within 5 s",
    );
    cannot_tell(&impatient(), &[pvs(Fault::HangAfterHeaders)], "hub two", "no answer within 5s");
}

#[test]
fn standin_a_server_that_hangs_blocks_every_deletion_within_the_time_limit() {
    let keystone = Rule::of(Service::Keystone, Fault::Hang);
    let snapshots = Rule::of(Service::Cinder, Fault::Hang).at("alpha").path("/snapshots/");
    cannot_tell(&only_alpha(impatient()), &[keystone], "hub one", "no answer within 5 s");
    cannot_tell(&impatient(), &[snapshots], "project alpha", "no answer within 5 s");
    cannot_tell(&impatient(), &[pvs(Fault::Hang)], "hub two", "no answer within 5s");
}

/// One project, whose openrc one hub sources for all.
fn only_alpha(mut content: Content) -> Content {
    content.hubs.retain(|hub| hub.project == "alpha");
    content
}

#[test]
fn standin_a_page_that_comes_twice_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::RepeatPage)], "project alpha", "came twice");
}

#[test]
fn standin_a_next_link_in_a_loop_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::LoopLink)], "project alpha", "go round in a circle");
}

#[test]
fn standin_an_empty_page_with_a_next_link_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::EmptyPage)], "project alpha", "a page is empty");
}

#[test]
fn standin_chunks_of_pvs_that_go_round_in_a_circle_block_every_deletion() {
    let chunks = |fault| Rule::of(Service::Kubernetes, fault).path("/persistentvolumes?limit=1000&continue=");
    cannot_tell(&large(1100), &[chunks(Fault::LoopLink)], "hub one", "the next page is the same one again");
    cannot_tell(&large(1100), &[chunks(Fault::RepeatPage)], "hub one", "the next page is the same one again");
    cannot_tell(&large(1100), &[chunks(Fault::EmptyPage)], "hub one", "the next page is the same one again");
}

#[test]
fn standin_a_list_whose_next_page_is_lost_with_its_marker_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::LoseMarker)], "project alpha", "could not be found");
}

#[test]
fn standin_a_list_that_shrinks_while_it_is_read_loses_no_volume_that_is_there() {
    let servers = Servers::with(small(), [second_page(Fault::Lose(2)).times(1)]);
    let report = Report::of(&servers.run(&["orphans", "--format", "json"]).exits(0));
    // The two were seen before they went.
    assert_eq!(classes(&report).len(), 14 + 3);
    assert_eq!(report.of_class("orphan"), orphans());
    let deleting = Servers::with(small(), [second_page(Fault::Lose(2)).times(1)]);
    let run = deleting.run(&["orphans", "--delete", "--confirm"]);
    // One of them was an orphan: somebody else was faster.
    assert_eq!(run.status, Some(0), "{}{}", run.stdout, run.stderr);
    let asked: BTreeSet<String> = deleting.standin.deletions().into_iter().collect();
    assert_eq!(asked, ids(&[7, 11]));
}

#[test]
fn standin_volumes_that_are_made_while_the_list_is_read_are_never_orphans() {
    let servers = Servers::with(small(), [second_page(Fault::Gain(5))]);
    deletes_the_orphans_and_keeps(&servers, 15);
}

#[track_caller]
fn deletes_the_orphans_and_keeps(servers: &Servers, at_least: usize) {
    servers.run(&["orphans", "--delete", "--confirm"]).exits(0);
    let asked: BTreeSet<String> = servers.standin.deletions().into_iter().collect();
    assert_eq!(asked, orphans());
    assert!(servers.standin.volumes("alpha").len() >= 11 + at_least);
}

#[test]
fn standin_an_answer_that_is_not_json_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::NotJson)], "project alpha", "the answer cannot be used");
    cannot_tell(&small(), &[pvs(Fault::NotJson)], "hub two", "the answer cannot be used");
}

#[test]
fn standin_a_page_for_people_in_the_place_of_an_answer_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(Fault::WrongType)], "project alpha", "the answer cannot be used");
    cannot_tell(&small(), &[pvs(Fault::WrongType)], "hub two", "the answer cannot be used");
    let ready = Rule::of(Service::Kubernetes, Fault::WrongType).at("two");
    cannot_tell(&small(), &[ready], "hub two", "the answer cannot be used");
    let login = Rule::of(Service::Keystone, Fault::WrongType);
    cannot_tell(&only_alpha(small()), &[login], "hub one", "the answer cannot be used");
}

#[test]
fn standin_a_cluster_that_may_not_be_asked_for_its_pvs_blocks_every_deletion() {
    cannot_tell(&small(), &[pvs(Fault::Status { code: 403, retry_after: None })], "hub two", "403");
}

#[test]
fn standin_a_pv_or_a_volume_without_what_tells_whose_it_is_blocks_every_deletion() {
    let without = |field: &str| Fault::WithoutField(field.to_owned());
    for field in ["/spec/csi/volumeHandle", "/metadata/name", "/spec"] {
        cannot_tell(&small(), &[pvs(without(field))], "hub two", "missing field");
    }
    for field in ["/id", "/name", "/status", "/attachments", "/metadata", "/bootable"] {
        cannot_tell(&small(), &[second_page(without(field))], "project alpha", "missing field");
    }
}

#[test]
fn standin_a_pv_without_a_phase_and_without_a_claim_still_keeps_its_volume() {
    for field in ["/status", "/spec/claimRef", "/metadata/creationTimestamp"] {
        let servers = Servers::with(small(), [pvs(Fault::WithoutField(field.to_owned()))]);
        deletes_the_orphans(&servers);
    }
}

#[test]
fn standin_pvs_that_come_in_chunks_are_seen_whole() {
    let servers = Servers::of(large(2500));
    let report = Report::of(&servers.run(&["orphans", "--format", "json"]).exits(0));
    assert_eq!(report.of_class("orphan"), ids(&[2500]));
    assert_eq!(servers.count(Service::Kubernetes, "GET", "/persistentvolumes?limit=1000"), 3);
}

#[test]
fn standin_a_place_in_a_list_of_twenty_thousand_pvs_that_the_server_forgets_costs_no_pv() {
    let forget = Rule::of(Service::Kubernetes, Fault::ForgetPlace).path("/persistentvolumes?").after(9);
    let servers = Servers::with(large(20_000), [forget]);
    let report = Report::of(&servers.run(&["orphans", "--format", "json"]).exits(0));
    assert_eq!(report.of_class("orphan"), ids(&[20_000]));
    assert_eq!(classes(&report).len(), 20_001);
}

#[test]
fn standin_more_hubs_than_a_process_may_have_files_open_unless_it_asks_are_all_seen() {
    let servers = Servers::of(many(60));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 40; exec \"$0\" orphans --format json", env!("CARGO_BIN_EXE_fleet")]);
    let report = Report::of(&servers.run_command(command).exits(0));
    assert_eq!(report.of_class("orphan"), ids(&[60]));
    assert_eq!(report.of_class("in use").len(), 60);
}

#[test]
fn standin_clocks_that_are_an_hour_apart_make_no_young_volume_old() {
    for clock_ahead in [3600, -3600] {
        // Volumes are made while the list is read, and were made two hours ago: none of them is a day old.
        let mut content = small();
        content.clock_ahead = clock_ahead;
        for number in [50, 51] {
            let made = standin::sized::hours_ago(standin::now(), 2);
            content.projects[0].volumes.push(standin::sized::claimed(number, made));
        }
        let gain = Rule::of(Service::Cinder, Fault::Gain(2)).at("alpha").path("/volumes/detail").times(1);
        let servers = Servers::with(content, [gain]);
        let report = Report::of(&servers.run(&["orphans", "--format", "json"]).exits(0));
        assert_eq!(report.of_class("orphan"), orphans(), "{clock_ahead}");
        assert_eq!(report.of_class("young").len(), 4, "{clock_ahead}");
        deletes_the_orphans_and_keeps(&servers, 4);
    }
}
