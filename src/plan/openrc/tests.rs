use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::hub::HubName;
use crate::observed::{
    Answer, CredentialKind, FileId, Login, OpenrcMount, Process, Processes, ProjectKey, Subject, Unseen,
};
use crate::plan::diagnose::Severity;
use crate::plan::orphans::samples::{hub, now, project};

const WITHIN: SignedDuration = SignedDuration::from_hours(14 * 24);
const AT_PATH: FileId = FileId { device: 1, inode: 10 };
const OLD: FileId = FileId { device: 1, inode: 9 };

fn mount(name: &str, held: FileId) -> OpenrcMount {
    OpenrcMount {
        hub: hub(name),
        state: Some(SandboxState::Running),
        unseen: false,
        stale: Answer::Seen(held != AT_PATH),
        held: Some(held),
    }
}

fn stopped(name: &str) -> OpenrcMount {
    let stale = Answer::Unseen(unseen("its sandbox is not running (exited)"));
    OpenrcMount { hub: hub(name), state: Some(SandboxState::Exited), unseen: false, stale, held: None }
}

fn unseen(reason: &str) -> Unseen {
    Unseen {
        subject: Subject::Hub(hub("ou23s")),
        reason: reason.to_owned(),
        hint: Some("mend it".to_owned()),
    }
}

fn until(valid: Validity) -> Answer<Login> {
    Answer::Seen(Login { project: project("alpha"), valid })
}

/// A file with which nothing is wrong.
fn good() -> OpenrcFile {
    OpenrcFile {
        file: PathBuf::from("/o/alpha.sh"),
        hubs: vec![mount("ou23s", AT_PATH), mount("mvu23s", AT_PATH)],
        mode: Some(0o600),
        id: Some(AT_PATH),
        digest: Some("d".to_owned()),
        kind: Some(CredentialKind::ApplicationCredential),
        login: until(Validity::NoEnd),
        refused: false,
        remembered: None,
    }
}

fn stale(mounts: Vec<OpenrcMount>) -> OpenrcFile {
    OpenrcFile { hubs: mounts, ..good() }
}

fn state(file: &OpenrcFile) -> (Vec<Flaw>, bool) {
    let judged = judge(file, now(), WITHIN);
    let works = judged.works();
    (judged.state, works)
}

#[test]
fn a_file_that_works_for_long_is_ok() {
    let judged = judge(&good(), now(), WITHIN);
    assert_eq!((judged.word().as_str(), judged.works(), judged.findings.len()), ("ok", true, 0));
    assert_eq!(state(&OpenrcFile { login: until(Validity::Unknown), ..good() }), (vec![], true));
}

#[test]
fn credentials_that_end_within_the_time_fail_and_those_that_end_later_do_not() {
    let ends = |hours| {
        let end = now() + SignedDuration::from_hours(hours);
        OpenrcFile { login: until(Validity::Until(end)), ..good() }
    };
    assert_eq!(state(&ends(14 * 24)), (vec![], true));
    assert_eq!(state(&ends(14 * 24 - 1)), (vec![Flaw::Expires], false));
    assert_eq!(judge(&ends(1), now(), SignedDuration::ZERO).state, []);
    let words = |hours| judge(&ends(hours), now(), WITHIN).findings[0].what.clone();
    assert!(words(49).contains("in 2 days, on 2026-03-03"), "{}", words(49));
    assert!(words(30).contains("in 30 hours"), "{}", words(30));
    assert!(words(0).contains("within the hour"), "{}", words(0));
}

