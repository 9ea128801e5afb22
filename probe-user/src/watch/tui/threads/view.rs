//! Draws the screen for kernel threads: what they are, what they came to, one by one, and the log.

use ratatui::{
    buffer::Buffer,
    style::{Modifier, Style},
};

use super::ThreadFace;
use crate::{
    kernel_threads::Thread,
    watch::{
        marks,
        namespace_name::short_name,
        threads::{STATEMENT, ThreadPeriod, chain, sentences},
        tui::{
            keys::{self, Action},
            layout::is_too_small,
            view::{
                canvas::{Canvas, columns},
                numbers::grouped,
                table::{Column, Table},
                too_small,
            },
        },
    },
};
use model::{
    durations::readable,
    threads::{ThreadOutput, ThreadRun},
};

/// Lines above the table: the title, what threads do not do, and what they came to.
const FACTS: u16 = 5;

/// The table of threads takes this share of the rest, at most.
const TABLE_SHARE: u16 = 2;

/// Keys of the help that this screen has, in the order of the table.
fn has(action: Action) -> bool {
    matches!(
        action,
        Action::Help
            | Action::Quit
            | Action::QuitKeeping
            | Action::Pause
            | Action::Reset
            | Action::Mark
            | Action::Scroll(_)
            | Action::Suspend
            | Action::Redraw
            | Action::Back
    )
}

const FOOTER: [(&str, &str); 5] = [
    ("?", "help"),
    ("q", "quit"),
    ("Space", "pause"),
    ("r", "reset"),
    ("m", "mark"),
];

/// Draws everything. Returns how many lines the log has.
pub fn draw(buffer: &mut Buffer, face: &ThreadFace) -> usize {
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer, area, face.look);
    let canvas = &mut canvas;
    if is_too_small(area.width, area.height) {
        too_small(canvas, "ipvs-latency watch --plain writes lines");
        return 0;
    }
    title(canvas, face);
    canvas.write(1, 1, STATEMENT, canvas.look.faint());
    let mut y = 2;
    let data = face.data();
    if let Some(period) = &data.period {
        y = facts(canvas, y, period);
        y = table(canvas, y, period, face);
    }
    let bottom = area.height - 1;
    log(canvas, y, bottom, face);
    footer(canvas, bottom, face);
    if face.help {
        help(canvas);
    }
    usize::from(bottom.saturating_sub(y + 1))
}

fn title(canvas: &mut Canvas<'_>, face: &ThreadFace) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut right = canvas.width().saturating_sub(1);
    if let Some(period) = &face.data().period {
        let time = period.sums.at.time_of_day();
        let text = format!("{} UTC", time.split('.').next().unwrap_or_default());
        right = right.saturating_sub(columns(&text));
        canvas.write(right, 0, &text, Style::new());
        right = right.saturating_sub(2);
        if face.frozen.is_some() {
            right = right.saturating_sub(columns(" PAUSED "));
            let style = bold.add_modifier(Modifier::REVERSED);
            canvas.write(right, 0, " PAUSED ", style);
            right = right.saturating_sub(2);
        }
    }
    let x = canvas.put(1, 0, right, "ipvs-latency", bold) + 2;
    let room = |x: u16| right.saturating_sub(x);
    let x = canvas.put(x, 0, room(x), &face.node.hostname, Style::new()) + 2;
    let release = format!("Linux {}", face.node.release);
    // A release that is cut is that of another kernel.
    if columns(&release) <= room(x) {
        canvas.write(x, 0, &release, Style::new());
    }
}

/// Writes what the threads came to, and what there is to look at. Returns the line below.
fn facts(canvas: &mut Canvas<'_>, from: u16, period: &ThreadPeriod) -> u16 {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut y = from;
    let sentences = sentences(&period.sums).into_iter();
    let mut lines: Vec<(String, Style)> = sentences.map(|text| (text, Style::new())).collect();
    if !period.sums.is_attached {
        let text = "No run is measured now: a thread calibrates, or ip_vs is not loaded.";
        lines.push((text.into(), bold));
    }
    lines.extend(period.remarks().into_iter().map(|text| (text, bold)));
    let most = usize::from((canvas.height() / 3).max(FACTS - 2));
    for (text, style) in lines.into_iter().take(most) {
        canvas.write(1, y, &text, style);
        y += 1;
    }
    y
}

/// Draws the threads, those with most estimators first. Returns the line below.
fn table(canvas: &mut Canvas<'_>, y: u16, period: &ThreadPeriod, face: &ThreadFace) -> u16 {
    let threads = &period.seen.threads;
    let room = canvas.height().saturating_sub(y + 1) / TABLE_SHARE;
    let rows = u16::try_from(threads.len()).unwrap_or(u16::MAX).max(1);
    let height = (rows + 1).min(room.max(2));
    let mut pane = canvas.part(0, y, canvas.width(), height);
    let title = rule(
        &mut pane,
        &format!("Threads {}", grouped(threads.len() as u64)),
    );
    let mut all = vec![
        Column::names("thread", 10),
        Column::words("netns", 10),
        Column::numbers("estimators", 10),
        Column::numbers("runs", 9),
        Column::numbers("p50", 7),
        Column::numbers("max", 7),
        Column::numbers("of a CPU", 8),
    ];
    if pane.width() >= WIDE {
        all.push(Column::numbers("nice", 4));
        all.push(Column::numbers("cpu", 4));
    }
    let table = Table::new(&all, pane.width());
    table.headings(&mut pane, title);
    for (y, thread) in (1..height).zip(threads) {
        row(&mut pane, &table, y, thread, period, face);
    }
    y + height
}

