//! Every way out leaves the node as it was.

use xtask::lab::LabSpec;

use crate::steps::Steps;

/// Counts the kprobes that are armed, and the eBPF programs that are loaded.
const COUNT: &str = "sleep 1; \
    grep -c ip_vs /sys/kernel/debug/kprobes/list; grep -c 'bpf_prog_.*_est_enter' /proc/kallsyms";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn no_way_out_leaves_a_probe_behind() {
    let mut steps = Steps::on(LabSpec::default());
    steps.shell("echo 1 > /proc/sys/net/core/bpf_jit_kallsyms");
    for (signal, code) in [("INT", 0), ("TERM", 0), ("HUP", 0), ("KILL", 137)] {
        let killed = format!(
            "rm -f /tmp/watch
            ipvs-latency watch --json > /tmp/watch & pid=$!
            until grep -qs start /tmp/watch; do sleep 0.2; done; sleep 3; {COUNT}
            kill -{signal} $pid; wait $pid"
        );
        steps
            .step(signal, killed)
            .exits(code)
            .output(|counts, _| are_there(counts));
        if signal != "KILL" {
            let last = "tail -n 1 /tmp/watch | cut -c 1-17";
            steps
                .step(&format!("last {signal}"), last)
                .prints("{\"type\":\"summary\"");
        }
        none_is_left(&mut steps, signal);
    }
    let closed =
        "(ipvs-latency watch --plain; echo $? > /tmp/code) | head -n 1 > /tmp/head; cat /tmp/code";
    steps.step("pipe", closed).prints("0");
    none_is_left(&mut steps, "pipe");
    steps
        .step("full", "ipvs-latency watch --plain > /dev/full")
        .exits(2)
        .complains(&["standard output cannot be written"]);
    none_is_left(&mut steps, "full");
    steps
        .step("verbose", "ipvs-latency -v watch --duration 3s > /dev/null")
        .exits(0);
    none_is_left(&mut steps, "verbose");
    steps.run();
}

/// Kprobes and programs are shown while they are there.
fn are_there(counts: &str) {
    let counts: Vec<&str> = counts.trim().lines().collect();
    assert!(counts.len() == 2 && !counts.contains(&"0"), "{counts:?}");
}

fn none_is_left(steps: &mut Steps, way: &str) {
    steps.step(&format!("after {way}"), COUNT).prints("0\n0");
}
