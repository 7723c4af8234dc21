use std::path::PathBuf;

use super::*;
use crate::hub::EngineName;
use crate::observed::{Credentials, Node, SandboxLook, Subject};
use crate::plan::orphans::samples::{hub, now, project};

/// A hub with which nothing is wrong.
fn good() -> HubLook {
    HubLook {
        hub: hub("ou23s"),
        engine: EngineName::default(),
        sandbox: SandboxLook { state: Some("running"), running: true, unseen: None, drift: Vec::new() },
        openrc: PathBuf::from("/o/openrc.sh"),
        openrc_stale: Answer::Seen(false),
        openrc_open_to_others: Some(false),
        tunnel: Answer::Seen(Tunnel::Up),
        tunnel_said: None,
        api: Answer::Seen(()),
        credentials: expiring(None),
        nodes: Answer::Seen(vec![node("ou23s-1", true)]),
        claims: Answer::Seen(Vec::new()),
        lacks: Vec::new(),
    }
}

fn expiring(expires_at: Option<Timestamp>) -> Answer<Credentials> {
    Answer::Seen(Credentials { project: project("alpha"), expires_at })
}

fn node(name: &str, ready: bool) -> Node {
    Node { name: name.to_owned(), ready }
}

fn silent(reason: &str) -> Unseen {
    Unseen {
        subject: Subject::Hub(hub("ou23s")),
        reason: reason.to_owned(),
        hint: Some(format!("mend {reason}")),
    }
}

fn found(look: &HubLook) -> Vec<(Severity, String)> {
    diagnose(look, None, now()).into_iter().map(|finding| (finding.severity, finding.what)).collect()
}

fn warning(what: &str) -> Vec<(Severity, String)> {
    vec![(Severity::Warning, what.to_owned())]
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(diagnose(&good(), None, now()), []);
    assert!(works(&[]));
}

#[test]
fn whatever_does_not_answer_is_told_with_its_reason_and_what_to_do() {
    let looks = [
        HubLook { openrc_stale: Answer::Unseen(silent("openrc")), ..good() },
        HubLook { credentials: Answer::Unseen(silent("credentials")), ..good() },
        HubLook { api: Answer::Unseen(silent("api")), ..good() },
        HubLook { nodes: Answer::Unseen(silent("nodes")), ..good() },
        HubLook { claims: Answer::Unseen(silent("claims")), ..good() },
    ];
    for (look, what) in looks.iter().zip(["openrc", "credentials", "api", "nodes", "claims"]) {
        let findings = diagnose(look, None, now());
        assert_eq!(findings, [Finding::error(what, format!("mend {what}"))]);
        assert!(!works(&findings));
    }
    let findings = diagnose(&good(), Some(&silent("sandbox")), now());
    assert_eq!(findings, [Finding::error("sandbox", "mend sandbox")]);
}

#[test]
fn what_was_not_asked_is_not_told_once_more() {
    let look = HubLook {
        tunnel: Answer::NotAsked,
        tunnel_said: None,
        api: Answer::NotAsked,
        credentials: Answer::NotAsked,
        nodes: Answer::NotAsked,
        claims: Answer::NotAsked,
        openrc_stale: Answer::NotAsked,
        ..good()
    };
    assert_eq!(found(&look), []);
}

#[test]
fn credentials_are_worth_a_word_from_two_weeks_before_their_end() {
    let in_hours =
        |hours| HubLook { credentials: expiring(Some(now() + SignedDuration::from_hours(hours))), ..good() };
    assert_eq!(found(&in_hours(14 * 24)), []);
    let soon = found(&in_hours(14 * 24 - 1));
    assert_eq!(soon, warning("its credentials expire in 13 days, on 2026-03-15T11:00:00Z"));
    assert_eq!(found(&in_hours(49)), warning("its credentials expire in 2 days, on 2026-03-03T13:00:00Z"));
    assert!(works(&diagnose(&in_hours(1), None, now())));
}

#[test]
fn nodes_that_are_not_ready_are_named() {
    let nodes = Answer::Seen(vec![node("ou23s-1", true), node("n-1", false), node("n-2", false)]);
    let findings = diagnose(&HubLook { nodes, ..good() }, None, now());
    let hint = "fleet exec --hub ou23s kubectl describe node n-1";
    assert_eq!(findings, [Finding::warning("nodes are not ready: n-1, n-2", hint)]);
}

#[test]
fn a_tunnel_that_goes_another_way_is_connected_again_and_nothing_is_made_again() {
    let mut look = good();
    look.sandbox.drift = vec![Part::Tunnel];
    let findings = diagnose(&look, None, now());
    let told = "its tunnel goes another way to the master than fleet.toml has now";
    assert_eq!(findings, [Finding::warning(told, "connect it again: fleet up ou23s")]);
}

#[test]
fn a_sandbox_that_has_drifted_or_lacks_a_program_works() {
    let mut look = HubLook { lacks: vec!["helm".to_owned(), "jq".to_owned()], ..good() };
    look.sandbox.drift = vec![Part::Image, Part::Mounts];
    let findings = diagnose(&look, None, now());
    let told: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        told,
        [
            "its sandbox is not what fleet.toml asks for now: image, mounts",
            "its sandbox's image lacks helm, jq"
        ]
    );
    assert!(works(&findings));
}

#[test]
fn an_openrc_that_is_gone_or_stale_is_an_error_and_one_that_others_read_a_warning() {
    let gone = found(&HubLook { openrc_open_to_others: None, ..good() });
    assert_eq!(gone, [(Severity::Error, "its openrc is gone: there is no /o/openrc.sh".to_owned())]);
    let open = found(&HubLook { openrc_open_to_others: Some(true), ..good() });
    assert_eq!(open, warning("its openrc can be read by others on this machine"));
    let stale = found(&HubLook { openrc_stale: Answer::Seen(true), ..good() });
    assert_eq!(stale.len(), 1);
    assert!(stale[0].0 == Severity::Error && stale[0].1.starts_with("its openrc is stale:"), "{stale:?}");
}

#[test]
fn the_worst_comes_first() {
    let look = HubLook { openrc_open_to_others: Some(true), api: Answer::Unseen(silent("api")), ..good() };
    let severities: Vec<Severity> = found(&look).into_iter().map(|(severity, _)| severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning]);
}

#[test]
fn a_tunnel_has_one_word() {
    let words = [Some(&Tunnel::Up), Some(&Tunnel::Down), Some(&Tunnel::Hangs), None].map(tunnel_word);
    assert_eq!(words, ["up", "down", "hangs", "-"]);
}
