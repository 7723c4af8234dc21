//! What a server's name tells of the cluster that it may be a node of.
//!
//! Those who make clusters name servers by a scheme: the cluster's name, what the server does in it, and a number. A name
//! that follows one is taken for a node's, and so is one with a word for Kubernetes in it. A cluster's name with nothing
//! but a number after it, `ou23s-1`, is what the masters of Jetstream2's kubespray are called, and also what Nova itself
//! calls servers of which somebody wanted several: such a name alone says nothing.

/// What a server does in a cluster, where a number or a hash has to follow: `worker-bee` is no node.
const WITH_A_NUMBER: [&str; 6] = ["node", "minion", "worker", "bastion", "gateway", "gw"];

/// What stands also alone, where there is only one: `ou23s-master`.
const ALSO_ALONE: [&str; 3] = ["master", "etcd", "controlplane"];

/// What stands before a role and belongs to it: kubespray's `k8s-node` and `gfs-node`, the first node group of Magnum.
const BEFORE_A_ROLE: [&str; 3] = ["k8s", "gfs", "default"];

/// Words that speak of Kubernetes wherever they stand.
const KUBERNETES: [&str; 10] =
    ["k8s", "kube", "kubernetes", "k3s", "microk8s", "rke", "rke2", "okd", "ocp", "openshift"];

/// The letters of the hashes that Kubernetes puts at the end of names, Cluster API's machines among them: no vowels, so
/// that no words come about, and nothing that looks like one.
const HASH_LETTERS: &str = "bcdfghjklmnpqrstvwxz2456789";

/// The lengths of those hashes.
const HASH_LENGTHS: std::ops::RangeInclusive<usize> = 5..=10;

/// The length of the id that Magnum puts after a cluster's name.
const MAGNUM_ID: usize = 12;

/// The length of the id that Magnum's Cluster API driver puts after `kube-`, where it leaves the cluster's name out.
const KUBE_ID: usize = 5;

/// What a server's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading<'n> {
    /// What the cluster is called, if the server is a node of one.
    pub(super) cluster: &'n str,
    /// Everything in it that may be the name of its cluster: `my-master-1` is the first master of `my-master`, or of `my`.
    pub(super) names: Vec<&'n str>,
    /// The cluster's name without Magnum's id. Magnum makes two clusters of one name, if it is asked to.
    pub(super) without_id: Option<&'n str>,
    /// Whether the name alone makes it a node.
    pub(super) is_node: bool,
    /// Whether the cluster's name is made of nothing but such words: the nodes of two clusters may be called `k8s-node-1` and
    /// `k8s-node-2`, and what they have in common says nothing.
    pub(super) names_nothing: bool,
}

/// Reads a server's name.
pub(super) fn read(name: &str) -> Reading<'_> {
    let host = host(name);
    let words = words(host);
    let roles: Vec<usize> = (1..words.len()).filter(|at| is_role(&words[*at..])).collect();
    let speaks_of_kubernetes = words.iter().any(|word| KUBERNETES.contains(&word.lower.as_str()));
    let numbered = numbered(&words);
    // A name that begins with a number, or with what joins words, has nothing before it.
    let before = |at: usize| Some(prefix(host, &words, at)).filter(|name| !name.is_empty()).unwrap_or(host);
    let cluster = match (by_kube_id(&words), roles.first(), numbered) {
        (Some(at), ..) | (None, Some(&at), _) | (None, None, Some(at)) => before(at),
        (None, None, None) => host,
    };
    let (without_id, cluster) =
        by_magnums_id(cluster).map_or((None, cluster), |(name, all)| (Some(name), all));
    let mut names: Vec<&str> = roles.iter().copied().chain(numbered).map(before).collect();
    names.extend([cluster, host]);
    names.sort_unstable();
    names.dedup();
    Reading {
        cluster,
        names,
        without_id,
        is_node: !roles.is_empty() || is_role(&words) || speaks_of_kubernetes,
        names_nothing: self::words(cluster).iter().all(|word| says_nothing(&word.lower)),
    }
}

/// The name without a domain.
fn host(name: &str) -> &str {
    match name.split_once('.') {
        Some((host, _)) if !host.is_empty() => host,
        _ => name,
    }
}

