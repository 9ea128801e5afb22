//! The first line: the worst stall, unless a state is graver; a change of state while it is fresh and nothing worse
//! stands.

use std::cmp::Reverse;

use ratatui::style::{Color, Modifier, Style};

use super::{
    canvas::{Canvas, columns},
    numbers::grouped,
    title::WRONG,
};
use crate::{
    headline::{self, Grade},
    watch::{
        namespace_name::netns_name,
        tui::app::{App, Data},
    },
};
use model::{Course, NamespaceView, Output, Overview, Span, State, StateChange};

/// How long a change is fresh.
const FRESH_NS: u64 = 10_000_000_000;

pub fn draw(canvas: &mut Canvas<'_>, app: &App) {
    if let Some(course) = &app.course {
        draw_course(canvas, course);
        return;
    }
    let data = app.data();
    let (text, style) = says(canvas, app, data);
    let emphatic = style.add_modifier.contains(Modifier::REVERSED);
    // Whole without the length of the list, rather than cut somewhere.
    let fits = columns(&text) < canvas.width();
    let short = text.split_once(" (").map_or(&*text, |(short, _)| short);
    canvas.write(1, 0, if fits { &text } else { short }, style);
    if emphatic {
        canvas.restyle(0, style);
    }
}

/// Columns of the bar that fills as runs come.
const BAR: usize = 10;

/// What is being done, how far it is, and what ends it. What is wrong is in the first line, too.
fn draw_course(canvas: &mut Canvas<'_>, course: &Course) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut x = canvas.write(1, 0, &course.doing, bold) + 1;
    if let Some((seen, of)) = course.runs {
        let full = (BAR * seen.min(of)).checked_div(of).unwrap_or(0);
        let bar = format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full));
        x = canvas.write(x, 0, &format!("{bar} {seen} of {of} runs"), Style::new()) + 1;
    }
    if let Some(left_ns) = course.left_ns {
        let seconds = left_ns.div_ceil(1_000_000_000);
        x = canvas.write(x, 0, &format!("about {seconds} s left"), Style::new()) + 1;
    }
    canvas.write(x + 1, 0, "q ends it", canvas.look.faint());
}

fn says(canvas: &Canvas<'_>, app: &App, data: &Data) -> (String, Style) {
    let look = canvas.look;
    let Some(overview) = &data.overview else {
        let text = "waiting for the first look at the estimators".into();
        return (text, look.faint());
    };
    let reversed = Modifier::REVERSED;
    if !overview.attached {
        let text = "ip_vs is not loaded: waiting for it".into();
        return (text, look.fg(Color::Yellow).add_modifier(reversed));
    }
    let wrong = WRONG
        .into_iter()
        .find(|state| data.census.in_state(*state).number > 0);
    // What still stands is not hidden by what is less grave, however fresh.
    let worst = wrong.map_or(WRONG.len(), gravity);
    let stall = stall(canvas, app, overview);
    let is_stall = matches!(stall, Some((Grade::Stall, _)));
    // A dead estimator alone is graver than a stall.
    if let Some((change, more)) = fresh_change(data)
        && gravity(change.to) <= worst
        && (change.to == State::Dead || !is_stall)
    {
        let style = look.state(change.to).add_modifier(reversed);
        return (change_text(app, change, more), style);
    }
    match (wrong, stall) {
        (Some(state), _) if state == State::Dead || !is_stall => (
            wrong_text(app, overview, state),
            look.state(state).add_modifier(reversed),
        ),
        (_, Some((grade, text))) => (text, grade_style(canvas, grade)),
        (_, None) => (calm_text(data), look.state(State::Active)),
    }
}

/// The line about the worst stall of the last seconds.
fn stall(canvas: &Canvas<'_>, app: &App, overview: &Overview) -> Option<(Grade, String)> {
    let worst = overview.worst(Span::Latest, app.max_ns)?;
    let name = app.name_of(worst.netns);
    // A narrow terminal would cut the number of estimators for it.
    let has_room =
        usize::from(canvas.width()) > headline::WIDTH && worst.netns != app.host.root_netns;
    let who = app.owners.who(worst.netns).filter(|_| has_room);
    let text = headline::line(&worst, app.max_ns, &name, who);
    Some((Grade::of(worst.stall_ns(), app.max_ns), text))
}

fn grade_style(canvas: &Canvas<'_>, grade: Grade) -> Style {
    let bold = Modifier::BOLD;
    match grade {
        Grade::Stall => {
            let red = canvas.look.fg(Color::Red);
            red.add_modifier(bold | Modifier::REVERSED)
        }
        Grade::Slow => canvas.look.fg(Color::Yellow).add_modifier(bold),
        Grade::Ok => canvas.look.fg(Color::Green),
    }
}

/// The gravest change of the last seconds, the latest of its kind, and how many more there were.
fn fresh_change(data: &Data) -> Option<(&StateChange, usize)> {
    let since_ns = data.now_ns.saturating_sub(FRESH_NS);
    let changes = data.log.others().filter_map(|output| match output {
        Output::StateChange(change) if change.start_ns > since_ns => Some(change),
        _ => None,
    });
    let more = changes.clone().count().checked_sub(1)?;
    let gravest = changes.min_by_key(|change| (gravity(change.to), Reverse(change.start_ns)))?;
    Some((gravest, more))
}

/// How grave a state is: 0 is the gravest, and nothing is wrong with the last.
fn gravity(state: State) -> usize {
    let place = WRONG.iter().position(|wrong| *wrong == state);
    place.unwrap_or(WRONG.len())
}

fn change_text(app: &App, change: &StateChange, more: usize) -> String {
    let netns = netns_name(change.netns, app.host.root_netns);
    let from = change
        .from
        .map_or(String::new(), |from| format!(" (was {from})"));
    let more = match more {
        0 => String::new(),
        more => format!(", and {} more", grouped(more as u64)),
    };
    format!("{}{from}{more}  netns {netns}: {}", change.to, change.why)
}

/// The state, how many are in it, and why the one with most estimators is.
fn wrong_text(app: &App, overview: &Overview, state: State) -> String {
    let group = app.data().census.in_state(state);
    let first = group
        .longest
        .and_then(|place| overview.namespaces.get(place));
    let Some(first) = first else {
        return state.to_string();
    };
    let netns = netns_name(first.netns, app.host.root_netns);
    let why = why(first);
    match group.number {
        1 => format!("{state}  netns {netns}{why}"),
        number => format!(
            "{state}  {} namespaces, among them netns {netns}{why}",
            grouped(number as u64)
        ),
    }
}

fn why(namespace: &NamespaceView) -> String {
    let why = namespace.why.as_deref();
    why.map_or(String::new(), |why| format!(": {why}"))
}

fn calm_text(data: &Data) -> String {
    match data.census.in_state(State::Active).number {
        0 => "no network namespace has an estimator".into(),
        1 => "ACTIVE in 1 network namespace".into(),
        number => format!("ACTIVE in {} network namespaces", grouped(number as u64)),
    }
}
