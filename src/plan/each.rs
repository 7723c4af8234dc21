//! The words of a command for each hub: `{hub}`, `{ip}` and `{tag.KEY}` stand for what is the hub's own.

use std::collections::BTreeSet;

use crate::hub::Hub;

/// The words for each of the hubs, in their order. Where a hub has no such tag, or several, no hub has words: each such tag is
/// told with all hubs that lack it.
pub fn each(command: &[String], hubs: &[&Hub]) -> Result<Vec<Vec<String>>, Vec<String>> {
    let keys: BTreeSet<&str> = command.iter().flat_map(|word| keys(word)).collect();
    let mut problems = Vec::new();
    for key in &keys {
        let lacking: Vec<&str> = hubs
            .iter()
            .filter(|hub| values(hub, key).next().is_none())
            .map(|hub| hub.name.as_str())
            .collect();
        if !lacking.is_empty() {
            problems.push(format!("{{tag.{key}}}: no tag {key}=... has {}", lacking.join(", ")));
        }
        for hub in hubs {
            let several: Vec<&str> = values(hub, key).collect();
            if several.len() > 1 {
                problems.push(format!("{{tag.{key}}}: hub {} has several: {}", hub.name, several.join(", ")));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(hubs.iter().map(|hub| command.iter().map(|word| of_hub(word, hub, &keys)).collect()).collect())
}

fn of_hub(word: &str, hub: &Hub, keys: &BTreeSet<&str>) -> String {
    // What is put in has no braces in it: neither names nor addresses nor tags have any.
    let word = word.replace("{hub}", hub.name.as_str()).replace("{ip}", &hub.ip.to_string());
    keys.iter().fold(word, |word, key| match values(hub, key).next() {
        Some(value) => word.replace(&format!("{{tag.{key}}}"), value),
        None => word,
    })
}

/// The keys of `{tag.KEY}` in a word. Whatever could be no tag's key is somebody else's, jq's say.
fn keys(word: &str) -> impl Iterator<Item = &str> {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    word.split("{tag.")
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(key, _)| key))
        .filter(move |key| !key.is_empty() && key.chars().all(is_of_key))
}

/// The values that a hub's tags of the form KEY=VALUE give a key.
fn values<'h>(hub: &'h Hub, key: &str) -> impl Iterator<Item = &'h str> {
    hub.tags
        .iter()
        .filter_map(move |tag| tag.split_once('=').filter(|(its, _)| *its == key).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hub::samples;

    fn hub(name: &str, tags: &[&str]) -> Hub {
        Hub { tags: tags.iter().map(ToString::to_string).collect(), ..samples::hub(name) }
    }

    fn of(command: &[&str], hubs: &[Hub]) -> Result<Vec<Vec<String>>, Vec<String>> {
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        each(&command, &hubs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn each_hub_has_its_own_words() {
        let hubs = [hub("ou23s", &["gpu", "term=fall", "size=a=b"]), hub("mvu", &["size=", "term=spring"])];
        assert_eq!(
            of(&["ping", "{ip}", "{hub}-{hub} {name} {}", "{tag.term}/{tag.size}"], &hubs).unwrap(),
            [
                ["ping", "10.0.0.1", "ou23s-ou23s {name} {}", "fall/a=b"],
                ["ping", "10.0.0.1", "mvu-mvu {name} {}", "spring/"],
            ]
        );
        // No tag is called so.
        let jq = ["{tag.}", "{tag. x}", "{tag.x", "{tags.x}", "{tag.a|.b}"];
        assert_eq!(of(&jq, &hubs[..1]).unwrap(), [jq]);
    }

    #[test]
    fn every_hub_without_such_a_tag_is_named_and_none_has_words() {
        let hubs =
            [hub("ou23s", &["term"]), hub("mvu", &["term=fall", "term=spring"]), hub("fsu", &["xterm=1"])];
        assert_eq!(
            of(&["echo", "{tag.term}", "{hub}"], &hubs).unwrap_err(),
            ["{tag.term}: no tag term=... has ou23s, fsu", "{tag.term}: hub mvu has several: fall, spring",]
        );
    }

    proptest! {
        #[test]
        fn words_without_braces_are_the_same_for_every_hub(
            words in prop::collection::vec("[^{}]{0,12}", 0..5),
        ) {
            let hub = hub("ou23s", &[]);
            prop_assert_eq!(each(&words, &[&hub, &hub]).unwrap(), vec![words.clone(), words]);
        }
    }
}
