//! Bad input: one clear error that says what is wrong, where, and what to do; status 2; nothing changed.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::common::world::sh;
use crate::common::{Fleet, Run};

/// Runs a command that has to be refused, with all of these words in its error.
#[track_caller]
fn refused(fleet: &Fleet, args: &[&str], words: &[&str]) -> Run {
    let before = fleet.files();
    let run = fleet.run(args).exits(2);
    assert_eq!(run.stdout, "", "an error is no data");
    assert_eq!(fleet.files(), before, "something was changed:\n{}", run.stderr);
    assert!(fleet.containers().is_empty(), "a container was made:\n{}", run.stderr);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    words.iter().fold(run, |run, word| run.says(word))
}

/// `fleet new` that has to be refused.
#[track_caller]
fn new_is_refused(fleet: &Fleet, name: &str, ip: &str, openrc: &str, words: &[&str]) -> Run {
    let (name, ip) = (format!("--name={name}"), format!("--ip={ip}"));
    refused(fleet, &["new", &name, &ip, "--openrc", openrc], words)
}

/// A fleet whose file declares two hubs that nobody has made.
fn declared() -> Fleet {
    Fleet::with_settings(
        "[[hub]]\nname = \"ou23s\"\nip = \"10.0.0.1\"\nopenrc = \"openrc-alpha.sh\"\n\n\
         [[hub]]\nname = \"pyaos\"\nip = \"10.0.0.2\"\nopenrc = \"openrc-beta.sh\"",
    )
}

#[test]
fn a_name_that_is_no_dns_label_is_refused_with_the_reason() {
    let fleet = Fleet::empty();
    let long = "a".repeat(64);
    for (name, why) in [
        ("", "it is empty"),
        ("Ou23s", "only a-z, 0-9 and '-' can be in it"),
        ("ou_23s", "only a-z, 0-9 and '-' can be in it"),
        ("ou.23s", "only a-z, 0-9 and '-' can be in it"),
        ("ou/../23s", "only a-z, 0-9 and '-' can be in it"),
        ("öu23s", "only a-z, 0-9 and '-' can be in it"),
        ("-ou23s", "it begins or ends with '-'"),
        ("ou23s-", "it begins or ends with '-'"),
        (&long, "it is longer than 63 characters"),
    ] {
        new_is_refused(&fleet, name, "10.0.0.1", "openrc-alpha.sh", &["--name", "is not a DNS label", why]);
    }
}

#[test]
fn a_name_that_makes_the_masters_domain_64_characters_long_is_refused_and_63_are_not() {
    // `<name>-1.test.example` is 15 characters longer than the name.
    let fleet = Fleet::empty();
    let (long, longest) = ("a".repeat(49), "a".repeat(48));
    let words = ["64 characters", "Let's Encrypt", "shorten the name"];
    new_is_refused(&fleet, &long, "10.0.0.1", "openrc-alpha.sh", &words);
    // The domain is judged before the engine is asked, so no engine is what is left to complain about.
    fleet.write("fleet.toml", &format!("engine = \"unix:///nonexistent.sock\"\n{}", fleet.header()));
    let run = new_is_refused(&fleet, &longest, "10.0.0.1", "openrc-alpha.sh", &["no Docker engine answers"]);
    assert!(!run.stderr.contains("characters"), "{}", run.stderr);
    let args =
        ["new", "--name", "ou23s", "--ip", "10.0.0.1", "--openrc", "openrc-alpha.sh", "--project-domain"];
    let domain = format!("{}.example", "b".repeat(48));
    refused(&fleet, &[&args[..], &[&domain]].concat(), &["64 characters"]);
    refused(&fleet, &[&args[..], &["no such domain"]].concat(), &["is not a DNS domain"]);
}

#[test]
fn an_ip_that_is_none_is_refused() {
    let fleet = Fleet::empty();
    for ip in
        ["", "master", "300.1.1.1", "10.0.0", "10.0.0.1/24", "10.0.0.1:22", "https://10.0.0.1", "fe80::1::2"]
    {
        new_is_refused(
            &fleet,
            "ou23s",
            ip,
            "openrc-alpha.sh",
            &["--ip", "not an IP address", "149.165.170.10"],
        );
    }
    for ip in ["0.0.0.0", "::", "255.255.255.255", "224.0.0.1"] {
        new_is_refused(&fleet, "ou23s", ip, "openrc-alpha.sh", &[ip, "is not the address of one machine"]);
    }
}

