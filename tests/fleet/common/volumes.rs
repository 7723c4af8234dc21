//! What tests of `fleet orphans` need: volumes as many and as old as wanted, PVs by hand, the report as data, and a fleet
//! that may be broken.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::fleet::{Fleet, Run};
use super::openstack::Cinder;
use super::world::{Undo, WorldHub, apply, eventually, kubectl, try_sh, world};

/// Both projects.
pub const PROJECTS: [&str; 2] = ["alpha", "beta"];

/// Older than every volume of the seed. With it, deletion finds only what a test has planted itself, and no test takes
/// away what another one looks at.
pub const ONLY_ANCIENT: &str = "[orphans]\nmin_age = \"400d\"";

/// Older than that.
pub const ANCIENT: u32 = 500;

/// A project's Cinder, logged in once.
pub fn cinder(project: &str) -> &'static Cinder {
    static ALPHA: OnceLock<Cinder> = OnceLock::new();
    static BETA: OnceLock<Cinder> = OnceLock::new();
    match project {
        "alpha" => ALPHA.get_or_init(|| Cinder::of("alpha")),
        "beta" => BETA.get_or_init(|| Cinder::of("beta")),
        other => panic!("the world has no project {other}"),
    }
}

/// Ids of all volumes of both projects.
pub fn all_ids() -> BTreeSet<String> {
    PROJECTS.iter().flat_map(|project| cinder(project).ids()).collect()
}

/// A fleet of the world's four hubs that tests may break, one at a time, as long as they mend it.
pub fn breakable() -> &'static Fleet {
    static BREAKABLE: OnceLock<Fleet> = OnceLock::new();
    BREAKABLE.get_or_init(|| {
        let fleet = Fleet::empty();
        std::thread::scope(|scope| {
            let made = world().hubs.iter().map(|hub| scope.spawn(|| fleet.add(hub))).collect::<Vec<_>>();
            for one in made {
                one.join().expect("fleet starts").exits(0);
            }
        });
        fleet
    })
}

/// Waits until all hubs of a fleet answer again.
#[track_caller]
pub fn all_answer(fleet: &Fleet) {
    eventually("all hubs answer", Duration::from_secs(90), || fleet.run(&["pvc"]).status == Some(0));
}

/// Another text for a file, written into it (the inode stays), until this is dropped.
#[expect(clippy::disallowed_methods, reason = "the inode has to stay: sandboxes hold it")]
pub fn rewritten(path: &std::path::Path, text: &str) -> Undo<impl FnMut() + use<>> {
    let (path, before) = (path.to_owned(), std::fs::read(path).expect("it reads"));
    std::fs::write(&path, text).expect("written");
    Undo(move || std::fs::write(&path, &before).expect("written"))
}

/// A volume to be planted.
#[derive(Debug, Clone)]
pub struct Wanted {
    id: String,
    name: String,
    size: u64,
    days: u32,
    metadata: Value,
    bootable: bool,
}

