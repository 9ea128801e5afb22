//! The table by namespace.

use std::io::{self, Write};

use crate::{check::page::Namespace, columns, headline};
use model::durations::readable;

/// Rows that fit a screen.
const MAX_ROWS: usize = 20;

/// Columns for who lives in a namespace.
const WHO: usize = 32;

const TITLES: [&str; 10] = [
    "netns",
    "who",
    "state",
    "services",
    "destinations",
    "estimators",
    "run_estimation",
    "period",
    "next run in",
    "CPU",
];

/// Columns of words.
const WORDS: usize = 3;

type Row = [String; TITLES.len()];

/// Draws the first namespaces, and says how many more there are.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(
    out: &mut impl Write,
    namespaces: &[Namespace],
    root_netns: Option<u32>,
) -> io::Result<()> {
    let (shown, rest) = namespaces.split_at(namespaces.len().min(MAX_ROWS));
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(shown.iter().map(|namespace| row(namespace, root_netns)));
    columns::write(out, &rows, WORDS)?;
    if !rest.is_empty() {
        writeln!(
            out,
            "and {} more (all of them: --json){}",
            rest.len(),
            sum(rest)
        )?;
    }
    Ok(())
}

fn row(namespace: &Namespace, root_netns: Option<u32>) -> Row {
    let root = if root_netns == Some(namespace.netns) {
        " (root)"
    } else {
        ""
    };
    let number = |number: Option<u32>| known(number, |number| number.to_string());
    [
        format!("{}{root}", namespace.netns),
        known(who(namespace), short),
        known(namespace.state, |state| state.to_string()),
        number(namespace.services),
        number(namespace.destinations),
        number(namespace.estimators),
        known(namespace.run_estimation, |switch| switch.to_string()),
        known(namespace.period_ns, readable),
        known(namespace.next_run_in_ns, headline::seconds),
        number(namespace.next_cpu),
    ]
}

fn who(namespace: &Namespace) -> Option<&str> {
    let none = namespace.is_empty.then_some("no process");
    namespace.named.who.as_deref().or(none)
}

fn known<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or("-".into(), show)
}

fn short(who: &str) -> String {
    if who.chars().count() <= WHO {
        return who.to_owned();
    }
    let begin: String = who.chars().take(WHO - 3).collect();
    format!("{begin}...")
}

/// What those without a row have at most.
fn sum(rest: &[Namespace]) -> String {
    let longest = rest.iter().filter_map(|one| one.estimators).max();
    longest.map_or(String::new(), |longest| {
        format!(
            ", of at most {longest} estimator{}",
            if longest == 1 { "" } else { "s" }
        )
    })
}
