//! The real fleet against a stand-in: faults that real parts do not have on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use serde_json::Value;
use standin::content::{Content, Hub, PersistentVolume, Project, Volume};
use standin::sized::{claim, claimed, hours_ago};
use standin::{Rule, Service, Standin};
use tempfile::TempDir;

use super::Run;
use super::volumes::Report;

/// How many volumes Cinder gives in a page here.
pub const PAGE: usize = 4;

/// How many volumes a project of [`small`] has.
const IN_ALPHA: u64 = 14;

/// The numbers of the orphans among them.
const ORPHANS: [u64; 3] = [2, 7, 11];

/// Three of fourteen are more than a fifth.
const NO_BRAKE: &str = "[orphans]\nbrake_percent = 100\n";

/// A project whose volumes of the given numbers are orphans, and PVs of the others.
fn project(
    name: &str,
    id: u64,
    numbers: std::ops::Range<u64>,
    orphans: &[u64],
) -> (Project, Vec<PersistentVolume>) {
    let now = standin::now();
    let volumes: Vec<(u64, Volume)> =
        numbers.map(|number| (number, claimed(number, hours_ago(now, 100 + number)))).collect();
    let pvs = volumes.iter().filter(|(number, _)| !orphans.contains(number)).map(|(number, volume)| {
        PersistentVolume {
            name: volume.name.clone(),
            handle: volume.id.clone(),
            created_at: volume.created_at,
            phase: "Bound".to_owned(),
            claim: claim(*number),
            size: volume.size,
            in_tree: false,
        }
    });
    let pvs = pvs.collect();
    let volumes = volumes.into_iter().map(|(_, volume)| volume).collect();
    (Project { name: name.to_owned(), id: format!("{id:032x}"), volumes, ..Project::default() }, pvs)
}

fn hub(name: &str, project: &str, volumes: Vec<PersistentVolume>) -> Hub {
    Hub {
        name: name.to_owned(),
        project: project.to_owned(),
        ip: None,
        volumes,
        nodes: vec![format!("{name}-1")],
    }
}

/// Two hubs in alpha, whose volumes come in four pages, and one in beta. Three volumes of alpha are orphans.
pub fn small() -> Content {
    let (alpha, mut first) = project("alpha", 1, 0..IN_ALPHA, &ORPHANS);
    let (beta, third) = project("beta", 2, 100..103, &[]);
    let second = first.split_off(5);
    Content {
        settings: NO_BRAKE.to_owned(),
        largest_page: PAGE,
        projects: vec![alpha, beta],
        hubs: vec![hub("one", "alpha", first), hub("two", "alpha", second), hub("three", "beta", third)],
        ..Content::default()
    }
}

/// The same for a fleet that waits for 5 s only, so that what hangs is noticed soon.
pub fn impatient() -> Content {
    let settings = format!("[timeouts]\nkubernetes = \"5s\"\nopenstack = \"5s\"\n\n{NO_BRAKE}");
    Content { settings, ..small() }
}

/// One hub with that many PVs, and one volume that is an orphan.
pub fn large(pvs: u64) -> Content {
    let (alpha, volumes) = project("alpha", 1, 0..pvs + 1, &[pvs]);
    Content {
        projects: vec![alpha],
        hubs: vec![hub("one", "alpha", volumes)],
        // Many megabytes take their time where a build without optimisation reads them on a busy machine.
        settings: "[timeouts]\nkubernetes = \"2m\"\nopenstack = \"2m\"\n".to_owned(),
        ..Content::default()
    }
}

/// That many hubs with one PV each, and one volume that is an orphan.
pub fn many(hubs: u64) -> Content {
    let (alpha, volumes) = project("alpha", 1, 0..hubs + 1, &[hubs]);
    let hubs =
        volumes.into_iter().enumerate().map(|(place, pv)| hub(&format!("hub-{place}"), "alpha", vec![pv]));
    Content { hubs: hubs.collect(), projects: vec![alpha], ..Content::default() }
}

/// A stand-in, and fleet for it.
pub struct Servers {
    pub standin: Standin,
    _dir: TempDir,
}

impl Servers {
    pub fn of(content: Content) -> Self {
        let dir = tempfile::Builder::new().prefix("fleet-standin-").tempdir().expect("a directory");
        let standin = Standin::start(content, dir.path()).expect("a stand-in starts");
        Self { standin, _dir: dir }
    }

