//! Where `check` cannot measure: the facts that can be told, a sentence, and exit code 2.

use xtask::lab::LabSpec;

use super::namespace;
use crate::steps::Steps;
use xtask::kernel::under_test::root_netns;

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
            assert_eq!(namespace(page, root_netns())["state"], "ABSENT");
        });
    steps
        .step("text", "ipvs-latency check")
        .exits(2)
        .begins("unknown: the module ip_vs is not loaded")
        .shows(&["modprobe ip_vs"]);
    steps.run();
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
