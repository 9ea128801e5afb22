//! Every way out leaves the node as it was.

use xtask::{lab::LabSpec, scenario};

/// Ends `watch` in every way there is and shows, after each, its exit code and what it left behind:
/// kprobes armed, eBPF programs loaded.
const WAYS: &str = r"
    echo 1 > /proc/sys/net/core/bpf_jit_kallsyms
    left() {
        sleep 1
        echo == kprobes $1; grep -c ip_vs /sys/kernel/debug/kprobes/list
        echo == programs $1; grep -c 'bpf_prog_.*_est_enter' /proc/kallsyms
    }
    for signal in INT TERM HUP KILL; do
        rm -f /tmp/watch
        ipvs-latency watch --json > /tmp/watch & pid=$!
        until grep -qs start /tmp/watch; do sleep 0.2; done; sleep 3
        [ $signal = INT ] && left attached
        kill -$signal $pid; wait $pid; code=$?
        echo == code $signal; echo $code
        echo == last $signal; tail -n 1 /tmp/watch | cut -c 1-17
        left $signal
    done
    (ipvs-latency watch --plain; echo $? > /tmp/code) | head -n 1 > /tmp/head
    echo == code pipe; cat /tmp/code; left pipe
    ipvs-latency watch --plain > /dev/full 2> /tmp/err; code=$?; echo == code full; echo $code
    echo == error full; cat /tmp/err; left full
    ipvs-latency -v watch --duration 3s 2> /tmp/err > /dev/null; code=$?
    echo == code verbose; echo $code; left verbose
    true
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn no_way_out_leaves_a_probe_behind() {
    let sections = scenario::run(LabSpec::default(), WAYS).unwrap();
    let text = |name: &str| sections.text(name).unwrap();
    for what in ["kprobes", "programs"] {
        let shown = text(&format!("{what} attached"));
        assert_ne!(shown, "0\n", "{what} are shown while they are there");
    }
    for (way, code) in [
        ("INT", "0\n"),
        ("TERM", "0\n"),
        ("HUP", "0\n"),
        ("KILL", "137\n"),
        ("pipe", "0\n"),
        ("full", "2\n"),
        ("verbose", "0\n"),
    ] {
        assert_eq!(
            text(&format!("code {way}")),
            code,
            "{way}: {}",
            sections.noise
        );
        assert_eq!(text(&format!("kprobes {way}")), "0\n", "{way}");
        assert_eq!(text(&format!("programs {way}")), "0\n", "{way}");
    }
    for signal in ["INT", "TERM", "HUP"] {
        assert_eq!(
            text(&format!("last {signal}")),
            "{\"type\":\"summary\"\n",
            "{signal}"
        );
    }
    assert!(text("error full").contains("standard output cannot be written"));
}
