//! Faults that pass: fleet tries again, goes on, and gives the right answer; and what does not pass blocks.

use standin::{Fault, Rule, Service};

use crate::common::standin::{Servers, cannot_tell, deletes_the_orphans, goes_on, small};

fn status(code: u16) -> Fault {
    Fault::Status { code, retry_after: None }
}

/// Alpha's second page of volumes.
fn second_page(fault: Fault) -> Rule {
    Rule::of(Service::Cinder, fault).at("alpha").path("/volumes/detail").after(1)
}

#[test]
fn standin_a_page_that_is_put_off_or_fails_once_is_asked_for_again() {
    for code in [429, 500, 503] {
        let servers = goes_on(&[second_page(status(code)).times(1)]);
        let refused = servers.standin.requests().into_iter().filter(|entry| entry.status == code).count();
        assert_eq!(refused, 1, "{code}");
    }
}

#[test]
fn standin_a_page_that_breaks_off_once_is_asked_for_again_from_where_it_began() {
    for fault in [Fault::CutBody, Fault::CutAfterHeaders] {
        let servers = goes_on(&[second_page(fault.clone()).times(1)]);
        // Four pages, and the second one twice.
        assert_eq!(servers.count(Service::Cinder, "GET", "/volumes/detail"), 1 + 1 + 4, "{fault:?}");
    }
}

#[test]
fn standin_cinder_that_puts_off_or_fails_every_time_blocks_every_deletion() {
    for code in [429, 500, 503] {
        cannot_tell(&small(), &[second_page(status(code))], "project alpha", &format!("HTTP {code}"));
    }
}

#[test]
fn standin_retry_after_is_waited_for() {
    let later = Fault::Status { code: 429, retry_after: Some(3) };
    let began = std::time::Instant::now();
    goes_on(&[second_page(later).times(1)]);
    // Once for the report, once for the deletion.
    assert!(began.elapsed() >= std::time::Duration::from_secs(6), "{:?}", began.elapsed());
}

#[test]
fn standin_a_retry_after_that_nobody_waits_for_blocks_at_once() {
    let later = Fault::Status { code: 503, retry_after: Some(600) };
    let began = std::time::Instant::now();
    cannot_tell(&small(), &[second_page(later)], "project alpha", "HTTP 503");
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn standin_a_token_that_expires_while_pages_are_read_is_renewed_once() {
    let servers = goes_on(&[second_page(Fault::RevokeTokens).times(1)]);
    // One for each project, and a new one for each whose token was refused: both had requests under way.
    let logins = servers.count(Service::Keystone, "POST", "/auth/tokens");
    assert!((3..=4).contains(&logins), "{logins}");
    let refused = servers.standin.requests().into_iter().filter(|entry| entry.status == 401).count();
    assert!(refused >= 1);
}

#[test]
fn standin_a_token_that_is_refused_every_time_blocks_every_deletion() {
    cannot_tell(&small(), &[second_page(status(401))], "project alpha", "HTTP 401");
}

#[test]
fn standin_keystone_that_puts_off_once_is_asked_again() {
    for code in [429, 503] {
        goes_on(&[Rule::of(Service::Keystone, status(code)).times(1)]);
    }
}

#[test]
fn standin_credentials_that_keystone_refuses_block_every_deletion() {
    let mut content = small();
    content.hubs.retain(|hub| hub.project == "alpha");
    cannot_tell(&content, &[Rule::of(Service::Keystone, status(401))], "hub one", "Keystone refused");
}

#[test]
fn standin_an_api_server_that_is_overloaded_for_a_moment_is_asked_again() {
    for code in [429, 500, 503] {
        let pvs = Rule::of(Service::Kubernetes, status(code)).at("two").path("/persistentvolumes?");
        let servers = goes_on(&[pvs.times(1)]);
        assert_eq!(servers.count(Service::Kubernetes, "GET", "/persistentvolumes?"), 3 + 1, "{code}");
    }
}

#[test]
fn standin_an_api_server_that_fails_every_time_blocks_every_deletion() {
    for code in [401, 429, 500, 503] {
        let pvs = Rule::of(Service::Kubernetes, status(code)).at("two").path("/persistentvolumes?");
        cannot_tell(&small(), &[pvs], "hub two", &code.to_string());
    }
}

#[test]
fn standin_an_api_server_that_has_no_answer_to_whether_it_is_ready_is_asked_for_its_pvs_all_the_same() {
    let servers = Servers::with(small(), [Rule::of(Service::Kubernetes, status(500)).path("/readyz")]);
    deletes_the_orphans(&servers);
}
