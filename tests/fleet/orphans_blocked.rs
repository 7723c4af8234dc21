//! A hub that is silent, in whatever way, blocks every deletion: *cannot tell* is never *not in use*.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::volumes::{Report, all_answer, all_ids, breakable, has_no_secret, rewritten, run};
use crate::common::watched::Watched;
use crate::common::world::{Undo, docker, eventually, kubectl, pause, try_sh};
use crate::common::{Fleet, Run, WorldHub, breaking, world};

/// The hub that is broken: one of alpha's whose openrc another hub of alpha sources too.
const HUB: &str = "mvu23s";

fn hub() -> &'static WorldHub {
    world().hub(HUB)
}

/// Whom fleet has to name, and a piece of the reason that it has to give.
struct Silent<'a> {
    who: &'a [&'a str],
    why: &'a str,
}

/// Breaks something and runs the report and the confirmed deletion. Neither may call anything an orphan, each has to say
/// who is silent and why, and afterwards every volume is still there.
#[track_caller]
fn blocks<T>(silent: &Silent<'_>, settings: Option<&str>, break_it: impl FnOnce() -> T) {
    let fleet = breakable();
    let config = settings.map(|settings| fleet.variant("limits.toml", settings));
    let before = all_ids();
    let broken = break_it();
    let runs = both(fleet, config.as_deref());
    drop(broken);
    assert_eq!(all_ids(), before, "volumes are gone");
    all_answer(fleet);
    check(silent, runs);
}

/// The report as a table, and the confirmed deletion as JSON, side by side: what waits for a limit waits for it once.
#[track_caller]
fn both(fleet: &Fleet, config: Option<&str>) -> [Run; 2] {
    [&["orphans"][..], &["orphans", "--delete", "--confirm", "--format", "json"]]
        .map(|args| {
            let config = config.iter().flat_map(|config| ["--config", config]);
            Watched::start(fleet, &args.iter().copied().chain(config).collect::<Vec<_>>())
        })
        .map(Watched::end)
}

#[track_caller]
fn check(silent: &Silent<'_>, runs: [Run; 2]) {
    let [report, deletion] = runs.map(|run| run.exits(3));
    says_who_and_why(silent, &deletion);
    assert!(report.stdout.contains("Cannot tell which volumes are orphans. Not seen:"), "{}", report.stdout);
    for who in silent.who {
        let told = report.stdout.lines().find(|line| line.starts_with(&format!("  {who}: ")));
        assert!(told.is_some_and(|line| line.contains(silent.why)), "{}", report.stdout);
    }
    assert!(!report.stdout.lines().any(|line| line == "Orphans"), "{}", report.stdout);
    assert!(report.stderr.contains("nothing is deleted"), "{}", report.stderr);
}

/// What the JSON of an incomplete view has to say.
#[track_caller]
fn says_who_and_why(silent: &Silent<'_>, run: &Run) {
    let seen = Report::of(run);
    assert_eq!(seen.0["complete"], false);
    let unseen = seen.unseen();
    let told: BTreeSet<&str> = unseen.keys().map(String::as_str).collect();
    assert_eq!(told, silent.who.iter().copied().collect(), "{unseen:#?}");
    for (who, reason) in &unseen {
        assert!(reason.contains(silent.why), "{reason:?} does not say {:?}", silent.why);
        assert!(run.stderr.contains(&format!("{who}: ")), "{}", run.stderr);
    }
    assert_eq!(seen.of_class("orphan"), BTreeSet::new());
    assert_eq!(seen.0.get("deleted"), None);
    assert!(run.stderr.contains("nothing is deleted"), "{}", run.stderr);
}

const SILENT: [&str; 1] = ["hub mvu23s"];

fn sandbox() -> String {
    breakable().container(HUB)
}

fn kubeconfig() -> PathBuf {
    breakable().state(HUB).join("kube/config")
}

fn undo_docker(args: &[&str]) -> Undo<impl FnMut() + use<>> {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    Undo(move || {
        try_sh("docker", &args.iter().map(String::as_str).collect::<Vec<_>>());
    })
}

#[test]
fn a_hub_whose_sandbox_is_stopped_blocks_every_deletion() {
    let _breaking = breaking();
    blocks(&Silent { who: &SILENT, why: "its sandbox is not running (exited)" }, None, || {
        let undo = undo_docker(&["start", &sandbox()]);
        docker(&["stop", &sandbox()]);
        undo
    });
}

