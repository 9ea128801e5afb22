//! The longest run of each moment, on a logarithmic scale, and what happened then.

use ratatui::style::{Modifier, Style};

use super::{
    canvas::{Canvas, columns, eighths},
    pane_title,
};
use crate::watch::tui::{
    app::{
        App, SECONDS_PER_COLUMN,
        timeline::{Column, Moments},
    },
    keys::Pane,
};
use model::Clock;
use model::durations::round;

/// Columns left of the bars.
const LABELS: u16 = 8;

/// The scale begins here, or lower.
const USUAL_FLOOR_NS: u64 = 10_000;

/// Columns from one time of day to the next.
const BETWEEN_TIMES: u16 = 12;

const SECOND_NS: u64 = 1_000_000_000;

pub fn draw(canvas: &mut Canvas<'_>, app: &App) {
    let wall = canvas.look.glyphs().wall;
    let faint = canvas.look.faint();
    for y in 1..canvas.height() {
        canvas.fill(0, y, 1, wall, faint);
    }
    let data = app.data();
    let room = canvas.width().saturating_sub(LABELS);
    let pace = SECONDS_PER_COLUMN[app.pace];
    let newest = data.now_ns / SECOND_NS / pace;
    let drawn: Vec<Column> = (0..room)
        .map(|x| {
            let back = u64::from(room - 1 - x);
            let Some(number) = newest.checked_sub(back) else {
                return Column::default();
            };
            data.timeline.column(number * pace..(number + 1) * pace)
        })
        .collect();
    title(canvas, app, pace, &drawn);
    let lines = canvas.height().saturating_sub(3);
    let scale = Scale::of(&drawn);
    scale.labels(canvas, lines);
    let quiet = canvas.look.glyphs().quiet;
    for (x, column) in (LABELS..).zip(&drawn) {
        if column.max_ns > 0 {
            let style = canvas.look.duration(column.max_ns);
            canvas.bar(x, lines, 1, scale.eighths(column.max_ns, lines), style);
        }
        if let Some(moment) = column.moments.iter().next() {
            let bold = Style::new().add_modifier(Modifier::BOLD);
            canvas.fill(x, lines + 1, 1, moment.letter().0, bold);
        } else if column.observed {
            canvas.fill(x, lines + 1, 1, quiet, faint);
        }
    }
    if let Some(overview) = &data.overview {
        times(canvas, lines + 2, &overview.clock, newest, pace);
    }
}

/// What a column stands for, and the letters in sight.
fn title(canvas: &mut Canvas<'_>, app: &App, pace: u64, drawn: &[Column]) {
    let faint = canvas.look.faint();
    let end = pane_title(
        canvas,
        app.focus == Pane::Timeline,
        Pane::Timeline,
        "Timeline",
    );
    let x = canvas.write(end, 0, &format!("{pace} s a column "), faint);
    let moments = drawn
        .iter()
        .fold(Moments::default(), |all, column| all.and(column.moments));
    let room = canvas.width().saturating_sub(x);
    let mut legend = String::new();
    for moment in moments.iter() {
        let (letter, meaning) = moment.letter();
        let entry = format!(" {letter} {meaning} ");
        if columns(&legend) + columns(&entry) <= room {
            legend += &entry;
        }
    }
    let indent = room.saturating_sub(columns(&legend));
    canvas.put(x + indent, 0, room - indent, &legend, Style::new());
}

/// Powers of ten that hold all columns.
#[derive(Debug, PartialEq, Eq)]
struct Scale {
    floor: u32,
    decades: u32,
}

impl Scale {
    fn of(drawn: &[Column]) -> Self {
        let shown = || {
            drawn
                .iter()
                .map(|column| column.max_ns)
                .filter(|max_ns| *max_ns > 0)
        };
        let shortest_ns = shown().min().unwrap_or(USUAL_FLOOR_NS).min(USUAL_FLOOR_NS);
        let longest_ns = shown().max().unwrap_or(USUAL_FLOOR_NS);
        let floor = shortest_ns.ilog10();
        Self {
            floor,
            decades: (longest_ns.ilog10() + 1).saturating_sub(floor).max(2),
        }
    }

    fn eighths(&self, duration_ns: u64, lines: u16) -> u16 {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a bar has some hundred steps at most"
        )]
        let above = (duration_ns as f64).log10() - f64::from(self.floor);
        let full = lines * 8;
        let share = above / f64::from(self.decades);
        eighths(share, full)
    }

    /// Names the powers of ten whose place is the lower edge of a line, as far as they have lines of
    /// their own.
    fn labels(&self, canvas: &mut Canvas<'_>, lines: u16) {
        let style = canvas.look.faint();
        for decade in 0..self.decades {
            let above = u32::from(lines) * decade / self.decades;
            let before = u32::from(lines) * decade.saturating_sub(1) / self.decades;
            if decade > 0 && above == before {
                continue;
            }
            let y = lines.saturating_sub(u16::try_from(above).unwrap_or(u16::MAX));
            let text = round(10_u64.saturating_pow(self.floor + decade));
            canvas.put_right(1, y, LABELS - 2, &text, style);
        }
    }
}

/// When the columns begin: the newest, and some before it.
fn times(canvas: &mut Canvas<'_>, y: u16, clock: &Clock, newest: u64, pace: u64) {
    let style = canvas.look.faint();
    let mut right = canvas.width();
    let mut number = newest;
    loop {
        let time = clock.wall(number * pace * SECOND_NS).time_of_day();
        let seconds = time.split('.').next().unwrap_or_default();
        let width = columns(seconds);
        let Some(x) = right.checked_sub(width).filter(|x| *x >= LABELS - 1) else {
            return;
        };
        canvas.write(x, y, seconds, style);
        let Some(before) = number.checked_sub(u64::from(BETWEEN_TIMES)) else {
            return;
        };
        number = before;
        right = right.saturating_sub(BETWEEN_TIMES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(max_ns: u64) -> Column {
        Column {
            max_ns,
            ..Column::default()
        }
    }

    #[test]
    fn the_scale_holds_what_is_drawn() {
        let of = |durations: &[u64]| {
            let drawn: Vec<Column> = durations.iter().map(|max_ns| column(*max_ns)).collect();
            let scale = Scale::of(&drawn);
            (scale.floor, scale.decades)
        };
        assert_eq!(of(&[]), (4, 2));
        assert_eq!(of(&[0, 60_000, 54_300_000]), (4, 4));
        assert_eq!(of(&[1_800, 345_000]), (3, 3));
        assert_eq!(of(&[1, u64::MAX]), (0, 20));
    }

    #[test]
    fn a_bar_ends_where_its_duration_is() {
        let scale = Scale {
            floor: 4,
            decades: 4,
        };
        for (duration_ns, eighths) in [
            (1, 1),
            (10_000, 1),
            (100_000, 8),
            (1_000_000, 16),
            (100_000_000, 32),
        ] {
            assert_eq!(scale.eighths(duration_ns, 4), eighths, "{duration_ns}");
        }
    }
}