#[test]
fn an_openrc_that_is_no_file_is_refused_and_never_made_into_a_directory() {
    let fleet = Fleet::empty();
    std::fs::create_dir(fleet.path("directory")).expect("made");
    sh("mkfifo", &[fleet.path("pipe").to_str().expect("UTF-8")]);
    // What nobody can read, root neither: a link that leads to itself.
    symlink("loop", fleet.path("loop")).expect("made");
    symlink("nowhere", fleet.path("dangling")).expect("made");
    for (openrc, why) in [
        ("missing.sh", "there is no such file"),
        ("dangling", "there is no such file"),
        ("directory", "it is a directory"),
        ("pipe", "it is a pipe"),
        ("loop", "it cannot be read"),
        ("openrc-alpha.sh/x", "it cannot be read"),
    ] {
        new_is_refused(&fleet, "ou23s", "10.0.0.1", openrc, &["openrc", openrc, why]);
    }
    assert!(!fleet.path("missing.sh").exists());
}

#[test]
fn an_openrc_that_one_may_not_read_is_refused() {
    let fleet = Fleet::empty();
    std::fs::set_permissions(fleet.openrc("alpha"), Permissions::from_mode(0o000)).expect("set");
    let args = ["new", "--name", "ou23s", "--ip", "10.0.0.1", "--openrc", "openrc-alpha.sh"];
    if std::fs::read(fleet.openrc("alpha")).is_err() {
        refused(&fleet, &args, &["openrc-alpha.sh", "it cannot be read", "ermission denied"]);
        return;
    }
    // Modes mean nothing to root: here fleet runs as somebody else, who can read all but this.
    let dir = fleet.dir.path().to_str().expect("UTF-8");
    sh("chmod", &["-R", "a+rX", dir]);
    sh("chmod", &["a+rwx", dir]);
    sh("chmod", &["a+x", fleet.dir.path().parent().and_then(|path| path.to_str()).expect("UTF-8")]);
    sh("chown", &["nobody", dir, &format!("{dir}/fleet.toml"), &format!("{dir}/id_ed25519")]);
    std::fs::set_permissions(fleet.path("id_ed25519"), Permissions::from_mode(0o600)).expect("set");
    std::fs::set_permissions(fleet.openrc("alpha"), Permissions::from_mode(0o000)).expect("set");
    // The binary may lie where nobody else can go.
    let binary = fleet.path("fleet");
    std::fs::copy(env!("CARGO_BIN_EXE_fleet"), &binary).expect("copied");
    let before = fleet.files();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(&binary).args(args);
    let output = command.current_dir(dir).env("FLEET_CONFIG", fleet.path("fleet.toml")).output();
    let run = Run::of(&output.expect("setpriv of util-linux starts")).exits(2);
    assert_eq!(fleet.files(), before);
    run.says("openrc-alpha.sh").says("it cannot be read").says("ermission denied");
}

#[test]
fn an_openrc_that_asks_for_a_password_is_refused_with_a_word_about_application_credentials() {
    let fleet = Fleet::empty();
    fleet.write(
        "horizon.sh",
        "export OS_AUTH_URL=https://keystone.example:5000/v3\nexport OS_PROJECT_NAME=p\nexport OS_USERNAME=u\n\
         echo 'Please enter your OpenStack Password: '\nread -sr OS_PASSWORD_INPUT\nexport OS_PASSWORD=$OS_PASSWORD_INPUT\n",
    );
    let words =
        ["horizon.sh", "line 5 asks for a password", "hint: make an application credential", "Horizon"];
    new_is_refused(&fleet, "ou23s", "10.0.0.1", "horizon.sh", &words);
}

