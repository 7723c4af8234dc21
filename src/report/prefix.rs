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

/// Prefixes of one width, one colour a hub. The colour is stripped where the output does not want it.
#[derive(Debug)]
pub struct Prefixes {
    hubs: Vec<HubName>,
    width: usize,
}

impl Prefixes {
    /// For these hubs.
    pub fn new<'a>(hubs: impl IntoIterator<Item = &'a HubName>) -> Self {
        let hubs: Vec<_> = hubs.into_iter().cloned().collect();
        let width = hubs.iter().map(|hub| hub.as_str().len()).max().unwrap_or(0);
        Self { hubs, width }
    }

    /// What stands in front of a line of that hub.
    pub fn of(&self, hub: &HubName) -> String {
        let index = self.hubs.iter().position(|known| known == hub).unwrap_or(0);
        let style = Style::new().fg_color(Some(COLOURS[index % COLOURS.len()].into()));
        format!("{style}{hub:<width$}{style:#} | ", width = self.width)
    }
}