    /// With faults.
    pub fn with(content: Content, rules: impl IntoIterator<Item = Rule>) -> Self {
        let servers = Self::of(content);
        for rule in rules {
            servers.standin.break_with(rule);
        }
        servers
    }

    /// Runs fleet, and fails if any secret is in what it printed.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command.args(args);
        self.run_command(command)
    }

    /// Runs a command that becomes fleet.
    #[track_caller]
    pub fn run_command(&self, mut command: Command) -> Run {
        let output = command
            .current_dir(self.standin.dir())
            .env("FLEET_CONFIG", self.standin.dir().join("fleet.toml"))
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .output()
            .expect("fleet starts");
        let run = Run::of(&output);
        for secret in ["not-a-real-secret", "gAAAAAB", "PRIVATE KEY"] {
            // Not shown here either.
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "a secret was printed");
        }
        run
    }

    /// Requests of a kind until now.
    pub fn count(&self, service: Service, method: &str, piece: &str) -> usize {
        let requests = self.standin.requests();
        requests
            .iter()
            .filter(|entry| {
                entry.service == service && entry.method == method && entry.target.contains(piece)
            })
            .count()
    }
}

/// The orphans of [`small`].
pub fn orphans() -> BTreeSet<String> {
    ids(&ORPHANS)
}

/// Ids of volumes by their numbers.
pub fn ids(numbers: &[u64]) -> BTreeSet<String> {
    numbers.iter().map(|number| claimed(*number, standin::now()).id).collect()
}

/// Every volume's class, by id.
pub fn classes(report: &Report) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    report.volumes().iter().map(|volume| (text(&volume["id"]), text(&volume["class"]))).collect()
}

/// With a fault, neither the report nor the confirmed deletion may take anything for an orphan: both end with *cannot
/// tell*, name who was not seen and why, and no deletion is sent. All of `content` is there afterwards.
#[track_caller]
pub fn cannot_tell(content: &Content, rules: &[Rule], who: &str, why: &str) {
    for args in
        [&["orphans", "--format", "json"][..], &["orphans", "--delete", "--confirm", "--format", "json"]]
    {
        let servers = Servers::with(content.clone(), rules.iter().cloned());
        let run = servers.run(args).exits(3);
        let report = Report::of(&run);
        assert_eq!(report.0["complete"], false);
        assert_eq!(report.of_class("orphan"), BTreeSet::new(), "{args:?}");
        let unseen = report.unseen();
        assert_eq!(unseen.keys().map(String::as_str).collect::<Vec<_>>(), [who], "{unseen:#?}");
        assert!(unseen[who].contains(why), "{:?} does not say {why:?}", unseen[who]);
        assert!(run.stderr.contains("nothing is deleted"), "{}", run.stderr);
        assert_eq!(servers.standin.deletions(), Vec::<String>::new());
    }
}

/// With a fault that passes, fleet goes on and gives the right answer, and the confirmed deletion deletes the orphans and
/// nothing else. Returns the servers that the report was asked of.
#[track_caller]
pub fn goes_on(rules: &[Rule]) -> Servers {
    let servers = Servers::with(small(), rules.iter().cloned());
    let report = Report::of(&servers.run(&["orphans", "--format", "json"]).exits(0));
    assert_eq!(report.0["complete"], true);
    assert_eq!(report.of_class("orphan"), orphans());
    assert_eq!(servers.standin.deletions(), Vec::<String>::new());
    let deleting = Servers::with(small(), rules.iter().cloned());
    deletes_the_orphans(&deleting);
    servers
}

/// The confirmed deletion deletes the orphans and nothing else.
#[track_caller]
pub fn deletes_the_orphans(servers: &Servers) {
    let before: BTreeSet<String> = servers.standin.volumes("alpha").into_iter().collect();
    servers.run(&["orphans", "--delete", "--confirm"]).exits(0);
    let asked: BTreeSet<String> = servers.standin.deletions().into_iter().collect();
    assert_eq!(asked, orphans());
    let after: BTreeSet<String> = servers.standin.volumes("alpha").into_iter().collect();
    assert_eq!(after, &before - &orphans());
    assert_eq!(servers.standin.volumes("beta").len(), 3);
}