#[test]
fn an_openrc_that_is_incomplete_is_refused_with_what_is_missing() {
    let fleet = Fleet::empty();
    let without = |name: &str| {
        let text = std::fs::read_to_string(fleet.openrc("alpha")).expect("it reads");
        text.lines().filter(|line| !line.contains(name)).map(|line| format!("{line}\n")).collect::<String>()
    };
    for name in ["OS_AUTH_URL", "OS_APPLICATION_CREDENTIAL_SECRET", "OS_APPLICATION_CREDENTIAL_ID"] {
        fleet.write("part.sh", &without(name));
        new_is_refused(&fleet, "ou23s", "10.0.0.1", "part.sh", &["part.sh", &format!("does not set {name}")]);
    }
    fleet.write("part.sh", "# nothing yet\n");
    new_is_refused(
        &fleet,
        "ou23s",
        "10.0.0.1",
        "part.sh",
        &["it does not set OS_AUTH_URL", "it sets no credentials"],
    );
    fleet.write("part.sh", "");
    new_is_refused(&fleet, "ou23s", "10.0.0.1", "part.sh", &["it is empty"]);
}

#[test]
fn an_ssh_key_that_cannot_be_used_is_refused() {
    let fleet = Fleet::empty();
    let key = fleet.path("id_ed25519");
    sh(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "locked", "-f", fleet.path("locked").to_str().expect("UTF-8")],
    );
    fleet.write("text", "hello\n");
    std::fs::set_permissions(fleet.path("text"), Permissions::from_mode(0o600)).expect("set");
    let with = |name: &str, words: &[&str]| {
        let path = fleet.path(name);
        let args = ["new", "--name", "ou23s", "--ip", "10.0.0.1", "--openrc", "openrc-alpha.sh", "--ssh-key"];
        refused(&fleet, &[&args[..], &[path.to_str().expect("UTF-8")]].concat(), &[&[name], words].concat());
    };
    with("missing", &["there is no such file", "hint: name the private key that the master knows"]);
    with(
        "locked",
        &[
            "it has a passphrase",
            "hint: the tunnel has to come up with nobody there: let an agent have the key",
        ],
    );
    with("locked.pub", &["public key"]);
    with("text", &["not a private key"]);
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("set");
    with("id_ed25519", &["others than its owner may read it (mode 644)", "hint: chmod 600"]);
}

