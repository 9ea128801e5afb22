//! Where `check` cannot measure: the facts that can be told, a sentence, and exit code 2.

use serde_json::{Value, json};
use xtask::{kernel::Line, lab::LabSpec, scenario};

use super::{ROOT, namespace};
use crate::steps::Steps;

/// The root namespace of a page: its number is not the same on every kernel.
fn root(page: &Value) -> &Value {
    namespace(page, page["root_netns"].as_u64().unwrap())
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn without_ip_vs_the_page_says_how_to_load_it() {
    let mut steps = Steps::on(LabSpec::default());
    steps.shell("rmmod ip_vs_rr ip_vs");
    steps
        .step("json", "ipvs-latency check --json")
        .exits(2)
        .page(|page, _| {
            assert_eq!(page["verdict"], "unknown", "{page}");
            assert_eq!(page["kernel"]["estimator"], "absent");
            assert_eq!(namespace(page, ROOT)["state"], "ABSENT");
        });
    steps
        .step("text", "ipvs-latency check")
        .exits(2)
        .begins("unknown: the module ip_vs is not loaded")
        .shows(&["modprobe ip_vs"]);
    steps.run();
}

/// Checks what is told of a kernel that cannot be measured, with 10 services of 2 destinations in the root namespace: the
/// facts of every such kernel, those that `check` looks at, and `words` for a person to read.
fn facts_are_told(
    kernel: Line,
    prepare: &str,
    check: impl FnOnce(&Value) + 'static,
    words: &[&str],
) {
    if !scenario::available(kernel) {
        return;
    }
    let mut steps = Steps::on(LabSpec {
        kernel,
        services: 10,
        destinations: 2,
        netns: 1,
        ..LabSpec::default()
    });
    steps.shell(prepare);
    steps
        .step("json", "ipvs-latency check --json --max 1ms")
        .exits(2)
        .page(|page, sections| {
            assert_eq!(page["verdict"], "unknown", "{page}");
            let release = sections.text("release").unwrap().trim();
            assert_eq!(page["kernel"]["release"], release);
            assert_eq!(page["kernel"]["possible_cpus"], 2);
            let root = root(page);
            assert_eq!(root["services"], 10, "{root}");
            assert_eq!(root["destinations"], 20, "{root}");
            assert_eq!(root["who"], "host", "{root}");
            assert_eq!(root["next_run_in_ns"], Value::Null, "{root}");
            assert_eq!(page["namespaces"].as_array().unwrap().len(), 2);
            assert_eq!(page["missing"].as_array().unwrap().len(), 1, "{page}");
            check(page);
        });
    steps
        .step("text", "ipvs-latency check")
        .exits(2)
        .begins("unknown: ")
        .shows(words);
    steps.shell("echo == release; uname -r");
    steps.run();
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_6_12_has_kernel_threads_and_nothing_needs_doing() {
    let check = |page: &Value| {
        assert_eq!(page["kernel"]["estimator"], "kthread");
        let root = root(page);
        assert_eq!(root["state"], "KTHREAD", "{root}");
        assert_eq!(root["run_estimation"], 0, "{root}");
        assert_eq!(page["mitigations"], json!([]));
    };
    let off = "echo 0 > /proc/sys/net/ipv4/vs/run_estimation";
    facts_are_told(Line::V6_12, off, check, &["kernel threads"]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn bad_arguments_and_outputs_are_told_in_a_sentence() {
    let mut steps = Steps::on(LabSpec::default());
    for (name, command, words) in [
        (
            "zero",
            "ipvs-latency check --max 0",
            &["--max", "zero", "500us"][..],
        ),
        (
            "short",
            "ipvs-latency check --max 1ms --duration 1s",
            &["--duration 1s", "2s 600ms"],
        ),
        (
            "alone",
            "ipvs-latency check -c 5ms",
            &["--format nagios", "hint: use --max"],
        ),
        (
            "full",
            "ipvs-latency check > /dev/full",
            &["standard output", "No space left"],
        ),
    ] {
        steps
            .step(name, command)
            .exits(2)
            .complains(words)
            .says_not(&["panicked"]);
    }
    steps
        .step(
            "closed",
            "{ ipvs-latency check; echo $? > /tmp/code; } | true; cat /tmp/code",
        )
        .prints("0")
        .errors(|errors| assert_eq!(errors, ""));
    steps
        .step(
            "unprivileged",
            "setpriv --bounding-set=-sys_admin,-perfmon ipvs-latency check --json",
        )
        .exits(2)
        .page(|page, _| {
            let missing = page["missing"][0].as_str().unwrap();
            assert!(missing.contains("CAP_PERFMON"), "{page}");
            assert_eq!(page["kernel"]["estimator"], "timer");
        });
    steps.run();
}