#[test]
fn what_does_not_work_is_told_with_what_to_do() {
    let refused = OpenrcFile { login: Answer::Unseen(unseen("refused")), refused: true, ..good() };
    let judged = judge(&refused, now(), WITHIN);
    assert_eq!(judged.word(), "expired or refused");
    assert_eq!(judged.findings[0].what, "refused");
    assert!(judged.findings[0].hint.as_deref().unwrap().contains("fleet openrc set ou23s NEW.sh"));

    let silent = OpenrcFile { login: Answer::Unseen(unseen("no answer")), ..good() };
    let judged = judge(&silent, now(), WITHIN);
    assert_eq!((judged.word().as_str(), judged.works()), ("not tried", false));
    assert_eq!(judged.findings, [Finding::error("hub ou23s: no answer", "mend it")]);

    let gone = OpenrcFile { mode: None, id: None, login: Answer::NotAsked, ..good() };
    assert_eq!(state(&gone), (vec![Flaw::Gone], false));
}

#[test]
fn stale_sandboxes_are_told_at_once() {
    let file = stale(vec![mount("ou23s", OLD), mount("mvu23s", AT_PATH), mount("fsu-s23", OLD)]);
    let judged = judge(&file, now(), WITHIN);
    assert_eq!((judged.state.clone(), judged.works()), (vec![Flaw::Stale], false));
    assert_eq!(judged.findings.len(), 1);
    assert!(judged.findings[0].what.starts_with("the sandboxes of ou23s, fsu-s23 hold another file"));
    let one = judge(&stale(vec![mount("ou23s", OLD)]), now(), WITHIN);
    assert!(one.findings[0].what.starts_with("the sandbox of ou23s holds another file"));
    assert!(judged.findings[0].hint.as_deref().unwrap().contains("fleet openrc check ou23s fsu-s23 --fix"));
}

#[test]
fn a_sandbox_that_is_stopped_is_no_flaw_where_another_one_tried_the_file() {
    assert_eq!(state(&stale(vec![mount("ou23s", AT_PATH), stopped("mvu23s")])), (vec![], true));
    let mut fails = mount("mvu23s", AT_PATH);
    fails.stale = Answer::Unseen(unseen("sourcing its openrc ended with status 5"));
    assert_eq!(state(&stale(vec![mount("ou23s", AT_PATH), fails])), (vec![Flaw::NotTried], false));
}

#[test]
fn a_file_that_others_can_open_works() {
    let open = OpenrcFile { mode: Some(0o644), ..good() };
    let judged = judge(&open, now(), WITHIN);
    assert_eq!((judged.word().as_str(), judged.works()), ("open to others", true));
    assert_eq!(judged.findings[0].severity, Severity::Warning);
    assert!(judged.findings[0].what.contains("0644"));
}

#[test]
fn a_project_is_known_by_id_first_and_by_name_where_one_project_has_it() {
    let beta = OpenrcFile {
        login: Answer::Seen(Login { project: project("beta"), valid: Validity::NoEnd }),
        ..good()
    };
    let files = [good(), beta.clone(), good()];
    assert_eq!(of_project(&files, "alpha"), Ok(vec![0, 2]));
    assert_eq!(of_project(&files, &project("beta").key.id), Ok(vec![1]));
    assert_eq!(of_project(&files, "gamma"), Err(NoProject::None));
    let mut other = project("alpha");
    other.key.id = "another".to_owned();
    let same_name = OpenrcFile {
        login: Answer::Seen(Login { project: other.clone(), valid: Validity::NoEnd }),
        ..good()
    };
    let several = of_project(&[good(), same_name], "alpha");
    assert!(matches!(&several, Err(NoProject::Several(all)) if all.len() == 2), "{several:?}");
    // One whose project nobody knows may be of this one.
    let lost = OpenrcFile { login: Answer::Unseen(unseen("refused")), refused: true, ..good() };
    assert_eq!(of_project(&[good(), lost.clone()], "alpha"), Err(NoProject::CannotTell(vec![1])));
    let remembered = OpenrcFile { remembered: Some(project("alpha")), ..lost };
    assert_eq!(of_project(&[beta, remembered], "alpha"), Ok(vec![1]));
}