#[test]
fn every_problem_of_fleet_toml_is_told_at_once_with_its_line() {
    let fleet = Fleet::empty();
    fleet.write(
        "fleet.toml",
        "name = \"f\"\n\
         stat_dir = \"jhubs\"\n\
         \n\
         [sandbox]\n\
         pids = \"many\"\n\
         memory = \"lots\"\n\
         \n\
         [[hub]]\n\
         name = \"ou23s\"\n\
         ip = \"10.0.0.1\"\n\
         openrc = \"openrc-alpha.sh\"\n\
         OS_PASSWORD = \"hunter2\"\n\
         \n\
         [[hub]]\n\
         name = \"ou23s\"\n\
         ip = \"10.0.0.1\"\n\
         openrc = 5\n\
         \n\
         [[hub]]\n\
         name = \"Pyaos\"\n\
         ip = \"10.0.0\"\n",
    );
    let file = fleet.path("fleet.toml").display().to_string();
    let at = |place: &str, what: &str| format!("{file}:{place}: {what}");
    let told = [
        at("2:1", "unknown key \"stat_dir\" in the file; did you mean \"state_dir\"?"),
        at("5:8", "\"pids\" must be a whole number, not a string"),
        at("6:10", "\"memory\": \"lots\" is not a size"),
        at("12:1", "unknown key \"OS_PASSWORD\" in [[hub]]: secrets never go in this file"),
        at("15:8", "the hub on line 9 is named ou23s already"),
        at("16:6", "the hub on line 10 has the IP 10.0.0.1 already"),
        at("17:10", "\"openrc\" must be a string, not a whole number"),
        at("19:1", "[[hub]] needs \"openrc\""),
        at("20:8", "\"name\": \"Pyaos\" is not a DNS label"),
        at("21:6", "\"ip\": \"10.0.0\" is not an IP address"),
    ];
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    for command in [
        &["list"][..],
        &["status"],
        &["exec", "--all", "true"],
        &["pvc"],
        &["orphans"],
        &["doctor"],
        &["rm", "ou23s"],
    ] {
        let run = refused(&fleet, command, &told);
        assert_eq!(run.stderr.matches("error: ").count(), told.len(), "{}", run.stderr);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    new_is_refused(&fleet, "wx", "10.0.0.9", "openrc-alpha.sh", &told);
}

#[test]
fn a_fleet_toml_that_is_no_toml_or_not_there_is_told() {
    let fleet = Fleet::empty();
    fleet.write("fleet.toml", "name = \"f\"\n\n[[hub]]\nname = \"a\"\nip = 10.0.0.1\n");
    refused(&fleet, &["list"], &["fleet.toml:5:", "this is not TOML"]);
    std::fs::remove_file(fleet.path("fleet.toml")).expect("removed");
    refused(&fleet, &["status"], &["cannot read", "fleet.toml", "hint: "]);
}

#[test]
fn an_unknown_hub_is_told_with_the_nearest_name() {
    let fleet = declared();
    let words = ["no hub \"ou23\" in fleet.toml; did you mean \"ou23s\"?", "hint: "];
    for command in [
        &["status", "ou23"][..],
        &["exec", "--hub", "ou23", "true"],
        &["pvc", "ou23"],
        &["shell", "ou23"],
        &["rm", "ou23"],
    ] {
        refused(&fleet, command, &words);
    }
    let run = refused(
        &fleet,
        &["exec", "--hub", "pyaso,ou23s,zzz", "true"],
        &["\"pyaso\"", "did you mean \"pyaos\"?"],
    );
    assert!(
        run.stderr.contains("no hub \"zzz\" in fleet.toml\n"),
        "every unknown one is told:\n{}",
        run.stderr
    );
}

#[test]
fn no_engine_at_the_socket_is_told_by_every_command_that_needs_one() {
    let fleet = declared();
    fleet.write("fleet.toml", &format!("engine = \"unix:///nonexistent.sock\"\n{}", fleet.toml()));
    let words = ["no Docker engine answers at /nonexistent.sock", "hint: start it"];
    for command in [&["status"][..], &["exec", "--all", "true"], &["pvc"], &["orphans"], &["rm", "ou23s"]] {
        refused(&fleet, command, &words);
    }
    new_is_refused(&fleet, "wx", "10.0.0.9", "openrc-alpha.sh", &words);
    // A file that is there, and is no socket.
    fleet.write(
        "fleet.toml",
        &fleet.toml().replace("/nonexistent.sock", fleet.openrc("alpha").to_str().expect("UTF-8")),
    );
    refused(&fleet, &["status"], &["no Docker engine answers at"]);
    fleet.write("fleet.toml", &format!("engine = \"tcp://10.0.0.1:2375\"\n{}", fleet.header()));
    refused(&fleet, &["status"], &["fleet.toml:1:10", "is another machine, which needs TLS"]);
}

#[test]
fn a_hub_whose_name_or_ip_is_taken_is_refused() {
    let fleet = declared();
    new_is_refused(
        &fleet,
        "ou23s",
        "10.0.0.3",
        "openrc-alpha.sh",
        &["cannot add ou23s", "is named ou23s already"],
    );
    new_is_refused(
        &fleet,
        "other",
        "10.0.0.1",
        "openrc-alpha.sh",
        &["cannot add other", "has the IP 10.0.0.1 already"],
    );
}

#[test]
fn an_image_that_the_engine_does_not_have_is_refused() {
    let fleet = Fleet::empty();
    let args = [
        "new",
        "--name",
        "ou23s",
        "--ip",
        "10.0.0.1",
        "--openrc",
        "openrc-alpha.sh",
        "--image",
        "no/such:image",
    ];
    refused(&fleet, &args, &["the engine has no image no/such:image", "hint: docker pull no/such:image"]);
}

#[test]
fn a_command_line_that_cannot_be_understood_is_refused() {
    let fleet = declared();
    for (args, word) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["exec", "true"], "--hub"),
        (&["exec", "--all"], "COMMAND"),
        (&["exec", "--all", "--hub", "ou23s", "true"], "cannot be used with"),
        (&["exec", "--all", "--parallel", "0", "true"], "--parallel"),
        (&["exec", "--all", "--timeout", "soon", "true"], "is not a length of time"),
        (&["rm", "ou23s", "--confirm"], "--purge"),
        (&["rm"], "HUB"),
        (&["status", "--format", "yaml"], "yaml"),
    ] {
        refused(&fleet, args, &[word]);
    }
    let args =
        ["new", "--name", "wx", "--ip", "10.0.0.9", "--openrc", "openrc-alpha.sh", "--host-key", "MD5:00"];
    refused(&fleet, &args, &["not a fingerprint as ssh-keygen -lf shows it"]);
}
