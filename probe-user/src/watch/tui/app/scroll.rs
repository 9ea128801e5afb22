//! What is in sight of the log and of the tables.

use super::{App, log::Line};
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

    /// The lines of the log that are in sight where there is room for `height`, the newest first. Where those at
    /// the place that was scrolled to are no longer kept, the oldest that are.
    pub fn log_lines(&self, height: usize) -> Vec<Line<'_>> {
        let from = |bottom| {
            let lines = self.data().log.back_from(bottom).map(|(_, line)| line);
            lines.filter(|line| self.is_wanted(line))
        };
        let lines: Vec<_> = from(self.log_bottom).take(height).collect();
        if lines.len() == height || self.log_bottom.is_none() {
            return lines;
        }
        let mut lines: Vec<_> = from(None).collect();
        lines.drain(..lines.len().saturating_sub(height));
        lines
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
