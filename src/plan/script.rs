//! A script of the operator's, and how a sandbox runs it.

/// How much of a file tells whether it is text.
const HEAD: usize = 4096;

/// What a script is run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// By what stands in its `#!` line: the program, without its arguments.
    Itself(String),
    /// By `sh`: it has no such line.
    Shell,
}

/// Why a file cannot be run as a script, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoScript {
    /// What is wrong with it.
    pub why: &'static str,
    /// What to do.
    pub hint: &'static str,
}

/// What a file is run with.
pub fn runs(content: &[u8]) -> Result<Runs, NoScript> {
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(NoScript { why: "it is empty", hint: "write the commands into it first" });
    }
    if content[..content.len().min(HEAD)].contains(&0) {
        return Err(NoScript {
            why: "it is no text",
            hint: "a program has to be in the sandbox's image; a script is text, with a first line such as #!/bin/sh",
        });
    }
    let Some(line) = content.strip_prefix(b"#!") else { return Ok(Runs::Shell) };
    let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next().unwrap_or_default());
    if line.ends_with('\r') {
        return Err(NoScript {
            why: "its lines end as on Windows, so that no program has the name in its first one",
            hint: "sed -i 's/\\r$//' FILE",
        });
    }
    match line.split_whitespace().next() {
        Some(program) if program.starts_with('/') => Ok(Runs::Itself(program.to_owned())),
        _ => Err(NoScript {
            why: "its first line names no program by its whole path",
            hint: "write it like #!/usr/bin/env python3",
        }),
    }
}

/// Its lines as a shell reads them: one that ends in a backslash goes on, and one that begins with `#` says nothing.
pub fn lines(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content).replace("\\\r\n", " ").replace("\\\n", " ");
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_run_by_what_its_first_line_names_else_by_sh() {
        let itself = |program: &str| Ok(Runs::Itself(program.to_owned()));
        assert_eq!(runs(b"#!/bin/bash -e\nkubectl get pods\n"), itself("/bin/bash"));
        assert_eq!(runs(b"#! /usr/bin/env python3\r-\n"), itself("/usr/bin/env"));
        assert_eq!(runs(b"#!/bin/true"), itself("/bin/true"));
        assert_eq!(runs(b"# a comment\necho here"), Ok(Runs::Shell));
        assert_eq!(runs(b"\xff\xfe echo"), Ok(Runs::Shell));
    }

    #[test]
    fn what_is_no_script_says_why() {
        let why = |content: &[u8]| runs(content).unwrap_err().why;
        assert_eq!(why(b""), "it is empty");
        assert_eq!(why(b" \n\t\r\n"), "it is empty");
        assert_eq!(why(b"\x7fELF\x02\x01\x00"), "it is no text");
        assert!(why(b"#!/bin/sh\r\necho\r\n").contains("Windows"));
        for line in ["#!\n", "#!  \n", "#!python3\n"] {
            assert!(why(line.as_bytes()).contains("whole path"), "{line:?}");
        }
    }

    #[test]
    fn lines_go_on_after_a_backslash_and_comments_say_nothing() {
        let script =
            b"#!/bin/sh\n# kubectl delete all\nkubectl -n jhub \\\n  delete \\\r\n pod x\n\necho a # b\n";
        assert_eq!(lines(script), ["kubectl -n jhub    delete   pod x", "echo a # b"]);
    }
}
