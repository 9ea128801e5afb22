//! The numbers that matter most, in fixed places.

mod narrow;

use ratatui::style::{Color, Modifier, Style};

use super::{
    canvas::{Canvas, columns},
    numbers::{countdown, elapsed, grouped, picoseconds},
};
use crate::watch::{namespace_name::netns_name, tui::app::App};
use model::durations::readable;
use model::{
    Cost, NextRun, Overview, P50_MIN_CALLS, P90_MIN_CALLS, P99_MIN_CALLS, Summary, WallTime,
};

/// Where what the labels name begins.
const VALUES: u16 = 11;

/// From so many columns on, three facts stand in a line.
const THREE_ABREAST: u16 = 80;

const LABELS: [&str; 5] = ["runs", "duration", "longest", "next run", "cost"];

pub fn draw(canvas: &mut Canvas<'_>, app: &App) {
    let faint = canvas.look.faint();
    for (y, label) in (0..).zip(LABELS) {
        canvas.write(1, y, label, faint);
    }
    let data = app.data();
    let Some(overview) = &data.overview else {
        canvas.write(VALUES, 0, "none yet", faint);
        return;
    };
    let summary = data.summary(app.scope).unwrap_or(&overview.all);
    if canvas.width() < THREE_ABREAST {
        narrow::draw(canvas, app, overview, summary);
        return;
    }
    runs(canvas, app, overview, summary);
    canvas.write(VALUES, 1, &percentiles(summary), Style::new());
    longest(canvas, overview, summary);
    next_runs(canvas, app, overview, data.now_ns);
    let cost = data.cost(app.scope).and_then(|cost| {
        let room = canvas.width().saturating_sub(VALUES);
        cost_texts(app, cost)
            .into_iter()
            .find(|text| columns(text) <= room)
    });
    let unknown = "not known yet: it takes runs over more than one estimator";
    canvas.write(VALUES, 4, cost.as_deref().unwrap_or(unknown), Style::new());
}

/// Where the second and the third fact of a line begin.
fn stops(canvas: &Canvas<'_>) -> (u16, u16) {
    let width = canvas.width();
    (width * 9 / 20, width * 27 / 40)
}

/// The runs in focus, and whose they are; those without a duration, of all.
fn runs(canvas: &mut Canvas<'_>, app: &App, overview: &Overview, summary: &Summary) {
    let all = &overview.all;
    let (second, third) = stops(canvas);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let text = format!(
        "{} in {}, {}",
        grouped(summary.calls),
        elapsed(overview.observed_ns),
        app.scope_name(),
    );
    canvas.put(VALUES, 0, second - VALUES - 1, &text, bold);
    let at_least = if summary.is_partial() { ">= " } else { "" };
    let text = summary.stall_ns_per_s.map_or("stall -".into(), |stall| {
        format!("stall {at_least}{}/s", readable(stall))
    });
    canvas.put(second, 0, third - second - 1, &text, Style::new());
    let mut x = third;
    for (name, number) in [("lost", all.lost), ("missed", all.missed)] {
        let style = if number > 0 {
            let loud = Modifier::BOLD | Modifier::REVERSED;
            canvas.look.fg(Color::Red).add_modifier(loud)
        } else {
            Style::new()
        };
        x = canvas.write(x, 0, &format!("{name} {}", grouped(number)), style) + 2;
    }
}

/// What the number of calls allows to be said of how long they took.
fn percentiles(all: &Summary) -> String {
    let (Some(min_ns), Some(max_ns)) = (all.min_ns, all.max_ns) else {
        return match all.lost {
            0 => "no run yet".into(),
            _ => "unknown: no run has a record, the ring buffer was full".into(),
        };
    };
    let mut text = Vec::new();
    let mut needs = Vec::new();
    for (name, value_ns, calls) in [
        ("p50", all.p50_ns, P50_MIN_CALLS),
        ("p90", all.p90_ns, P90_MIN_CALLS),
        ("p99", all.p99_ns, P99_MIN_CALLS),
    ] {
        match value_ns {
            Some(value_ns) => text.push(format!("{name} {:<9}", readable(value_ns))),
            None if needs.is_empty() => needs.push(format!("{name} needs {calls}")),
            None => needs.push(format!("{name} {calls}")),
        }
    }
    let (text, needs) = (text.concat(), needs.join(", "));
    let recorded = grouped(all.recorded);
    if needs.is_empty() {
        format!("{text}min {:<9}of {recorded} runs", readable(min_ns))
    } else {
        format!("{text}{needs}: max of {recorded} is {}", readable(max_ns))
    }
}

