//! `fleet list`.

use crate::common::Fleet;

fn two_hubs() -> Fleet {
    let fleet = Fleet::with_settings(
        "[[hub]]\nname = \"ou23s\"\nip = \"10.0.0.1\"\nopenrc = \"openrc-alpha.sh\"\n\n\
         [[hub]]\nname = \"pyaos\"\nip = \"2001:db8::1\"\nopenrc = \"openrc-beta.sh\"\nimage = \"unidata/science-gateway\"\n\
         tags = [\"gpu\", \"fall\"]",
    );
    // It asks nobody, and so needs no engine.
    fleet.write("fleet.toml", &format!("engine = \"unix:///nonexistent.sock\"\n{}", fleet.toml()));
    fleet
}

#[test]
fn the_list_shows_what_fleet_toml_says_and_asks_nobody() {
    let fleet = two_hubs();
    let run = fleet.run(&["list"]).exits(0);
    let lines: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["HUB", "IP", "OPENRC", "STATE", "IMAGE", "TAGS"]);
    assert_eq!(lines[1][..2], ["ou23s", "10.0.0.1"]);
    assert_eq!(lines[2][..2], ["pyaos", "2001:db8::1"]);
    assert_eq!(lines[2][4..], ["unidata/science-gateway", "gpu,fall"]);
    assert_eq!(lines[1][5], "-");
    assert_eq!(lines.len(), 3, "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn the_list_as_json_has_every_hub_with_all_that_it_inherits() {
    let fleet = two_hubs();
    let hubs = fleet.run(&["list", "--format", "json"]).exits(0).json();
    let (first, second) = (&hubs[0], &hubs[1]);
    assert_eq!(first["name"], "ou23s");
    assert_eq!(first["openrc"], fleet.openrc("alpha").to_str().expect("UTF-8"));
    assert_eq!(first["state"], fleet.state("ou23s").to_str().expect("UTF-8"));
    assert_eq!(first["container"], fleet.container("ou23s"));
    assert_eq!(first["image"], "fleet/sandbox:latest");
    assert_eq!(first["ssh"]["user"], "ubuntu");
    assert_eq!(first["ssh"]["port"], 22);
    assert_eq!(first["project_domain"], "test.example");
    assert_eq!(second["ip"], "2001:db8::1");
    assert_eq!(second["image"], "unidata/science-gateway");
    assert_eq!(
        (&first["tags"], &second["tags"]),
        (&serde_json::json!([]), &serde_json::json!(["gpu", "fall"]))
    );
}

#[test]
fn the_file_is_found_upward_from_the_working_directory_and_config_comes_first() {
    let fleet = two_hubs();
    std::fs::create_dir(fleet.path("deep")).expect("made");
    fleet.write("other.toml", "name = \"other\"\n");
    let count = |args: &[&str]| {
        let mut command = fleet.command(args);
        let output = command.current_dir(fleet.path("deep")).env_remove("FLEET_CONFIG").output();
        String::from_utf8_lossy(&output.expect("fleet starts").stdout).lines().count()
    };
    assert_eq!(count(&["list"]), 3);
    assert_eq!(count(&["list", "--config", "../other.toml"]), 1);
}