/// From so many columns on there is room for niceness and CPU.
const WIDE: u16 = 88;

fn row(
    canvas: &mut Canvas<'_>,
    table: &Table,
    y: u16,
    thread: &Thread,
    period: &ThreadPeriod,
    face: &ThreadFace,
) {
    let plain = Style::new();
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let summary = period.runs_of(thread).map(|runs| &runs.summary);
    let max_ns = summary.and_then(|summary| summary.max_ns);
    let style = max_ns.map_or(plain, |max_ns| canvas.look.duration(max_ns));
    let cells = [
        (thread.shown(), plain),
        (short_name(thread.netns, face.node.root_netns), plain),
        (grouped(thread.estimators.into()), plain),
        (grouped(summary.map_or(0, |summary| summary.calls)), plain),
        (
            known(summary.and_then(|summary| summary.p50_ns).map(readable)),
            plain,
        ),
        (known(max_ns.map(readable)), style),
        (
            known(thread.share.map(|share| format!("{:.2} %", share * 100.0))),
            plain,
        ),
        (known(thread.nice.map(|nice| nice.to_string())), plain),
        (known(thread.last_cpu.map(|cpu| cpu.to_string())), plain),
    ];
    for (place, (text, style)) in cells.iter().enumerate() {
        table.cell(canvas, place, y, text, *style);
    }
}

/// Draws the newest entries of the log, the last at the bottom.
fn log(canvas: &mut Canvas<'_>, top: u16, bottom: u16, face: &ThreadFace) {
    let height = bottom.saturating_sub(top);
    let mut pane = canvas.part(0, top, canvas.width(), height);
    let slow = match face.slow_ns {
        0 => String::new(),
        slow_ns => format!(" over {}", readable(slow_ns)),
    };
    rule(&mut pane, &format!("Runs{slow}, and what happened"));
    let room = usize::from(height.saturating_sub(1));
    let entries = face.data().log.iter().rev().skip(face.scrolled).take(room);
    let entries: Vec<&ThreadOutput> = entries.collect();
    for (y, entry) in (1..).zip(entries.into_iter().rev()) {
        match entry {
            ThreadOutput::Run(run) => draw_run(&mut pane, y, run, face),
            ThreadOutput::Notice(notice) => {
                let bold = Style::new().add_modifier(Modifier::BOLD);
                pane.put(1, y, 11, &notice.topic.to_string(), bold);
                pane.write(13, y, &notice.at.time_of_day(), Style::new());
                pane.write(27, y, &notice.text, bold);
            }
        }
    }
}

fn draw_run(canvas: &mut Canvas<'_>, y: u16, run: &ThreadRun, face: &ThreadFace) {
    let style = canvas.look.duration(run.duration_ns);
    let (sign, duration) = (marks::sign(run.duration_ns), readable(run.duration_ns));
    canvas.put(1, y, 11, &format!("{sign} {duration:>7}"), style);
    canvas.write(13, y, &run.at.time_of_day(), Style::new());
    let text = format!(
        "cpu {}  netns {}  thread {} tick {}  {}",
        run.cpu,
        short_name(run.netns, face.node.root_netns),
        run.thread,
        run.tick,
        chain(run.estimators)
    );
    canvas.write(27, y, &text, Style::new());
}

/// Writes a title on a rule. Returns where it ended.
fn rule(canvas: &mut Canvas<'_>, title: &str) -> u16 {
    let glyphs = canvas.look.glyphs();
    let faint = canvas.look.faint();
    canvas.fill(0, 0, canvas.width(), glyphs.rule, faint);
    canvas.write(1, 0, &format!(" {title} "), Style::new())
}

fn footer(canvas: &mut Canvas<'_>, y: u16, face: &ThreadFace) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if face.asks_reset {
        let x = canvas.write(1, y, "count from now on?", bold);
        canvas.write(x + 2, y, "r or y: yes  any other key: no", Style::new());
        return;
    }
    let mut x = 1;
    for (key, what) in FOOTER {
        x = canvas.write(x, y, key, bold) + 1;
        x = canvas.write(x, y, what, canvas.look.faint()) + 2;
    }
    if face.scrolled > 0 {
        canvas.write(x, y, "End: to the latest", Style::new());
    }
}

/// Draws the keys over the middle.
fn help(canvas: &mut Canvas<'_>) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let shown = keys::TABLE
        .iter()
        .filter(|binding| binding.keys.iter().any(|(_, action)| has(*action)));
    let shown: Vec<_> = shown.collect();
    let height = u16::try_from(shown.len() + 3).unwrap_or(u16::MAX);
    let width = 80.min(canvas.width());
    let x = (canvas.width() - width) / 2;
    let y = canvas.height().saturating_sub(height) / 2;
    let mut page = canvas.part(x, y, width, height);
    page.clear();
    rule(&mut page, "Keys");
    for (line, binding) in (1..).zip(shown) {
        page.put(2, line, 17, binding.shown, bold);
        page.write(19, line, binding.help, Style::new());
    }
    let marks = "over: + 10 us  ! 100 us  # 1 ms  * 10 ms  @ 100 ms  $ 1 s";
    page.put(2, height - 2, 17, "Marks", bold);
    page.write(19, height - 2, marks, Style::new());
    let last = height - 1;
    page.fill(0, last, width, page.look.glyphs().rule, page.look.faint());
}
