//! Tables in the manner of kubectl: no lines, columns two spaces apart, a heading in capitals.

use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::one_line;

/// A table for eyes. Rows are as long as the heading.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
    right: Vec<usize>,
}

impl Table {
    /// A table with these columns.
    pub fn new(heading: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(heading);
        Self { table, right: Vec::new() }
    }

    /// Numbers stand on the right.
    #[must_use]
    pub fn right(mut self, columns: &[usize]) -> Self {
        self.right.extend_from_slice(columns);
        self
    }

    /// Adds a row. What is in it may come from outside.
    pub fn row(&mut self, cells: &[&str]) {
        self.table.add_row(cells.iter().map(|cell| one_line(cell)));
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = self.table.clone();
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.to_string().lines() {
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
        let mut table = Table::new(&["HUB", "GIB", "STATE"]).right(&[1]);
        table.row(&["ou23s", "5", "running"]);
        table.row(&["a-long-name", "120", "x\ny"]);
        insta::assert_snapshot!(table.to_string(), @r"
        HUB          GIB  STATE
        ou23s          5  running
        a-long-name  120  x y
        ");
    }
}