impl Wanted {
    /// A volume as the CSI driver makes one, which nothing keeps: ancient, without any mark.
    pub fn orphan() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self::named(&claim_name(COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The same under another name.
    pub fn named(name: &str) -> Self {
        let metadata = json!({ "cinder.csi.openstack.org/cluster": "kubernetes" });
        Self { id: uuid(), name: name.to_owned(), size: 1, days: ANCIENT, metadata, bootable: false }
    }

    pub fn gib(self, size: u64) -> Self {
        Self { size, ..self }
    }

    pub fn days(self, days: u32) -> Self {
        Self { days, ..self }
    }

    pub fn bootable(self) -> Self {
        Self { bootable: true, ..self }
    }

    pub fn marked(mut self, key: &str, value: &str) -> Self {
        self.metadata[key] = json!(value);
        self
    }
}

fn uuid() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("the kernel makes UUIDs").trim().to_owned()
}

/// The name of a claim's volume. Names of smaller numbers come first in every plan.
pub fn claim_name(number: u64) -> String {
    format!("pvc-{number:08x}{}", uuid().get(8..).expect("a UUID"))
}

/// Volumes that a test planted. What is left of them goes when this is dropped, with snapshots and attachments.
#[derive(Debug)]
pub struct Planted {
    project: &'static str,
    pub volumes: Vec<(String, String)>,
}

impl Planted {
    /// The ids, in the order in which they were wanted.
    pub fn ids(&self) -> Vec<&str> {
        self.volumes.iter().map(|(id, _)| id.as_str()).collect()
    }
}

const PLANT: &str = "import json, sys, time\n\
    sys.path.insert(0, '/usr/local/lib/seed')\n\
    from clients import Project\n\
    from plant import plant\n\
    name = sys.argv[1]\n\
    project = Project(name + '-operator', name + '-operator', name)\n\
    plant(project, json.load(sys.stdin))\n\
    while any(v['name'] == 'template' for v in project.cinder('GET', '/volumes')['volumes']): time.sleep(0.05)\n";

const CLEAR: &str = "import json, sys, time\n\
    sys.path.insert(0, '/usr/local/lib/seed')\n\
    from clients import Project, Refused\n\
    name = sys.argv[1]\n\
    project = Project(name + '-operator', name + '-operator', name)\n\
    ask = project.cinder\n\
    def there(): return [v['id'] for v in ask('GET', '/volumes')['volumes'] if v['id'] in ids]\n\
    ids = set(json.load(sys.stdin))\n\
    for a in ask('GET', '/attachments')['attachments']:\n\
    \x20   if a['volume_id'] in ids: ask('DELETE', '/attachments/' + a['id'])\n\
    def shots(): return [s['id'] for s in ask('GET', '/snapshots')['snapshots'] if s['volume_id'] in ids]\n\
    for s in shots(): ask('DELETE', '/snapshots/' + s)\n\
    while shots(): time.sleep(0.05)\n\
    for v in there():\n\
    \x20   try: ask('DELETE', '/volumes/' + v)\n\
    \x20   except Refused as no: print(no, file=sys.stderr)\n\
    for _ in range(200):\n\
    \x20   if not there(): break\n\
    \x20   time.sleep(0.05)\n";

/// Runs Python in the cloud with JSON on its standard input.
fn in_cloud(script: &str, project: &str, input: &Value) -> bool {
    let mut child = Command::new("docker")
        .args(["exec", "-i", &world().cloud.container, "python3", "-c", script, project])
        .stdin(Stdio::piped())
        .spawn()
        .expect("docker starts");
    child.stdin.take().expect("piped").write_all(input.to_string().as_bytes()).expect("Python reads");
    child.wait().expect("docker ends").success()
}

/// Plants volumes in a project.
pub fn plant(project: &'static str, wanted: &[Wanted]) -> Planted {
    let rows: Vec<Value> = wanted
        .iter()
        .map(|volume| {
            let Wanted { id, name, size, days, metadata, bootable } = volume;
            json!({ "id": id, "name": name, "size": size, "days": days, "metadata": metadata, "bootable": bootable })
        })
        .collect();
    let volumes = wanted.iter().map(|volume| (volume.id.clone(), volume.name.clone())).collect();
    let planted = Planted { project, volumes };
    assert!(in_cloud(PLANT, project, &json!(rows)), "the volumes were not planted");
    planted
}

impl Drop for Planted {
    fn drop(&mut self) {
        in_cloud(CLEAR, self.project, &json!(self.ids()));
    }
}

/// A PV of the CSI driver as an administrator writes one, until this is dropped. `claim` is one that is gone: the PV is
/// Released then; without one it is Available.
pub fn make_pv(hub: &WorldHub, name: &str, handle: &str, claim: Option<&str>) -> Undo<impl FnMut() + use<>> {
    let mut spec = json!({
        "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": "default",
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": { "driver": "cinder.csi.openstack.org", "fsType": "ext4", "volumeHandle": handle },
    });
    if let Some(claim) = claim {
        spec["claimRef"] = json!({
            "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "jhub", "name": claim, "uid": uuid(),
        });
    }
    apply(
        hub,
        &json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": name }, "spec": spec }),
    );
    let undo = Undo(undo_on(hub, &["delete", "pv", name, "--timeout=30s"]));
    if claim.is_some() {
        eventually("the PV is released", Duration::from_secs(30), || phase(hub, "pv", name) == "Released");
    }
    undo
}

/// A claim that is bound to a volume, until this is dropped.
pub fn make_claim(hub: &WorldHub, claim: &str, pv: &str, handle: &str) -> Undo<impl FnMut() + use<>> {
    let (size, modes) = (json!({ "storage": "1Gi" }), json!(["ReadWriteOnce"]));
    apply(
        hub,
        &json!({ "apiVersion": "v1", "kind": "List", "items": [
            { "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": pv }, "spec": {
                "capacity": size, "accessModes": modes, "storageClassName": "default",
                "persistentVolumeReclaimPolicy": "Retain",
                "csi": { "driver": "cinder.csi.openstack.org", "fsType": "ext4", "volumeHandle": handle },
            } },
            { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": claim, "namespace": "jhub" },
              "spec": {
                "accessModes": modes, "storageClassName": "default", "volumeName": pv, "resources": { "requests": size },
            } },
        ] }),
    );
    let mut claim_gone = undo_on(hub, &["delete", "pvc", "-n", "jhub", claim, "--timeout=30s"]);
    let mut pv_gone = undo_on(hub, &["delete", "pv", pv, "--timeout=30s"]);
    let undo = Undo(move || {
        claim_gone();
        pv_gone();
    });
    eventually("the claim is bound", Duration::from_secs(30), || phase(hub, "pvc", claim) == "Bound");
    undo
}