/// A word that any cluster's servers may have in their names.
fn says_nothing(word: &str) -> bool {
    let role = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let words = [
        &KUBERNETES[..],
        &BEFORE_A_ROLE,
        &WITH_A_NUMBER,
        &ALSO_ALONE,
        &["control", "plane", "md", "cluster"],
    ];
    role.is_empty() || words.iter().any(|known| known.contains(&word) || known.contains(&role))
}

struct Word {
    at: usize,
    lower: String,
}

fn words(host: &str) -> Vec<Word> {
    let mut at = 0;
    let mut words = Vec::new();
    for word in host.split(['-', '_']) {
        words.push(Word { at, lower: word.to_ascii_lowercase() });
        at += word.len() + 1;
    }
    words
}

/// What stands before a word, without what joins the two.
fn prefix<'n>(host: &'n str, words: &[Word], at: usize) -> &'n str {
    let end = words.get(at).map_or(host.len(), |word| word.at.saturating_sub(1));
    host.get(..end).unwrap_or(host)
}

/// Whether the words are what follows a cluster's name: a role, and the number of one that has it.
fn is_role(words: &[Word]) -> bool {
    let first = words.first().map_or("", |word| word.lower.as_str());
    if BEFORE_A_ROLE.contains(&first) {
        return is_plain_role(&words[1..]);
    }
    is_plain_role(words)
}

fn is_plain_role(words: &[Word]) -> bool {
    let lower = |at: usize| words.get(at).map_or("", |word| word.lower.as_str());
    let first = lower(0);
    let rest = |from: usize| words.get(from..).unwrap_or_default();
    // Machines of Cluster API: `<cluster>-control-plane-<hash>`, `<cluster>-md-0-<hash>-<hash>`.
    if first == "control" && lower(1) == "plane" {
        return rest(2).is_empty() || is_number(rest(2));
    }
    if first == "md" && is_digits(lower(1)) {
        return true;
    }
    let role = first.trim_end_matches(|c: char| c.is_ascii_digit());
    let glued = role.len() < first.len();
    let alone = ALSO_ALONE.contains(&role);
    if !alone && !WITH_A_NUMBER.contains(&role) {
        return false;
    }
    if rest(1).is_empty() { alone || glued } else { is_number(rest(1)) }
}

