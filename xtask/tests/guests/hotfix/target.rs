//! The object that a hotfix patches comes and goes, and others reach for the function that is patched.

use xtask::lab::LabSpec;

use super::{FOLDER, with_modules};
use crate::steps::Steps;

const LOAD: &str = "ipvs-latency hotfix load $F/est_skip.ko";
const UNLOAD: &str = "ipvs-latency hotfix unload est_skip";
const STATUS: &str = "ipvs-latency hotfix status";

const PATCHED: [&str; 2] = ["est_skip: in force\n", "estimation_timer of ip_vs: patched"];
const NOT_LOADED: &str = "not patched, for it is not loaded";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_target_that_comes_and_goes_is_told_and_nobody_else_gets_at_what_is_patched() {
    let mut steps = Steps::on(with_modules(LabSpec::deterministic()));
    steps.shell(format!("export F={FOLDER}"));
    others_reach_for_it(&mut steps);
    goes_and_comes(&mut steps);
    comes_later(&mut steps);
    is_kept_out(&mut steps);
    steps.run();
}

fn others_reach_for_it(steps: &mut Steps) {
    steps
        .step("load", LOAD)
        .exits(0)
        .says(&["est_skip is in force"]);
    steps
        .step("kprobe", "insmod $F/est_taken.ko")
        .exits(1)
        .says(&["Device or resource busy"]);
    steps
        .step("sysctl", "sysctl kernel.ftrace_enabled=0")
        .says(&["Device or resource busy"]);
    steps
        .step("ftrace", "cat /proc/sys/kernel/ftrace_enabled")
        .prints("1");
    steps.step("untouched", STATUS).exits(0).says(&PATCHED);
}

fn goes_and_comes(steps: &mut Steps) {
    steps.shell("rmmod ip_vs_rr ip_vs");
    steps
        .step("unloaded", STATUS)
        .exits(1)
        .says(&["an object is not loaded", NOT_LOADED]);
    steps.shell("modprobe ip_vs");
    steps.step("patched", STATUS).exits(0).says(&PATCHED);
    steps
        .step("unload", UNLOAD)
        .exits(0)
        .says(&["est_skip is gone"]);
    steps
        .step("again", LOAD)
        .exits(0)
        .says(&["est_skip is in force"]);
    steps.shell("rmmod ip_vs");
    steps
        .step("alone", UNLOAD)
        .exits(0)
        .says(&["est_skip is gone"])
        .leaves_nothing();
}

fn comes_later(steps: &mut Steps) {
    steps.step("absent", LOAD).is_refused(&[
        "blocker object-not-loaded: ",
        "the load would succeed and nothing would be patched",
    ]);
    steps.shell("insmod $F/est_skip.ko; sleep 3");
    steps
        .step("waiting", STATUS)
        .exits(1)
        .says(&["an object is not loaded", NOT_LOADED]);
    steps.shell("modprobe ip_vs; sleep 3");
    steps.step("later", STATUS).exits(0).says(&PATCHED);
    steps
        .step("back", UNLOAD)
        .exits(0)
        .says(&["est_skip is gone"]);
}

/// A livepatch that cannot patch `ip_vs` keeps it from being loaded.
fn is_kept_out(steps: &mut Steps) {
    steps.shell("rmmod ip_vs; insmod $F/est_missing_symbol.ko; sleep 3");
    steps.step("bad", STATUS).exits(1).says(&[NOT_LOADED]);
    steps.step("kept out", "modprobe ip_vs").exits(1);
    steps
        .step("why", "dmesg | grep -F 'refusing to load module' | tail -1")
        .says(&["patch 'est_missing_symbol' failed for module 'ip_vs'"]);
    steps
        .step("cure", "ipvs-latency hotfix unload est_missing_symbol")
        .exits(0)
        .says(&["est_missing_symbol is gone"])
        .leaves_nothing();
    steps.shell("modprobe ip_vs");
    steps
        .step("cured", LOAD)
        .exits(0)
        .says(&["est_skip is in force"]);
}
