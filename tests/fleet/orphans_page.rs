//! `fleet orphans --report` and `--format csv`: what is written to look through and to share.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::volumes::{ONLY_ANCIENT, Report, Wanted, all_ids, plant, run, text};
use crate::common::{breaking, standing, using, world};

#[test]
fn the_page_has_every_orphan_and_the_same_totals_as_the_json() {
    let _using = using();
    let fleet = standing();
    let file = fleet.path("page.html");
    let path = file.to_str().unwrap();
    let done =
        run(fleet, &["orphans", "--format", "json", "--report", path, "--overwrite"]).exits(0).says(path);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let page = std::fs::read_to_string(&file).unwrap();
    let report = Report::of(&done);
    assert!(page.contains("<strong>Complete. </strong>4 hubs and 2 projects answered in full."), "{page}");
    assert!(page.contains(&fleet.name));
    for volume in report.volumes() {
        assert!(page.contains(&text(&volume["id"])), "{volume}");
    }
    let orphans = report.of_class("orphan").len();
    assert!(page.contains(&format!("<dt>orphans</dt><dd>{orphans}<small>")), "{page}");
    for project in report.0["projects"].as_array().unwrap() {
        let total = &project["totals"]["in_use"];
        let row = format!(
            "<th scope=\"row\">in use</th><td class=\"number\">{}</td><td class=\"number\">{}</td>",
            total["volumes"], total["gib"]
        );
        assert!(page.contains(&row), "{row}");
    }
    for hub in &world().hubs {
        assert!(page.contains(&format!("<th scope=\"row\">{}</th>", hub.name)));
    }
}

#[test]
fn a_volume_called_script_is_text_in_the_page_and_a_formula_is_text_in_the_table() {
    let _breaking = breaking();
    let fleet = standing();
    let names = [
        "<script>document.title='x'</script>",
        "<img src=x onerror=alert(1)>",
        "=HYPERLINK(\"http://x\",\"y\")",
    ];
    let _planted = plant("alpha", &names.map(Wanted::named));
    let file = fleet.path("strange.html");
    let path = file.to_str().unwrap();
    run(fleet, &["orphans", "--report", path, "--overwrite"]).exits(0);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.contains("&lt;script&gt;document.title='x'&lt;/script&gt;"));
    let table = run(fleet, &["orphans", "--format", "csv"]).exits(0).stdout;
    assert!(table.contains(",\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\","), "{table}");
}

#[test]
fn the_table_for_spreadsheets_says_the_same_as_the_json() {
    let _using = using();
    let fleet = standing();
    let report = Report::of(&run(fleet, &["orphans", "--format", "json"]).exits(0));
    let table = run(fleet, &["orphans", "--format", "csv"]).exits(0).stdout;
    let mut lines = csv::Reader::from_reader(table.as_bytes());
    let headings = lines.headers().unwrap().clone();
    let mut seen = BTreeSet::new();
    for line in lines.records().map(|line| line.unwrap()) {
        let cell = |name: &str| &line[headings.iter().position(|heading| heading == name).unwrap()];
        let id = cell("id");
        let volume = report.volume(id);
        assert_eq!(cell("class"), report.class(id));
        assert_eq!(cell("size_gib"), volume["size_gib"].to_string());
        for name in ["project", "project_id", "region", "name", "status", "created_at", "reason"] {
            assert_eq!(cell(name), volume[name], "{name} of {id}");
        }
        assert_eq!(cell("user"), volume["made_for"]["user"].as_str().unwrap_or_default());
        seen.insert(id.to_owned());
    }
    assert_eq!(seen, all_ids());
}

#[test]
fn a_page_changes_nothing_of_what_is_deleted() {
    let _breaking = breaking();
    let fleet = standing();
    let config = fleet.variant("page.toml", ONLY_ANCIENT);
    let planted = plant("alpha", &[Wanted::orphan(), Wanted::orphan()]);
    let before = all_ids();
    let file = fleet.path("deleted.html");
    let deleting = |report: &str| {
        run(
            fleet,
            &["--config", &config, "orphans", "--delete", "--confirm", "--overwrite", "--report", report],
        )
    };
    // Whoever wants it and cannot have it is told before anything is done.
    deleting("none/page.html").exits(2).says("none is no directory");
    assert_eq!(all_ids(), before);
    deleting(file.to_str().unwrap()).exits(0);
    let gone: BTreeSet<String> = planted.ids().into_iter().map(str::to_owned).collect();
    assert_eq!(all_ids(), before.difference(&gone).cloned().collect());
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(gone.iter().all(|id| page.contains(id)));
}
