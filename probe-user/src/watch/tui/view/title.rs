//! The second line: what this is, where, what is wrong, and when.

use ratatui::style::{Modifier, Style};

use super::canvas::{Canvas, columns};
use crate::watch::tui::app::App;
use model::State;

/// States that something is wrong in, the worst first.
pub const WRONG: [State; 3] = [State::Dead, State::Slowed, State::Skipping];

pub fn draw(canvas: &mut Canvas<'_>, app: &App) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let left = right_side(canvas, app);
    let x = canvas.put(1, 0, left, "ipvs-latency", bold) + 2;
    let x = canvas.put(
        x,
        0,
        left.saturating_sub(x),
        &app.host.hostname,
        Style::new(),
    ) + 2;
    let release = format!("Linux {}", app.host.release);
    // A release that is cut is that of another kernel.
    if columns(&release) <= left.saturating_sub(x) {
        canvas.write(x, 0, &release, Style::new());
    }
}

/// From the right: the time, whether it stands still, and what is wrong. Returns where it begins.
fn right_side(canvas: &mut Canvas<'_>, app: &App) -> u16 {
    let data = app.data();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut x = canvas.width().saturating_sub(1);
    let mut to_the_left = |canvas: &mut Canvas<'_>, text: &str, style| {
        let width = columns(text);
        canvas.put(x.saturating_sub(width), 0, width, text, style);
        x = x.saturating_sub(width + 2);
    };
    if let Some(overview) = &data.overview {
        let time = overview.clock.wall(data.now_ns).time_of_day();
        let seconds = time.split('.').next().unwrap_or_default();
        to_the_left(canvas, &format!("{seconds} UTC"), Style::new());
    }
    if app.is_paused() {
        to_the_left(canvas, " PAUSED ", bold.add_modifier(Modifier::REVERSED));
    }
    for state in WRONG.into_iter().rev() {
        let number = data.census.in_state(state).number;
        if number > 0 {
            let style = canvas.look.state(state);
            to_the_left(canvas, &format!("{state} {number}"), style);
        }
    }
    x
}
