//! Tables in the manner of kubectl: no lines, columns two spaces apart, a heading in capitals.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, presets};

use crate::text::clean;

/// A table for eyes. Cells are cleaned: what is in them may come from outside.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
}

impl Table {
    /// Headings; those that begin with `>` are of numbers and stand at the right. With a width, long cells are wrapped to
    /// fit it; without one (a pipe, a file) every row is one line.
    pub fn new(headings: &[&str], width: Option<u16>) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
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
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| clean(cell.as_ref()).into_owned()).collect();
        self.table.add_row(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.table.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let mut table = Table::new(&["HUB", ">GIB", "STATE"], None);
        table.row(["ou23s", "5", "running"]);
        table.row(["a-long-name", "120", "x\ny"]);
        insta::assert_snapshot!(table.to_string(), @r"
        HUB          GIB  STATE
        ou23s          5  running
        a-long-name  120  x�y
        ");
    }

    #[test]
    fn a_table_without_a_width_has_one_line_a_row() {
        let mut table = Table::new(&["NAME", "NOTE"], None);
        table.row(["a", &"long ".repeat(40)]);
        assert_eq!(table.to_string().lines().count(), 2, "{table}");
    }

    #[test]
    fn a_table_with_a_width_keeps_to_it() {
        let mut table = Table::new(&["NAME", "NOTE"], Some(40));
        table.row(["a", &"long ".repeat(40)]);
        assert!(table.to_string().lines().all(|line| line.chars().count() <= 40), "{table}");
    }
}
