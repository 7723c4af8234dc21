//! Text that people read: names from outside made harmless, sizes, ages, tables.

use std::borrow::Cow;
use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::{SignedDuration, Timestamp};

/// What is shown for a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// A name from outside, without anything that could move the cursor, start a new line, or turn the direction of text:
/// whoever can name a volume must not be able to write into an operator's terminal.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
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

/// `-` for what is not there, so that a column has no holes.
pub(crate) fn or_dash(text: Option<&str>) -> Cow<'_, str> {
    text.filter(|text| !text.is_empty()).map_or(Cow::Borrowed("-"), clean)
}

/// How long ago something was: the largest unit that makes at least two, `-` where it is not known.
pub(crate) fn age(at: Option<Timestamp>, now: Timestamp) -> String {
    let Some(at) = at else { return "-".to_owned() };
    let age = now.duration_since(at);
    if age < SignedDuration::ZERO {
        return "in the future".to_owned();
    }
    match (age.as_hours(), age.as_mins()) {
        (hours @ 48.., _) => format!("{}d", hours / 24),
        (hours @ 2.., _) => format!("{hours}h"),
        (_, minutes @ 2..) => format!("{minutes}m"),
        _ => format!("{}s", age.as_secs()),
    }
}

/// `1 volume`, `2 volumes`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// A plain table: a line of headings, two spaces between columns, nothing at the ends of lines. Cells are cleaned.
/// With a width, long cells are wrapped to fit it; without one (a pipe, a file) every row is one line.
pub(crate) struct Plain {
    table: Table,
}

impl Plain {
    /// Headings; those that begin with `>` are of numbers and stand at the right.
    pub(crate) fn new(headings: &[&str], width: Option<u16>) -> Self {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(headings.iter().map(|heading| heading.trim_start_matches('>')));
        match width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        for (number, heading) in headings.iter().enumerate() {
            if let Some(column) = table.column_mut(number) {
                column.set_padding((0, 2));
                if heading.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self { table }
    }

    /// One more row.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| clean(cell.as_ref()).into_owned()).collect();
        self.table.add_row(cells);
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Writes it.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for line in self.table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
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
    fn an_age_is_told_in_one_unit() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let of = |seconds| age(Some(now - SignedDuration::from_secs(seconds)), now);
        assert_eq!([of(0), of(119), of(120), of(7199)], ["0s", "119s", "2m", "119m"]);
        assert_eq!([of(7200), of(172_799), of(172_800), of(-1)], ["2h", "47h", "2d", "in the future"]);
        assert_eq!(age(None, now), "-");
    }

    #[test]
    fn a_table_without_a_width_has_one_line_a_row() {
        let mut table = Plain::new(&["NAME", ">GiB", "NOTE"], None);
        table.row(["a", "10", &"long ".repeat(40)]);
        table.row(["bb\nb", "1", "-"]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with("NAME  GiB  NOTE\na      10  long long"), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn a_table_with_a_width_keeps_to_it() {
        let mut table = Plain::new(&["NAME", "NOTE"], Some(40));
        table.row(["a", &"long ".repeat(40)]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
    }
}
