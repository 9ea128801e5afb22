//! The tables by network namespace and by CPU.

use ratatui::style::Style;

use super::{
    canvas::Canvas,
    numbers::{countdown, duration, grouped, or_dash, share},
    pane_title,
    table::{Column, Table},
};
use crate::watch::tui::{
    app::{App, rows::Sort},
    keys::Pane,
    layout,
};
use model::durations::readable;
use model::{CpuView, NamespaceView, State};

/// From so many columns on, the table by namespace has everything.
const ALL_COLUMNS: u16 = 130;

/// From so many columns on, it has calls, and lost and missed ones apart.
const MOST_COLUMNS: u16 = 100;

/// From so many columns on, it has runs that were not seen.
const WITH_UNSEEN: u16 = 73;

/// From so many columns on, it has the next run.
const WITH_NEXT_RUN: u16 = 65;

/// What a column of the table by namespace holds.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Netns,
    Who,
    State,
    Estimators,
    Calls,
    Last,
    Max,
    Stall,
    Period,
    NextRun,
    NextCpu,
    Unseen,
    Lost,
    Missed,
}

impl Cell {
    fn chosen_for(width: u16) -> Vec<Self> {
        use Cell::{
            Calls, Estimators, Last, Lost, Max, Missed, Netns, NextCpu, NextRun, Period, Stall,
            State, Unseen, Who,
        };
        let mut cells = vec![Netns, Who, State, Estimators];
        if width >= MOST_COLUMNS {
            cells.extend([Calls, Last]);
        }
        cells.extend([Max, Stall]);
        if width >= ALL_COLUMNS {
            cells.push(Period);
        }
        if width >= WITH_NEXT_RUN {
            cells.push(NextRun);
        }
        if width >= ALL_COLUMNS {
            cells.push(NextCpu);
        }
        if width >= MOST_COLUMNS {
            cells.extend([Lost, Missed]);
        } else if width >= WITH_UNSEEN {
            cells.push(Unseen);
        }
        cells
    }

    fn column(self, sort: Sort) -> Column {
        let by = |criterion| sort == criterion;
        match self {
            Self::Netns => Column::words("netns", 10).sorted(by(Sort::Number)),
            Self::Who => Column::names("who", 4),
            Self::State => Column::words("state", 8),
            Self::Estimators => Column::numbers("estimators", 10).sorted(by(Sort::Estimators)),
            Self::Calls => Column::numbers("calls", 6),
            Self::Last => Column::numbers("last", 7),
            Self::Max => Column::numbers("max", 7).sorted(by(Sort::Max)),
            Self::Stall => Column::numbers("stall/s", 7).sorted(by(Sort::Stall)),
            Self::Period => Column::numbers("period", 7),
            Self::NextRun => Column::numbers("next in", 7).sorted(by(Sort::NextRun)),
            Self::NextCpu => Column::numbers("on cpu", 6),
            Self::Unseen => Column::numbers("unseen", 6),
            Self::Lost => Column::numbers("lost", 4),
            Self::Missed => Column::numbers("missed", 6),
        }
    }

    fn text(self, view: &NamespaceView, app: &App, now_ns: u64) -> String {
        match self {
            Self::Netns => view.netns.to_string(),
            Self::Who => who(app, view.netns).to_owned(),
            Self::State => view
                .state
                .map_or("unknown".into(), |state| state.to_string()),
            Self::Estimators => or_dash(view.estimators.map(|number| grouped(number.into()))),
            Self::Calls => view.calls.to_string(),
            Self::Last => duration(view.last_ns),
            Self::Max => duration(view.max_ns),
            Self::Stall => duration(view.stall_ns_per_s),
            Self::Period => duration(view.period_ns),
            Self::NextRun => or_dash(view.next_run.map(|next| countdown(next.due_ns, now_ns))),
            Self::NextCpu => or_dash(view.next_run.map(|next| next.cpu.to_string())),
            Self::Unseen => (view.lost + view.missed).to_string(),
            Self::Lost => view.lost.to_string(),
            Self::Missed => view.missed.to_string(),
        }
    }

    fn style(self, view: &NamespaceView, canvas: &Canvas<'_>) -> Style {
        let look = canvas.look;
        match (self, view.state) {
            (_, Some(State::Absent)) => look.faint(),
            (Self::State, Some(state)) => look.state(state),
            (Self::Max, _) => view.max_ns.map_or(Style::new(), |max| look.duration(max)),
            (Self::Last, _) => view
                .last_ns
                .map_or(Style::new(), |last| look.duration(last)),
            _ => Style::new(),
        }
    }
}

