//! `check --max`: exit codes as a monitoring plugin has them.

use serde_json::json;
use xtask::{
    lab::LabSpec,
    scenario::{self, Sections},
};

use super::{ROOT, TRY, code, namespace, page};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_run_over_the_maximum_is_a_problem_and_one_under_it_is_not() {
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{TRY}truth_begin
        try over 'ipvs-latency check --max 1ms --json'
        try under 'ipvs-latency check --max 10ms --duration 3s'
        try slow 'ipvs-latency check --max 1ms --duration 2600ms'
        echo == truth; truth_runs"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let over = page(&sections, "over");
    assert_eq!(
        (over["verdict"].as_str(), code(&sections, "over")),
        (Some("problem"), 1)
    );
    assert_eq!(over["missing"], json!([]));
    let root = namespace(&over, ROOT);
    assert_eq!(
        (&root["services"], &root["destinations"]),
        (&json!(10_000), &json!(20_000))
    );
    let run = &over["measured"]["longest_run"];
    assert_eq!((&run["netns"], &run["cpu"]), (&ROOT.into(), &0.into()));
    let message = over["message"].as_str().unwrap();
    is_true(&sections, message, "problem: run of ");
    for words in ["max 1 ms", "netns 4026531840 (root) on CPU 0"] {
        assert!(message.contains(words), "{message}");
    }
    assert!(over["measured"]["observed_ns"].as_u64().unwrap() >= 5_000_000_000);
    assert_eq!(code(&sections, "under"), 0);
    let under = sections.text("under").unwrap();
    is_true(&sections, under, "ok: longest run ");
    assert_eq!(code(&sections, "slow"), 1);
}

/// The milliseconds behind the words that a message begins with are those of the longest run that the kernel's own
/// tracepoints saw: a run takes as long as the one before here.
#[allow(
    clippy::cast_precision_loss,
    reason = "the three digits of a message are far fewer than an f64 has"
)]
fn is_true(sections: &Sections, message: &str, begin: &str) {
    let told = message
        .strip_prefix(begin)
        .and_then(|rest| rest.split_once(" ms"));
    let (told, _) = told.unwrap_or_else(|| panic!("no {begin:?} in {message}"));
    let told_ms: f64 = told.parse().unwrap();
    let runs = sections.truth("truth").unwrap();
    let longest = runs.iter().map(|run| run.lasted_ns).max().unwrap();
    let seen = longest as f64 / 1e6;
    assert!(
        (told_ms - seen).abs() < seen / 100.0,
        "{longest} ns: {message}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn many_short_runs_on_end_are_a_problem_by_their_blackout() {
    let spec = LabSpec {
        netns: 50,
        ..LabSpec::deterministic()
    };
    let script = format!("{TRY}try json 'ipvs-latency check --max 30us --json'");
    let sections = scenario::run(spec, &script).unwrap();
    let page = page(&sections, "json");
    let duration = |of: &str| page["measured"][of]["duration_ns"].as_u64().unwrap();
    assert!(duration("longest_run") < 30_000, "{page}");
    assert!(duration("longest_blackout") > 30_000, "{page}");
    assert_eq!(
        (page["verdict"].as_str(), code(&sections, "json")),
        (Some("problem"), 1)
    );
    let message = page["message"].as_str().unwrap();
    assert!(message.starts_with("problem: blackout of "), "{message}");
    assert!(message.contains(" on CPU 0"), "{message}");
}
