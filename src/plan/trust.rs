//! Whether the host key that a master or a jump host shows may take the place of the one that is pinned, or be pinned where none is.

use crate::hub::HubName;

/// What follows from the key that a master shows. Keys are told by their fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one that is pinned.
    Pinned,
    /// It is the one that the operator demands.
    Demanded,
    /// It is not the one that the operator demands.
    NotDemanded,
    /// Somebody has to look at both.
    Ask,
}

/// Holds the key that is shown against the one that is pinned and the one that the operator demands.
pub fn judge(pinned: Option<&str>, shown: &str, demanded: Option<&str>) -> Verdict {
    match demanded {
        // Also where it is the pinned one: whoever demands another expects that one to be gone.
        Some(demanded) if demanded != shown => Verdict::NotDemanded,
        _ if pinned == Some(shown) => Verdict::Pinned,
        Some(_) => Verdict::Demanded,
        None => Verdict::Ask,
    }
}

/// What follows from the key that a jump host shows, where nobody is asked. Keys are told by their fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First<'a> {
    /// It may be pinned, or is.
    Take,
    /// It is not the one that the operator demands.
    NotDemanded(&'a str),
    /// It is not the one that is pinned.
    NotPinned(&'a str),
    /// This hub of the fleet has pinned another key for the same host.
    PinnedByOther(&'a HubName, &'a str),
}

/// Whether a key may be pinned unseen: where nothing was pinned for that host before, by whatever hub. What the operator demands is not
/// unseen.
pub fn first<'a>(
    shown: &str,
    own: Option<&'a str>,
    others: &'a [(HubName, String)],
    demanded: Option<&'a str>,
) -> First<'a> {
    if let Some(demanded) = demanded.filter(|demanded| *demanded != shown) {
        return First::NotDemanded(demanded);
    }
    match own {
        Some(own) if own == shown => return First::Take,
        Some(own) => return First::NotPinned(own),
        None => {}
    }
    let other = others.iter().find(|(_, pinned)| pinned != shown);
    match other {
        Some((hub, pinned)) if demanded.is_none() => First::PinnedByOther(hub, pinned),
        _ => First::Take,
    }
}

/// Whether what was typed trusts a key: `yes`, or its fingerprint, as OpenSSH takes it.
pub fn trusts(typed: &str, shown: &str) -> bool {
    let typed = typed.trim();
    typed == "yes" || typed == shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demanded_key_is_the_only_one_that_will_do() {
        assert_eq!(judge(Some("old"), "new", Some("new")), Verdict::Demanded);
        assert_eq!(judge(None, "new", Some("new")), Verdict::Demanded);
        assert_eq!(judge(Some("old"), "other", Some("new")), Verdict::NotDemanded);
        assert_eq!(judge(Some("old"), "old", Some("new")), Verdict::NotDemanded);
    }

    #[test]
    fn without_a_demand_a_person_decides_on_every_key_but_the_pinned_one() {
        assert_eq!(judge(Some("old"), "old", None), Verdict::Pinned);
        assert_eq!(judge(Some("old"), "old", Some("old")), Verdict::Pinned);
        assert_eq!(judge(Some("old"), "new", None), Verdict::Ask);
        assert_eq!(judge(None, "new", None), Verdict::Ask);
    }

    #[test]
    fn a_jump_hosts_key_is_taken_unseen_only_where_no_hub_has_pinned_another() {
        let hub = HubName::new("mvu23s").unwrap();
        let others = |key: &str| vec![(hub.clone(), key.to_owned())];
        assert_eq!(first("new", None, &[], None), First::Take);
        assert_eq!(first("new", None, &others("new"), None), First::Take);
        assert_eq!(first("new", Some("new"), &others("old"), None), First::Take);
        assert_eq!(first("new", Some("old"), &[], None), First::NotPinned("old"));
        assert_eq!(first("new", Some("old"), &others("new"), Some("new")), First::NotPinned("old"));
        assert_eq!(first("new", None, &others("old"), None), First::PinnedByOther(&hub, "old"));
        assert_eq!(first("new", None, &others("old"), Some("new")), First::Take);
        assert_eq!(first("new", Some("new"), &others("new"), Some("old")), First::NotDemanded("old"));
    }

    #[test]
    fn only_yes_in_full_or_the_fingerprint_trusts() {
        for typed in ["yes", " yes\n", "SHA256:abc", "SHA256:abc \n"] {
            assert!(trusts(typed, "SHA256:abc"), "{typed:?}");
        }
        for typed in ["", "\n", "y", "YES", "no", "SHA256:ab", "SHA256:abd", "yes please"] {
            assert!(!trusts(typed, "SHA256:abc"), "{typed:?}");
        }
    }
}