#[test]
fn a_stopped_sandbox_whose_openrc_is_asked_for_the_project_blocks_and_is_told_once() {
    let _breaking = breaking();
    // The first hub of the project: it is the one that sources the openrc for all of them.
    let first = &world().hubs[0];
    assert_eq!(first.project, "alpha");
    let sandbox = breakable().container(&first.name);
    let who = format!("hub {}", first.name);
    let fleet = breakable();
    let before = all_ids();
    let undo = undo_docker(&["start", &sandbox]);
    docker(&["stop", &sandbox]);
    let runs = both(fleet, None);
    let plan = run(fleet, &["orphans", "--delete"]).exits(3);
    drop(undo);
    assert!(!plan.stdout.contains("To delete"), "{}", plan.stdout);
    let unseen = Report::of(&runs[1]).0["unseen"].as_array().unwrap().len();
    assert_eq!(unseen, 1, "{}", runs[1].stdout);
    check(&Silent { who: &[&who], why: "its sandbox is not running (exited)" }, runs);
    assert_eq!(all_ids(), before);
    all_answer(fleet);
}

#[test]
fn a_hub_whose_sandbox_is_paused_blocks_every_deletion() {
    let _breaking = breaking();
    blocks(&Silent { who: &SILENT, why: "its sandbox is paused" }, None, || {
        let undo = undo_docker(&["unpause", &sandbox()]);
        docker(&["pause", &sandbox()]);
        undo
    });
}

#[test]
fn a_hub_whose_sandbox_was_removed_by_hand_blocks_every_deletion_until_the_hint_was_followed() {
    let _breaking = breaking();
    let fleet = breakable();
    blocks(&Silent { who: &SILENT, why: "it has no sandbox: there is no container" }, None, || {
        docker(&["rm", "-f", &sandbox()]);
        Undo(move || {
            // As the hint says.
            fleet.run(&["up", HUB]).exits(0);
        })
    });
}

#[test]
fn a_hub_that_was_written_into_the_file_by_hand_blocks_every_deletion_until_it_is_made() {
    let _breaking = breaking();
    let settings = "[[hub]]\nname = \"new\"\nip = \"192.0.2.1\"\nopenrc = \"openrc-beta.sh\"";
    let silent = Silent { who: &["hub new"], why: "it has no sandbox: there is no container" };
    blocks(&silent, Some(settings), || ());
}

#[test]
fn a_hub_whose_tunnel_is_refused_by_the_master_blocks_every_deletion() {
    let _breaking = breaking();
    // A master that was made anew shows another host key: the tunnel does not come up again.
    blocks(&Silent { who: &SILENT, why: "there is no tunnel" }, None, || {
        let known = breakable().state(HUB).join("tunnel/known_hosts");
        let other = std::fs::read_to_string(breakable().state("ou23s").join("tunnel/known_hosts")).unwrap();
        let (_, key) = other.split_once(' ').expect("a host and its key");
        let undo = rewritten(&known, &format!("{} {key}", hub().ip));
        end_tunnel();
        let socket = breakable().state(HUB).join("tunnel/api.sock");
        eventually("the tunnel is down", Duration::from_secs(20), || !socket.exists());
        undo
    });
}

/// Puts the sandbox back on its network. It may have another address now: the old connection leads nowhere.
fn reconnect() {
    try_sh("docker", &["network", "connect", &world().network.name, &sandbox()]);
    end_tunnel();
}

/// Ends the tunnel's ssh, if there is one; the sandbox starts the next.
fn end_tunnel() {
    try_sh("docker", &["exec", &sandbox(), "pkill", "-x", "ssh"]);
}

#[test]
fn a_hub_whose_sandbox_is_cut_off_from_the_network_blocks_every_deletion() {
    let _breaking = breaking();
    // At first the tunnel is there and nothing comes through it; after some 15 s ssh notices, and it is gone.
    blocks(
        &Silent { who: &SILENT, why: "no answer within 4s" },
        Some("[timeouts]\nkubernetes = \"4s\""),
        || {
            let undo = undo_docker(&["network", "connect", &world().network.name, &sandbox()]);
            docker(&["network", "disconnect", &world().network.name, &sandbox()]);
            undo
        },
    );
}

