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
    is_true(&sections, message, "STALL ");
    let place = " every 2.0 s on CPU 0, netns root (30,001 estimators)";
    assert!(message.ends_with(place), "{message}");
    let worst = &over["worst"];
    assert_eq!((&worst["netns"], &worst["cpu"]), (&ROOT.into(), &0.into()));
    assert_eq!(worst["duration_ns"], run["duration_ns"]);
    let share = worst["share"].as_f64().unwrap();
    let typical_ns = worst["typical_ns"].as_f64().unwrap();
    let period_ns = worst["period_ns"].as_f64().unwrap();
    assert!((share - typical_ns / period_ns).abs() < 1e-9, "{worst}");
    assert_eq!(code(&sections, "under"), 0);
    let under = sections.text("under").unwrap();
    is_true(&sections, under, "SLOW ");
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
    assert!(message.starts_with("STALL "), "{message}");
    assert!(message.contains(" on CPU 0, "), "{message}");
    assert!(
        message.contains(" runs in a row, longest in netns "),
        "{message}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_monitoring_plugin_has_four_states_and_a_signal_has_an_answer() {
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{TRY}try ok 'ipvs-latency check --format nagios -w 8ms -c 50ms'
        try warning 'ipvs-latency check --format nagios'
        try critical 'ipvs-latency check --format nagios --max 1ms'
        try usage 'ipvs-latency check -c 1ms'
        ipvs-latency check --duration 1h --json > /tmp/partial & checker=$!
        sleep 3; kill -TERM $checker; wait $checker; code=$?
        echo == partial; cat /tmp/partial; echo == partial code; echo $code
        rmmod $(ls /sys/module/ip_vs/holders) ip_vs
        try unknown 'ipvs-latency check --format nagios'"
    );
    let sections = scenario::run(spec, &script).unwrap();
    for (name, begin, ends) in [
        ("ok", "IPVS OK - ", 0),
        ("warning", "IPVS WARNING - SLOW ", 1),
        ("critical", "IPVS CRITICAL - STALL ", 2),
        ("unknown", "IPVS UNKNOWN - unknown: the module ip_vs", 3),
    ] {
        let text = sections.text(name).unwrap().trim();
        assert!(text.starts_with(begin), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(code(&sections, name), ends, "{text}");
        let measured = name != "unknown";
        assert_eq!(text.contains(" | longest_run=0.00"), measured, "{text}");
    }
    assert_eq!(code(&sections, "usage"), 2);
    let partial = page(&sections, "partial");
    let observed_ns = partial["measured"]["observed_ns"].as_u64().unwrap();
    assert!((2_000_000_000..30_000_000_000).contains(&observed_ns));
    assert_eq!(
        (partial["message"].as_str(), code(&sections, "partial")),
        (Some("unknown: a signal ended the measurement"), 2)
    );
    assert!(partial["measured"]["runs"].as_u64() > Some(0), "{partial}");
}
