//! A name, a glob (`ou*`, `{ou,fsu}-*`) or a regular expression (`/^ou[0-9]+/`).

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

use crate::text::nearest;

/// How many names are suggested.
const NEAR: usize = 3;

/// What a name has to be like.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// That very name.
    Name(String),
    /// The whole of the name, with `*`, `?`, `[...]` and `{...,...}`.
    Glob(GlobMatcher),
    /// Anywhere in the name.
    Regex(Regex),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty name; what was it to be?".to_owned());
        }
        if let Some(rest) = text.strip_prefix('/') {
            let inner = rest.strip_suffix('/').filter(|inner| !inner.is_empty()).ok_or_else(|| {
                format!("{text:?} begins a regular expression that does not end; write /.../")
            })?;
            return Regex::new(inner).map(Self::Regex).map_err(|error| {
                // Its last line says what is wrong; those before show where, for a screen of its own.
                let told = error.to_string();
                let why = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("{text:?} is not a regular expression: {why}")
            });
        }
        if text.contains(['*', '?', '[', ']', '{', '}']) {
            let glob = GlobBuilder::new(text).build();
            return glob
                .map(|glob| Self::Glob(glob.compile_matcher()))
                .map_err(|error| format!("{text:?} is not a pattern: {}", error.kind()));
        }
        Ok(Self::Name(text.to_owned()))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob(glob) => glob.is_match(name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }

    pub(super) fn matches_any(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.matches(name))
    }

    /// As it was written, a regular expression without its slashes.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Glob(glob) => glob.glob().glob(),
            Self::Regex(regex) => regex.as_str(),
        }
    }

    /// The names that it may have been meant for, the nearest first: by its letters, wherever they stand.
    pub(super) fn near<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let letters: String =
            self.text().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        let mut near = Vec::new();
        while near.len() < NEAR
            && let Some(name) = nearest(&letters, names.iter().copied())
        {
            near.push(name);
            names.retain(|other| *other != name);
        }
        near
    }
}

/// The parts of a list with commas. One inside `/.../`, `{...}` or `[...]` divides nothing.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    let (mut in_regex, mut depth) = (false, 0_usize);
    let bytes = text.as_bytes();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'/' if at == from => in_regex = true,
            b'/' if in_regex && matches!(bytes.get(at + 1), None | Some(b',')) => in_regex = false,
            b'{' | b'[' if !in_regex => depth += 1,
            b'}' | b']' if !in_regex => depth = depth.saturating_sub(1),
            b',' if !in_regex && depth == 0 => {
                pieces.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text[from..].trim());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_name_is_that_name_a_glob_the_whole_and_a_regular_expression_any_part() {
        assert!(matches("ou23s", "ou23s") && !matches("ou23", "ou23s"));
        assert!(matches("ou*", "ou23s") && !matches("u*", "ou23s"));
        assert!(matches("ou2?s", "ou23s") && matches("{ou,fsu}*", "fsu-s23") && matches("ou[0-9]*", "ou23s"));
        assert!(
            matches("/23/", "ou23s") && !matches("/^23/", "ou23s") && matches("/^ou[0-9]{2}s$/", "ou23s")
        );
    }

    #[test]
    fn commas_in_a_pattern_are_its_own() {
        assert_eq!(pieces("a,b"), ["a", "b"]);
        assert_eq!(pieces("/x{1,2}/,b"), ["/x{1,2}/", "b"]);
        assert_eq!(pieces("/x,y/,b"), ["/x,y/", "b"]);
        assert_eq!(pieces("/x/y,z/,b"), ["/x/y,z/", "b"]);
        assert_eq!(pieces("{a,b}*,[,]c, d "), ["{a,b}*", "[,]c", "d"]);
        assert_eq!(pieces(""), [""]);
        assert_eq!(pieces("a,,b"), ["a", "", "b"]);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, why) in [
            ("", "empty"),
            ("/ou", "does not end"),
            ("//", "does not end"),
            ("/ou(/", "is not a regular expression: unclosed group"),
            ("ou[", "is not a pattern"),
            ("{a", "is not a pattern"),
        ] {
            let told = Pattern::parse(text).unwrap_err();
            assert!(told.contains(why), "{text:?}: {told}");
        }
    }

    #[test]
    fn names_near_a_pattern_are_found_by_its_letters() {
        let names = ["ou23s", "ou24s", "unidata-workshop"];
        let near = |pattern: &str| Pattern::parse(pattern).unwrap().near(names.into_iter());
        assert_eq!(near("ou2s*"), ["ou23s", "ou24s"]);
        assert_eq!(near("unidata*s"), [""; 0]);
        assert_eq!(near("/unidata-w$/"), ["unidata-workshop"]);
        let many = ["ou21s", "ou22s", "ou23s", "ou24s", "ou25s"];
        assert_eq!(Pattern::parse("ou2s*").unwrap().near(many.into_iter()).len(), NEAR);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".{0,30}", name in "[a-z0-9-]{1,10}") {
            for piece in pieces(&text) {
                if let Ok(pattern) = Pattern::parse(piece) {
                    let _ = (pattern.matches(&name), pattern.near([name.as_str()].into_iter()));
                }
            }
        }
    }
}
