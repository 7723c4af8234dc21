//! Text from outside, made fit to be shown: names and messages come from elsewhere, and a terminal obeys what it is sent.

mod nearest;

use std::borrow::Cow;
use std::fmt::Write as _;

pub use nearest::nearest;

/// The most characters of somebody else's text in one of fleet's messages.
const EXCERPT: usize = 300;

/// What is shown for a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A name without anything that could move the cursor, start a new line, or turn the direction of text: whoever can name
/// a volume must not be able to write into an operator's terminal.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unsafe) {
        Cow::Owned(text.chars().map(|c| if is_unsafe(c) { REPLACEMENT } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// A message as one line: control characters and runs of blanks become one blank.
pub fn one_line(text: &str) -> String {
    let blanked: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    blanked.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of somebody else's message, as one line.
pub fn excerpt(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Words as a shell takes them, each quoted where it has to be.
pub fn quoted<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| quoted_word(word.as_ref())).collect::<Vec<_>>().join(" ")
}

fn quoted_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if !word.chars().any(is_unsafe) {
        return format!("'{}'", word.replace('\'', "'\\''"));
    }
    // As bash and zsh have it: nothing of a word is lost, and nothing of it is obeyed by a terminal.
    let mut text = String::from("$'");
    for c in word.chars() {
        // Writing into a string cannot fail.
        let _ = match c {
            '\'' | '\\' => write!(text, "\\{c}"),
            '\n' => write!(text, "\\n"),
            '\t' => write!(text, "\\t"),
            c if c.is_ascii() && is_unsafe(c) => write!(text, "\\x{:02x}", u32::from(c)),
            c if is_unsafe(c) => write!(text, "\\u{:04x}", u32::from(c)),
            c => write!(text, "{c}"),
        };
    }
    text.push('\'');
    text
}

/// `-` for what is not there, so that a column has no holes.
pub fn or_dash(text: Option<&str>) -> Cow<'_, str> {
    text.filter(|text| !text.is_empty()).map_or(Cow::Borrowed("-"), clean)
}

/// `1 volume`, `2 volumes`.
pub fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_cannot_write_into_the_terminal() {
        assert_eq!(clean("pvc-1"), "pvc-1");
        assert_eq!(
            clean("a\u{1b}[2Jb\nc\rd\te\u{7}\u{9b}"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}\u{fffd}"
        );
        assert_eq!(clean("evil\u{202e}txt.\u{200b}"), "evil\u{fffd}txt.\u{fffd}");
        assert_eq!(clean("prénom-名"), "prénom-名");
    }

    #[test]
    fn a_message_is_one_line_without_what_a_terminal_obeys() {
        assert_eq!(one_line("a\x1b[2J\r\n\tb\u{9b}1m\n"), "a [2J b 1m");
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted(&["kubectl", "get", "pods", "-n", "jhub"]), "kubectl get pods -n jhub");
        assert_eq!(quoted(&["sh", "-c", "echo it's | wc"]), r"sh -c 'echo it'\''s | wc'");
        assert_eq!(quoted(&["/etc/fleet.toml", "my fleet.toml"]), "/etc/fleet.toml 'my fleet.toml'");
        assert_eq!(quoted(&["", "a\n\x1b'\u{202e}"]), r"'' $'a\n\x1b\'\u202e'");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        assert_eq!(excerpt(&"ü".repeat(EXCERPT)), "ü".repeat(EXCERPT));
        assert_eq!(excerpt(&"ü".repeat(EXCERPT + 1)), format!("{}...", "ü".repeat(EXCERPT)));
    }
}