#[test]
fn a_hub_whose_api_hangs_blocks_every_deletion_within_the_time_limit() {
    let _breaking = breaking();
    let fleet = breakable();
    let config = fleet.variant("limits.toml", "[timeouts]\nkubernetes = \"4s\"");
    let before = all_ids();
    let paused = pause(hub());
    let began = Instant::now();
    let runs = both(fleet, Some(&config));
    let took = began.elapsed();
    drop(paused);
    check(&Silent { who: &SILENT, why: "no answer within 4s" }, runs);
    assert_eq!(all_ids(), before);
    all_answer(fleet);
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_hub_whose_api_server_is_down_blocks_every_deletion() {
    let _breaking = breaking();
    blocks(&Silent { who: &SILENT, why: "the connection ended before the answer" }, None, || {
        let manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        let undo = Undo(|| {
            try_sh("docker", &["exec", &hub().container, "mv", "/root/kube-apiserver.yaml", manifest]);
            eventually("the API server is back", Duration::from_secs(60), || {
                try_sh("curl", &["-skf", "-m", "3", &format!("https://{}:6443/readyz", hub().ip)])
                    .status
                    .success()
            });
        });
        docker(&["exec", &hub().container, "mv", manifest, "/root/"]);
        eventually("the API server is down", Duration::from_secs(30), || {
            // 7: nothing listens.
            try_sh("curl", &["-sk", "-m", "3", &format!("https://{}:6443/", hub().ip)]).status.code()
                == Some(7)
        });
        undo
    });
}

/// A hub's kubeconfig with other values for some of its keys. A key without a value goes.
fn kubeconfig_with(changes: &[(&str, Option<&str>)]) -> String {
    let text = std::fs::read_to_string(kubeconfig()).expect("a kubeconfig");
    let mut changed = 0;
    let lines: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let (key, _) = line.split_once(':')?;
            match changes.iter().find(|(wanted, _)| key.trim_start() == *wanted) {
                None => Some(line.to_owned()),
                Some((_, value)) => {
                    changed += 1;
                    value.map(|value| format!("{key}: {value}"))
                }
            }
        })
        .collect();
    assert_eq!(changed, changes.len(), "the kubeconfig has no such keys");
    lines.join("\n") + "\n"
}

/// The kubeconfig with a client certificate that the cluster's own authority has signed.
fn kubeconfig_for(subject: &str, from: &str, until: &str) -> String {
    let script = r#"set -e; cd "$(mktemp -d)"
        printf '%s\n' '[ca]' 'default_ca=c' '[c]' 'database=index' 'new_certs_dir=.' 'rand_serial=yes' 'policy=p' \
            'default_md=sha256' 'x509_extensions=e' '[p]' 'organizationName=optional' 'commonName=supplied' \
            '[e]' 'extendedKeyUsage=clientAuth' > ca.conf
        : > index
        openssl genrsa -out key 2048
        openssl req -new -key key -subj "$1" -out request
        openssl ca -batch -notext -config ca.conf -cert /etc/kubernetes/pki/ca.crt -keyfile /etc/kubernetes/pki/ca.key \
            -startdate "$2" -enddate "$3" -in request -out certificate
        cat certificate; echo; cat key"#;
    let both = docker(&[
        "exec",
        &hub().container,
        "sh",
        "-c",
        &format!("({script}) 2>/dev/null"),
        "sh",
        subject,
        from,
        until,
    ]);
    let (certificate, key) = both.split_once("\n\n").expect("a certificate and its key");
    let encoded = |pem: &str| STANDARD.encode(format!("{}\n", pem.trim()));
    kubeconfig_with(&[
        ("client-certificate-data", Some(&encoded(certificate))),
        ("client-key-data", Some(&encoded(key))),
    ])
}

#[test]
fn a_hub_whose_client_certificate_has_expired_blocks_every_deletion() {
    let _breaking = breaking();
    let expired =
        kubeconfig_for("/O=system:masters/CN=kubernetes-admin", "20220101000000Z", "20230101000000Z");
    blocks(
        &Silent { who: &SILENT, why: "the client certificate is good until 2023-01-01T00:00:00Z" },
        None,
        || rewritten(&kubeconfig(), &expired),
    );
}