#[test]
fn credentials_of_another_project_are_objected_to_also_where_nobody_knows() {
    assert_eq!(objection(&good(), &project("alpha")), None);
    let other = objection(&good(), &project("beta")).unwrap();
    assert!(
        other.contains("project beta") && other.contains("project alpha") && other.contains("/o/alpha.sh"),
        "{other}"
    );
    let lost = OpenrcFile { login: Answer::Unseen(unseen("refused")), refused: true, ..good() };
    assert!(objection(&lost, &project("alpha")).unwrap().starts_with("cannot tell which project"));
    let remembered = OpenrcFile { remembered: Some(project("alpha")), ..lost };
    assert_eq!(objection(&remembered, &project("alpha")), None);
    let mut elsewhere = project("alpha");
    elsewhere.key = ProjectKey { auth_url: "https://other:5000/v3".to_owned(), ..elsewhere.key };
    assert!(objection(&good(), &elsewhere).unwrap().contains("https://other:5000/v3"));
}

fn process(id: i64, parent: i64, name: &str) -> Process {
    Process { id, parent, name: name.to_owned() }
}

#[test]
fn the_tunnel_is_nobodys_work_and_everything_else_is() {
    let mut all = vec![
        process(100, 1, "docker-init"),
        process(101, 100, "tunnel"),
        process(102, 101, "ssh"),
        process(103, 101, "sleep"),
    ];
    assert_eq!(at_work(&Processes { first: 100, all: all.clone() }), [""; 0]);
    let of_old_scripts = vec![process(1, 0, "bash"), process(50, 0, "tunnel"), process(51, 50, "ssh")];
    assert_eq!(at_work(&Processes { first: 1, all: of_old_scripts }), [""; 0]);
    // A shell, what runs in it, and what somebody left behind, which the first process has taken over.
    all.extend([process(200, 1, "bash"), process(201, 200, "helm"), process(202, 100, "tmux")]);
    // Somebody's own ssh is no tunnel, and neither is a program of that name in a shell.
    all.extend([process(203, 200, "ssh"), process(204, 200, "tunnel")]);
    assert_eq!(at_work(&Processes { first: 100, all }), ["bash", "helm", "ssh", "tmux", "tunnel"]);
}

/// What mends a file whose owner is the user that all sandboxes run as.
fn mended(file: &OpenrcFile, beside: &[(FileId, &str)], work: &[(&str, AtWork)]) -> Vec<Mend> {
    let beside = beside.iter().map(|(id, path)| (*id, PathBuf::from(path))).collect();
    let users = file.hubs.iter().map(|mount| (mount.hub.clone(), 1000)).collect();
    let work = work.iter().map(|(name, who)| (hub(name), who.clone())).collect();
    mends(file, &beside, Some(1000), &users, &work)
}

