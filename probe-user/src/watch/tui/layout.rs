//! Where things are on the screen.

use ratatui::layout::Rect;

use super::keys::Pane;

/// The tables of the last pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// By network namespace.
    Namespaces,
    /// By CPU.
    Cpus,
}

/// The smallest terminal that what matters most has room on: columns and lines.
pub const SMALLEST: (u16, u16) = (60, 15);

/// The smallest terminal that everything has room on.
const WHOLE: (u16, u16) = (80, 24);

/// From so many lines on there is room for calls beside the tables.
const WITH_CALLS: u16 = 18;

/// From so many lines on there is room for all facts.
const ALL_FACTS: u16 = 17;

/// Lines of facts above the panes.
const FACTS: u16 = 5;

/// Those that a low terminal has: the runs and how long they took.
const FEWEST_FACTS: u16 = 3;

/// Columns of the histogram: three powers of ten and a half have room.
const NARROWEST_HISTOGRAM: u16 = 39;

/// From so many columns on, the tables of namespaces and CPUs stand side by side.
const SIDE_BY_SIDE: u16 = 160;

/// Columns of the table by CPU beside the other one.
const CPUS_BESIDE: u16 = 54;

/// From so many lines on, the table of CPUs stands below that of namespaces.
const STACKED: u16 = 12;

/// What there is to be shown, and what of it was chosen.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// One pane has the whole screen.
    pub alone: bool,
    /// The pane that was chosen.
    pub focus: Pane,
    /// The table that was chosen.
    pub table: Table,
    /// How many network namespaces there are.
    pub namespaces: usize,
    /// How many CPUs there are.
    pub cpus: usize,
}

/// Where things are; what is not shown has an empty place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Panes {
    /// The worst, or what is wrong, or has changed.
    pub banner: Rect,
    /// What this is, and where.
    pub title: Rect,
    /// The numbers that matter most.
    pub facts: Rect,
    /// How often which duration came.
    pub histogram: Rect,
    /// The longest run of each moment.
    pub timeline: Rect,
    /// Calls, and what happened among them.
    pub calls: Rect,
    /// By namespace.
    pub namespaces: Rect,
    /// By CPU.
    pub cpus: Rect,
    /// What to press, or what is being typed.
    pub footer: Rect,
}

/// Whether nothing but a word has room.
#[must_use]
pub fn is_too_small(columns: u16, lines: u16) -> bool {
    columns < SMALLEST.0 || lines < SMALLEST.1
}

/// Lines of a pane below its title.
#[must_use]
pub fn rows_below_title(pane: Rect) -> usize {
    usize::from(pane.height.saturating_sub(1))
}

/// Where things are on a terminal of this size.
#[must_use]
pub fn panes(columns: u16, lines: u16, shown: &Shown) -> Panes {
    if is_too_small(columns, lines) {
        return Panes::default();
    }
    let full = |y: u16, height: u16| Rect::new(0, y, columns, height);
    // Alone, a pane leaves what must always be in sight: the runs, and those not seen.
    let facts = match shown.alone {
        true => 1,
        false if lines < ALL_FACTS => FEWEST_FACTS,
        false => FACTS,
    };
    let below = 2 + facts;
    let mut panes = Panes {
        banner: full(0, 1),
        title: full(1, 1),
        facts: full(2, facts),
        footer: full(lines - 1, 1),
        ..Panes::default()
    };
    let rest = full(below, lines - below - 1);
    if shown.alone {
        match shown.focus {
            Pane::Histogram => panes.histogram = rest,
            Pane::Timeline => panes.timeline = rest,
            Pane::Calls => panes.calls = rest,
            Pane::Tables => tables(&mut panes, rest, shown),
        }
        return panes;
    }
    let lowest = if lines < WHOLE.1 { 5 } else { 7 };
    let top = (rest.height * 3 / 8).clamp(lowest, 20);
    pictures(&mut panes, full(rest.y, top), shown);
    let below = rest.height - top;
    if lines < WITH_CALLS {
        let area = full(rest.y + top, below);
        match shown.focus {
            Pane::Calls => panes.calls = area,
            _ => tables(&mut panes, area, shown),
        }
        return panes;
    }
    let most = below - below * 4 / 9;
    let (namespaces, cpus) = wanted(shown);
    let tables_height = most.min(if columns >= SIDE_BY_SIDE {
        namespaces.max(cpus)
    } else if are_stacked(most, shown) {
        namespaces + cpus
    } else {
        match shown.table {
            Table::Namespaces => namespaces,
            Table::Cpus => cpus,
        }
    });
    let calls = below - tables_height;
    panes.calls = full(rest.y + top, calls);
    tables(&mut panes, full(rest.y + top + calls, tables_height), shown);
    panes
}

/// Histogram and timeline side by side; where both are too narrow, the one that is chosen.
fn pictures(panes: &mut Panes, area: Rect, shown: &Shown) {
    if area.width < WHOLE.0 {
        match shown.focus {
            Pane::Timeline => panes.timeline = area,
            _ => panes.histogram = area,
        }
        return;
    }
    let left = (area.width * 2 / 5).max(NARROWEST_HISTOGRAM);
    let right = area.width - left;
    panes.histogram = Rect {
        width: left,
        ..area
    };
    panes.timeline = Rect {
        x: left,
        width: right,
        ..area
    };
}

/// Whether both tables fit below each other in `height` lines.
fn are_stacked(height: u16, shown: &Shown) -> bool {
    let (namespaces, cpus) = wanted(shown);
    height >= STACKED || height >= namespaces + cpus
}

/// Lines that the tables would fill, titles included. That of namespaces grows in steps, lest every
/// one that comes or goes moves everything.
fn wanted(shown: &Shown) -> (u16, u16) {
    let lines = |rows: usize, step| {
        let rows = u16::try_from(rows.clamp(1, 1_000)).unwrap_or(u16::MAX);
        rows.next_multiple_of(step) + 1
    };
    (lines(shown.namespaces, 4), lines(shown.cpus, 1))
}

/// Both tables where both fit, else the one that is chosen.
fn tables(panes: &mut Panes, area: Rect, shown: &Shown) {
    let (namespaces, cpus) = wanted(shown);
    if area.width >= SIDE_BY_SIDE {
        let split = area.width - CPUS_BESIDE;
        panes.namespaces = Rect::new(0, area.y, split - 1, area.height);
        panes.cpus = Rect::new(split, area.y, CPUS_BESIDE, area.height);
    } else if are_stacked(area.height, shown) {
        let above = namespaces.min((area.height - cpus.min(area.height)).max(area.height * 2 / 3));
        let below = area.height - above;
        panes.namespaces = Rect::new(0, area.y, area.width, above);
        panes.cpus = Rect::new(0, area.y + above, area.width, below);
    } else {
        match shown.table {
            Table::Namespaces => panes.namespaces = area,
            Table::Cpus => panes.cpus = area,
        }
    }
}
