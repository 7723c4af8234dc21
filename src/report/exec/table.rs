//! Tables of many hubs as one, with a column that says whose each row is.

use std::io::{self, BufWriter, Write};

use super::columns::Headings;
use super::kept::{Kept, One};
use super::{Paper, Show};
use crate::exec::{Event, Lines, Spool};
use crate::hub::HubName;
use crate::report::Prefixes;
use crate::text::clean;

/// More kinds of table than this in one run are no tables.
const MOST_TABLES: usize = 16;

/// The first column.
const HUB: &str = "HUB";

/// Blanks between columns.
const GAP: usize = 2;

/// Writes one table for each kind of table that hubs printed: those with the same headings are one.
pub struct Tables {
    paper: Paper,
    kept: Kept,
}

/// One kind of table, as wide as its widest cells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    names: Vec<String>,
    widths: Vec<usize>,
}

impl Tables {
    /// Writes there.
    pub fn new(paper: Paper) -> Self {
        Self { kept: Kept::new(paper.hubs.len()), paper }
    }

    /// What commands printed beside tables, in the order of the hubs.
    fn beside(&mut self, place: usize, is_table: bool) -> io::Result<()> {
        let One { stdout, stderr, outcome } = self.kept.of(place);
        let hub = &self.paper.hubs[place];
        if !is_table {
            prefixed(
                &mut self.paper.out,
                &Prefixes::new(&self.paper.hubs, self.paper.colours.0),
                hub,
                stdout,
            )?;
            self.paper.out.flush()?;
        }
        let prefixes = Prefixes::new(&self.paper.hubs, self.paper.colours.1);
        prefixed(&mut self.paper.err, &prefixes, hub, stderr)?;
        match outcome.as_ref().and_then(|outcome| outcome.fate.why()) {
            Some(why) => self.paper.err.write_all(format!("{}fleet: {why}\n", prefixes.of(hub)).as_bytes()),
            None => Ok(()),
        }
    }
}

impl Show for Tables {
    fn event(&mut self, event: Event) -> io::Result<()> {
        self.kept.take(event).map(|_| ())
    }

    fn finish(&mut self) -> io::Result<()> {
        // Read twice, once for the widths and once for the rows, so that no table has to fit into memory.
        let mut shapes: Vec<Shape> = Vec::new();
        let mut are_tables = Vec::new();
        for place in 0..self.kept.len() {
            let mut with_this = shapes.clone();
            let is_table = rows(&self.kept.of(place).stdout, |headings, cells| {
                widen(&mut with_this, headings, cells);
                Ok(())
            })?;
            let is_table = is_table && with_this.len() <= MOST_TABLES;
            if is_table {
                shapes = with_this;
            }
            are_tables.push(is_table);
        }
        let hub_width =
            self.paper.hubs.iter().map(|hub| hub.as_str().len()).chain([HUB.len()]).max().unwrap_or(0);
        let mut out = BufWriter::new(&mut self.paper.out);
        for (number, shape) in shapes.iter().enumerate() {
            if number > 0 {
                out.write_all(b"\n")?;
            }
            let mut line = |hub: &str, cells: &[String]| {
                let padded = [(hub, hub_width)]
                    .into_iter()
                    .chain(cells.iter().map(String::as_str).zip(shape.widths.iter().copied()));
                let mut text = String::new();
                for (cell, width) in padded {
                    let cell = clean(cell);
                    text.push_str(&cell);
                    text.extend(std::iter::repeat_n(' ', (width + GAP).saturating_sub(cell.chars().count())));
                }
                writeln!(out, "{}", text.trim_end())
            };
            line(HUB, &shape.names)?;
            for (place, is_table) in are_tables.iter().enumerate() {
                if *is_table {
                    rows(&self.kept.of(place).stdout, |headings, cells| match cells {
                        Some(cells) if headings.names == shape.names => {
                            line(self.paper.hubs[place].as_str(), cells)
                        }
                        _ => Ok(()),
                    })?;
                }
            }
        }
        out.flush()?;
        drop(out);
        for (place, is_table) in are_tables.into_iter().enumerate() {
            self.beside(place, is_table)?;
        }
        self.paper.summary(&self.kept.outcomes())
    }
}

/// Makes room for a row, or for headings that are new.
fn widen(shapes: &mut Vec<Shape>, headings: &Headings, cells: Option<&[String]>) {
    let known = shapes.iter().position(|shape| shape.names == headings.names);
    let place = known.unwrap_or_else(|| {
        let widths = headings.names.iter().map(|name| name.chars().count()).collect();
        shapes.push(Shape { names: headings.names.clone(), widths });
        shapes.len() - 1
    });
    let shape = &mut shapes[place];
    for (width, cell) in shape.widths.iter_mut().zip(cells.unwrap_or_default()) {
        *width = (*width).max(cell.chars().count());
    }
}

/// Shows the headings and then the rows of each table in an output, without holding it. Whether there is nothing but tables in
/// it: a blank line ends one, and headings begin the next.
fn rows(
    spool: &Spool,
    mut show: impl FnMut(&Headings, Option<&[String]>) -> io::Result<()>,
) -> io::Result<bool> {
    let (mut lines, mut headings) = (Lines::default(), None::<Headings>);
    let (mut is_table, mut result) = (true, Ok(()));
    let mut take = |line: &[u8]| {
        if !is_table || result.is_err() {
            return;
        }
        let line = String::from_utf8_lossy(line);
        let shown = match (&headings, line.trim_end()) {
            (_, "") => {
                headings = None;
                return;
            }
            (Some(known), row) => known.cells(row).map(|cells| show(known, Some(&cells))),
            (None, first) => Headings::parse(first).map(|new| show(headings.insert(new), None)),
        };
        match shown {
            Some(shown) => result = shown,
            None => is_table = false,
        }
    };
    spool.each(|piece| {
        lines.push(piece, &mut take);
        Ok(())
    })?;
    lines.finish(&mut take);
    result?;
    Ok(is_table)
}

fn prefixed(to: &mut impl Write, prefixes: &Prefixes, hub: &HubName, spool: &Spool) -> io::Result<()> {
    let prefix = prefixes.of(hub);
    let mut lines = Lines::default();
    let mut ready = Vec::new();
    let put = |ready: &mut Vec<u8>, line: &[u8]| {
        ready.extend_from_slice(prefix.as_bytes());
        ready.extend_from_slice(line);
        ready.push(b'\n');
    };
    spool.each(|piece| {
        lines.push(piece, |line| put(&mut ready, line));
        to.write_all(&ready)?;
        ready.clear();
        Ok(())
    })?;
    lines.finish(|line| put(&mut ready, line));
    to.write_all(&ready)
}
