//! Tables as `kubectl get` and `helm list` print them, taken apart again: capitals above, and every cell below its heading.

/// The headings of a table, and where its columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Headings {
    pub names: Vec<String>,
    columns: Columns,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Columns {
    /// Tabs are between them.
    Tabs,
    /// They begin at these characters.
    At(Vec<usize>),
}

impl Headings {
    /// From the first line of a table; `None` for a line that is none.
    pub(super) fn parse(line: &str) -> Option<Self> {
        if line.starts_with(char::is_whitespace)
            || line.chars().any(|c| c.is_lowercase() || c.is_control() && c != '\t')
            || !line.chars().any(char::is_alphabetic)
        {
            return None;
        }
        if line.contains('\t') {
            let names: Vec<String> = line.trim_end().split('\t').map(|name| name.trim().to_owned()).collect();
            return names
                .iter()
                .all(|name| !name.is_empty())
                .then_some(Self { names, columns: Columns::Tabs });
        }
        // One blank can be within a heading (ACCESS MODES), two are between headings.
        let (mut names, mut starts) = (Vec::<String>::new(), Vec::new());
        let mut blanks = 2;
        for (at, c) in line.trim_end().chars().enumerate() {
            if c == ' ' {
                blanks += 1;
                continue;
            }
            if blanks > 1 {
                names.push(String::new());
                starts.push(at);
            } else if blanks == 1
                && let Some(name) = names.last_mut()
            {
                name.push(' ');
            }
            if let Some(name) = names.last_mut() {
                name.push(c);
            }
            blanks = 0;
        }
        Some(Self { names, columns: Columns::At(starts) })
    }

    /// The cells of a row; `None` where the line does not fit below the headings.
    pub(super) fn cells(&self, line: &str) -> Option<Vec<String>> {
        match &self.columns {
            Columns::Tabs => {
                let cells: Vec<String> = line.split('\t').map(|cell| cell.trim().to_owned()).collect();
                // One tab more at a line's end is no cell.
                let fits = cells.len() == self.names.len()
                    || cells.len() == self.names.len() + 1 && cells.last().is_some_and(String::is_empty);
                fits.then(|| cells.into_iter().take(self.names.len()).collect())
            }
            Columns::At(starts) => {
                let place = |character: usize| {
                    if line.is_ascii() {
                        character.min(line.len())
                    } else {
                        line.char_indices().nth(character).map_or(line.len(), |(place, _)| place)
                    }
                };
                let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
                let cell = |(&start, end): (&usize, usize)| {
                    let (from, to) = (place(start), place(end));
                    let before = &line[place(start.saturating_sub(1))..from];
                    (before.is_empty() || before == " ").then(|| line[from..to].trim().to_owned())
                };
                starts.iter().zip(ends).map(cell).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_of_kubectl_is_taken_apart_cell_by_cell() {
        let headings =
            Headings::parse("NAME                 READY   STATUS    RESTARTS      AGE   NOMINATED NODE")
                .unwrap();
        assert_eq!(headings.names, ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "NOMINATED NODE"]);
        assert_eq!(
            headings.cells("hub-7d9c5b8f6d-x2k4v 1/1     Running   2 (3d ago)    11m   <none>").unwrap(),
            ["hub-7d9c5b8f6d-x2k4v", "1/1", "Running", "2 (3d ago)", "11m", "<none>"]
        );
        assert_eq!(headings.cells("pod").unwrap(), ["pod", "", "", "", "", ""]);
        assert_eq!(headings.cells("a line of something else that goes on and on for a while"), None);
    }

    #[test]
    fn a_table_of_helm_has_tabs() {
        let headings = Headings::parse("NAME\tNAMESPACE\tSTATUS  \t").unwrap();
        assert_eq!(headings.names, ["NAME", "NAMESPACE", "STATUS"]);
        assert_eq!(headings.cells("jhub\tjhub     \tdeployed\t").unwrap(), ["jhub", "jhub", "deployed"]);
        assert_eq!(headings.cells("jhub\tjhub"), None);
    }

    #[test]
    fn what_has_no_capitals_above_is_no_table() {
        for line in ["", "  NAME", "hub-1   1/1   Running", "+----+----+", "12   13", "NAME\u{1b}[0m"] {
            assert_eq!(Headings::parse(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_aligned_comes_apart_as_it_was(
            rows in prop::collection::vec(prop::collection::vec("[a-z0-9ü/()-]{1,8}( [a-z]{1,3})?", 3), 0..5),
        ) {
            let names = ["NAME", "ACCESS MODES", "AGE"];
            let widths: Vec<usize> = (0..3)
                .map(|column| rows.iter().map(|row| row[column].chars().count()).chain([names[column].len()]).max().unwrap())
                .collect();
            let line = |cells: &[String]| -> String {
                let padded: Vec<String> =
                    cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
                padded.join("   ")
            };
            let headings = Headings::parse(&line(&names.map(str::to_owned))).unwrap();
            prop_assert_eq!(&headings.names, &names);
            for row in &rows {
                prop_assert_eq!(headings.cells(&line(row)), Some(row.clone()));
            }
        }

        #[test]
        fn no_line_is_too_strange(first in "[A-Z \t]{0,20}", line in ".{0,30}") {
            if let Some(headings) = Headings::parse(&first)
                && let Some(cells) = headings.cells(&line)
            {
                prop_assert_eq!(cells.len(), headings.names.len());
            }
        }
    }
}
