//! Commands that nobody runs on many hubs by a slip of the pen: `kubectl delete`, say.
//!
//! A guard is a list of words. A command comes under it if it has the first one as a program, also inside a script for a
//! shell, and the others after it in that order, whatever stands between them. That takes some commands for what they are not
//! (`kubectl get pods delete`); they are asked for once more than needed.

/// The first guard that a command comes under.
pub fn guarded<'a>(guards: &'a [String], argv: &[String]) -> Option<&'a str> {
    let words: Vec<&str> = argv.iter().flat_map(|word| word.split(|c: char| !is_of_word(c))).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    guards.iter().map(String::as_str).find(|guard| {
        let guard: Vec<&str> = guard.split_whitespace().collect();
        (0..words.len()).any(|at| comes_under(&guard, &words[at..]))
    })
}

/// The same for a script and what it is given: the first guard that one of its lines comes under, with the arguments, which may
/// be what the line is about.
pub fn guarded_script<'a>(guards: &'a [String], lines: &[String], arguments: &[String]) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        let words: Vec<String> = std::iter::once(line).chain(arguments).cloned().collect();
        guarded(guards, &words)
    })
}

/// What no shell takes for the end of a word.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || "/._-+=:@%,~".contains(c)
}

fn comes_under(guard: &[&str], words: &[&str]) -> bool {
    let (Some((program, rest)), Some((first, mut words))) = (guard.split_first(), words.split_first()) else {
        return false;
    };
    if first.rsplit('/').next() != Some(program) {
        return false;
    }
    rest.iter().all(|wanted| {
        // A star is one word or more; more are passed over anyway.
        let found = words.iter().position(|word| *wanted == "*" || word == wanted);
        if let Some(at) = found {
            words = &words[at + 1..];
        }
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUARDS: [&str; 3] = ["kubectl delete", "openstack * delete", "helm uninstall"];

    fn of(argv: &[&str]) -> Option<String> {
        let guards = GUARDS.map(str::to_owned);
        let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
        guarded(&guards, &argv).map(str::to_owned)
    }

    #[test]
    fn a_guarded_command_is_known_with_options_paths_and_in_scripts() {
        for argv in [
            &["kubectl", "delete", "pvc", "x"][..],
            &["kubectl", "-n", "jhub", "delete", "pvc", "x"],
            &["/usr/local/bin/kubectl", "delete", "ns/jhub"],
            &["sh", "-c", "kubectl get pods; kubectl -n jhub delete pod x"],
            &["sh", "-c", "true&&kubectl\ndelete pod"],
            &["env", "A=b", "kubectl", "delete"],
        ] {
            assert_eq!(of(argv).as_deref(), Some("kubectl delete"), "{argv:?}");
        }
        assert_eq!(of(&["openstack", "volume", "delete", "x"]).as_deref(), Some("openstack * delete"));
        let rule = ["openstack", "--os-region-name", "IU", "security", "group", "rule", "delete", "x"];
        assert_eq!(of(&rule).as_deref(), Some("openstack * delete"));
        assert_eq!(of(&["helm", "uninstall", "jhub"]).as_deref(), Some("helm uninstall"));
    }

    #[test]
    fn others_are_not() {
        for argv in [
            &["kubectl", "get", "pods"][..],
            &["kubectl", "get", "deleted"],
            &["openstack", "delete"],
            &["helm", "upgrade"],
            &["my-kubectl", "delete"],
            &["delete", "kubectl"],
            &[],
        ] {
            assert_eq!(of(argv), None, "{argv:?}");
        }
        assert_eq!(guarded(&[], &["kubectl".to_owned(), "delete".to_owned()]), None);
    }

    #[test]
    fn a_script_comes_under_a_guard_by_one_of_its_lines_and_what_it_is_given() {
        let of = |lines: &[&str], arguments: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
            guarded_script(&GUARDS.map(str::to_owned), &owned(lines), &owned(arguments)).map(str::to_owned)
        };
        assert_eq!(of(&["set -e", "helm uninstall jhub"], &[]).as_deref(), Some("helm uninstall"));
        assert_eq!(of(&["kubectl \"$@\""], &["delete", "pvc"]).as_deref(), Some("kubectl delete"));
        assert_eq!(of(&["kubectl get pods", "delete"], &[]), None);
        assert_eq!(of(&[], &["kubectl", "delete"]), None);
    }

    proptest! {
        #[test]
        fn words_between_and_around_hide_nothing(
            before in prop::collection::vec("[a-z-]{1,6}", 0..3),
            between in prop::collection::vec("[a-z-]{1,6}", 0..3),
            after in prop::collection::vec("[^']{0,6}", 0..3),
            in_a_script in any::<bool>(),
        ) {
            let mut words = before;
            words.push("kubectl".to_owned());
            words.extend(between);
            words.push("delete".to_owned());
            words.extend(after);
            let argv = if in_a_script { vec!["sh".to_owned(), "-c".to_owned(), words.join(" ")] } else { words };
            let guards = ["kubectl delete".to_owned()];
            prop_assert_eq!(guarded(&guards, &argv), Some("kubectl delete"));
        }
    }
}
