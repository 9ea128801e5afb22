//! The facts on a narrow terminal: of each line, the longest form that fits whole.

use ratatui::style::Style;

use super::{
    VALUES, at_time, cost_texts, longest_that_fits, next_run, percentiles, when_and_where,
};
use crate::watch::tui::{
    app::App,
    view::{
        canvas::Canvas,
        numbers::{elapsed, grouped},
    },
};
use model::durations::readable;
use model::{Overview, Summary};

pub fn draw(canvas: &mut Canvas<'_>, app: &App, overview: &Overview, summary: &Summary) {
    let room = canvas.width().saturating_sub(VALUES);
    let lines = [
        runs(app, overview, summary),
        durations(summary),
        longest(overview, summary),
        next(app, overview),
        cost(app),
    ];
    for (y, texts) in (0..).zip(lines) {
        let text = longest_that_fits(&texts, room);
        canvas.write(VALUES, y, &text, Style::new());
    }
}

fn runs(app: &App, overview: &Overview, summary: &Summary) -> Vec<String> {
    let all = &overview.all;
    let runs = format!(
        "{} in {}",
        grouped(summary.calls),
        elapsed(overview.observed_ns)
    );
    let unseen = format!("lost {}  missed {}", grouped(all.lost), grouped(all.missed));
    let at_least = if summary.is_partial() { ">= " } else { "" };
    let stall = summary.stall_ns_per_s.map_or("stall -".into(), |stall| {
        format!("stall {at_least}{}/s", readable(stall))
    });
    vec![
        format!("{runs}, {}  {stall}  {unseen}", app.scope_name()),
        format!("{runs}  {stall}  {unseen}"),
        format!("{runs}  {unseen}"),
        unseen,
    ]
}

fn durations(summary: &Summary) -> Vec<String> {
    let median = summary.p50_ns.map_or(String::new(), |median_ns| {
        format!("p50 {}  ", readable(median_ns))
    });
    let longest = summary.max_ns.map_or("-".into(), |max_ns| {
        format!("{median}max {}", readable(max_ns))
    });
    vec![percentiles(summary), longest, "-".into()]
}

fn longest(overview: &Overview, summary: &Summary) -> Vec<String> {
    let (Some(max_ns), Some(max_at)) = (summary.max_ns, summary.max_at) else {
        return vec!["-".into()];
    };
    let run = readable(max_ns);
    let at = format!("{run}{}", at_time(max_at));
    let blackout = overview.max_blackout.map_or(String::new(), |blackout| {
        format!("  blackout {}", readable(blackout.duration_ns))
    });
    let waits = format!("  lock waits {}", grouped(overview.lock_waits.count));
    vec![
        format!("{at}{blackout}{waits}"),
        format!("{at}{blackout}"),
        format!("{run}{blackout}"),
        run,
    ]
}

fn next(app: &App, overview: &Overview) -> Vec<String> {
    let Some(next) = overview.next_run else {
        return vec!["none: no timer is pending".into()];
    };
    let now_ns = app.data().now_ns;
    vec![
        next_run(app, next, now_ns),
        when_and_where(next, now_ns).trim_end().to_owned(),
    ]
}

fn cost(app: &App) -> Vec<String> {
    let known = app.data().cost(app.scope).map(|cost| cost_texts(app, cost));
    known
        .filter(|texts| !texts.is_empty())
        .unwrap_or_else(|| vec!["not known yet".into()])
}
