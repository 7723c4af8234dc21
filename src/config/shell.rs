//! Reads just enough of a shell script to see what it plainly sets and plainly asks for. What it does not
//! understand it says so of, and judges nothing.

/// One simple command of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// The line that it ends on, counted from 1.
    pub line: usize,
    /// Its words, quotes taken off. What is computed (`$X`, `$(...)`) stands as it is written.
    pub words: Vec<String>,
    /// Whether its input comes from a pipe or a file.
    pub fed: bool,
    /// Whether it is sure to run: not within `if`, a loop, a function or after `&&` and `||`.
    pub certain: bool,
}

/// The simple commands of a script, or `None` where its quotes or parts cannot be followed.
pub(super) fn commands(script: &str) -> Option<Vec<Command>> {
    let mut scanner = Scanner::default();
    let mut chars = Cursor { rest: script, line: 1 };
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next()? {
                '\n' => {}
                escaped => scanner.push(escaped),
            },
            '\'' => scanner.quoted(&chars.until('\'')?),
            '"' => scanner.quoted(&chars.double_quoted()?),
            // The closing backtick is where the computed part ends; nothing in it is looked at.
            '`' => scanner.quoted(&chars.until('`')?),
            '$' if chars.peek() == Some('(') => scanner.quoted(&chars.parenthesised()?),
            // $'...' has escapes of its own.
            '$' if chars.peek() == Some('\'') => return None,
            '#' if !scanner.in_word => {
                while chars.peek().is_some_and(|next| next != '\n') && chars.next().is_some() {}
            }
            '<' => {
                // "<<<" feeds a word; "<<" begins a document of lines that are no commands.
                if chars.skip('<') && !chars.skip('<') {
                    return None;
                }
                scanner.redirected();
            }
            '>' => {
                let _ = chars.skip('>') || chars.skip('&') || chars.skip('|');
                scanner.end_word();
            }
            '\n' => scanner.end_command(chars.line - 1, false, false),
            ';' => scanner.end_command(chars.line, false, false),
            '|' | '&' => {
                let doubled = chars.skip(char);
                scanner.end_command(chars.line, char == '|' && !doubled, doubled);
            }
            '(' | ')' => scanner.parenthesis(chars.line, char),
            ' ' | '\t' | '\r' => scanner.end_word(),
            other => scanner.push(other),
        }
    }
    scanner.end_command(chars.line, false, false);
    scanner.open.is_empty().then_some(scanner.commands)
}

/// What is left of the script.
struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let char = chars.next()?;
        self.rest = chars.as_str();
        self.line += usize::from(char == '\n');
        Some(char)
    }

    /// Goes past a character if it is the next one.
    fn skip(&mut self, char: char) -> bool {
        let found = self.peek() == Some(char);
        if found {
            self.next();
        }
        found
    }

    fn until(&mut self, end: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                char if char == end => return Some(text),
                char => text.push(char),
            }
        }
    }

    fn double_quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.next()?),
                // What is computed may have quotes of its own; a script that nests them is for the shell to read.
                '$' if self.peek() == Some('(') => text.push_str(&self.parenthesised()?),
                '`' => text.push_str(&self.until('`')?),
                char => text.push(char),
            }
        }
    }

    /// What stands in parentheses, other parentheses in it included. Quotes in it are not followed: then
    /// the parentheses could not be counted, so this gives up.
    fn parenthesised(&mut self) -> Option<String> {
        let mut text = String::from("$");
        let mut depth = 0_usize;
        loop {
            let char = self.next()?;
            text.push(char);
            match char {
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1)?,
                '\'' => text.push_str(&self.until('\'')?),
                '"' => text.push_str(&self.plainly_quoted()?),
                '\\' | '#' => return None,
                _ => {}
            }
            if depth == 0 {
                return Some(text);
            }
        }
    }

    /// What stands in double quotes with nothing computed by a command in it: no recursion, however deep a
    /// script nests.
    fn plainly_quoted(&mut self) -> Option<String> {
        let text = self.until('"')?;
        (!text.contains(['\\', '`']) && !text.contains("$(")).then_some(text)
    }
}

#[derive(Default)]
struct Scanner {
    commands: Vec<Command>,
    words: Vec<String>,
    word: String,
    in_word: bool,
    fed: bool,
    conditional: bool,
    /// What has begun and not ended: parentheses, and words such as `if`.
    open: Vec<Open>,
}

#[derive(PartialEq, Eq)]
enum Open {
    Parenthesis,
    Word,
}

impl Scanner {
    fn push(&mut self, char: char) {
        self.word.push(char);
        self.in_word = true;
    }

    fn quoted(&mut self, text: &str) {
        self.word.push_str(text);
        self.in_word = true;
    }

    fn redirected(&mut self) {
        self.end_word();
        self.fed = true;
    }

    fn end_word(&mut self) {
        if !std::mem::take(&mut self.in_word) {
            return;
        }
        let word = std::mem::take(&mut self.word);
        match word.as_str() {
            // Only where a command could begin are these words the shell's own.
            "if" | "for" | "while" | "until" | "case" | "select" | "{" if self.words.is_empty() => {
                self.open.push(Open::Word);
            }
            "fi" | "done" | "esac" | "}" if self.words.is_empty() => self.close(&Open::Word),
            "then" | "else" | "elif" | "do" | "!" | "time" if self.words.is_empty() => {}
            _ => self.words.push(word),
        }
    }

    fn parenthesis(&mut self, line: usize, char: char) {
        self.end_command(line, false, false);
        match char {
            '(' => self.open.push(Open::Parenthesis),
            // After a pattern of `case` one stands alone.
            _ => self.close(&Open::Parenthesis),
        }
    }

    fn close(&mut self, what: &Open) {
        self.open.pop_if(|open| open == what);
    }

    fn end_command(&mut self, line: usize, piped: bool, conditional: bool) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            let certain = self.open.is_empty() && !self.conditional;
            self.commands.push(Command { line, words, fed: self.fed, certain });
        }
        self.fed = piped;
        self.conditional = conditional;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(script: &str) -> Vec<Vec<String>> {
        commands(script).unwrap().into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn quotes_and_comments_hide_what_is_in_them() {
        assert_eq!(words("echo 'a; b' \"c # d\" # e; f\nx"), [vec!["echo", "a; b", "c # d"], vec!["x"]]);
        assert_eq!(
            words("A=$(read X; echo \")\") B=`read Y` >&2"),
            [["A=$(read X; echo \"))", "B=read Y", "2"]]
        );
        assert_eq!(words("a \\\n b#c"), [["a", "b#c"]]);
    }

    #[test]
    fn what_may_not_run_is_not_certain() {
        let sure = |script: &str| commands(script).unwrap().last().unwrap().certain;
        assert!(sure("if true; then x; fi; read A"));
        assert!(!sure("if true; then read A; fi"));
        assert!(!sure("true && read A"));
        assert!(!sure("f() { read A; }"));
        assert!(!sure("case x in a) read A;; esac"));
        assert!(sure("(read B); read A"));
    }

    #[test]
    fn what_cannot_be_followed_is_said_so() {
        for script in
            ["echo 'open", "cat <<EOF\nread X\nEOF\n", "if true; then", "A=$(open", "\\", "A=$'it\\'s'"]
        {
            assert_eq!(commands(script), None, "{script}");
        }
    }

    proptest! {
        #[test]
        fn no_script_is_too_strange(script in "([a-z ]|['\"`$()#<>;|&\\\\\n{}]){0,60}") {
            let _ = commands(&script);
        }
    }
}