/// A number or a hash; kubespray marks nodes without a floating address, and masters without etcd.
fn is_number(words: &[Word]) -> bool {
    let fits = |word: &Word| {
        let word = word.lower.as_str();
        is_digits(word) || is_hash(word) || matches!(word, "nf" | "ne")
    };
    !words.is_empty() && words.iter().all(fits)
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hash(word: &str) -> bool {
    HASH_LENGTHS.contains(&word.len()) && word.chars().all(|c| HASH_LETTERS.contains(c))
}

/// Where the number begins, of a name that is nothing but a name and a number.
fn numbered(words: &[Word]) -> Option<usize> {
    let last = words.len().checked_sub(1).filter(|last| *last > 0)?;
    is_digits(&words[last].lower).then_some(last)
}

/// `kube-<id>-...`: all of a cluster's servers have these two words.
fn by_kube_id(words: &[Word]) -> Option<usize> {
    let [first, id, _, ..] = words else { return None };
    let is_id = id.lower.len() == KUBE_ID && id.lower.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (first.lower == "kube" && is_id).then_some(2)
}

/// `<cluster>-<id>`, without and with the id; a node group's name may follow it. The id has twelve letters and digits of
/// base 32. One in twelve has no digit; those are not told from a word, and their cluster is taken for an unknown one rather
/// than for a hub's.
fn by_magnums_id(cluster: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    for part in cluster.split('-') {
        let letters = part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        let is_id = part.len() == MAGNUM_ID
            && letters
            && part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.contains(|c: char| c.is_ascii_digit());
        if from > 1 && is_id {
            return Some((cluster.get(..from - 1)?, cluster.get(..from + part.len())?));
        }
        from += part.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_nodes_are_read_whoever_made_the_cluster() {
        for (name, cluster) in [
            // kubespray
            ("ou23s-k8s-master-1", "ou23s"),
            ("ou23s-k8s-master-ne-2", "ou23s"),
            ("ou23s-k8s-master-nf-1", "ou23s"),
            ("ou23s-k8s-master-ne-nf-12", "ou23s"),
            ("ou23s-k8s-node-1", "ou23s"),
            ("mvu-test-k8s-node-nf-9", "mvu-test"),
            ("ou23s-etcd-1", "ou23s"),
            ("ou23s-bastion-1", "ou23s"),
            ("ou23s-gfs-node-nf-1", "ou23s"),
            ("ou23s-gateway-1", "ou23s"),
            ("ou23s-k8s-node-nf-1.project.projects.jetstream-cloud.org", "ou23s"),
            ("OU23S_k8s_node_1", "OU23S"),
            // Magnum on Heat
            ("science-abcd2fghijkl-master-0", "science-abcd2fghijkl"),
            ("science-abcd2fghijkl-node-3", "science-abcd2fghijkl"),
            ("science-abcd2fghijkl-minion-0", "science-abcd2fghijkl"),
            // Cluster API, and Magnum on it
            ("prod-control-plane-x2k4v", "prod"),
            ("prod-control-plane", "prod"),
            ("prod-md-0-7d9c5b8f6d-x2k4v", "prod"),
            ("prod-md-0-anything", "prod"),
            ("k8s-mbbffjfee7ss-control-plane-6rn2z", "k8s-mbbffjfee7ss"),
            ("k8s-mbbffjfee7ss-default-worker-7wl4f-b8f6d", "k8s-mbbffjfee7ss"),
            ("kube-p4q7z-default-worker-x2k4v-7wl4f-6rn2z", "kube-p4q7z"),
            ("kube-p4q7z-vd6kx-6rn2z", "kube-p4q7z"),
            // by hand
            ("science-master", "science"),
            ("science-worker1", "science"),
            ("science-worker-12", "science"),
            ("k8s-master-0", "k8s"),
            ("master-1", "master"),
            ("node-3", "node"),
            ("rke2-server-1", "rke2-server"),
            ("my-k3s", "my-k3s"),
            ("ou-k8s-1", "ou-k8s"),
        ] {
            let reading = read(name);
            assert!(reading.is_node, "{name}");
            assert_eq!(reading.cluster, cluster, "{name}");
        }
    }

    #[test]
    fn a_desktop_is_no_node() {
        for name in [
            "my-vm-1",
            "my-vm-2",
            "pleasant-dove",
            "ldm",
            "thredds-2024",
            "node-red",
            "worker-bee",
            "masters-thesis",
            "api-gateway",
            "science-gateway",
            "jump-bastion",
            "windows-node",
            "control-room",
            "etcdetera-1",
            "md-backup",
            "",
            "-",
            "-1",
            ".",
            "1",
        ] {
            assert!(!read(name).is_node, "{name}");
        }
    }

    #[test]
    fn a_hubs_name_is_found_whatever_it_looks_like() {
        for (hub, name) in [
            ("ou23s", "ou23s-1"),
            ("ou23s", "ou23s-k8s-node-nf-1"),
            ("my-master", "my-master-1"),
            ("my-master", "my-master-k8s-node-nf-1"),
            ("my-node-2", "my-node-2-1"),
            ("k8s", "k8s-1"),
            ("ou-k8s", "ou-k8s-k8s-node-nf-1"),
            ("pyaos", "pyaos"),
        ] {
            assert!(read(name).names.contains(&hub), "{name}: {:?}", read(name));
        }
    }

    #[test]
    fn another_clusters_name_is_not_taken_for_a_hubs() {
        for (hub, name) in [
            ("ou", "ou-master-k8s-node-nf-1"),
            ("ou", "ou-k8s-1"),
            ("ou", "ou-k8s-k8s-node-nf-1"),
            ("ou", "ou-test-k8s-node-nf-1"),
            ("ou", "ou2-1"),
            ("test", "ou-test-1"),
            ("science", "science-hydrologists-node-1"),
        ] {
            let reading = read(name);
            assert!(!reading.names.contains(&hub) && reading.without_id != Some(hub), "{name}: {reading:?}");
        }
    }

    #[test]
    fn a_domain_is_no_part_of_a_name_and_a_name_that_begins_with_a_dot_has_none() {
        assert_eq!(host("ou23s-1.project.cloud"), "ou23s-1");
        assert_eq!(host(".hidden.cloud"), ".hidden.cloud");
        assert_eq!(host("ou23s-1"), "ou23s-1");
    }

    #[test]
    fn only_a_cluster_of_nothing_but_common_words_names_nothing() {
        for name in ["k8s-node-1", "master-1", "node2-3", "control-plane-1", "cluster-1", "k8s2-node-1"] {
            assert!(read(name).names_nothing, "{name}: {:?}", read(name));
        }
        for name in ["ou23s-node-1", "my-k8s-node-1", "science-1", "kubely-1"] {
            assert!(!read(name).names_nothing, "{name}: {:?}", read(name));
        }
    }

    #[test]
    fn a_hash_has_five_to_ten_of_kubernetes_letters_and_nothing_else() {
        for hash in ["x2k4v", "7d9c5b8f6d"] {
            assert!(is_hash(hash), "{hash}");
        }
        for word in ["x2k4", "7d9c5b8f6d2", "x2k4a", "apple", "x2k41", ""] {
            assert!(!is_hash(word), "{word}");
        }
    }

    #[test]
    fn an_id_after_kube_is_the_clusters_only_where_something_follows_it() {
        let of = |name: &str| by_kube_id(&words(name));
        assert_eq!(of("kube-p4q7z-vd6kx"), Some(2));
        assert_eq!(of("KUBE-p4q7z-vd6kx-6rn2z"), Some(2));
        for name in
            ["kube-p4q7z", "kube-p4q7-vd6kx", "kube-p4q7zz-vd6kx", "kuba-p4q7z-vd6kx", "kube-p4q.z-vd6kx"]
        {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn magnums_id_is_told_from_a_word() {
        // Twelve letters and digits, a letter first, a digit somewhere, and a name before it.
        assert_eq!(by_magnums_id("s-abcd2fghijkl"), Some(("s", "s-abcd2fghijkl")));
        assert_eq!(by_magnums_id("s-abcd2fghijkl-gpu"), Some(("s", "s-abcd2fghijkl")));
        for cluster in [
            "-abcd2fghijkl",
            "abcd2fghijkl",
            "s-abcd2fghijk",
            "s-abcd2fghijklm",
            "s-2bcdefghijkl",
            "s-abcd8fghijkl",
        ] {
            assert_eq!(by_magnums_id(cluster), None, "{cluster}");
        }

        assert_eq!(read("science-abcd2fghijkl-node-3").without_id, Some("science"));
        let of_a_group = read("my-science-abcd2fghijkl-gpu-worker-6rn2z");
        assert_eq!(of_a_group.without_id, Some("my-science"));
        assert_eq!(of_a_group.cluster, "my-science-abcd2fghijkl");
        for name in ["science-hydrologists-node-1", "abcd2fghijkl-node-1", "science-ABCD2FGHIJKL-node-1"] {
            assert_eq!(read(name).without_id, None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read(name in "\\PC{0,40}", parts in prop::collection::vec("[a-z0-9é-]{0,12}", 0..6)) {
            for name in [name, parts.join("-"), parts.join("_")] {
                let reading = read(&name);
                prop_assert!(name.starts_with(reading.cluster));
                prop_assert!(reading.names.contains(&reading.cluster));
            }
        }

        #[test]
        fn every_node_of_a_cluster_names_it(cluster in "[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}", number in 0u32..200) {
            for role in ["k8s-master", "k8s-master-nf", "k8s-node", "k8s-node-nf", "etcd", "bastion", "master", "node"] {
                let name = format!("{cluster}-{role}-{number}");
                let reading = read(&name);
                prop_assert!(reading.is_node, "{}", name);
                prop_assert!(reading.names.contains(&cluster.as_str()), "{}: {:?}", name, reading);
            }
            let master = format!("{cluster}-{number}");
            prop_assert!(read(&master).names.contains(&cluster.as_str()));
        }
    }
}
