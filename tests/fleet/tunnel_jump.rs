//! Masters that are reached by way of a jump host.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::common::jump::{Jump, USER, arg, ip_of, is_connected};
use crate::common::world::{docker, eventually, try_sh};
use crate::common::{Fleet, WorldHub, using, world};

const BACK: Duration = Duration::from_secs(10);

fn answers(fleet: &Fleet, hub: &WorldHub) -> bool {
    let socket = fleet.state(&hub.name).join("tunnel/api.sock");
    try_sh("curl", &["-skfm2", "--unix-socket", arg(&socket), "https://127.0.0.1:6443/readyz"]).stdout
        == b"ok"
}

fn id(fleet: &Fleet, hub: &str) -> String {
    docker(&["inspect", "--format", "{{.Id}}", &fleet.container(hub)])
}

#[test]
fn a_hub_gets_a_jump_host_keeps_its_sandbox_until_that_works_and_loses_it_again() {
    let _using = using();
    let fleet = Fleet::with(&["mvu23s"]);
    let hub = world().hub("mvu23s");
    let (jump, _gone) = Jump::new(&fleet, "id_jump");
    let direct = id(&fleet, "mvu23s");
    assert!(is_connected(&hub.container, &ip_of(&fleet.container("mvu23s"))));
    let plain = fleet.toml();

    // The account is not there; what is there goes on.
    let with = |jump: &str| format!("{plain}ssh_jump = \"{jump}\"\nssh_jump_key = \"id_jump\"\n");
    fleet.write("fleet.toml", &with(&jump.address().replace(USER, "nobody")));
    fleet
        .run(&["up"])
        .exits(1)
        .says("hub mvu23s: cannot pin the master's host key: on the jump host: logging in as nobody at ")
        .says("its sandbox stays as it is")
        .says("authorized_keys on the jump host");
    assert_eq!(id(&fleet, "mvu23s"), direct);
    assert!(answers(&fleet, hub));

    fleet.write("fleet.toml", &with(&jump.address()));
    fleet.run(&["up", "--dry-run"]).exits(0).prints("environment, mounts");
    let told = format!("the jump host {} shows the host key {}", jump.address(), jump.fingerprint());
    fleet
        .run(&["up"])
        .exits(0)
        .says(&told)
        .says("mvu23s: made again (environment, mounts), and its API answers");
    assert!(is_connected(&hub.container, &jump.ip));
    assert!(!is_connected(&hub.container, &ip_of(&fleet.container("mvu23s"))));
    let pins = fleet.state("mvu23s").join("tunnel/known_hosts_jump");
    assert_eq!(std::fs::metadata(&pins).expect("pinned").permissions().mode() & 0o777, 0o600);
    let looks = fleet.run(&["tunnel", "status", "--format", "json"]).exits(0).json();
    assert_eq!(looks[0]["jump"], jump.address());
    assert_eq!(looks[0]["jump_host_key"], jump.fingerprint());
    fleet.run(&["tunnel", "status"]).exits(0).prints("BY WAY OF").prints(&jump.address());

    // Cut off at the jump host, nothing of the old connection is left.
    let processes = || fleet.processes("mvu23s").len();
    let before = processes();
    jump.cut();
    jump.wait();
    eventually("the tunnel is back", BACK, || answers(&fleet, hub) && processes() == before);

    // Another host key of the jump host's.
    let old = jump.fingerprint();
    jump.run("rm /etc/ssh/ssh_host_* && ssh-keygen -q -A && pkill -KILL sshd");
    jump.wait();
    let new = jump.fingerprint();
    eventually("the tunnel is refused", BACK, || {
        let told = fleet.run(&["tunnel", "status"]).stderr;
        told.contains("at the jump host: ") && told.contains("the jump host shows another host key")
    });
    // Another hub of the fleet does not take it unseen, either.
    let (address, key) = (jump.address(), fleet.path("id_jump"));
    let more = ["--ssh-jump", &address, "--ssh-jump-key", arg(&key)];
    fleet
        .add_as("pyaos", world().hub("pyaos"), &more)
        .exits(1)
        .says(&format!("the jump host shows the host key {new}, and not {old}"))
        .says("hub mvu23s goes by the same jump host");
    fleet.run(&["trust", "mvu23s"]).exits(4).says(&old).says(&format!("--jump-host-key {new}"));
    fleet.run(&["trust", "mvu23s", "--jump-host-key", &old]).exits(1).says("nothing was changed");
    fleet
        .run(&["trust", "mvu23s", "--jump-host-key", &new])
        .exits(0)
        .says(&format!("pinned {new}"))
        .says("its API answers");
    assert!(answers(&fleet, hub));

    // And back to the direct way.
    let jumping = format!("[defaults]\nssh_jump = \"{}\"\nssh_jump_key = \"id_jump\"\n", jump.address());
    fleet.write("fleet.toml", &format!("{}ssh_jump = \"none\"\n", plain.replace("[defaults]\n", &jumping)));
    fleet.run(&["up"]).exits(0).says("made again (environment, mounts)");
    assert!(!is_connected(&hub.container, &jump.ip));
}

#[test]
fn a_hub_is_made_by_way_of_a_jump_host_and_each_failure_names_the_host_that_failed() {
    let _using = using();
    let (fleet, hub) = (Fleet::empty(), world().hub("pyaos"));
    let (jump, _gone) = Jump::new(&fleet, "id_jump");
    let key = fleet.path("id_jump");
    let new = |address: &str, more: &[&str]| {
        let jumping = ["--ssh-jump", address, "--ssh-jump-key", arg(&key)];
        fleet.add_as("pyaos", hub, &[&jumping[..], more].concat())
    };
    let before = fleet.files();
    let closed = jump.address().replace(":2222", ":23");
    new(&closed, &[])
        .exits(1)
        .says("on the jump host: connecting to ")
        .says("Connection refused")
        .says("sshd on the jump host");
    new(&jump.address(), &["--ssh-port", "23"])
        .exits(1)
        .says(&format!("connecting to {}:23 from the jump host {}:2222", hub.ip, jump.ip))
        .says("the jump host answers and lets you in");
    new(&jump.address(), &["--ssh-key", arg(&key)])
        .exits(1)
        .says(&format!("logging in as ubuntu at {}:22", hub.ip))
        .says("authorized_keys on the master");
    let nobody = "SHA256:0000000000000000000000000000000000000000000";
    new(&jump.address(), &["--jump-host-key", nobody])
        .exits(1)
        .says("the jump host shows the host key")
        .says(nobody);
    fleet
        .add_as("pyaos", hub, &["--jump-host-key", nobody])
        .exits(2)
        .says("--jump-host-key is for a jump host");
    fleet
        .add_as("pyaos", hub, &["--ssh-jump-key", arg(&key)])
        .exits(2)
        .says("\"ssh_jump_key\" is for a jump host");
    assert_eq!(fleet.files(), before);

    let keys = ["--jump-host-key", &jump.fingerprint(), "--host-key", &hub.host_key_fingerprint];
    new(&jump.address(), &keys).exits(0).says("hub pyaos is up");
    assert!(answers(&fleet, hub));
    assert!(is_connected(&hub.container, &jump.ip));
    assert!(fleet.toml().contains(&format!("ssh_jump = \"{}\"", jump.address())));
}
