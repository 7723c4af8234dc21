//! The hub's name in front of each line of its output.

use anstyle::{AnsiColor, Style};

use crate::hub::HubName;

/// Colours that can be read on dark and on light ground.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::BrightRed,
];

/// Prefixes of one width, one colour a hub.
#[derive(Debug)]
pub struct Prefixes {
    hubs: Vec<HubName>,
    width: usize,
    colour: bool,
}

impl Prefixes {
    /// For these hubs, with colour or without.
    pub fn new<'a>(hubs: impl IntoIterator<Item = &'a HubName>, colour: bool) -> Self {
        let hubs: Vec<_> = hubs.into_iter().cloned().collect();
        let width = hubs.iter().map(|hub| hub.as_str().len()).max().unwrap_or(0);
        Self { hubs, width, colour }
    }

    /// What stands in front of a line of that hub.
    pub fn of(&self, hub: &HubName) -> String {
        if !self.colour {
            return format!("{hub:<width$} | ", width = self.width);
        }
        let index = self.hubs.iter().position(|known| known == hub).unwrap_or(0);
        let style = Style::new().fg_color(Some(COLOURS[index % COLOURS.len()].into()));
        format!("{style}{hub:<width$}{style:#} | ", width = self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_one_width_and_are_plain_where_colour_is_not_wanted() {
        let hubs = ["ou23s", "fsu-s23"].map(|name| HubName::new(name).unwrap());
        let plain = Prefixes::new(&hubs, false);
        assert_eq!(plain.of(&hubs[0]), "ou23s   | ");
        assert_eq!(plain.of(&hubs[1]), "fsu-s23 | ");
        let coloured = Prefixes::new(&hubs, true);
        assert_eq!(anstream::adapter::strip_str(&coloured.of(&hubs[0])).to_string(), "ou23s   | ");
        assert_ne!(coloured.of(&hubs[0]), plain.of(&hubs[0]));
    }
}
