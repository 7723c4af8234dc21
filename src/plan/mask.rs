//! Command lines without their secrets, so that they can be kept. What only may be a secret is masked too: a history that says less
//! than it could is better than one that says too much.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands in a secret's place.
pub const MASK: &str = "[secret]";

/// A name that has a word in it that stands for a secret. These patterns are compiled each time that fleet runs a command, and all
/// letters of all alphabets in both cases would take 50 ms: what is no ASCII counts as a letter, and only words have cases.
const SECRET_NAME: &str = r"[0-9A-Za-z_.\-\u{80}-\u{10FFFF}]*(?i:pass|pwd|secret|token|key|credential|authorization|cookie|signature)[0-9A-Za-z_.\-\u{80}-\u{10FFFF}]*";

/// A value as a shell takes it: words in quotes and others, as long as nothing ends them.
const VALUE: &str = r#"(?:"(?:\\[\s\S]|[^"\\])*"?|'[^']*'?|\\[\s\S]|[^\s'"\\;&|<>()])+"#;

/// A name that stands for a secret, with what divides it from its value. The name may be in quotes, as JSON has it.
static NAMED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r#"({SECRET_NAME}(?:\\?["'])?[ \t]*[=:][ \t]*)"#)).ok());

/// The same with the value as a shell takes it.
static NAMED_VALUE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r#"({SECRET_NAME}(?:\\?["'])?[ \t]*[=:][ \t]*)(?:{VALUE})"#)).ok());

/// What is masked wherever it stands, each with the text that stays in front of it.
static ANYWHERE: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // Headers: up to the end of the quotes or of the line.
        r#"((?i:authorization|cookie|x-[a-z0-9_\-]*(?:token|key|secret)[a-z0-9_\-]*)\s*[:=]\s*)[^"'\n]+"#.to_owned(),
        format!(r"((?-u:\b)(?i:bearer|basic|negotiate)\s+){VALUE}"),
        // An option, and its value after a blank.
        format!(r"((?:^|[\s'\x22])--?{SECRET_NAME}[ \t]+){VALUE}"),
        // What looks made by chance, after such a name.
        format!(r#"({SECRET_NAME}["']?[ \t]+["']?)[A-Za-z0-9_+/=.~\-]{{16,}}"#),
        // Up to the last @ before the path: there may be one in a password.
        r"([A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@]*:)[^\s/]*@".to_owned(),
        r"([A-Za-z][A-Za-z0-9+.\-]*://)[^\s/:@]{16,}@".to_owned(),
        format!(r#"((?:^|[\s'"])(?:-u|--user|--proxy-user)[ \t=]*["']?[^\s:'"]+:){VALUE}"#),
        // What tells by its beginning what it is: JWTs, Keystone's tokens, GitHub's, GitLab's, AWS's.
        r"()(?-u:\b(?:eyJ[\w\-]{8,}(?:\.[\w\-]*){0,2}|gAAAA[\w\-=]{16,}|gh[a-z]_\w{16,}|github_pat_\w{16,}|glpat-[\w\-]{16,}|AKIA\w{12,}))".to_owned(),
        r"()-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)".to_owned(),
    ]
    .iter()
    .filter_map(|pattern| Regex::new(pattern).ok())
    .collect()
});

/// The one that divides passwords from hosts leaves the `@`.
fn masked(found: &Captures<'_>) -> String {
    let at = if found[0].ends_with('@') && found[1].contains("://") { "@" } else { "" };
    format!("{}{MASK}{at}", &found[1])
}

/// A command line without its secrets, word by word.
pub fn mask<T: AsRef<str>>(words: &[T]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let (word, before) = (word.as_ref(), place.checked_sub(1).and_then(|before| words.get(before)));
        let before = before.map_or("", AsRef::as_ref);
        out.push(if is_secret_option(before) && !is_option(word) {
            MASK.to_owned()
        } else if is_user_option(before) && word.contains(':') && !is_url(word) {
            format!("{}:{MASK}", word.split(':').next().unwrap_or_default())
        } else if is_script_option(before) {
            text(word)
        } else {
            whole_word(word)
        });
    }
    out
}

/// A text that a shell reads.
pub fn text(text: &str) -> String {
    let named = match NAMED_VALUE.as_ref() {
        Some(pattern) => pattern.replace_all(text, masked),
        // Never: the patterns are tested. Without them nothing is safe to be kept.
        None => Cow::Borrowed(MASK),
    };
    ANYWHERE.iter().fold(named.into_owned(), |text, pattern| pattern.replace_all(&text, masked).into_owned())
}

/// A word that no shell takes apart: what has a name that stands for a secret has the rest of the word for its value, blanks too.
fn whole_word(word: &str) -> String {
    match NAMED.as_ref().map(|pattern| pattern.find(word)) {
        Some(Some(name)) if name.end() < word.len() => format!("{}{MASK}", text(&word[..name.end()])),
        Some(_) => text(word),
        None => MASK.to_owned(),
    }
}

fn is_option(word: &str) -> bool {
    word.starts_with("--") && !word.contains([' ', '\t', '\n'])
}

fn is_secret_option(word: &str) -> bool {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!(r"^--?{SECRET_NAME}$")).ok());
    NAME.as_ref().is_none_or(|name| name.is_match(word))
}

fn is_user_option(word: &str) -> bool {
    ["-u", "--user", "--proxy-user"].contains(&word)
}

/// `git push -u https://...`. A password may begin with slashes, too, so other words before them are a user's name.
fn is_url(word: &str) -> bool {
    word.split_once("://")
        .is_some_and(|(scheme, _)| ["http", "https", "ssh", "git", "file"].contains(&scheme))
}

/// `sh -c`, `bash -lc`: what follows is taken apart.
fn is_script_option(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.ends_with('c') && word.len() < 6
}
