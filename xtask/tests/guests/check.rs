//! `ipvs-latency check` in guests.

mod commands;
mod doors;
mod judging;
mod places;
mod refusals;
mod states;

use serde_json::Value;
use xtask::scenario::Sections;

use crate::steps::Step;

impl Step {
    /// Expects a page of `check --json`, of the contract's form, and checks it with all that the guest printed beside it.
    fn page(&mut self, check: impl FnOnce(&Value, &Sections) + 'static) -> &mut Self {
        self.document_beside(|page, sections| {
            is_of_the_contract(page);
            check(page, sections);
        })
    }
}

fn is_of_the_contract(page: &Value) {
    assert_eq!(page["schema"], 1, "{page}");
    assert_eq!(page["type"], "check", "{page}");
    let has = |value: &Value, fields: &[&str]| {
        for field in fields {
            assert!(value.get(field).is_some(), "no {field} in {value}");
        }
    };
    has(
        page,
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

/// The mitigation of that name.
fn mitigation<'a>(page: &'a Value, name: &str) -> &'a Value {
    let mut open = page["mitigations"].as_array().unwrap().iter();
    open.find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {page}"))
}
