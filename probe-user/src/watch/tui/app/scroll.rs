//! What is in sight of the log and of the tables.

use super::App;
use crate::watch::tui::{
    keys::{Pane, Scroll},
    layout,
};

impl App {
    /// Scrolls the chosen pane.
    pub(super) fn scroll(&mut self, scroll: Scroll) {
        match self.focus {
            Pane::Calls => self.scroll_log(scroll, layout::rows_below_title(self.panes().calls)),
            Pane::Tables => self.scroll_table(scroll),
            // They have nothing but what is in sight.
            Pane::Histogram | Pane::Timeline => {}
        }
    }

    fn scroll_table(&mut self, scroll: Scroll) {
        let (height, rows) = self.table_size();
        let first = self.first_row(self.table, height);
        let last_first = rows.saturating_sub(height);
        self.offsets[self.table as usize] = moved(first, last_first, height, scroll);
    }

    /// The log is read from its end: its first line in sight is so many from the newest.
    fn scroll_log(&mut self, scroll: Scroll, height: usize) {
        let wanted = self
            .data()
            .log
            .back_from(None)
            .filter(|(_, line)| self.is_wanted(line));
        let numbers: Vec<u64> = wanted.map(|(number, _)| number).collect();
        let last_first = numbers.len().saturating_sub(height);
        let bottom = self.log_bottom.unwrap_or(u64::MAX);
        let above_newest = numbers
            .iter()
            .take_while(|number| **number > bottom)
            .count();
        let first = last_first.saturating_sub(above_newest);
        let above_newest = last_first - moved(first, last_first, height, scroll);
        self.log_bottom = match above_newest {
            0 => None,
            lines => numbers.get(lines).copied(),
        };
    }
}

/// The first line in sight after scrolling, from 0 to `last_first`.
fn moved(first: usize, last_first: usize, height: usize, scroll: Scroll) -> usize {
    let page = height.saturating_sub(1).max(1);
    let moved = match scroll {
        Scroll::LineUp => first.saturating_sub(1),
        Scroll::LineDown => first + 1,
        Scroll::PageUp => first.saturating_sub(page),
        Scroll::PageDown => first + page,
        Scroll::First => 0,
        Scroll::Last => last_first,
    };
    moved.min(last_first)
}
