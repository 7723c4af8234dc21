//! `fleet man`: the help as man pages.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::context::tell;
use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::text::count;

/// Write a man page for each command
///
/// They go into DIR, which is made where it is missing: fleet.1, fleet-exec.1 and so on, the same words as the help.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  fleet man ~/.local/share/man/man1      then: man fleet-exec\n  fleet man /tmp/man && man -l /tmp/man/fleet.1"
)]
pub struct Args {
    /// The directory
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
}

/// Writes them.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let directory = &args.directory;
    std::fs::create_dir_all(directory)
        .map_err(|source| Failure::failed(&files::Error::new("make the directory", directory, source)))?;
    let pages = pages().map_err(|error| Failure::failed(&error))?;
    for (name, page) in &pages {
        files::replace(&directory.join(name), page, 0o644).map_err(|error| Failure::failed(&error))?;
    }
    tell(&format!("{} in {}\n", count(pages.len() as u64, "page"), Path::new(directory).display()));
    Ok(Exit::Done)
}

/// All pages, each with its file's name.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Fills in what subcommands take from the commands above them.
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    Ok(pages)
}

fn add(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    let man = Man::new(command.clone()).source(concat!("fleet ", env!("CARGO_PKG_VERSION"))).manual("fleet");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|one| !one.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        page.extend_from_slice(after(&text.to_string()).as_bytes());
    }
    pages.push((man.get_filename(), page));
    command.get_subcommands().try_for_each(|command| add(command, pages))
}

/// What comes after the help: lines that are indented are shown as they stand, under the heading that a line with a colon is.
fn after(text: &str) -> String {
    let (mut page, mut as_it_stands) = (String::new(), false);
    for line in text.lines() {
        let is_indented = line.starts_with(' ');
        if as_it_stands && !is_indented {
            page.push_str(".fi\n.RE\n");
            as_it_stands = false;
        }
        match (line.strip_suffix(':'), line.split_once(": ")) {
            (Some(heading), _) if !is_indented => page.push_str(&section(heading)),
            (_, Some((heading, rest))) if !is_indented && heading == "Exit status" => {
                page.extend([section(heading), escaped(rest), "\n".to_owned()]);
            }
            _ if is_indented => {
                if !as_it_stands {
                    page.push_str(".RS 4\n.nf\n");
                    as_it_stands = true;
                }
                page.extend([escaped(line.trim_start()), "\n".to_owned()]);
            }
            _ if line.is_empty() => page.push_str(".PP\n"),
            _ => page.extend([escaped(line), "\n".to_owned()]),
        }
    }
    if as_it_stands {
        page.push_str(".fi\n.RE\n");
    }
    page
}

fn section(heading: &str) -> String {
    format!(".SH \"{}\"\n", escaped(&heading.to_uppercase()).replace('"', "\\(dq"))
}

/// A line that is text to roff, whatever is in it.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\(rs").replace('-', "\\-").replace('\'', "\\(aq").replace('^', "\\(ha");
    let text = text.replace('~', "\\(ti").replace('`', "\\(ga");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command_with_its_examples() {
        let pages = pages().unwrap();
        let page = |name: &str| {
            let (_, page) = pages.iter().find(|(one, _)| one == name).unwrap_or_else(|| panic!("{name}"));
            String::from_utf8(page.clone()).unwrap()
        };
        for name in ["fleet.1", "fleet-exec.1", "fleet-orphans-keep.1", "fleet-cp.1", "fleet-tunnel-status.1"]
        {
            let page = page(name);
            for heading in [".TH", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"] {
                assert!(page.contains(heading), "{name}: {heading}");
            }
        }
        let exec = page("fleet-exec.1");
        assert!(
            exec.contains(".SH \"EXAMPLES\"\n.RS 4\n.nf\nfleet exec \\-\\-all kubectl get pvc \\-A\n"),
            "{exec}"
        );
        assert!(exec.contains(".SH \"EXIT STATUS\"\n0 when"), "{exec}");
        assert!(page("fleet.1").contains("fleet\\-exec(1)"));
    }

    #[test]
    fn no_line_of_text_is_a_command_to_roff() {
        assert_eq!(escaped(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escaped("'x' \\n"), "\\(aqx\\(aq \\(rsn");
        assert_eq!(after("A: b\n  x\n"), "A: b\n.RS 4\n.nf\nx\n.fi\n.RE\n");
    }
}
