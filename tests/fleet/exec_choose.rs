//! Which hubs `fleet exec` and `fleet list` mean, and what `--dry-run` shows.

use crate::common::{Fleet, Run, standing, using, world};

/// Four hubs of which nothing is there.
fn declared() -> Fleet {
    let hub = |(number, (name, tags)): (usize, (&str, &str))| {
        format!(
            "[[hub]]\nname = \"{name}\"\nip = \"10.0.0.{number}\"\nopenrc = \"openrc-alpha.sh\"\ntags = [{tags}]\n\n"
        )
    };
    let hubs = [("ou23s", "\"gpu\", \"fall\""), ("ou24s", "\"fall\""), ("fsu-s23", ""), ("pyaos", "\"gpu\"")];
    let fleet = Fleet::empty();
    let hubs: String =
        hubs.into_iter().enumerate().map(|(number, hub_of)| hub((number + 1, hub_of))).collect();
    fleet.write("fleet.toml", &format!("engine = \"unix:///nonexistent.sock\"\n{}\n{hubs}", fleet.header()));
    fleet
}

/// The first column, without its heading.
fn names(run: &Run) -> Vec<&str> {
    run.stdout.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn a_choice_is_the_same_for_list_and_exec_and_is_seen_before_it_is_used() {
    let fleet = declared();
    for (choice, chosen) in [
        (&["--all"][..], &["ou23s", "ou24s", "fsu-s23", "pyaos"][..]),
        (&["--hub", "pyaos,ou23s", "--hub", "pyaos"], &["ou23s", "pyaos"]),
        (&["--hub", "ou*"], &["ou23s", "ou24s"]),
        (&["--hub", "/^[a-z]{2,3}-?s?[0-9]{2}/"], &["ou23s", "ou24s", "fsu-s23"]),
        (&["--tag", "gpu"], &["ou23s", "pyaos"]),
        (&["--tag", "gpu,fall", "--hub", "ou*", "--exclude", "*24*"], &["ou23s"]),
        (&["--all", "--exclude", "fsu-s23,/^py/"], &["ou23s", "ou24s"]),
    ] {
        let list = fleet.run(&[&["list"], choice].concat()).exits(0);
        assert_eq!(names(&list), chosen, "{choice:?}");
        let dry = fleet.run(&[&["exec"], choice, &["--dry-run", "true"]].concat()).exits(0);
        assert_eq!(names(&dry), chosen, "{choice:?}");
    }
    assert_eq!(names(&fleet.run(&["list", "--exclude", "ou*"]).exits(0)), ["fsu-s23", "pyaos"]);
}

#[test]
fn a_dry_run_shows_the_exact_command_and_runs_nothing() {
    let fleet = declared();
    let command = ["sh", "-c", "kubectl get pvc -A | wc -l", "it's", "--all"];
    let run = fleet.run(&[&["exec", "--tag", "gpu", "--dry-run"], &command[..]].concat()).exits(0);
    let shown = r"sh -c 'kubectl get pvc -A | wc -l' 'it'\''s' --all";
    assert_eq!(run.stdout, format!("HUB    COMMAND\nou23s  {shown}\npyaos  {shown}\n"));
    let json = fleet
        .run(&[&["exec", "--tag", "gpu", "--dry-run", "--format", "json"], &command[..]].concat())
        .exits(0)
        .json();
    assert_eq!(json[1]["hub"], "pyaos");
    assert_eq!(json[1]["command"], serde_json::json!(command));
}

#[test]
fn a_choice_of_no_hub_is_an_error_and_never_all_of_them() {
    let fleet = declared();
    for (choice, words) in [
        (&[][..], &["no hubs are chosen", "--all", "--hub", "--tag", "--project"][..]),
        (&["--exclude", "ou23s"], &["no hubs are chosen"]),
        (&["--hub", "oo*", "--hub", "ou23"], &["no hub's name matches \"oo*\"", "did you mean \"ou23s\""]),
        (&["--hub", "ou2s*"], &["did you mean \"ou23s\" or \"ou24s\"?"]),
        (&["--tag", "gpux"], &["no hub has the tag \"gpux\"; did you mean \"gpu\"?"]),
        (&["--all", "--exclude", "pyaso"], &["no hub \"pyaso\" in fleet.toml; did you mean \"pyaos\"?"]),
        (&["--all", "--exclude", "*"], &["--exclude takes every one of them"]),
        (
            &["--hub", "fsu-s23", "--tag", "gpu"],
            &["of the hubs that one option names, none is what another one says"],
        ),
        (&["--hub", ""], &["an empty name"]),
        (&["--hub", "/(/"], &["is not a regular expression"]),
        (&["--all", "--tag", "gpu"], &["cannot be used with"]),
        (&["--all", "--project", "alpha"], &["cannot be used with"]),
    ] {
        let mut run = fleet.run(&[&["exec"], choice, &["true"]].concat()).exits(2);
        for word in words {
            run = run.says(word);
        }
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_project_is_where_the_credentials_lead() {
    let _using = using();
    let fleet = standing();
    let of = |project: &str| -> Vec<&str> {
        world().hubs.iter().filter(|hub| hub.project == project).map(|hub| hub.name.as_str()).collect()
    };
    assert_eq!(names(&fleet.run(&["list", "--project", "alpha"]).exits(0)), of("alpha"));
    assert_eq!(
        names(&fleet.run(&["list", "--project", &world().cloud.projects["beta"]]).exits(0)),
        of("beta")
    );
    let run = fleet.run(&["exec", "--project", "beta,alpha", "--hub", "*s*", "printenv", "CLUSTER"]).exits(0);
    assert_eq!(run.stdout.lines().count(), world().hubs.iter().filter(|hub| hub.name.contains('s')).count());
    fleet
        .run(&["exec", "--project", "gamma", "true"])
        .exits(2)
        .says("the credentials of no hub lead to a project \"gamma\"; there are: alpha, beta");
}

#[test]
fn a_hub_whose_project_cannot_be_told_is_an_error_that_names_it_unless_it_is_excluded() {
    let _using = using();
    let fleet = standing();
    // One that is declared, and has no sandbox.
    let config = fleet.variant(
        "with-a-ghost-of-a-project.toml",
        "[[hub]]\nname = \"ghost\"\nip = \"10.0.0.1\"\nopenrc = \"openrc-expired.sh\"",
    );
    let command = ["--config", &config, "exec", "--project", "beta"];
    let run = fleet.run(&[&command[..], &["printenv", "CLUSTER"]].concat()).exits(3);
    assert_eq!(run.stdout, "");
    run.says("hub ghost: cannot tell which project its credentials lead to: it has no sandbox");
    let run = fleet.run(&[&command[..], &["--exclude", "ghost", "printenv", "CLUSTER"]].concat()).exits(0);
    assert_eq!(run.stdout, "pyaos | pyaos\n");
}
