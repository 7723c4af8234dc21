//! Jump hosts and agents.

use super::*;

#[test]
fn a_jump_host_and_an_agent_are_inherited_and_the_word_none_undoes_them() {
    let text = format!(
        "[defaults]\nssh_key = \"keys/id\"\nssh_jump = \"op@Bastion.example.org\"\nssh_jump_key = \"keys/jump\"\n\
         ssh_agent = \"~/agent/sock\"\n{}{}ssh_jump = \"none\"\nssh_agent = \"none\"\n{}ssh_jump = \"me@[2001:db8::1]:2222\"\n",
        hub("a", "10.0.0.1"),
        hub("b", "10.0.0.2"),
        hub("c", "10.0.0.3"),
    );
    let fleet = fleet(&text).unwrap();
    let [a, b, c] = fleet.hubs.as_slice() else { panic!("three hubs") };
    let jump = a.ssh.jump.as_ref().unwrap();
    assert_eq!(
        (jump.at.to_string().as_str(), &*jump.key),
        ("op@bastion.example.org:22", Path::new("/srv/fleet/keys/jump"))
    );
    assert_eq!(a.ssh.agent.as_deref(), Some(Path::new("/home/op/agent/sock")));
    assert_eq!((&b.ssh.jump, &b.ssh.agent), (&None, &None));
    assert_eq!(c.ssh.jump.as_ref().unwrap().at.to_string(), "me@[2001:db8::1]:2222");
    let own = super::fleet(&format!("{}ssh_key = \"k\"\nssh_jump = \"op@bastion\"\n", hub("a", "10.0.0.1")))
        .unwrap();
    assert_eq!(own.hubs[0].ssh.jump.as_ref().unwrap().key, Path::new("/srv/fleet/k"));
}

/// Fails unless the one problem of a text begins and ends like that.
#[track_caller]
fn told(text: &str, begins: &str, ends: &str) {
    let told = problems(text);
    assert!(
        told.starts_with(begins) && told.trim_end().ends_with(ends) && told.trim_end().lines().count() == 1,
        "{told}"
    );
}

#[test]
fn a_key_for_no_jump_host_and_a_jump_host_that_is_none_are_told() {
    let lonely = "\"ssh_jump_key\" is for a jump host, and there is no \"ssh_jump\" here: name one, or take the line out";
    told(&format!("{}ssh_jump_key = \"k\"\n", hub("a", "10.0.0.1")), "fleet.toml:5:16: ", lonely);
    told("[defaults]\nssh_jump_key = \"k\"\n", "fleet.toml:2:16: ", lonely);
    let with = |defaults: &str, own: &str| format!("[defaults]\n{defaults}\n{}{own}\n", hub("a", "10.0.0.1"));
    told(
        &with("ssh_jump = \"a@b\"", "ssh_jump = \"none\"\nssh_jump_key = \"k\""),
        "fleet.toml:8:16: ",
        lonely,
    );
    told(
        "[defaults]\nssh_jump = \"bastion\"\n",
        "fleet.toml:2:12: \"ssh_jump\": \"bastion\" is no jump host: ",
        "or \"none\"",
    );
    let used = fleet(&with("ssh_jump_key = \"k\"", "ssh_jump = \"a@b\"")).unwrap();
    assert_eq!(used.hubs[0].ssh.jump.as_ref().unwrap().key, Path::new("/srv/fleet/k"));
}

#[test]
fn an_agents_directory_that_shows_a_sandbox_more_is_told_at_its_place() {
    let instead = "ssh-agent -a DIR/agent.sock)";
    told(
        "[defaults]\nssh_agent = \"/run/user/1000/agent\"\n",
        "fleet.toml:2:13: \"ssh_agent\": /run/user/1000/agent: ",
        instead,
    );
    told(&format!("{}ssh_agent = \"~/agent.sock\"\n", hub("a", "10.0.0.1")), "fleet.toml:5:13: ", instead);
    told("[defaults]\nssh_agent = \"agent.sock\"\n", "fleet.toml:2:13: ", instead);
    let engine = "engine = \"unix:///srv/x/docker.sock\"\n[defaults]\nssh_agent = \"/srv/x/agent\"\n";
    told(engine, "fleet.toml:3:13: ", instead);
    told(
        "[defaults]\nssh_agent = \"/agent\"\n",
        "fleet.toml:2:13: ",
        "is not a socket in a directory of its own",
    );
}

#[test]
fn a_container_that_fleet_did_not_make_has_neither_mounted() {
    let with = |more: &str| format!("[defaults]\n{more}\n{}container = \"old\"\n", hub("a", "10.0.0.1"));
    let instead = "or give the hub a sandbox of fleet's own (take \"container\" out)";
    told(&with("ssh_agent = \"/home/op/agent/sock\""), "fleet.toml:7:13: ", instead);
    told(&with("ssh_jump = \"a@b\"\nssh_jump_key = \"k\""), "fleet.toml:8:13: ", instead);
    assert!(fleet(&with("ssh_jump = \"a@b\"")).is_ok());
}
