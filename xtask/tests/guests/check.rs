//! `ipvs-latency check` in guests.

mod commands;
mod doors;
mod judging;
mod places;
mod refusals;
mod states;

use serde_json::Value;
use xtask::scenario::Sections;

/// Runs a command as `try NAME 'COMMAND'`: its output in section `NAME`, its exit code in `NAME code`, and what it
/// said on standard error in `NAME err`.
const TRY: &str = r#"
try() {
    echo "== $1"; sh -c "$2" 2> /tmp/err; code=$?
    echo; echo "== $1 code"; echo $code; echo "== $1 err"; cat /tmp/err
}
"#;

/// The root namespace of every guest.
const ROOT: u64 = 4_026_531_840;

/// The document in a section that `check --json` printed, of the contract's form.
fn page(sections: &Sections, name: &str) -> Value {
    let text = sections.text(name).unwrap();
    let page: Value = serde_json::from_str(text)
        .unwrap_or_else(|error| panic!("{name}: {error}: {text}\n{}", sections.noise));
    assert_eq!(page["schema"], 1);
    assert_eq!(page["type"], "check");
    let has = |value: &Value, fields: &[&str]| {
        for field in fields {
            assert!(value.get(field).is_some(), "{name}: no {field} in {value}");
        }
    };
    has(
        &page,
        &[
            "verdict",
            "message",
            "kernel",
            "namespaces",
            "missing",
            "livepatch",
            "mitigations",
        ],
    );
    has(
        &page["kernel"],
        &["release", "estimator", "possible_cpus", "online_cpus"],
    );
    has(&page["livepatch"], &["supported", "patches"]);
    for namespace in page["namespaces"].as_array().unwrap() {
        has(
            namespace,
            &[
                "netns",
                "who",
                "door",
                "services",
                "destinations",
                "estimators",
                "run_estimation",
                "state",
                "period_ns",
                "next_run_in_ns",
                "next_cpu",
            ],
        );
    }
    for mitigation in page["mitigations"].as_array().unwrap() {
        has(mitigation, &["name", "command", "breaks", "undo"]);
    }
    let message = page["message"].as_str().unwrap();
    assert!(message.chars().count() <= 80, "{message}");
    page
}

/// The namespace of that number on a page.
fn namespace(page: &Value, netns: u64) -> &Value {
    let mut namespaces = page["namespaces"].as_array().unwrap().iter();
    namespaces
        .find(|namespace| namespace["netns"] == netns)
        .unwrap_or_else(|| panic!("no netns {netns} in {page}"))
}

/// The number in a section.
fn number(sections: &Sections, name: &str) -> u64 {
    let text = sections.text(name).unwrap().trim();
    text.parse()
        .unwrap_or_else(|error| panic!("{name}: {error}: {text:?}"))
}

/// The exit code of a command that was tried.
fn code(sections: &Sections, name: &str) -> u64 {
    number(sections, &format!("{name} code"))
}

/// The mitigation of that name.
fn mitigation<'a>(page: &'a Value, name: &str) -> &'a Value {
    let mut open = page["mitigations"].as_array().unwrap().iter();
    open.find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {page}"))
}