#[test]
fn a_hub_whose_user_may_not_list_pvs_blocks_every_deletion() {
    let _breaking = breaking();
    let powerless = kubeconfig_for("/CN=somebody", "20220101000000Z", "20990101000000Z");
    blocks(&Silent { who: &SILENT, why: "the server answered 403" }, None, || {
        rewritten(&kubeconfig(), &powerless)
    });
}

#[test]
fn a_user_who_may_list_claims_but_not_pvs_blocks_every_deletion() {
    let _breaking = breaking();
    // The rights of an operator who was given one namespace: the API answers, /readyz too, and most of kubectl works.
    let narrow = kubeconfig_for("/CN=narrow", "20220101000000Z", "20990101000000Z");
    let name = "fleet-test-narrow";
    kubectl(hub(), &["create", "clusterrolebinding", name, "--clusterrole=view", "--user=narrow"]);
    let _binding = Undo(|| {
        kubectl(hub(), &["delete", "clusterrolebinding", name]);
    });
    blocks(&Silent { who: &SILENT, why: "the server answered 403" }, None, || {
        rewritten(&kubeconfig(), &narrow)
    });
}

#[test]
fn a_user_who_may_list_pvs_but_not_claims_blocks_every_deletion() {
    let _breaking = breaking();
    let narrow = kubeconfig_for("/CN=narrow", "20220101000000Z", "20990101000000Z");
    let name = "fleet-test-narrow";
    let _role = Undo(|| {
        kubectl(hub(), &["delete", "clusterrolebinding,clusterrole", name]);
    });
    kubectl(hub(), &["create", "clusterrole", name, "--verb=get,list", "--resource=persistentvolumes"]);
    kubectl(
        hub(),
        &["create", "clusterrolebinding", name, &format!("--clusterrole={name}"), "--user=narrow"],
    );
    blocks(&Silent { who: &SILENT, why: "the server answered 403" }, None, || {
        rewritten(&kubeconfig(), &narrow)
    });
}

#[test]
fn a_hub_that_does_not_know_the_kubeconfigs_user_blocks_every_deletion() {
    let _breaking = breaking();
    let token = "a-token-that-nobody-gave";
    let text = kubeconfig_with(&[("client-certificate-data", None), ("client-key-data", None)]);
    let stranger = format!("{}    token: {token}\n", text.trim_end_matches("{}\n"));
    assert!(stranger.contains("user:\n"), "users come last in an admin.conf");
    blocks(&Silent { who: &SILENT, why: "the server answered 401" }, None, || {
        let undo = rewritten(&kubeconfig(), &stranger);
        let run = run(breakable(), &["orphans"]).exits(3);
        assert!(!run.stdout.contains(token) && !run.stderr.contains(token), "a token is shown");
        undo
    });
}

#[test]
fn a_hub_whose_servers_certificate_is_not_trusted_blocks_every_deletion() {
    let _breaking = breaking();
    // The kubeconfig of another cluster: its authority has not signed this server's certificate.
    let other = std::fs::read_to_string(breakable().state("ou23s").join("kube/config")).unwrap();
    blocks(&Silent { who: &SILENT, why: "the TLS connection failed" }, None, || {
        rewritten(&kubeconfig(), &other)
    });
}

#[test]
fn a_hub_whose_kubeconfig_is_missing_blocks_every_deletion() {
    let _breaking = breaking();
    blocks(&Silent { who: &SILENT, why: "reading the kubeconfig" }, None, || {
        let (path, aside) = (kubeconfig(), kubeconfig().with_file_name("aside"));
        std::fs::rename(&path, &aside).unwrap();
        Undo(move || std::fs::rename(&aside, &path).unwrap())
    });
}

#[test]
fn a_hub_whose_kubeconfig_is_cut_off_blocks_every_deletion() {
    let _breaking = breaking();
    let text = std::fs::read_to_string(kubeconfig()).unwrap();
    let half: String = text.chars().take(text.len() / 2).collect();
    blocks(&Silent { who: &SILENT, why: "using the kubeconfig" }, None, || rewritten(&kubeconfig(), &half));
}

