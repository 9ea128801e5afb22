//! `check --max`: exit codes as a monitoring plugin has them.

use serde_json::{Value, json};
use xtask::{lab::LabSpec, scenario::Sections};

use super::namespace;
use crate::steps::Steps;
use xtask::kernel::under_test::root_netns;

/// A node whose runs take milliseconds.
fn busy() -> LabSpec {
    LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::deterministic()
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_run_over_the_maximum_is_a_problem_and_one_under_it_is_not() {
    let mut steps = Steps::on(busy());
    steps.shell("truth_begin");
    steps
        .step("over", "ipvs-latency check --max 1ms --json")
        .exits(1)
        .page(is_over);
    steps
        .step("under", "ipvs-latency check --max 10ms --duration 3s")
        .exits(0)
        .output(|text, sections| is_true(sections, text, "SLOW "));
    steps
        .step("slow", "ipvs-latency check --max 1ms --duration 2600ms")
        .exits(1);
    steps.shell("echo == truth; truth_runs");
    steps.run();
}

fn is_over(over: &Value, sections: &Sections) {
    assert_eq!(over["verdict"], "problem", "{over}");
    assert_eq!(over["missing"], json!([]));
    let root = namespace(over, root_netns());
    assert_eq!(root["services"], 10_000, "{root}");
    assert_eq!(root["destinations"], 20_000, "{root}");
    let run = &over["measured"]["longest_run"];
    assert_eq!(
        (&run["netns"], &run["cpu"]),
        (&root_netns().into(), &0.into())
    );
    let message = over["message"].as_str().unwrap();
    is_true(sections, message, "STALL ");
    let place = " every 2.0 s on CPU 0, netns root (30,001 estimators)";
    assert!(message.ends_with(place), "{message}");
    let worst = &over["worst"];
    assert_eq!(
        (&worst["netns"], &worst["cpu"]),
        (&root_netns().into(), &0.into())
    );
    assert_eq!(worst["duration_ns"], run["duration_ns"]);
    let share = worst["share"].as_f64().unwrap();
    let typical_ns = worst["typical_ns"].as_f64().unwrap();
    let period_ns = worst["period_ns"].as_f64().unwrap();
    assert!((share - typical_ns / period_ns).abs() < 1e-9, "{worst}");
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
    let mut steps = Steps::on(LabSpec {
        netns: 50,
        ..LabSpec::deterministic()
    });
    steps
        .step("json", "ipvs-latency check --max 30us --json")
        .exits(1)
        .page(|page, _| {
            let duration = |of: &str| page["measured"][of]["duration_ns"].as_u64().unwrap();
            assert!(duration("longest_run") < 30_000, "{page}");
            assert!(duration("longest_blackout") > 30_000, "{page}");
            assert_eq!(page["verdict"], "problem", "{page}");
            let message = page["message"].as_str().unwrap();
            assert!(message.starts_with("STALL "), "{message}");
            for words in [" on CPU 0, ", " runs in a row, longest in netns "] {
                assert!(message.contains(words), "{message}");
            }
        });
    steps.run();
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_monitoring_plugin_has_four_states_and_a_signal_has_an_answer() {
    let mut steps = Steps::on(busy());
    let nagios = "ipvs-latency check --format nagios";
    steps
        .step("ok", format!("{nagios} -w 8ms -c 50ms"))
        .exits(0)
        .output(|text, _| is_a_line_of_measures(text, "IPVS OK - "));
    steps
        .step("warning", nagios)
        .exits(1)
        .output(|text, _| is_a_line_of_measures(text, "IPVS WARNING - SLOW "));
    steps
        .step("critical", format!("{nagios} --max 1ms"))
        .exits(2)
        .output(|text, _| is_a_line_of_measures(text, "IPVS CRITICAL - STALL "));
    steps.step("usage", "ipvs-latency check -c 1ms").exits(2);
    let signalled = "ipvs-latency check --duration 1h --json & checker=$!
        sleep 3; kill -TERM $checker; wait $checker";
    steps
        .step("partial", signalled)
        .exits(2)
        .page(|partial, _| {
            let observed_ns = partial["measured"]["observed_ns"].as_u64().unwrap();
            assert!((2_000_000_000..30_000_000_000).contains(&observed_ns));
            let message = "unknown: a signal ended the measurement";
            assert_eq!(partial["message"], message, "{partial}");
            assert!(partial["measured"]["runs"].as_u64() > Some(0), "{partial}");
        });
    steps.shell("ipvsadm -C; rmmod $(ls /sys/module/ip_vs/holders) ip_vs");
    steps.step("unknown", nagios).exits(3).output(|text, _| {
        let begin = "IPVS UNKNOWN - unknown: the module ip_vs";
        assert!(!is_a_line(text, begin), "{text}");
    });
    steps.run();
}

#[track_caller]
fn is_a_line_of_measures(text: &str, begin: &str) {
    assert!(is_a_line(text, begin), "{text}");
}

/// Checks that a plugin's output is one line with that beginning, and returns whether it has measures behind it.
#[track_caller]
fn is_a_line(text: &str, begin: &str) -> bool {
    let text = text.trim();
    assert!(text.starts_with(begin), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text.contains(" | longest_run=0.00")
}
