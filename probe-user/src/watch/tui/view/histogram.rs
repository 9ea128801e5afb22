//! How often which duration came: a bar a slot, slots as the line mode cuts them.

use ratatui::style::{Modifier, Style};

use super::{
    canvas::{Canvas, columns, eighths},
    numbers::grouped,
    pane_title,
};
use crate::watch::{
    bars::{Row, Scale},
    tui::{
        app::{App, Bars},
        keys::Pane,
    },
};
use model::Summary;
use model::durations::round;

/// Columns left of the bars.
const LABELS: u16 = 7;

/// Slots of the finest scale that no zoom goes below.
const FEWEST_SLOTS: u64 = 10;

/// A bar this wide has a gap to the next one.
const WIDE_BAR: u16 = 3;

/// A duration's place on the finest scale: 90 places to a power of ten, from 10 ns on.
fn place(duration_ns: u64) -> u64 {
    let duration_ns = duration_ns.max(10);
    let decade = u64::from(duration_ns.ilog10());
    let unit = 10_u64.pow(duration_ns.ilog10() - 1);
    (decade - 1) * 90 + duration_ns / unit - 10
}

/// The shortest duration of a place.
fn shortest_ns(place: u64) -> u64 {
    let decade = u32::try_from(place / 90).unwrap_or(u32::MAX);
    10_u64
        .saturating_pow(decade)
        .saturating_mul(place % 90 + 10)
}

/// What is drawn: slots without a gap, and what lies beside them.
#[derive(Debug, PartialEq, Eq)]
pub struct Slots {
    /// Empty ones too.
    pub rows: Vec<Row>,
    /// Calls shorter than all slots.
    pub below: u64,
    /// Calls longer than all slots.
    pub above: u64,
}

impl Slots {
    /// The finest slots that `room` columns have room for, of the range of `rows` halved `zoom` times
    /// around their median. `None` where nothing was counted.
    pub fn new(rows: &[Row], zoom: u32, room: u16) -> Option<Self> {
        let (first, last) = (rows.first()?, rows.last()?);
        let (low, high) = (place(first.low_ns), place(last.low_ns));
        let full = high - low + 1;
        let span = (full >> zoom).max(FEWEST_SLOTS.min(full));
        let from = (place(median(rows)).saturating_sub(span / 2)).clamp(low, high + 1 - span);
        let range = (shortest_ns(from), shortest_ns(from + span - 1));
        let scales = [
            Scale::TwoDigits,
            Scale::OneDigit,
            Scale::OneTwoFive,
            Scale::Decade,
        ];
        let slots = scales
            .into_iter()
            .find_map(|scale| empty_slots(scale, range, room))?;
        let mut cut = Self {
            rows: slots,
            below: 0,
            above: 0,
        };
        for row in rows {
            cut.count(row);
        }
        Some(cut)
    }

    fn count(&mut self, row: &Row) {
        let behind = self.rows.partition_point(|slot| slot.low_ns <= row.low_ns);
        match behind.checked_sub(1).map(|slot| &mut self.rows[slot]) {
            None => self.below += row.count,
            Some(slot) if row.low_ns >= slot.high_ns => self.above += row.count,
            Some(slot) => slot.count += row.count,
        }
    }

    /// Where a duration belongs, if to a slot that is drawn.
    fn slot_of(&self, duration_ns: u64) -> Option<usize> {
        let found = self
            .rows
            .iter()
            .position(|slot| duration_ns < slot.high_ns)?;
        (self.rows[found].low_ns <= duration_ns).then_some(found)
    }
}

/// Where half of the calls are not longer.
fn median(rows: &[Row]) -> u64 {
    let calls: u64 = rows.iter().map(|row| row.count).sum();
    let mut seen = 0;
    let found = rows.iter().find(|row| {
        seen += row.count;
        seen * 2 >= calls
    });
    found.map_or(0, |row| row.low_ns)
}

fn empty_slots(scale: Scale, (from_ns, to_ns): (u64, u64), room: u16) -> Option<Vec<Row>> {
    let mut slots = Vec::new();
    let mut next_ns = from_ns;
    while next_ns <= to_ns {
        let (low_ns, high_ns) = scale.bounds_ns(next_ns);
        if slots.len() == usize::from(room) || high_ns <= next_ns {
            return None;
        }
        slots.push(Row {
            low_ns,
            high_ns,
            count: 0,
        });
        next_ns = high_ns;
    }
    Some(slots)
}

