//! Hotfixes that set the timer on some paths alone, and hotfixes of which something stays behind: what is said of them
//! beforehand is what happens.

use crate::steps::Steps;
use xtask::lab::{KERNEL_PANIC, LabSpec};
use xtask::scenario;

use super::{BLIND, FOLDER, LEFT, TRY, ended, refused, with_modules};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_timer_that_is_set_on_some_paths_is_accepted_by_name_and_dies_where_it_was_said() {
    let script = format!(
        "{TRY}{LEFT}{BLIND}F={FOLDER}\n\
         load refused $F/est_some_paths.ko\n\
         try apply 'ipvs-latency hotfix apply $F/est_some_paths.ko --yes'; left apply\n\
         try install 'ipvs-latency hotfix install $F/est_some_paths.ko'; left install\n\
         load delegated $F/est_helper_paths.ko\n\
         try accepted 'ipvs-latency hotfix load $F/est_some_paths.ko --accept rearm-some-paths'\n\
         try alive 'ipvs-latency hotfix status'\n\
         sysctl -q net.ipv4.vs.run_estimation=0; sleep 3\n\
         try dead 'ipvs-latency hotfix status --json'\n\
         sysctl -q net.ipv4.vs.run_estimation=1; sleep 3\n\
         try still 'ipvs-latency hotfix status --json'\n"
    )
    .replace("$F/", &format!("{FOLDER}/"));
    let sections = scenario::run(with_modules(LabSpec::deterministic()), &script).unwrap();
    let condition = "where run_estimation is 0 (`sysctl -w net.ipv4.vs.run_estimation=0`";
    let words = [
        "warning rearm-some-paths",
        condition,
        "--accept rearm-some-paths",
    ];
    for name in ["refused", "apply", "install"] {
        refused(&sections, name, &words);
    }
    refused(&sections, "delegated", &["--accept rearm-some-paths"]);
    ended(&sections, "accepted", "0", &["est_some_paths is in force"]);
    ended(&sections, "alive", "0", &["the estimator is due within"]);
    for name in ["dead", "still"] {
        ended(&sections, name, "1", &["\"state\": \"DEAD\""]);
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_stays_behind_is_refused_and_what_is_cancelled_in_time_is_loaded_and_unloaded() {
    let mut steps = Steps::on(with_modules(LabSpec::deterministic()));
    steps.shell(BLIND);
    steps.shell(format!("for one in est_timer_setup est_forgotten_timer est_work; do load $one {FOLDER}/$one.ko; done"));
    steps.step(
        "apply",
        format!("ipvs-latency hotfix apply {FOLDER}/est_timer_setup.ko --yes --accept no-rearm"),
    );
    steps.shell("left apply");
    steps
        .step(
            "loaded",
            format!("ipvs-latency hotfix load {FOLDER}/est_cancelled_timer.ko"),
        )
        .exits(0)
        .says(&["est_cancelled_timer is in force", "callbacks"]);
    steps.shell("sleep 5");
    steps
        .step("unloaded", "ipvs-latency hotfix unload est_cancelled_timer")
        .exits(0)
        .says(&["est_cancelled_timer is gone"]);
    steps.shell("left unloaded");
    steps.shell("sleep 8");
    steps.shell("echo == survived");
    let sections = steps.run();
    for name in [
        "est_timer_setup",
        "est_forgotten_timer",
        "est_work",
        "apply",
    ] {
        refused(&sections, name, &["blocker address-escapes"]);
    }
    sections.text("survived").unwrap();
}

/// Why `address-escapes` is a blocker: by the kernel's own means, nothing keeps these from crashing the node.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_stays_behind_is_a_panic_once_the_module_is_removed() {
    for name in ["est_timer_setup", "est_forgotten_timer", "est_work"] {
        let script = format!(
            "set -e; insmod {FOLDER}/{name}.ko; sleep 5; echo 0 > /sys/kernel/livepatch/{name}/enabled\n\
             for i in $(seq 100); do [ -d /sys/kernel/livepatch/{name} ] || break; sleep 0.1; done\n\
             rmmod {name}; echo == removed; sleep 10; echo == survived\n"
        );
        let spec = LabSpec {
            kernel_parameters: vec!["panic_on_oops=1".to_owned()],
            ..LabSpec::deterministic()
        };
        let outcome = with_modules(spec).run(&["sh", "-c", &script]).unwrap();
        let said = String::from_utf8_lossy(&outcome.stdout);
        assert!(
            said.contains("== removed") && !said.contains("== survived"),
            "{name}: {said}"
        );
        assert_eq!(outcome.code, KERNEL_PANIC, "{name}: {}", outcome.console);
    }
}