fn left(mends: &[Mend]) -> Vec<Option<&HubName>> {
    mends
        .iter()
        .filter_map(|mend| match mend {
            Mend::Leave { hub, .. } => Some(hub.as_ref()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_file_that_is_well_needs_nothing() {
    assert!(!wants_mending(&good()));
    assert!(wants_mending(&stale(vec![mount("ou23s", OLD)])));
    assert!(wants_mending(&OpenrcFile { mode: Some(0o640), ..good() }));
    assert!(!wants_mending(&OpenrcFile { mode: None, ..stale(vec![mount("ou23s", OLD)]) }));
    assert_eq!(mended(&good(), &[(OLD, "/o/alpha.sh~")], &[]), []);
}

#[test]
fn a_file_that_others_can_open_is_closed_unless_a_sandbox_reads_it_as_one_of_them() {
    let open = OpenrcFile { mode: Some(0o644), ..good() };
    assert_eq!(mended(&open, &[], &[]), [Mend::Close { mode: 0o600 }]);
    let users = BTreeMap::from([(hub("ou23s"), 1000), (hub("mvu23s"), 0)]);
    let other = mends(&open, &BTreeMap::new(), Some(1000), &users, &BTreeMap::new());
    assert_eq!(left(&other), [Some(&hub("mvu23s"))]);
    assert_eq!(left(&mends(&open, &BTreeMap::new(), None, &users, &BTreeMap::new())).len(), 1);
}

#[test]
fn what_sandboxes_hold_gets_the_path_back_only_where_all_of_them_hold_it() {
    let beside = [(OLD, "/o/alpha.sh~")];
    let back = [Mend::GiveBack { from: "/o/alpha.sh~".into() }];
    let all = stale(vec![mount("ou23s", OLD), mount("mvu23s", OLD), stopped("fsu-s23")]);
    assert_eq!(mended(&all, &beside, &[("ou23s", Some(vec!["bash".to_owned()]))]), back);
    let mixed = stale(vec![mount("ou23s", OLD), mount("mvu23s", AT_PATH)]);
    assert_eq!(mended(&mixed, &beside, &[("ou23s", Some(vec![]))]), [Mend::Restart(hub("ou23s"))]);
    let mut paused = stopped("mvu23s");
    paused.state = Some(SandboxState::Paused);
    let unsure = stale(vec![mount("ou23s", OLD), paused]);
    assert_eq!(mended(&unsure, &beside, &[("ou23s", Some(vec![]))]), [Mend::Restart(hub("ou23s"))]);
}

#[test]
fn a_sandbox_that_somebody_works_in_or_that_cannot_be_seen_is_left() {
    let file = stale(vec![mount("ou23s", OLD), mount("mvu23s", OLD), mount("fsu-s23", OLD)]);
    let work = [("ou23s", Some(vec!["bash".to_owned()])), ("mvu23s", None)];
    let mends = mended(&file, &[], &work);
    assert_eq!(left(&mends), [Some(&hub("ou23s")), Some(&hub("mvu23s")), Some(&hub("fsu-s23"))]);
    assert!(matches!(&mends[0], Mend::Leave { why, .. } if why.contains("(bash)")), "{mends:?}");
}

#[test]
fn a_file_that_is_gone_cannot_be_mended() {
    assert_eq!(left(&mended(&OpenrcFile { mode: None, id: None, ..good() }, &[], &[])), [None]);
}

proptest! {
    /// Whatever there is: nobody who works in a sandbox loses it, and nobody who holds the new file gets the old one.
    #[test]
    fn no_mending_takes_anything_from_anybody(
        sandboxes in proptest::collection::vec((0u8..3, proptest::option::of(any::<bool>())), 1..6),
        named in any::<bool>(),
    ) {
        let name = |index: usize| format!("hub-{index}");
        let mounts = sandboxes.iter().enumerate().map(|(index, (kind, _))| match kind {
            0 => mount(&name(index), OLD),
            1 => mount(&name(index), AT_PATH),
            _ => stopped(&name(index)),
        });
        let file = stale(mounts.collect());
        let work: Vec<(String, AtWork)> = sandboxes.iter().enumerate().map(|(index, (_, busy))| {
            (name(index), busy.map(|busy| if busy { vec!["bash".to_owned()] } else { vec![] }))
        }).collect();
        let work: Vec<(&str, AtWork)> = work.iter().map(|(name, who)| (name.as_str(), who.clone())).collect();
        let beside: &[(FileId, &str)] = if named { &[(OLD, "/o/alpha.sh~")] } else { &[] };
        for mend in mended(&file, beside, &work) {
            match mend {
                Mend::Restart(hub) => prop_assert!(work.iter().any(|(name, who)| *name == hub.as_str() && who.as_deref() == Some(&[]))),
                Mend::GiveBack { .. } => prop_assert!(named && file.hubs.iter().all(|mount| mount.held != Some(AT_PATH))),
                Mend::Close { .. } | Mend::Leave { .. } => {}
            }
        }
    }
}