/// A claim that nobody makes a PV for, as one whose PV was deleted by hand, until the second of the two is dropped; with
/// the claim's uid.
pub fn make_pending_claim(hub: &WorldHub, claim: &str) -> (String, Undo<impl FnMut() + use<>>) {
    apply(
        hub,
        &json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": claim, "namespace": "jhub" },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "default",
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }),
    );
    let undo = Undo(undo_on(hub, &["delete", "pvc", "-n", "jhub", claim, "--timeout=30s"]));
    (kubectl(hub, &["get", "pvc", "-n", "jhub", claim, "-o", "jsonpath={.metadata.uid}"]), undo)
}

fn phase(hub: &WorldHub, kind: &str, name: &str) -> String {
    kubectl(hub, &["get", kind, "-n", "jhub", name, "-o", "jsonpath={.status.phase}"])
}

fn undo_on(hub: &WorldHub, args: &[&str]) -> impl FnMut() + use<> {
    let mut all: Vec<String> =
        ["exec", &hub.container, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"]
            .map(str::to_owned)
            .to_vec();
    all.extend(args.iter().map(|&arg| arg.to_owned()));
    move || {
        try_sh("docker", &all.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// An API server that hangs, until this is dropped, on a master that lives: the tunnel stays up, however long it takes.
pub fn hang(hub: &WorldHub) -> Undo<impl FnMut() + use<>> {
    let signal = |signal: &str| {
        let container = hub.container.clone();
        let signal = signal.to_owned();
        move || try_sh("docker", &["exec", &container, "pkill", &signal, "-x", "kube-apiserver"])
    };
    let go_on = signal("-CONT");
    let undo = Undo(move || {
        go_on();
    });
    assert!(signal("-STOP")().status.success(), "{} has no API server", hub.name);
    undo
}

/// The report of `fleet orphans --format json`.
pub struct Report(pub Value);

impl Report {
    pub fn of(run: &Run) -> Self {
        Self(run.json())
    }

    pub fn volumes(&self) -> &[Value] {
        self.0["volumes"].as_array().expect("volumes")
    }

    /// A volume's entry.
    #[track_caller]
    pub fn volume(&self, id: &str) -> &Value {
        self.volumes()
            .iter()
            .find(|volume| volume["id"] == id)
            .unwrap_or_else(|| panic!("volume {id} is not in the report"))
    }

    /// A volume's class, as people read it.
    #[track_caller]
    pub fn class(&self, id: &str) -> String {
        self.volume(id)["class"].as_str().expect("a class").replace('_', " ")
    }

    /// Ids of a class.
    pub fn of_class(&self, class: &str) -> BTreeSet<String> {
        let class = class.replace(' ', "_");
        self.volumes()
            .iter()
            .filter(|volume| volume["class"] == class)
            .map(|volume| text(&volume["id"]))
            .collect()
    }

    /// Whom fleet could not see, with the reason: `hub ou23s` or `project alpha`.
    pub fn unseen(&self) -> BTreeMap<String, String> {
        let of = |unseen: &Value| {
            let (kind, name) = unseen["subject"].as_object().expect("a subject").iter().next().expect("one");
            (format!("{kind} {}", text(name)), text(&unseen["reason"]))
        };
        self.0["unseen"].as_array().expect("unseen").iter().map(of).collect()
    }
}

/// A string of a JSON document.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

/// Runs fleet, and fails if any secret is in what it printed.
#[track_caller]
pub fn run(fleet: &Fleet, args: &[&str]) -> Run {
    let run = fleet.run(args);
    has_no_secret(&run);
    run
}

/// Fails if a secret is in what fleet printed: an application credential's, a token, a private key.
#[track_caller]
pub fn has_no_secret(run: &Run) {
    static SECRETS: OnceLock<Vec<String>> = OnceLock::new();
    let secrets = SECRETS.get_or_init(|| {
        let mut secrets: Vec<String> = ["alpha", "beta", "expired"]
            .into_iter()
            .flat_map(|project| {
                let text = std::fs::read_to_string(world().openrc(project)).expect("openrc");
                let found: Vec<String> = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("export OS_APPLICATION_CREDENTIAL_SECRET="))
                    .map(|value| value.trim_matches(['"', '\'']).to_owned())
                    .collect();
                assert!(!found.is_empty(), "the openrc of {project} has no secret");
                found
            })
            .collect();
        // Keystone's tokens, and private keys: as they are and in base64.
        secrets.extend(
            ["gAAAAA", "PRIVATE KEY", "UFJJVkFURSBLRV", "QUklWQVRFIEtFW", "BSSVZBVEUgS0VZ"]
                .map(str::to_owned),
        );
        secrets
    });
    for (place, printed) in [("output", &run.stdout), ("error", &run.stderr)] {
        // Not shown here either.
        assert!(!secrets.iter().any(|secret| printed.contains(secret)), "a secret is on standard {place}");
    }
}
