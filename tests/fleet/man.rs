//! `fleet man`: manual pages.

use crate::common::Fleet;

#[test]
fn every_command_has_a_page_with_its_options_and_examples() {
    let fleet = Fleet::empty();
    let run = fleet.run(&["man", "share/man/man1"]).exits(0);
    assert_eq!(run.stdout, "");
    let help = fleet.run(&["--help"]).exits(0).stdout;
    let commands =
        help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut pages = 0;
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        let page = fleet.read(&format!("share/man/man1/fleet-{name}.1"));
        assert!(page.contains(&format!(".TH fleet-{name} 1")), "{page}");
        pages += 1;
    }
    assert!(pages > 15, "{pages}");
    let page = fleet.read("share/man/man1/fleet-exec.1");
    assert!(
        page.contains("fail\\-fast") && page.contains("WHICH HUBS") && page.contains("quota.yaml"),
        "{page}"
    );
    assert!(fleet.read("share/man/man1/fleet-openrc-set.1").contains("move\\-project"));
    assert!(fleet.read("share/man/man1/fleet.1").contains("fleet\\-exec(1)"));
    assert!(!fleet.path("share/man/man1/fleet-caretaker.1").exists());
    // What is in the way is told.
    fleet.write("file", "");
    fleet.run(&["man", "file"]).exits(1).says("cannot make ").says("file");
}
