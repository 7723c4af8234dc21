//! The word that was probably meant.

/// The candidate nearest to a word that is none of them, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters, and at least one: "ip" and "up" are near, "ip" and "id_x" are not.
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to change. A word that was not typed to its end, or typed on, is near however much is missing.
fn distance(word: &str, candidate: &str) -> usize {
    // Three letters, because one or two begin too many names.
    if word.len() >= 3 && candidate.starts_with(word) || candidate.len() >= 3 && word.starts_with(candidate) {
        return 1;
    }
    strsim::damerau_levenshtein(word, candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let hubs = ["ou23s", "ou24s", "unidata-workshop"];
        assert_eq!(nearest("ou23", hubs), Some("ou23s"));
        assert_eq!(nearest("uo24s", hubs), Some("ou24s"));
        assert_eq!(nearest("unidata", hubs), Some("unidata-workshop"));
        assert_eq!(nearest("test", hubs), None);
        assert_eq!(nearest("", hubs), None);
        assert_eq!(nearest("x", []), None);
    }
}
