//! What cannot be measured is refused in one sentence, with exit code 2.

use xtask::lab::LabSpec;

use crate::steps::Steps;

/// Runs each command of `cases` in the guest and checks its exit code, its silence on standard output and
/// its one sentence.
fn refused(spec: LabSpec, cases: &[(&str, &[&str])]) {
    let mut steps = Steps::on(spec);
    for (command, words) in cases {
        steps
            .step(command, command)
            .exits(2)
            .prints("")
            .complains(words)
            .says_not(&["panicked"])
            .errors(is_a_sentence);
    }
    steps.run();
}

/// What clap says of arguments has its usage below.
fn is_a_sentence(errors: &str) {
    let is_of_clap = errors.contains("For more information") || errors.contains("Usage");
    assert!(is_of_clap || errors.lines().count() == 1, "{errors}");
}

const WATCH: &str = "ipvs-latency watch --via bpf --duration 1s";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn wrong_arguments_name_the_argument_and_the_accepted_form() {
    refused(
        LabSpec::default(),
        &[
            ("ipvs-latency watch --duration 5", &["--duration", "30s"]),
            (
                "ipvs-latency watch --duration 0s",
                &["--duration", "zero", "30s"],
            ),
            ("ipvs-latency watch --duration -1s", &["-1"]),
            ("ipvs-latency watch --interval 10ms", &["--interval", "1s"]),
            ("ipvs-latency watch --slow fast", &["--slow", "500us"]),
            ("ipvs-latency watch --netns pid:x", &["--netns", "pid:N"]),
            (
                "ipvs-latency watch --netns nowhere",
                &["--netns nowhere", "/run/netns/nowhere", "pid:N"],
            ),
            (
                "ipvs-latency watch --netns pid:99999",
                &["--netns pid:99999"],
            ),
            (
                "ipvs-latency watch --netns 12345",
                &["--netns 12345", "lsns"],
            ),
            (
                "ipvs-latency watch --netns /etc/passwd",
                &["--netns /etc/passwd", "no network namespace", "pid:N"],
            ),
            ("ipvs-latency watch --plain --json", &["--plain", "--json"]),
            ("ipvs-latency watch --color green", &["--color", "never"]),
            (
                "ipvs-latency watch --via dtrace",
                &["--via", "bpf, perf, tracefs"],
            ),
            ("ipvs-latency watsh", &["watsh", "watch"]),
            ("ipvs-latency", &["Usage"]),
            (
                "setpriv --bounding-set=-all --inh-caps=-all --reuid 1000 --clear-groups ipvs-latency watch",
                &["CAP_BPF", "sudo"],
            ),
            (
                "setpriv --bounding-set=-sys_admin,-perfmon ipvs-latency watch",
                &["CAP_PERFMON"],
            ),
            (
                "mount -t tmpfs none /sys/kernel/btf; ipvs-latency watch --via bpf; code=$?; umount /sys/kernel/btf; exit $code",
                &["CONFIG_DEBUG_INFO_BTF"],
            ),
            (
                "mount -t tmpfs none /sys/bus/event_source; ipvs-latency watch --via bpf; code=$?; umount /sys/bus/event_source; exit $code",
                &["no kprobes", "CONFIG_KPROBE_EVENTS"],
            ),
            (
                "echo 0 > /sys/kernel/debug/kprobes/enabled; ipvs-latency watch --via bpf; code=$?; echo 1 > /sys/kernel/debug/kprobes/enabled; exit $code",
                &["switched off", "echo 1"],
            ),
            (
                "rmmod ip_vs_rr ip_vs; ipvs-latency watch",
                &["ip_vs is not loaded", "modprobe ip_vs"],
            ),
        ],
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_locked_down_kernel_is_told_from_one_that_allows_probes() {
    let lockdown = |level: &str| LabSpec {
        kernel_parameters: vec![format!("lockdown={level}")],
        ..LabSpec::deterministic()
    };
    let hidden = "umount /sys/kernel/security; ipvs-latency watch --via bpf";
    let words: &[&str] = &["locked down", "lockdown=integrity"];
    refused(
        lockdown("confidentiality"),
        &[(WATCH, words), (hidden, words)],
    );
    let mut steps = Steps::on(lockdown("integrity"));
    steps
        .step("allowed", "ipvs-latency watch --json --duration 5s")
        .records(|watched| assert!(watched.of("call").count() >= 2, "{watched:?}"));
    steps.run();
}
