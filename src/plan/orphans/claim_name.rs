//! The names of volumes that were made for claims, and the UUIDs in names and ids.

use std::borrow::Cow;

/// What the CSI driver's provisioner and the in-tree plugin put before the claim's UID.
const PREFIXES: [&str; 2] = ["pvc-", "kubernetes-dynamic-pvc-"];

/// The length of a UUID in its usual form, 8-4-4-4-12.
const UUID_LENGTH: usize = 36;

/// Whether a volume has the name of one that was made for a claim: the whole name, not a prefix of it.
pub(super) fn is_claim_name(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| uuid(rest).is_some()))
}

/// The UUID that a text is.
pub(super) fn uuid(text: &str) -> Option<u128> {
    uuid_bytes(text.as_bytes())
}

fn uuid_bytes(bytes: &[u8]) -> Option<u128> {
    if bytes.len() != UUID_LENGTH {
        return None;
    }
    let mut value = 0u128;
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
        } else {
            value = value << 4 | u128::from(char::from(*byte).to_digit(16)?);
        }
    }
    Some(value)
}

/// Every UUID in a text, wherever it stands: a handle may carry a prefix, a name may be part of a longer one.
pub(super) fn uuids_in(text: &str) -> impl Iterator<Item = u128> {
    text.as_bytes().windows(UUID_LENGTH).filter_map(uuid_bytes)
}

/// A text for comparison without regard to upper and lower case.
pub(super) fn folded(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_uppercase) { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}
