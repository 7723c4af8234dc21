//! Hubs written into the fleet's file and taken out of it, with every comment kept.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_hub_is_added_to_a_file_that_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    add_hub(&path, &new_hub("ou23s", "10.0.0.1")).unwrap();
    let text = on_disk_now(&path);
    assert!(text.starts_with("# "), "{text}");
    assert_eq!(load(&path).unwrap().hubs.len(), 1);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no lock and no scratch file is left");
}

#[test]
fn adding_and_removing_leaves_every_other_byte() {
    for text in [EXAMPLE.to_owned(), EXAMPLE.replace('\n', "\r\n"), String::new(), hub("old", "10.0.0.9")] {
        let (_dir, path) = on_disk(&text);
        add_hub(&path, &new_hub("ou23s", "10.0.0.1")).unwrap();
        add_hub(&path, &new_hub("ou24s", "10.0.0.2")).unwrap();
        assert!(on_disk_now(&path).starts_with(&text));
        assert_eq!(on_disk_now(&path).contains("\r\n"), text.contains("\r\n"));
        remove_hub(&path, &name("ou23s")).unwrap();
        remove_hub(&path, &name("ou24s")).unwrap();
        assert_eq!(on_disk_now(&path), text);
    }
}

#[test]
fn a_hubs_own_comments_go_with_it_and_all_others_stay() {
    let text = "\
# the fleet

# for the summer school
[[hub]] # here
name = \"a\" # own
# own
ip = \"10.0.0.1\"
openrc = \"a.sh\" # own
# below

# above b
[[hub]]
name = \"b\"
ip = \"10.0.0.2\"
openrc = \"b.sh\"
# the end
";
    let (_dir, path) = on_disk(text);
    remove_hub(&path, &name("a")).unwrap();
    insta::assert_snapshot!(on_disk_now(&path), @r#"
    # the fleet

    # below

    # above b
    [[hub]]
    name = "b"
    ip = "10.0.0.2"
    openrc = "b.sh"
    # the end
    "#);
    remove_hub(&path, &name("b")).unwrap();
    insta::assert_snapshot!(on_disk_now(&path), @r#"
    # the fleet

    # below

    # the end
    "#);
}

#[test]
fn a_hub_that_the_file_would_refuse_changes_nothing() {
    let text =
        format!("[defaults]\nproject_domain = \"{}.org\"\n{}", "d".repeat(48), hub("ou23s", "10.0.0.1"));
    let (dir, path) = on_disk(&text);
    let bad = NewHub { ssh_user: Some("-x".to_owned()), ..new_hub("ou23s", "10.0.0.1") };
    let long = new_hub("a-long-long-name", "10.0.0.2");
    let mut told = Vec::new();
    for new in [bad, long] {
        let failure = add_hub(&path, &new).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(preview_hub(&path, &new).unwrap_err().to_string(), failure.to_string());
        told.push(failure.to_string().replace(&*dir.path().to_string_lossy(), "."));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    cannot add ou23s to ./fleet.toml: the hub on line 4 is named ou23s already
    cannot add ou23s to ./fleet.toml: the hub on line 5 has the IP 10.0.0.1 already
    cannot add ou23s to ./fleet.toml: "ssh_user": "-x" is not an account: only a-z, 0-9, '_', '.' and '-' can be in it, no '-' first
    cannot add a-long-long-name to ./fleet.toml: the master's domain "a-long-long-name-1.dddddddddddddddddddddddddddddddddddddddddddddddd.org" would be 71 characters long, and Let's Encrypt refuses 64 or more: shorten the name or the project_domain
    "#);
    assert_eq!(on_disk_now(&path), text);
    let failure = remove_hub(&path, &name("ou23")).unwrap_err();
    insta::assert_snapshot!(failure.to_string(), @r#"
    no hub "ou23" in fleet.toml; did you mean "ou23s"?
    "#);
}

#[test]
fn hubs_in_one_array_are_not_edited() {
    let (_dir, path) = on_disk("hub = [{ name = \"a\", ip = \"10.0.0.1\", openrc = \"a\" }]\n");
    assert_eq!(load(&path).unwrap().hubs.len(), 1);
    for failure in
        [add_hub(&path, &new_hub("b", "10.0.0.2")).unwrap_err(), remove_hub(&path, &name("a")).unwrap_err()]
    {
        assert!(failure.to_string().contains("one array"), "{failure}");
    }
}

#[test]
fn a_file_with_problems_is_not_edited() {
    let (_dir, path) = on_disk("nmae = \"a\"\n");
    let failure = add_hub(&path, &new_hub("b", "10.0.0.2")).unwrap_err();
    assert!(
        failure
            .to_string()
            .ends_with("fleet.toml:1:1: unknown key \"nmae\" in the file; did you mean \"name\"?")
    );
    assert_eq!(on_disk_now(&path), "nmae = \"a\"\n");
}

#[test]
fn a_preview_shows_the_hub_as_it_will_be_loaded_and_writes_nothing() {
    let (dir, path) = on_disk(EXAMPLE);
    let new = NewHub { ssh_port: Some(2222), ..new_hub("ou23s", "10.0.0.1") };
    let (fleet, hub) = preview_hub(&path, &new).unwrap();
    assert_eq!(on_disk_now(&path), EXAMPLE);
    add_hub(&path, &new).unwrap();
    assert_eq!(load(&path).unwrap(), fleet);
    assert_eq!(fleet.hubs, [hub]);
    assert_eq!(fleet.hubs[0].state, dir.path().join("jhubs/ou23s"));
    let none = dir.path().join("none/fleet.toml");
    assert!(preview_hub(&none, &new).unwrap_err().hint.is_some());
}

#[test]
fn a_symbolic_link_and_the_mode_are_kept() {
    let (dir, path) = on_disk("");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).unwrap();
    let link = dir.path().join("link.toml");
    std::os::unix::fs::symlink(FILE, &link).unwrap();
    add_hub(&link, &new_hub("a", "10.0.0.1")).unwrap();
    assert!(link.is_symlink());
    assert_eq!(load(&path).unwrap().hubs.len(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o664);
}

#[test]
fn hubs_that_are_added_at_once_are_all_there_afterwards() {
    let (dir, path) = on_disk("# mine\n");
    std::thread::scope(|scope| {
        for index in 1..=16 {
            let path = &path;
            scope.spawn(move || {
                add_hub(path, &new_hub(&format!("hub{index}"), &format!("10.0.0.{index}"))).unwrap();
                if index % 4 == 0 {
                    remove_hub(path, &name(&format!("hub{index}"))).unwrap();
                }
            });
        }
    });
    assert_eq!(load(&path).unwrap().hubs.len(), 12);
    assert!(on_disk_now(&path).starts_with("# mine\n"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Words that have to be written with care.
fn awkward() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 \"'\\\\#=\\[\\]é~$]{1,12}".prop_filter("not blank", |text| !text.trim().is_empty())
}

fn any_new_hub() -> impl Strategy<Value = NewHub> {
    let domain = prop::option::of("[a-z]{1,10}\\.org");
    let rest = (
        prop::option::of("[a-z_][a-z0-9_]{0,8}"),
        prop::option::of(1_u16..),
        prop::option::of(awkward()),
        domain,
    );
    (
        "[a-z]([a-z0-9-]{0,18}[a-z0-9])?",
        any::<u32>(),
        awkward(),
        rest,
        (
            prop::option::of("[a-z]{1,8}(:[a-z0-9]{1,4})?"),
            prop::option::of(awkward()),
            prop::option::of("[a-z0-9][a-z0-9_.-]{0,8}"),
            prop::collection::vec("[a-z0-9][a-z0-9=_.:-]{0,8}", 0..3),
        ),
        prop::option::of((
            "[a-z]{1,5}@[a-z]{1,8}(:[1-9][0-9]{0,3})?",
            prop::option::of(awkward()),
            prop::option::of("(none|[a-z]{1,4}/[a-z]{1,4})"),
        )),
    )
        .prop_map(
            |(
                name,
                bits,
                openrc,
                (ssh_user, ssh_port, ssh_key, project_domain),
                (image, state, container, tags),
                way,
            )| {
                // What fleet did not make has neither mounted.
                let way = way.filter(|_| container.is_none());
                let (ssh_jump, jump_key, agent) =
                    way.map_or((None, None, None), |(jump, key, agent)| (Some(jump), key, agent));
                NewHub {
                    name: self::name(&name),
                    // In 10.0.0.0/8, where every address is a machine's.
                    ip: std::net::Ipv4Addr::from(0x0a00_0000 | (bits & 0x00ff_ffff)).into(),
                    openrc: Path::new("/rc").join(openrc),
                    ssh_user,
                    ssh_port,
                    ssh_key: ssh_key.map(|key| Path::new("/keys").join(key)),
                    ssh_jump,
                    ssh_jump_key: jump_key.map(|key| Path::new("/keys").join(key)),
                    ssh_agent: agent.map(|agent| match agent.as_str() {
                        "none" => agent.into(),
                        _ => Path::new("/agents").join(agent),
                    }),
                    project_domain,
                    image,
                    state: state.map(|state| Path::new("/states").join(state)),
                    container,
                    // The only one that every file has.
                    engine: (bits % 2 == 0).then(crate::hub::EngineName::default),
                    tags,
                }
            },
        )
}

/// What can stand between tables without meaning anything.
fn noise() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["", "# one", "  # two", "#[[hub]]", "\t"]), 0..4)
        .prop_map(|lines| lines.iter().flat_map(|line| [*line, "\n"]).collect())
}

proptest! {
    // Each case edits real files, each time with a sync to the disk.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_file_of_any_bytes_is_no_trouble(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_dir, path) = on_disk("");
        files::replace(&path, &bytes, 0o644).unwrap();
        if let Err(failure) = load(&path) {
            prop_assert_eq!(failure.exit, Exit::Usage);
        }
    }

    #[test]
    fn what_is_added_reads_back_equal(hubs in prop::collection::vec(any_new_hub(), 1..6)) {
        let (_dir, path) = on_disk("# mine\n");
        let mut added = Vec::new();
        for new in &hubs {
            let taken = added.iter().any(|old: &&NewHub| {
                let same_state = old.state.is_some() && old.state == new.state;
                let same_container = old.container.is_some() && old.container == new.container;
                old.name == new.name || old.ip == new.ip || same_state || same_container
            });
            prop_assert_eq!(add_hub(&path, new).is_ok(), !taken);
            if !taken {
                added.push(new);
            }
        }
        let fleet = load(&path).unwrap();
        prop_assert_eq!(fleet.hubs.len(), added.len());
        for (hub, new) in fleet.hubs.iter().zip(added) {
            prop_assert_eq!((&hub.name, hub.ip, &hub.openrc), (&new.name, new.ip, &new.openrc));
            prop_assert_eq!(&hub.ssh.user, new.ssh_user.as_ref().unwrap_or(&fleet.defaults.ssh_user));
            prop_assert_eq!(hub.ssh.port, new.ssh_port.unwrap_or(fleet.defaults.ssh_port));
            prop_assert!(new.ssh_key.as_ref().is_none_or(|key| *key == hub.ssh.key));
            let jump = new.ssh_jump.as_ref().map(|jump| super::values::jump(jump).unwrap());
            prop_assert_eq!(hub.ssh.jump.as_ref().map(|jump| &jump.at), jump.as_ref());
            let key = new.ssh_jump_key.as_ref().unwrap_or(&hub.ssh.key);
            prop_assert!(hub.ssh.jump.as_ref().is_none_or(|jump| jump.key == *key));
            let agent = new.ssh_agent.clone().filter(|agent| agent != Path::new("none"));
            prop_assert_eq!(&hub.ssh.agent, &agent);
            prop_assert_eq!(&hub.project_domain, &new.project_domain);
            prop_assert_eq!(&hub.image, new.image.as_ref().unwrap_or(&fleet.defaults.image));
        }
    }

    #[test]
    fn comments_survive_wherever_they_stand(
        noises in prop::collection::vec(noise(), 5),
        gone in 0_usize..3,
        crlf: bool,
    ) {
        // Hubs stand apart, so that the comments of no hub are another's.
        let hubs = (0..3).flat_map(|index| {
            let table = hub(&format!("hub{index}"), &format!("10.0.0.{index}"));
            ["\n".to_owned(), table, "# end\n".to_owned(), noises[index + 1].clone()]
        });
        let rules = "\n[orphans] # rules\nparallel = 3 # slowly\n".to_owned();
        let text: String =
            [noises[0].clone()].into_iter().chain(hubs).chain([rules, noises[4].clone()]).collect();
        let text = if crlf { text.replace('\n', "\r\n") } else { text };
        let (_dir, path) = on_disk(&text);
        add_hub(&path, &new_hub("new", "10.1.0.1")).unwrap();
        prop_assert!(on_disk_now(&path).starts_with(&text));
        remove_hub(&path, &name(&format!("hub{gone}"))).unwrap();
        let comments = |text: &str| {
            text.lines().filter_map(|line| line.find('#').map(|at| line[at..].to_owned())).collect::<Vec<_>>()
        };
        prop_assert_eq!(comments(&on_disk_now(&path)), comments(&text));
        let left: Vec<_> = load(&path).unwrap().hubs.into_iter().map(|hub| hub.name.to_string()).collect();
        prop_assert_eq!(left.len(), 3);
        let gone = format!("hub{gone}");
        prop_assert!(!left.contains(&gone));
    }
}

// The hubs that a command names.
