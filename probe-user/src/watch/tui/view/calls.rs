//! The log: calls, and what happened among them.

use ratatui::style::{Modifier, Style};

use super::{
    canvas::Canvas,
    numbers::{grouped, or_dash},
    pane_title,
    table::{Column, Table},
    tables::who,
};
use crate::watch::{
    marks,
    namespace_name::netns_name,
    tui::{
        app::{App, log::Line},
        keys::Pane,
    },
};
use model::durations::readable;
use model::{Call, LockWait, NETNS_UNKNOWN, Operation, Output, StateChange};

/// From so many columns on there is room for what a run interrupted.
const WITH_OVER: u16 = 72;

/// From so many columns on there is room for blackouts.
const WITH_BLACKOUTS: u16 = 104;

/// Places of the columns that all lines have, and of the first that not all have.
const WHAT: usize = 0;
const TIME: usize = 1;
const CPU: usize = 2;
const NETNS: usize = 3;
const WHO: usize = 4;
const ESTIMATORS: usize = 5;
const OVER: usize = 6;
const BLACKOUT: usize = 7;

pub fn draw(canvas: &mut Canvas<'_>, app: &App) {
    let name = title(app);
    let title = pane_title(canvas, app.focus == Pane::Calls, Pane::Calls, &name);
    let mut columns = vec![
        Column::words("", 9),
        Column::words("time (UTC)", 12),
        Column::numbers("cpu", 4),
        Column::words("netns", 10),
        Column::names("who", 4),
        Column::numbers("estimators", 10),
    ];
    if canvas.width() >= WITH_OVER {
        columns.push(Column::words("over", 11));
    }
    if canvas.width() >= WITH_BLACKOUTS {
        columns.push(Column::words("blackout", 20));
    }
    let table = Table::new(&columns, canvas.width());
    table.headings(canvas, title);
    let height = usize::from(canvas.height().saturating_sub(1));
    for (y, line) in (1..).zip(app.log_lines(height).iter().rev()) {
        match *line {
            Line::Call(call) | Line::Other(Output::Call(call)) => {
                draw_call(canvas, &table, y, call, app);
            }
            Line::Other(Output::LockWait(wait)) => draw_wait(canvas, &table, y, wait, app),
            Line::Other(Output::StateChange(change)) => {
                draw_change(canvas, &table, y, change, app);
            }
            Line::Other(Output::Notice(notice)) => {
                let style = Style::new().add_modifier(Modifier::BOLD);
                table.cell(canvas, WHAT, y, &notice.topic.to_string(), style);
                let time = notice.at.time_of_day();
                table.cell(canvas, TIME, y, &time, Style::new());
                table.rest(canvas, CPU, y, &notice.text, style);
            }
        }
    }
}

/// The name, and what is left out.
fn title(app: &App) -> String {
    let slow = match app.slow_ns() {
        0 => String::new(),
        slow_ns => format!(" over {}", readable(slow_ns)),
    };
    let filter = app.filter.text();
    let filter = if filter.is_empty() {
        String::new()
    } else {
        format!(" filter \"{filter}\"")
    };
    format!("Calls{slow}{filter}")
}

fn draw_call(canvas: &mut Canvas<'_>, table: &Table, y: u16, call: &Call, app: &App) {
    let style = canvas.look.duration(call.duration_ns);
    let (sign, duration) = (marks::sign(call.duration_ns), readable(call.duration_ns));
    let over = match (call.interrupted_pid, &call.interrupted_comm) {
        (0, _) => "idle".into(),
        (_, Some(comm)) => comm.to_string(),
        (pid, None) => format!("pid {pid}"),
    };
    let plain = Style::new();
    table.cell(canvas, WHAT, y, &format!("{sign} {duration:>7}"), style);
    table.cell(canvas, TIME, y, &call.at.time_of_day(), plain);
    table.cell(canvas, CPU, y, &call.cpu.to_string(), plain);
    table.cell(
        canvas,
        NETNS,
        y,
        &netns_name(call.netns, NETNS_UNKNOWN),
        plain,
    );
    table.cell(canvas, WHO, y, who(app, call.netns), plain);
    let estimators = or_dash(call.estimators.map(|number| grouped(number.into())));
    table.cell(canvas, ESTIMATORS, y, &estimators, plain);
    table.cell(canvas, OVER, y, &over, plain);
    if let Some(blackout) = call.blackout.filter(|blackout| blackout.calls > 1) {
        let style = canvas.look.duration(blackout.duration_ns);
        let duration = readable(blackout.duration_ns);
        let text = format!("{duration:>7} in {} runs", blackout.calls);
        table.cell(canvas, BLACKOUT, y, &text, style);
    }
}

fn draw_wait(canvas: &mut Canvas<'_>, table: &Table, y: u16, wait: &LockWait, app: &App) {
    let operation = match wait.operation {
        Operation::Start => "start",
        Operation::Stop => "stop",
    };
    let style = Style::new();
    table.cell(canvas, WHAT, y, "lock wait", style);
    table.cell(canvas, TIME, y, &wait.at.time_of_day(), Style::new());
    table.cell(canvas, CPU, y, &wait.cpu.to_string(), Style::new());
    let netns = netns_name(wait.netns, app.host.root_netns);
    let waited = readable(wait.duration_ns);
    let text = format!("{netns}  {operation} of pid {} waited {waited}", wait.pid);
    table.rest(canvas, NETNS, y, &text, style);
}

fn draw_change(canvas: &mut Canvas<'_>, table: &Table, y: u16, change: &StateChange, app: &App) {
    let style = canvas.look.state(change.to);
    let netns = netns_name(change.netns, app.host.root_netns);
    let from = change
        .from
        .map_or(String::new(), |from| format!(" (was {from})"));
    table.cell(canvas, WHAT, y, "state", style);
    table.cell(canvas, TIME, y, &change.at.time_of_day(), Style::new());
    let text = format!("{}{from}  netns {netns}: {}", change.to, change.why);
    table.rest(canvas, CPU, y, &text, style);
}