#[test]
fn a_hub_whose_application_credential_has_expired_blocks_every_deletion() {
    let _breaking = breaking();
    let expired = std::fs::read_to_string(world().openrc("expired")).unwrap();
    let silent = Silent { who: &["hub pyaos"], why: "Keystone" };
    blocks(&silent, None, || rewritten(&breakable().openrc("beta"), &expired));
}

#[test]
fn a_hub_whose_openrc_cannot_be_read_blocks_every_deletion() {
    let _breaking = breaking();
    let silent = Silent { who: &["hub pyaos"], why: "openrc" };
    blocks(&silent, None, || {
        let path = breakable().openrc("beta");
        let mode = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
        Undo(move || std::fs::set_permissions(&path, mode.clone()).unwrap())
    });
}

#[test]
fn a_hub_whose_openrc_is_broken_blocks_every_deletion() {
    let _breaking = breaking();
    let fleet = breakable();
    let config = fleet.variant("limits.toml", "[timeouts]\nopenrc = \"4s\"");
    let before = all_ids();
    let good = std::fs::read_to_string(world().openrc("beta")).unwrap();
    let without_secret: String =
        good.lines().filter(|line| !line.contains("SECRET")).map(|line| format!("{line}\n")).collect();
    let wrong_secret = format!("{good}export OS_APPLICATION_CREDENTIAL_SECRET=wrong-on-purpose\n");
    for (text, why) in [
        ("", "OS_"),
        (without_secret.as_str(), "OS_APPLICATION_CREDENTIAL_SECRET"),
        (wrong_secret.as_str(), "Keystone"),
        ("exit 7\n", "sourcing its openrc ended with status 7"),
        ("export OS_AUTH_URL=http://192.0.2.1:5000/v3 (\n", "openrc"),
        // As Horizon's own openrc file asks; nobody is there to answer.
        ("read -sr OS_PASSWORD_INPUT\nexport OS_PASSWORD=$OS_PASSWORD_INPUT\n", "OS_"),
        ("sleep 60\n", "sourcing its openrc took longer than 4s"),
    ] {
        let broken = rewritten(&fleet.openrc("beta"), text);
        let run = run(fleet, &["--config", &config, "orphans", "--delete", "--confirm", "--format", "json"]);
        drop(broken);
        says_who_and_why(&Silent { who: &["hub pyaos"], why }, &run.exits(3));
    }
    assert_eq!(all_ids(), before);
}

#[test]
fn a_cloud_that_hangs_blocks_every_deletion_within_the_time_limit() {
    let _breaking = breaking();
    // Hubs that share an openrc are told by the first of them.
    let toml = breakable().toml();
    let alphas = world().hubs.iter().filter(|hub| hub.project == "alpha");
    let first = alphas.min_by_key(|hub| toml.find(&format!("name = \"{}\"", hub.name))).expect("hubs");
    let first = format!("hub {}", first.name);
    let tokens = breakable().path("jhubs/_fleet/tokens");
    // Without a token from an earlier run it is the login that hangs, and with one the lists.
    for (kept, who) in [(false, [first.as_str(), "hub pyaos"]), (true, ["project alpha", "project beta"])] {
        let silent = Silent { who: &who, why: "no answer within 4 s" };
        blocks(&silent, Some("[timeouts]\nopenstack = \"4s\""), || {
            if kept {
                breakable().run(&["orphans"]);
            } else {
                let _ = std::fs::remove_dir_all(&tokens);
            }
            let undo = undo_docker(&["unpause", &world().cloud.container]);
            docker(&["pause", &world().cloud.container]);
            undo
        });
    }
}

#[test]
fn a_cinder_that_hangs_while_keystone_answers_blocks_every_deletion_and_the_projects_are_named() {
    let _breaking = breaking();
    let silent = Silent { who: &["project alpha", "project beta"], why: "no answer within 2 s" };
    blocks(&silent, Some("[timeouts]\nopenstack = \"2s\""), || {
        let cinder = |signal: &str| {
            ["exec", &world().cloud.container, "pkill", signal, "-f", "gunicorn: worker .cinder."]
                .map(str::to_owned)
                .to_vec()
        };
        let (stop, go_on) = (cinder("-STOP"), cinder("-CONT"));
        let undo = undo_docker(&go_on.iter().map(String::as_str).collect::<Vec<_>>());
        docker(&stop.iter().map(String::as_str).collect::<Vec<_>>());
        undo
    });
}

