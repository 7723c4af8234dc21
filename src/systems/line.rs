//! Text from other machines, made fit for a line of a message.

/// The most characters of somebody else's text in one of fleet's messages.
const LIMIT: usize = 300;

/// Text from elsewhere as one bounded line: control characters (a terminal would obey them) and runs of blanks become
/// one blank.
pub fn one_line(text: &str) -> String {
    let blanked: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = String::new();
    for word in blanked.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_becomes_one_harmless_line() {
        assert_eq!(one_line("  sudo:\n\ta \u{1b}[31mpassword\r\n"), "sudo: a [31mpassword");
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let line = one_line(&"ü".repeat(5000));
        assert_eq!(line.chars().count(), LIMIT + 3);
        assert!(line.ends_with("..."));
    }
}
