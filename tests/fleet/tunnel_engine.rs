//! Tunnels when everything around them starts again: the Docker engine, and many of them at once.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::dockerd::Dockerd;
use crate::common::jump::{Jump, arg};
use crate::common::world::{docker, eventually, try_sh};
use crate::common::{Fleet, breaking, using, world};

const BACK: Duration = Duration::from_secs(10);

fn answers(fleet: &Fleet, hub: &str) -> bool {
    let socket = fleet.state(hub).join("tunnel/api.sock");
    try_sh("curl", &["-skfm2", "--unix-socket", arg(&socket), "https://127.0.0.1:6443/readyz"]).stdout
        == b"ok"
}

/// Carries connections from an address of this machine to another one, as long as the tests run. Returns the port.
fn forward(from: &str, to: (String, u16)) -> u16 {
    let listener = TcpListener::bind((from, 0)).expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let carry = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let _ = copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    };
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect((to.0.as_str(), to.1)) else { continue };
            carry(near.try_clone().expect("cloned"), far.try_clone().expect("cloned"));
            carry(far, near);
        }
    });
    port
}

#[test]
fn a_tunnel_is_back_within_ten_seconds_of_the_engine_that_was_stopped_and_started() {
    let _using = using();
    let (fleet, hub) = (Fleet::empty(), world().hub("fsu-s23"));
    let mut engine = Dockerd::start("tun");
    engine.load("fleet/sandbox:latest");
    // No packet filter of the machine's is changed, so its engine's networks are out of reach from here; this machine is not.
    let port = forward(&engine.gateway, (hub.ip.clone(), 22)).to_string();
    let network = format!("[sandbox]\nnetwork = \"{}\"\n", world().network.name);
    let header = fleet.header().replace(&network, "");
    fleet.write("fleet.toml", &format!("engine = \"{}\"\n{header}", engine.host()));
    let openrc = fleet.openrc(&hub.project);
    let new = ["new", "--name", "fsu-s23", "--ip", &engine.gateway, "--ssh-port", &port, "--openrc"];
    fleet.run(&[&new[..], &[arg(&openrc)]].concat()).exits(0);
    assert!(answers(&fleet, "fsu-s23"));
    assert_eq!(engine.docker(&["ps", "-q"]).lines().count(), 1);

    engine.stop();
    assert!(!answers(&fleet, "fsu-s23"));
    // As a control VM does when it boots: nobody runs fleet.
    engine.begin();
    let began = Instant::now();
    eventually("the tunnel is back", BACK, || answers(&fleet, "fsu-s23"));
    println!("the tunnel is back {:?} after the engine", began.elapsed());
    fleet.run(&["status"]).exits(0);
}

#[test]
fn four_tunnels_that_start_at_once_get_by_an_sshd_that_takes_two_at_a_time() {
    let _breaking = breaking();
    let fleet = Fleet::empty();
    let (jump, _gone) = Jump::new(&fleet, "id_jump");
    let jumping = format!("[defaults]\nssh_jump = \"{}\"\nssh_jump_key = \"id_jump\"\n", jump.address());
    fleet.write("fleet.toml", &fleet.header().replace("[defaults]\n", &jumping));
    let hubs: Vec<&str> = world().hubs.iter().map(|hub| hub.name.as_str()).collect();
    assert_eq!(hubs.len(), 4);
    for hub in &hubs {
        fleet.add(world().hub(hub)).exits(0);
    }
    // Who comes while two others have not logged in yet is hung up on.
    jump.run("echo '-o MaxStartups=2' > /sshd-options");
    let pids = || {
        let of = |hub: &&str| docker(&["exec", &fleet.container(hub), "pgrep", "-x", "-o", "ssh"]);
        hubs.iter().map(of).collect::<Vec<_>>()
    };
    let before = pids();
    jump.cut();
    jump.wait();
    let began = Instant::now();
    eventually("all four are back", BACK, || hubs.iter().all(|hub| answers(&fleet, hub)));
    println!("four tunnels are back after {:?}", began.elapsed());
    assert!(pids().iter().zip(&before).all(|(now, before)| now != before));
}
