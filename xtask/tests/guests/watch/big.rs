//! Nodes with many namespaces, or with room for many CPUs.

use xtask::{
    lab::Cpus,
    lab::LabSpec,
    scenario::{self, number},
};

/// 4 of 64 possible CPUs: the kernel walks the counters of all 64 for every estimator.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn with_64_possible_cpus_every_long_run_is_seen_with_its_estimators() {
    let spec = LabSpec {
        cpus: Cpus {
            online: 4,
            possible: 64,
        },
        services: 10_000,
        destinations: 2,
        ..LabSpec::default()
    };
    let sections = scenario::run(
        spec,
        "truth_begin
        echo == watch; ipvs-latency watch --json --duration 25s
        echo == truth; truth_runs",
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    let truth = sections.truth("truth").unwrap();
    let pairs = watched.matched(&truth).unwrap();
    assert!(pairs.len() >= 4, "{pairs:?}");
    for (call, _) in &pairs {
        assert_eq!(call["estimators"], 30_001, "{call}");
    }
    // The probes are inside of the tracepoints, so no call can be longer than its run was traced.
    for (call, run) in &pairs {
        assert!(
            number(call, "duration_ns").unwrap() <= run.lasted_ns,
            "{call} of {run:?}"
        );
    }
    let summary = watched.only("summary").unwrap();
    for field in ["lost", "missed"] {
        assert_eq!(number(summary, field).unwrap(), 0, "{summary}");
    }
}

/// What 1,000 namespaces may cost us, in instructions for every second of the guest and in KiB.
pub const INSTRUCTIONS_A_SECOND: u64 = 10_000_000;
/// See [`INSTRUCTIONS_A_SECOND`].
pub const RESIDENT_KIB: u64 = 24 * 1024;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_thousand_namespaces_are_all_seen_within_the_budget() {
    let spec = LabSpec {
        services: 10,
        netns: 999,
        ..LabSpec::deterministic()
    };
    let sections = scenario::run(
        spec,
        "truth_begin 65536
        ipvs-latency watch --json > /tmp/watch & pid=$!
        until grep -qs start /tmp/watch; do sleep 0.1; done; sleep 9
        before=$(cut -d ' ' -f 1 /proc/$pid/schedstat); sleep 20
        after=$(cut -d ' ' -f 1 /proc/$pid/schedstat)
        echo == instructions; echo $(((after - before) / 20))
        echo == resident; awk '/^VmHWM/ { print $2 }' /proc/$pid/status
        kill -INT $pid; wait $pid
        echo == watch; cat /tmp/watch
        echo == truth; truth_runs",
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    assert!(pairs.len() >= 1_000 * 13, "{} calls", pairs.len());
    let summary = watched.only("summary").unwrap();
    for field in ["lost", "missed"] {
        assert_eq!(number(summary, field).unwrap(), 0, "{field}");
    }
    assert_eq!(summary["namespaces"].as_array().unwrap().len(), 1_000);
    let measured = |name: &str| -> u64 { sections.text(name).unwrap().trim().parse().unwrap() };
    let (instructions, resident) = (measured("instructions"), measured("resident"));
    eprintln!("lines: {instructions} instructions a second, {resident} KiB resident");
    assert!(instructions < INSTRUCTIONS_A_SECOND, "{instructions}");
    assert!(resident <= RESIDENT_KIB, "{resident}");
}
