//! The help: the table of keys, and what the signs mean.

use ratatui::style::{Modifier, Style};

use super::canvas::Canvas;
use crate::watch::tui::{app::App, keys};

const WIDTH: u16 = 80;

/// Columns of the keys.
const KEYS: u16 = 15;

const MARKS: &str = "over: + 10 us  ! 100 us  # 1 ms  * 10 ms  @ 100 ms  $ 1 s";

pub fn draw(canvas: &mut Canvas<'_>, _app: &App) {
    let lines = u16::try_from(keys::TABLE.len()).unwrap_or(u16::MAX);
    let height = (lines + 4).min(canvas.height());
    let x = canvas.width().saturating_sub(WIDTH) / 2;
    let y = canvas.height().saturating_sub(height) / 2;
    let mut page = canvas.part(x, y, WIDTH, height);
    page.clear();
    frame(&mut page);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    for (line, entry) in (1..).zip(keys::TABLE) {
        page.put(2, line, KEYS, entry.shown, bold);
        page.put(2 + KEYS, line, WIDTH - KEYS - 4, entry.help, Style::new());
    }
    page.write(2, lines + 2, "Marks", bold);
    page.put(2 + KEYS, lines + 2, WIDTH - KEYS - 4, MARKS, Style::new());
}

fn frame(page: &mut Canvas<'_>) {
    let glyphs = page.look.glyphs();
    let (right, bottom) = (page.width() - 1, page.height() - 1);
    let style = Style::new();
    for y in [0, bottom] {
        page.fill(0, y, page.width(), glyphs.rule, style);
    }
    for y in 0..=bottom {
        page.fill(0, y, 1, glyphs.wall, style);
        page.fill(right, y, 1, glyphs.wall, style);
    }
    let places = [(0, 0), (right, 0), (0, bottom), (right, bottom)];
    for ((x, y), corner) in places.into_iter().zip(glyphs.corners) {
        page.fill(x, y, 1, corner, style);
    }
    let bold = Style::new().add_modifier(Modifier::BOLD);
    page.write(2, 0, " Keys ", bold);
}
