//! The last line: what to press, or what is being typed; and how far the chosen table is scrolled.

use ratatui::style::{Modifier, Style};

use super::{
    canvas::{Canvas, columns},
    numbers::grouped,
    tables,
};
use crate::watch::tui::{app::App, keys::Pane};

/// The keys to begin with.
const KEYS: [(&str, &str); 8] = [
    ("?", "help"),
    ("q", "quit"),
    ("Space", "pause"),
    ("Tab", "pane"),
    ("Enter", "alone"),
    ("s", "sort"),
    ("/", "filter"),
    ("+-", "zoom"),
];

pub fn draw(canvas: &mut Canvas<'_>, app: &App) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let faint = canvas.look.faint();
    if let Some(text) = &app.prompt {
        let x = canvas.write(1, 0, "namespaces that match: ", bold);
        let x = canvas.write(x, 0, text, Style::new());
        let x = canvas.write(x, 0, " ", Style::new().add_modifier(Modifier::REVERSED));
        canvas.write(x + 2, 0, "Enter applies, Esc shows all", faint);
        return;
    }
    if app.asks_reset {
        let x = canvas.write(1, 0, "count from now on?", bold);
        canvas.write(x + 2, 0, "r or y: yes  any other key: no", Style::new());
        return;
    }
    let right = position(app);
    let room = canvas.width().saturating_sub(columns(&right) + 1);
    canvas.write(room, 0, &right, Style::new());
    let mut x = 1;
    let filter = app.filter.text();
    if !filter.is_empty() {
        let overview = app.data().overview.as_ref();
        let all = overview.map_or(0, |overview| overview.namespaces.len() as u64);
        let some = app.namespace_rows.len() as u64;
        let text = format!("only {filter}: {} of {}", grouped(some), grouped(all));
        x = canvas.write(x, 0, &text, bold.add_modifier(Modifier::REVERSED)) + 2;
        x = canvas.write(x, 0, "Esc", bold) + 1;
        x = canvas.write(x, 0, "all", faint) + 2;
    }
    for (key, what) in KEYS {
        if x + columns(key) + 1 + columns(what) + 1 > room {
            return;
        }
        x = canvas.write(x, 0, key, bold) + 1;
        x = canvas.write(x, 0, what, faint) + 2;
    }
}

/// How far the chosen table is scrolled.
fn position(app: &App) -> String {
    match app.focus {
        Pane::Tables => tables::position(app),
        Pane::Calls if app.log_bottom.is_some() => "End: to the latest".into(),
        Pane::Calls | Pane::Histogram | Pane::Timeline => String::new(),
    }
}
