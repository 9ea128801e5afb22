//! The help: the table of keys, and what the signs mean.

use ratatui::style::{Modifier, Style};

use super::canvas::Canvas;
use crate::watch::tui::{
    app::{App, timeline::Moment},
    keys,
};

const WIDTH: u16 = 80;

/// Columns of the keys.
const KEYS: u16 = 17;

const MARKS: &str = "over: + 10 us  ! 100 us  # 1 ms  * 10 ms  @ 100 ms  $ 1 s";

pub fn draw(canvas: &mut Canvas<'_>, _app: &App) {
    let lines = u16::try_from(keys::TABLE.len()).unwrap_or(u16::MAX);
    let height = (lines + 5).min(canvas.height());
    let x = canvas.width().saturating_sub(WIDTH) / 2;
    let y = canvas.height().saturating_sub(height) / 2;
    let mut page = canvas.part(x, y, WIDTH, height);
    page.clear();
    frame(&mut page);
    let texts = page.width().saturating_sub(KEYS + 4);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let room = usize::from(height.saturating_sub(2));
    for (line, entry) in (1..).zip(keys::TABLE).take(room) {
        page.put(2, line, KEYS, entry.shown, bold);
        page.put(2 + KEYS, line, texts, entry.help, Style::new());
    }
    let letters = |some: &[Moment]| {
        let letters = some.iter().map(|moment| {
            let (letter, meaning) = moment.letter();
            format!("{letter} {meaning}")
        });
        letters.collect::<Vec<_>>().join("  ")
    };
    let (first, second) = Moment::ALL.split_at(Moment::ALL.len().div_ceil(2));
    let signs = [
        ("Marks", MARKS.to_owned()),
        ("On the timeline", letters(first)),
        ("", letters(second)),
    ];
    let left = room.saturating_sub(usize::from(lines));
    for (line, (name, meaning)) in (lines + 1..).zip(signs).take(left) {
        page.put(2, line, KEYS, name, bold);
        page.put(2 + KEYS, line, texts, &meaning, Style::new());
    }
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
