use proptest::prelude::*;

use super::*;
use crate::text::quoted;

fn line(words: &[&str]) -> String {
    mask(words).join(" ")
}

#[test]
fn all_patterns_are_patterns() {
    assert!(NAMED.is_some() && NAMED_VALUE.is_some());
    assert_eq!(ANYWHERE.len(), 9);
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    for words in [
        &["kubectl", "get", "pods", "-n", "jhub", "-o", "jsonpath={.items[*].metadata.name}"][..],
        &["sh", "-c", "kubectl get pvc -A | wc -l; echo done > /tmp/x"],
        &["openstack", "server", "show", "6ec122bb-8936-436b-9806-50eeffc60e68"],
        &["helm", "upgrade", "jhub", "--version", "3.0.0", "--values", "secrets.yaml"],
        &["curl", "https://hub.example.org:443/hub/api?x=1", "-u", "op"],
        &["git", "push", "-u", "https://git.example.org/hub", "main"],
        &["kubectl", "get", "secret", "hub"],
        &["cp", "--all", "a", ":/home/openstack"],
        &["env", "OS_TOKEN=", "run", "--token="],
    ] {
        assert_eq!(mask(words), words);
    }
}

#[test]
fn what_is_around_a_secret_stays() {
    let script = "export OS_PASSWORD='a b'; openstack --os-token gAAA server list && curl -H \"Authorization: Bearer x.y\" https://a:b@h/p";
    assert_eq!(
        line(&["sh", "-c", script]),
        "sh -c export OS_PASSWORD=[secret]; openstack --os-token [secret] server list && curl -H \"Authorization: [secret]\" \
         https://a:[secret]@h/p"
    );
    assert_eq!(line(&["mysql", "--password", "x", "--host", "h"]), "mysql --password [secret] --host h");
    assert_eq!(line(&["env", "DB_PASSWORD=a b", "run"]), "env DB_PASSWORD=[secret] run");
    assert_eq!(line(&["curl", "-u", "me:it", "h"]), "curl -u me:[secret] h");
    assert_eq!(line(&["curl", "-u", "me://it", "h"]), "curl -u me:[secret] h");
    assert_eq!(line(&["--token", "--all"]), "--token --all");
    assert_eq!(line(&["sh", "-c", "TOKEN=a@ run"]), "sh -c TOKEN=[secret] run");
    assert_eq!(line(&["env", "schlüssel_Token_für=a", "run"]), "env schlüssel_Token_für=[secret] run");
}

#[test]
fn only_what_follows_a_shells_c_is_taken_apart() {
    assert_eq!(line(&["bash", "-eulc", "TOKEN=a b"]), "bash -eulc TOKEN=[secret] b");
    for option in ["-e", "-async", "--c", "c"] {
        assert_eq!(line(&["run", option, "TOKEN=a b"]), format!("run {option} TOKEN=[secret]"));
    }
}

/// What people have for secrets, quotes and blanks apart.
fn plain() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!@%^*_+./~,-]{6,40}".prop_filter("it is in the shapes", |secret| !secret.starts_with('-'))
}

/// A name, as environments, options and files have them.
fn name() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "PASS",
        "PASSWORD",
        "SECRET",
        "TOKEN",
        "KEY",
        "CREDENTIAL",
        "PASSPHRASE",
        "API_KEY",
    ]);
    ("([A-Z]{1,4}_)?", word, "(_[A-Z0-9]{1,4})?", any::<bool>()).prop_map(|(before, word, after, lower)| {
        let name = format!("{before}{word}{after}");
        if lower { name.to_lowercase() } else { name }
    })
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

/// A command line with a secret in it.
fn with(shape: usize, name: &str, secret: &str) -> Vec<String> {
    let option = name.to_lowercase().replace('_', "-");
    match shape {
        0 => words(&["env", &format!("{name}={secret}"), "run"]),
        1 => words(&["run", &format!("--{option}={secret}"), "x"]),
        2 => words(&["run", &format!("--{option}"), secret, "x"]),
        3 => words(&["sh", "-c", &format!("{name}={secret} run; x")]),
        4 => words(&["bash", "-lc", &format!("export {name}=\"{secret}\"; run")]),
        5 => words(&["sh", "-c", &format!("cd /x && {name}='{secret}' run")]),
        6 => words(&["sh", "-c", &format!("run --{option} {secret} | x")]),
        7 => words(&["sh", "-c", &format!("run --{option}='{secret}'")]),
        8 => words(&["curl", "-H", &format!("Authorization: Bearer {secret}")]),
        9 => words(&["sh", "-c", &format!("curl -H 'X-Auth-Token: {secret}' h")]),
        10 => words(&["git", "clone", &format!("https://user:{}@h/p", secret.replace('/', "_"))]),
        11 => words(&["sh", "-c", &format!("curl -d '{{\"{name}\": \"{secret}\"}}' h")]),
        12 => words(&["sh", "-c", &format!("curl -u user:{secret} h")]),
        13 => words(&["curl", "-u", &format!("user:{secret}")]),
        14 => words(&["sh", "-c", &format!("printf '{name}: {secret}\n' >f")]),
        15 => words(&["sh", "-c", &quoted(&["sh", "-c", &format!("{name}={secret} run")])]),
        16 => words(&["ssh", "h", &format!("{name}={secret} run")]),
        _ => words(&[
            "kubectl",
            "create",
            "secret",
            "generic",
            "x",
            &format!("--from-literal={name}={secret}"),
        ]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_secret_survives(shape in 0_usize..18, name in name(), secret in plain()) {
        let secret = if shape == 10 { secret.replace('/', "_") } else { secret };
        let line = with(shape, &name, &secret);
        // What the shape has in it anyway says nothing.
        let without = with(shape, &name, "").join(" ");
        prop_assume!(!without.contains(&secret) && !MASK.contains(&secret));
        let masked = mask(&line).join(" ");
        prop_assert!(!masked.contains(&secret), "{:?} -> {}", line, masked);
    }

    #[test]
    fn a_secret_with_blanks_and_quotes_does_not_survive_where_it_is_quoted(
        name in name(), secret in "[a-z0-9'\"\\\\ $]{8,20}", more in "[a-z]{8}",
    ) {
        // Its end, behind whatever is in it, tells whether all of it has gone.
        let secret = format!("{secret}{more}");
        let script = format!("cd /x; {name}={} run", quoted(&[&secret]));
        for line in [
            words(&["sh", "-c", &script]),
            words(&["env", &format!("{name}={secret}")]),
            words(&["run", &format!("--{}", name.to_lowercase()), &secret]),
        ] {
            let masked = mask(&line).join(" ");
            prop_assert!(!masked.contains(&more), "{:?} -> {}", line, masked);
        }
    }

    #[test]
    fn no_text_is_too_strange(words in prop::collection::vec("\\PC{0,40}", 0..6)) {
        prop_assert_eq!(mask(&words).len(), words.len());
    }
}