#[test]
fn a_tombstone_that_does_not_read_blocks_every_deletion() {
    let _breaking = breaking();
    let fleet = breakable();
    let before = all_ids();
    let stones = fleet.path("jhubs/_fleet/tombstones");
    let made = !stones.exists();
    std::fs::create_dir_all(&stones).unwrap();
    let stone = stones.join("gone.json");
    let _undo = Undo(move || {
        let _ = std::fs::remove_dir(&stone);
        let _ = std::fs::remove_file(&stone);
        if made {
            let _ = std::fs::remove_dir(&stones);
        }
    });
    for stone in [Some("{ \"hub\": \"gone\", \"removed_at\""), Some("[]"), Some(""), None] {
        let path = fleet.path("jhubs/_fleet/tombstones/gone.json");
        match stone {
            Some(text) => fleet.write("jhubs/_fleet/tombstones/gone.json", text),
            // There, and no file.
            None => std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).unwrap(),
        }
        for args in [&["orphans"][..], &["orphans", "--delete"], &["orphans", "--delete", "--confirm"]] {
            let run = run(fleet, args).exits(3).says("gone.json");
            assert_eq!(run.stdout, "");
        }
    }
    assert_eq!(all_ids(), before);
}

#[test]
fn ctrl_c_while_a_hub_hangs_ends_the_scan_at_once_and_deletes_nothing() {
    let _breaking = breaking();
    let fleet = breakable();
    let before = all_ids();
    let paused = pause(hub());
    let scan = Watched::start(fleet, &["orphans", "--delete", "--confirm"]);
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    scan.signal("INT");
    let run = scan.end().exits(130);
    let took = began.elapsed();
    drop(paused);
    assert_eq!(run.stdout, "");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(all_ids(), before);
    all_answer(fleet);
}

#[test]
fn the_runbooks_own_pipeline_takes_a_silent_hubs_volumes_for_orphans_where_fleet_cannot_tell() {
    let _breaking = breaking();
    let fleet = breakable();
    let scratch = tempfile::tempdir().unwrap();
    // One container for each project, neither of them the silent hub's.
    let projects = ["ou23s", "pyaos"].map(|hub| fleet.container(hub)).join(" ");
    let pipeline = || {
        let run = Command::new("bash")
            .args([
                "-c",
                ". scripts/lib/pipeline.sh; pipeline_orphans; cat \"$PIPELINE_TMP/pvc-orphaned.out\"",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PIPELINE_FLEET", &fleet.name)
            .env("PIPELINE_TMP", scratch.path())
            .env("PIPELINE_PROJECT_CONTAINERS", &projects)
            .env_remove("DOCKER_HOST")
            .output()
            .expect("bash starts");
        let run = Run::of(&run);
        has_no_secret(&run);
        run.stdout.lines().map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let claims: BTreeSet<String> = world()
        .volumes_of("claim")
        .iter()
        .filter(|volume| volume.hub.as_deref() == Some(HUB))
        .map(|volume| volume.name.clone())
        .collect();
    let orphans: BTreeSet<String> =
        world().volumes_of("orphan").iter().map(|volume| volume.name.clone()).collect();
    // With every hub there, it finds the orphans and takes no claim for one.
    let found = pipeline();
    assert!(found.is_superset(&orphans), "{found:#?}");
    assert!(found.is_disjoint(&claims), "{found:#?}");

    let undo = Undo(reconnect);
    docker(&["network", "disconnect", &world().network.name, &sandbox()]);
    end_tunnel();
    let found = pipeline();
    assert!(found.is_superset(&claims), "the pipeline has become better: {found:#?}");
    let run = run(fleet, &["orphans", "--delete", "--confirm", "--format", "json"]).exits(3);
    drop(undo);
    let report = Report::of(&run);
    assert_eq!(report.of_class("orphan"), BTreeSet::new());
    for claim in world().volumes_of("claim").iter().filter(|volume| claims.contains(&volume.name)) {
        let class = report.class(&claim.id);
        // Those of users who are logged in are attached to a server.
        assert!(class == "cannot tell" || class == "attached", "{class}");
    }
    all_answer(fleet);
}
