//! Long repetitions.

use xtask::{
    kernel::under_test,
    lab::Cpus,
    lab::LabSpec,
    scenario::{self, number},
};

#[test]
#[ignore = "takes minutes; run by cargo xtask test --soak"]
fn an_hour_of_runs_is_reported_without_a_gap() {
    let spec = LabSpec {
        services: 1_000,
        destinations: 2,
        netns: 3,
        timeout: std::time::Duration::from_mins(30),
        ..LabSpec::deterministic()
    };
    let sections = scenario::run(
        spec,
        "truth_begin 65536
        echo == watch; ipvs-latency watch --json --duration 1h
        echo == truth; truth_runs",
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    // 3,600 s hold 1,785 periods of 2.016 s.
    assert!(pairs.len() >= 4 * 1_780, "{} calls", pairs.len());
    let summary = watched.only("summary").unwrap();
    assert_eq!(
        number(summary, "missed").unwrap() + number(summary, "lost").unwrap(),
        0
    );
    assert!(summary["p99_ns"].is_u64(), "{summary}");
    let root = watched
        .of("call")
        .filter(|call| call["netns"] == under_test::root_netns());
    assert!(root.into_iter().all(|call| call["estimators"] == 3_001));
}

/// While services come and go on two CPUs, probes are put on and taken away 100 times.
#[test]
#[ignore = "takes minutes; run by cargo xtask test --soak"]
fn a_hundred_starts_under_churn_leave_nothing_behind() {
    let spec = LabSpec {
        cpus: Cpus {
            online: 2,
            possible: 2,
        },
        timeout: std::time::Duration::from_mins(30),
        ..LabSpec::default()
    };
    let sections = scenario::run(
        spec,
        r#"
        i=0; while [ $i -lt 200 ]; do echo "-A -t 172.16.0.$i:443 -s rr"; i=$((i + 1)); done > /tmp/add
        sed 's/^-A/-D/; s/ -s rr//' /tmp/add > /tmp/remove
        while true; do ipvsadm -R < /tmp/add; ipvsadm -R < /tmp/remove; done & churn=$!
        failed=0; round=0
        while [ $round -lt 100 ]; do
            ipvs-latency watch --json --duration 1s > /tmp/watch || failed=$((failed + 1))
            round=$((round + 1))
        done
        kill $churn; sleep 1
        echo == failed; echo $failed
        echo == kprobes; grep -c ip_vs /sys/kernel/debug/kprobes/list
        echo == taint; cat /proc/sys/kernel/tainted"#,
    )
    .unwrap();
    assert_eq!(sections.text("failed").unwrap(), "0\n");
    assert_eq!(sections.text("kprobes").unwrap(), "0\n");
    assert_eq!(sections.text("taint").unwrap(), "0\n");
}
