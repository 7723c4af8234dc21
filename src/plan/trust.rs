//! Whether the host key that a master shows may take the place of the one that is pinned.

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
    fn only_yes_in_full_or_the_fingerprint_trusts() {
        for typed in ["yes", " yes\n", "SHA256:abc", "SHA256:abc \n"] {
            assert!(trusts(typed, "SHA256:abc"), "{typed:?}");
        }
        for typed in ["", "\n", "y", "YES", "no", "SHA256:ab", "SHA256:abd", "yes please"] {
            assert!(!trusts(typed, "SHA256:abc"), "{typed:?}");
        }
    }
}
