//! Draws the screen. Nothing here is kept from one frame to the next.

mod banner;
mod calls;
pub mod canvas;
mod facts;
mod footer;
mod help;
mod histogram;
pub mod numbers;
pub mod table;
mod tables;
mod timeline;
mod title;

use std::ops::Range;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use self::canvas::Canvas;
use super::{
    app::App,
    keys::Pane,
    layout::{self, SMALLEST},
};

/// Draws everything.
pub fn draw(buffer: &mut Buffer, app: &App) {
    let area = buffer.area;
    if layout::is_too_small(area.width, area.height) {
        let way_out = match app.course {
            None => "ipvs-latency watch --plain writes lines",
            Some(_) => "what was begun goes on meanwhile",
        };
        too_small(&mut Canvas::new(buffer, area, app.look), way_out);
        return;
    }
    let panes = layout::panes(area.width, area.height, &app.shown());
    let mut on = |pane, draw: fn(&mut Canvas<'_>, &App)| {
        draw(&mut Canvas::new(buffer, pane, app.look), app);
    };
    on(panes.title, title::draw);
    on(panes.banner, banner::draw);
    on(panes.facts, facts::draw);
    on(panes.histogram, histogram::draw);
    on(panes.timeline, timeline::draw);
    on(panes.calls, calls::draw);
    on(panes.namespaces, tables::draw_namespaces);
    on(panes.cpus, tables::draw_cpus);
    on(panes.footer, footer::draw);
    if app.help {
        on(area, help::draw);
    }
}

/// The lines with the countdown, which moves while nothing else does; `None` where they are not in view.
#[must_use]
pub fn countdown_lines(area: Rect, app: &App) -> Option<Range<u16>> {
    if app.help || layout::is_too_small(area.width, area.height) {
        return None;
    }
    let facts = layout::panes(area.width, area.height, &app.shown()).facts;
    (!facts.is_empty()).then(|| facts.top()..facts.bottom())
}

/// Draws on those lines alone.
pub fn draw_countdown(buffer: &mut Buffer, app: &App) {
    let area = buffer.area;
    let facts = layout::panes(area.width, area.height, &app.shown()).facts;
    facts::draw(&mut Canvas::new(buffer, facts, app.look), app);
}

/// Says so, and a way out, broken between words as it must be.
pub fn too_small(canvas: &mut Canvas<'_>, way_out: &str) {
    let (columns, lines) = (canvas.width(), canvas.height());
    let text = format!(
        "terminal is {columns}x{lines}: {}x{} or more is needed; {way_out}",
        SMALLEST.0, SMALLEST.1,
    );
    let style = Style::new();
    let (mut x, mut y) = (0, 0);
    for word in text.split(' ') {
        if x > 0 && x + canvas::columns(word) > columns {
            (x, y) = (0, y + 1);
        }
        x = canvas.write(x, y, word, style) + 1;
    }
}

/// A pane's title on a rule; returns where it ended.
fn pane_title(canvas: &mut Canvas<'_>, is_chosen: bool, pane: Pane, name: &str) -> u16 {
    let glyphs = canvas.look.glyphs();
    let faint = canvas.look.faint();
    canvas.fill(0, 0, canvas.width(), glyphs.rule, faint);
    let style = if is_chosen {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        canvas.put(0, 0, 1, glyphs.chosen, bold);
        bold
    } else {
        Style::new()
    };
    canvas.write(1, 0, &format!(" {} {name} ", pane as usize + 1), style)
}
