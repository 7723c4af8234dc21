//! Text from outside, made fit to be shown.

/// One line without control characters: names and messages come from outside, and a terminal obeys what it is sent.
pub fn one_line(text: &str) -> String {
    text.split_whitespace()
        .map(|word| word.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_does_not_reach_the_terminal() {
        assert_eq!(one_line("a\x1b[2J\r\n\tb\u{9b}1m"), "a[2J b1m");
    }
}