pub fn draw(canvas: &mut Canvas<'_>, app: &App) {
    let end = pane_title(
        canvas,
        app.focus == Pane::Histogram,
        Pane::Histogram,
        "Histogram",
    );
    let data = app.data();
    let room = canvas.width().saturating_sub(LABELS);
    let lines = canvas.height().saturating_sub(3);
    let slots = Slots::new(&data.slots, app.zoom, room);
    let (Some(slots), Some(summary)) = (slots, data.summary(app.scope)) else {
        canvas.write(LABELS, 1, "no run yet", canvas.look.faint());
        return;
    };
    title(canvas, app, end, &slots);
    let Some(width) = u16::try_from(slots.rows.len())
        .ok()
        .and_then(|slots| room.checked_div(slots))
    else {
        return;
    };
    let most = slots.rows.iter().map(|slot| slot.count).max().unwrap_or(0);
    let faint = canvas.look.faint();
    canvas.put_right(0, 1, LABELS - 1, &grouped(most), faint);
    let bar = if width >= WIDE_BAR { width - 1 } else { width };
    for (x, slot) in (LABELS..).step_by(usize::from(width)).zip(&slots.rows) {
        let eighths = height(slot.count, most, lines * 8, app.bars);
        let style = canvas.look.duration(slot.low_ns);
        canvas.bar(x, lines, bar, eighths, style);
    }
    axis(canvas, lines + 1, width, &slots);
    pointers(canvas, lines + 2, width, &slots, summary);
}

/// What is not to be seen of the bars: their scale, and what lies beside them.
fn title(canvas: &mut Canvas<'_>, app: &App, end: u16, slots: &Slots) {
    let faint = canvas.look.faint();
    let scale = match app.bars {
        Bars::Linear => "linear",
        Bars::Logarithmic => "log",
    };
    let zoom = match app.zoom {
        0 => String::new(),
        zoom => format!("zoom {zoom} "),
    };
    let whose = app.scope_name();
    let x = canvas.write(end, 0, &format!("{whose} {scale} {zoom}"), faint);
    let room = canvas.width().saturating_sub(x);
    let (below, above) = (slots.below, slots.above);
    let texts = [
        format!(" {} below, {} above", grouped(below), grouped(above)),
        format!(" {} beside", grouped(below + above)),
    ];
    if let Some(text) = texts.iter().find(|text| columns(text) <= room)
        && below + above > 0
    {
        canvas.put_right(x, 0, room, text, Style::new());
    }
}

/// Eighths of a line for a count, of `full`; what is there is seen.
fn height(count: u64, most: u64, full: u16, bars: Bars) -> u16 {
    if count == 0 || most == 0 {
        return 0;
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "a bar has some hundred steps at most"
    )]
    let (count, most) = (count as f64, most as f64);
    let share = match bars {
        Bars::Linear => count / most,
        Bars::Logarithmic => count.ln_1p() / most.ln_1p(),
    };
    eighths(share, full)
}

/// Names the slots below the bars: powers of ten before others, as many as have room.
fn axis(canvas: &mut Canvas<'_>, y: u16, width: u16, slots: &Slots) {
    let mut taken = Taken::default();
    let style = canvas.look.faint();
    let is_round = |duration_ns: u64, digit: u64| {
        let decade = 10_u64.pow(duration_ns.max(1).ilog10());
        duration_ns == decade * digit
    };
    let numbered = || (0_u16..).zip(&slots.rows);
    let mut order: Vec<(u16, &Row)> = Vec::new();
    for digit in [1, 5, 2] {
        order.extend(numbered().filter(|(_, slot)| is_round(slot.low_ns, digit)));
        if digit == 1 {
            order.extend(numbered().take(1));
        }
    }
    for (place, slot) in order {
        let text = round(slot.low_ns);
        let x = LABELS + place * width;
        if x + columns(&text) <= canvas.width() && taken.take(x, columns(&text)) {
            canvas.write(x, y, &text, style);
        }
    }
}