/// Who lives in a namespace, as far as is known: in the root namespace, the host.
pub fn who(app: &App, netns: u32) -> &str {
    if netns == app.host.root_netns {
        "root"
    } else {
        app.owners.who(netns).unwrap_or("-")
    }
}

/// The name, and how many of the namespaces a filter leaves.
fn namespaces_title(app: &App) -> String {
    let filter = app.filter.text();
    if filter.is_empty() {
        return "Namespaces".into();
    }
    let overview = app.data().overview.as_ref();
    let all = overview.map_or(0, |overview| overview.namespaces.len() as u64);
    let some = grouped(app.namespace_rows.len() as u64);
    format!("Namespaces filter \"{filter}\": {some} of {}", grouped(all))
}

pub fn draw_namespaces(canvas: &mut Canvas<'_>, app: &App) {
    let title = pane_title(
        canvas,
        is_chosen(app, layout::Table::Namespaces),
        Pane::Tables,
        &namespaces_title(app),
    );
    let data = app.data();
    let Some(overview) = &data.overview else {
        return;
    };
    let cells = Cell::chosen_for(canvas.width());
    let columns: Vec<Column> = cells.iter().map(|cell| cell.column(app.sort)).collect();
    let table = Table::new(&columns, canvas.width());
    table.headings(canvas, title);
    let height = usize::from(canvas.height().saturating_sub(1));
    let first = app.first_row(layout::Table::Namespaces, height);
    let rows = app.namespace_rows.iter().skip(first).take(height);
    for (y, row) in (1..).zip(rows) {
        let Some(view) = overview.namespaces.get(*row) else {
            continue;
        };
        for (place, cell) in cells.iter().enumerate() {
            let text = cell.text(view, app, data.now_ns);
            let style = cell.style(view, canvas);
            table.cell(canvas, place, y, &text, style);
        }
    }
}

pub fn draw_cpus(canvas: &mut Canvas<'_>, app: &App) {
    let title = pane_title(
        canvas,
        is_chosen(app, layout::Table::Cpus),
        Pane::Tables,
        "CPUs",
    );
    let Some(overview) = &app.data().overview else {
        return;
    };
    let columns = [
        Column::numbers("", 5),
        Column::numbers("calls", 8),
        Column::numbers("share", 8).sorted(app.sort == Sort::Stall),
        Column::numbers("longest", 8).sorted(app.sort == Sort::Max),
        Column::numbers("blackout", 8),
        Column::numbers("in runs", 7),
    ];
    let table = Table::new(&columns, canvas.width());
    table.headings(canvas, title);
    let height = usize::from(canvas.height().saturating_sub(1));
    let first = app.first_row(layout::Table::Cpus, height);
    let rows = app.cpu_rows.iter().skip(first).take(height);
    for (y, row) in (1..).zip(rows) {
        if let Some(view) = overview.cpus.get(*row) {
            draw_cpu(canvas, &table, y, view);
        }
    }
}

fn draw_cpu(canvas: &mut Canvas<'_>, table: &Table, y: u16, view: &CpuView) {
    let blackout = view.longest_blackout;
    let look = canvas.look;
    let cells = [
        (view.cpu.to_string(), Style::new()),
        (view.calls.to_string(), Style::new()),
        (or_dash(view.stall_ns_per_s.map(share)), Style::new()),
        (readable(view.max_ns), look.duration(view.max_ns)),
        (
            duration(blackout.map(|blackout| blackout.duration_ns)),
            blackout.map_or(Style::new(), |blackout| look.duration(blackout.duration_ns)),
        ),
        (
            or_dash(blackout.map(|blackout| blackout.calls.to_string())),
            Style::new(),
        ),
    ];
    for (place, (text, style)) in cells.into_iter().enumerate() {
        table.cell(canvas, place, y, &text, style);
    }
}

fn is_chosen(app: &App, table: layout::Table) -> bool {
    app.focus == Pane::Tables && app.table == table
}

/// Which rows of the table that keys go to are in sight: `1-4 of 1,000`.
pub fn position(app: &App) -> String {
    let (height, rows) = app.table_size();
    let first = app.first_row(app.table, height);
    let last = (first + height).min(rows);
    let first = (first + 1).min(rows);
    format!("{first}-{last} of {}", grouped(rows as u64))
}
