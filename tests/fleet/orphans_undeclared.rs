//! What fleet.toml does not say, or says wrongly, blocks every deletion as a silent hub does.

use crate::common::volumes::all_ids;
use crate::common::world::sh;
use crate::common::{Fleet, breaking, world};

/// Nothing is called an orphan and nothing is deleted, and this is said.
#[track_caller]
fn blocks(fleet: &Fleet, said: &str) {
    let before = all_ids();
    for args in
        [&["orphans", "--format", "json"][..], &["orphans", "--delete", "--confirm", "--format", "json"]]
    {
        let run = fleet.run(args).exits(3).says(said);
        assert!(!run.stdout.contains("\"orphan\""), "{}", run.stdout);
    }
    assert_eq!(all_ids(), before);
}

#[test]
fn a_hub_that_was_cut_out_of_fleet_toml_by_hand_blocks_every_deletion_while_its_sandbox_is_there() {
    let _breaking = breaking();
    let fleet = Fleet::with(&["pyaos"]);
    let with_one = fleet.toml();
    fleet.add(world().hub("ou23s")).exits(0);
    fleet.write("fleet.toml", &with_one);
    blocks(&fleet, "hub ou23s: it has a sandbox of this fleet, and is not in fleet.toml");
}

#[test]
fn a_hub_whose_address_was_changed_in_fleet_toml_is_not_spoken_for_by_its_old_cluster() {
    let _breaking = breaking();
    let fleet = Fleet::with(&["pyaos"]);
    let toml = fleet.toml().replace(&world().hub("pyaos").ip, &world().hub("ou23s").ip);
    fleet.write("fleet.toml", &toml);
    blocks(&fleet, "its tunnel was made for another address");
}

#[test]
fn a_stale_openrc_blocks_every_deletion() {
    let _breaking = breaking();
    let fleet = Fleet::with(&["pyaos"]);
    let (openrc, new) = (fleet.openrc("beta"), fleet.path("new.sh"));
    let paths = [&openrc, &new].map(|path| path.to_str().expect("UTF-8"));
    sh("cp", &["-p", paths[0], paths[1]]);
    sh("mv", &[paths[1], paths[0]]);
    blocks(&fleet, "its openrc is stale");
}