/// Points at the slots that the percentiles and the longest fall into.
fn pointers(canvas: &mut Canvas<'_>, y: u16, width: u16, slots: &Slots, all: &Summary) {
    let mut taken = Taken::default();
    let pointer = canvas.look.glyphs().pointer;
    let style = Style::new().add_modifier(Modifier::BOLD);
    for (name, duration_ns) in [
        ("max", all.max_ns),
        ("p50", all.p50_ns),
        ("p99", all.p99_ns),
        ("p90", all.p90_ns),
    ] {
        let slot = duration_ns.and_then(|duration_ns| slots.slot_of(duration_ns));
        let Some(slot) = slot.and_then(|slot| u16::try_from(slot).ok()) else {
            continue;
        };
        let x = LABELS + slot * width;
        let length = columns(name) + 1;
        let (from, text) = if x + length <= canvas.width() {
            (x, format!("{pointer}{name}"))
        } else {
            (x + 1 - length.min(x + 1), format!("{name}{pointer}"))
        };
        if taken.take(from, length) {
            canvas.write(from, y, &text, style);
        }
    }
}

/// Columns that a line has written on.
#[derive(Debug, Default)]
struct Taken(Vec<(u16, u16)>);

impl Taken {
    /// Takes `width` columns from `x` on, and one on either side; `false` where one of them is taken.
    fn take(&mut self, x: u16, width: u16) -> bool {
        let (from, to) = (x, x + width);
        let is_free = self.0.iter().all(|(begin, end)| to < *begin || from > *end);
        if is_free {
            self.0.push((from, to));
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(duration_ns: u64, count: u64) -> Row {
        let (low_ns, high_ns) = Scale::TwoDigits.bounds_ns(duration_ns);
        Row {
            low_ns,
            high_ns,
            count,
        }
    }

    #[test]
    fn places_and_durations_belong_together() {
        for duration_ns in [10, 11, 99, 100, 110, 54_000, 99_000_000, 1_000_000_000] {
            assert_eq!(shortest_ns(place(duration_ns)), duration_ns);
        }
        assert_eq!(place(54_304_381), place(54_000_000));
        assert_eq!(place(3), 0);
    }

    #[test]
    fn every_call_is_in_a_slot_or_beside_them_at_every_zoom_and_width() {
        let rows = [
            row(42_400, 2),
            row(57_000, 17),
            row(66_000, 7),
            row(15_100_000, 9),
            row(54_300_000, 1),
        ];
        for zoom in 0..10 {
            for room in 8..200 {
                let slots = Slots::new(&rows, zoom, room).unwrap();
                let drawn: u64 = slots.rows.iter().map(|slot| slot.count).sum();
                assert_eq!(
                    drawn + slots.below + slots.above,
                    36,
                    "zoom {zoom}, {room} columns"
                );
                assert!(slots.rows.len() <= usize::from(room));
                assert!(drawn > 0, "zoom {zoom} lost the bulk");
            }
        }
        assert_eq!(Slots::new(&[], 0, 40), None);
    }

    #[test]
    fn a_zoom_is_finer_and_stays_with_the_bulk() {
        let rows = [
            row(42_400, 2),
            row(57_000, 17),
            row(66_000, 7),
            row(54_300_000, 1),
        ];
        let far = Slots::new(&rows, 0, 34).unwrap();
        let near = Slots::new(&rows, 3, 38).unwrap();
        assert_eq!((far.below, far.above), (0, 0));
        assert_eq!((near.below, near.above), (0, 1));
        assert_eq!(near.rows[0].high_ns - near.rows[0].low_ns, 1_000);
    }

    #[test]
    fn bars_are_as_high_as_their_counts_and_never_nothing() {
        assert_eq!(height(0, 100, 32, Bars::Linear), 0);
        assert_eq!(height(100, 100, 32, Bars::Linear), 32);
        assert_eq!(height(50, 100, 32, Bars::Linear), 16);
        assert_eq!(height(1, 1_000_000, 32, Bars::Linear), 1);
        assert!(height(10, 1_000, 32, Bars::Logarithmic) > height(10, 1_000, 32, Bars::Linear));
    }
}