fn longest(canvas: &mut Canvas<'_>, overview: &Overview, summary: &Summary) {
    let (second, third) = stops(canvas);
    if let (Some(max_ns), Some(max_at)) = (summary.max_ns, summary.max_at) {
        let style = canvas.look.duration(max_ns).add_modifier(Modifier::BOLD);
        let x = canvas.write(VALUES, 2, &readable(max_ns), style);
        let room = second.saturating_sub(x + 1);
        let at = longest_that_fits(&[format!(" at {max_at}"), at_time(max_at)], room);
        canvas.put(x, 2, room, &at, Style::new());
    } else {
        canvas.write(VALUES, 2, "-", Style::new());
    }
    let room = third - second - 2;
    let blackout = overview
        .max_blackout
        .map_or("blackout -".into(), |blackout| {
            let short = format!("blackout {}", readable(blackout.duration_ns));
            let s = if blackout.calls == 1 { "" } else { "s" };
            let long = format!("{short} in {} run{s}", grouped(blackout.calls));
            longest_that_fits(&[format!("longest {long}"), long, short], room)
        });
    canvas.put(second, 2, room, &blackout, Style::new());
    let waits = overview.lock_waits;
    let short = format!("lock waits {}", grouped(waits.count));
    let text = if waits.count == 0 {
        short
    } else {
        let medium = format!("{short}, max {}", readable(waits.longest_ns));
        let long = format!("{medium}, {} in all", readable(waits.total_ns));
        let room = canvas.width() - third;
        longest_that_fits(&[long, medium, short], room)
    };
    canvas.write(third, 2, &text, Style::new());
}

fn at_time(at: WallTime) -> String {
    format!(" at {}", at.time_of_day())
}

/// The first that fits; the last fits, or is cut.
fn longest_that_fits(texts: &[String], room: u16) -> String {
    let fits = texts.iter().find(|text| columns(text) <= room);
    fits.or(texts.last()).cloned().unwrap_or_default()
}

/// The run that comes next, and the next one over the longest list: that is the stall to wait for.
fn next_runs(canvas: &mut Canvas<'_>, app: &App, overview: &Overview, now_ns: u64) {
    let Some(next) = overview.next_run else {
        canvas.write(VALUES, 3, "none: no timer is pending", Style::new());
        return;
    };
    let (_, third) = stops(canvas);
    let text = next_run(app, next, now_ns);
    canvas.put(VALUES, 3, third - VALUES - 1, &text, Style::new());
    let longest = app.data().census.longest;
    let longest = longest.and_then(|place| overview.namespaces.get(place));
    let Some(next) = longest.and_then(|namespace| namespace.next_run) else {
        return;
    };
    let short = format!("longest {}", when_and_where(next, now_ns).trim_end());
    let long = format!("longest list {}", next_run(app, next, now_ns));
    let room = canvas.width().saturating_sub(third);
    canvas.write(
        third,
        3,
        &longest_that_fits(&[long, short], room),
        Style::new(),
    );
}

fn next_run(app: &App, next: NextRun, now_ns: u64) -> String {
    let netns = netns_name(next.netns, app.host.root_netns);
    let who = app.owners.who(next.netns);
    let who = who.filter(|_| next.netns != app.host.root_netns);
    let who = who.map_or(String::new(), |who| format!(" {who}"));
    format!("{} netns {netns}{who}", when_and_where(next, now_ns))
}

/// In as many columns whenever and wherever it is.
fn when_and_where(next: NextRun, now_ns: u64) -> String {
    let ahead = countdown(next.due_ns, now_ns);
    let when = match ahead.strip_prefix('-') {
        Some(late) => format!("late {late}"),
        None if ahead == "due" => "due now".into(),
        None => format!("in {ahead}"),
    };
    format!("{when:<10} cpu {:<3}", next.cpu)
}

/// What an estimator costs, and what many would: from a long sentence to a short one.
fn cost_texts(app: &App, cost: Cost) -> Vec<String> {
    let many = cost.twice_as_many();
    if many == 0 {
        return Vec::new();
    }
    let each = picoseconds(cost.estimator_ps());
    let would = readable(cost.projected_ns(many));
    let many = grouped(many);
    let over = app.host.possible_cpus.map_or(String::new(), |cpus| {
        let s = if cpus == 1 { "" } else { "s" };
        format!(" over {cpus} possible CPU{s}")
    });
    vec![
        format!("{each} an estimator{over}; at {many} estimators about {would}"),
        format!("{each} an estimator{over}; at {many} about {would}"),
        format!("{each} an estimator; at {many} about {would}"),
        format!("{each} an estimator"),
    ]
}
