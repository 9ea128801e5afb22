//! One hotfix loaded and taken back again and again, while the node is watched and its services change.

use std::time::Duration;

use xtask::lab::LabSpec;
use xtask::scenario::{Sections, number};

use super::{FOLDER, with_modules};
use crate::steps::Steps;

/// What a leak would add to: `held NAME`, a section with a line for each.
const HELD: &str = r#"
held() {
    sleep 2
    echo "== held $1"
    echo "processes of ours $(pgrep -c ipvs-latency)"
    echo "modules $(wc -l < /proc/modules)"
    echo "kprobes $(wc -l < /sys/kernel/debug/kprobes/list)"
    echo "redirected $(wc -l < /sys/kernel/tracing/enabled_functions)"
    echo "module memory $(grep -c 'load_module\|module_alloc' /proc/vmallocinfo)"
    echo "programs $(grep -c 'bpf_prog_' /proc/kallsyms)"
    echo "files of watch $(ls /proc/$watch/fd | wc -l)"
    echo "== rest"
}
"#;

/// `cycle` loads and unloads once, while services of others come and go.
const CHURN: &str = "
sh -c 'while :; do ipvsadm -A -t 203.0.113.9:99; ipvsadm -a -t 203.0.113.9:99 -r 203.0.113.10
    ipvsadm -D -t 203.0.113.9:99; sleep 0.1; done' & churn=$!
failed=0
cycle() { ipvs-latency hotfix load $F/est_skip.ko && ipvs-latency hotfix unload est_skip || failed=$((failed + 1)); }
";

fn cycle(cycles: u32) -> Sections {
    let spec = LabSpec {
        services: 500,
        destinations: 2,
        netns: 2,
        timeout: Duration::from_mins(30),
        ..LabSpec::default()
    };
    let mut steps = Steps::on(with_modules(spec));
    steps.shell(format!("{HELD}F={FOLDER}"));
    steps.shell("truth_begin; ipvs-latency watch --json > /tmp/watched & watch=$!");
    steps.shell(CHURN);
    steps.shell("cycle; held before; dmesg -C");
    steps.shell(format!(
        "for i in $(seq {cycles}); do cycle; done > /tmp/told 2>&1; held after"
    ));
    steps.nothing_is_left("all");
    steps.shell("echo == failed; echo $failed; grep error /tmp/told; echo == rest");
    steps.shell("kill $churn; wait $churn; kill -INT $watch; wait $watch");
    steps.shell("echo == truth; truth_runs; truth_end");
    steps.step("status", "ipvs-latency hotfix status").exits(0);
    steps.shell("echo == watched; cat /tmp/watched");
    // What the kernel warns of.
    steps
        .step("log", "dmesg -r | grep '^<[0-4]>'")
        .exits(1)
        .prints("");
    steps.run()
}

fn leaves_nothing(cycles: u32) {
    let sections = cycle(cycles);
    let text = |section: &str| sections.text(section).unwrap();
    assert_eq!(text("failed"), "0\n", "{}", sections.noise);
    assert_eq!(
        text("held after"),
        text("held before"),
        "after {cycles} cycles"
    );
    let watched = sections.watched("watched").unwrap();
    // A run that interrupts one of the probes on services coming and going has no call, but is told.
    let missed = watched.missed(&sections.truth("truth").unwrap()).unwrap();
    let calls = number(watched.only("summary").unwrap(), "calls").unwrap();
    assert!(
        calls > u64::from(cycles) && missed <= 1 + calls / 100,
        "{missed} of {calls}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn five_cycles_under_watch_and_churn_leave_nothing_behind() {
    leaves_nothing(5);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_a_hundred_cycles_under_watch_and_churn_leave_nothing_behind() {
    leaves_nothing(100);
}
