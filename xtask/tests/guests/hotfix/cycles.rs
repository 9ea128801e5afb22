//! One hotfix loaded and taken back again and again, while the node is watched and its services change.

use std::time::Duration;

use xtask::lab::LabSpec;
use xtask::scenario::{self, Sections, number};

use super::{FOLDER, LEFT, TRY, with_modules};

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

fn cycle(cycles: u32) -> Sections {
    let spec = LabSpec {
        services: 500,
        destinations: 2,
        netns: 2,
        timeout: Duration::from_mins(30),
        ..LabSpec::default()
    };
    let script = format!(
        "{TRY}{LEFT}{HELD}\
         truth_begin; ipvs-latency watch --json > /tmp/watched & watch=$!\n\
         sh -c 'while :; do ipvsadm -A -t 203.0.113.9:99; ipvsadm -a -t 203.0.113.9:99 -r 203.0.113.10; \
         ipvsadm -D -t 203.0.113.9:99; sleep 0.1; done' & churn=$!\n\
         failed=0\n\
         cycle() {{ ipvs-latency hotfix load {FOLDER}/est_skip.ko && ipvs-latency hotfix unload est_skip \
         || failed=$((failed + 1)); }}\n\
         cycle; held before; dmesg -C\n\
         for i in $(seq {cycles}); do cycle; done > /tmp/told 2>&1\n\
         held after; left all; echo == failed; echo $failed; grep error /tmp/told; echo == rest\n\
         kill $churn; wait $churn; kill -INT $watch; wait $watch\n\
         echo == truth; truth_runs; truth_end; try status 'ipvs-latency hotfix status'\n\
         echo == watched; cat /tmp/watched; echo == log; dmesg -r | grep '^<[0-4]>'; true\n"
    );
    scenario::run(with_modules(spec), &script).unwrap()
}

fn leaves_nothing(cycles: u32) {
    let sections = cycle(cycles);
    let text = |section: &str| sections.text(section).unwrap();
    assert_eq!(text("failed"), "0\n", "{}", sections.noise);
    assert_eq!(text("left all"), "");
    assert_eq!(
        text("held after"),
        text("held before"),
        "after {cycles} cycles"
    );
    assert_eq!(text("status code"), "0\n", "{}", text("status"));
    assert_eq!(text("log"), "", "the kernel warned");
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
