//! The object that a hotfix patches comes and goes, and others reach for the function that is patched.

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{BLIND, FOLDER, LEFT, TRY, ended, refused, with_modules};

const SCRIPT: &str = r"
try load 'ipvs-latency hotfix load $F/est_skip.ko'
echo == kprobe; insmod $F/est_taken.ko 2>&1; echo code $?
echo == sysctl; sysctl kernel.ftrace_enabled=0 2>&1; cat /proc/sys/kernel/ftrace_enabled
try untouched 'ipvs-latency hotfix status'

rmmod ip_vs_rr ip_vs; try unloaded 'ipvs-latency hotfix status'
modprobe ip_vs; try patched 'ipvs-latency hotfix status'
try unload 'ipvs-latency hotfix unload est_skip'
try again 'ipvs-latency hotfix load $F/est_skip.ko'
rmmod ip_vs; try alone 'ipvs-latency hotfix unload est_skip'; left alone

load absent $F/est_skip.ko
insmod $F/est_skip.ko; sleep 3; try waiting 'ipvs-latency hotfix status'
modprobe ip_vs; sleep 3; try later 'ipvs-latency hotfix status'
try back 'ipvs-latency hotfix unload est_skip'

rmmod ip_vs; insmod $F/est_missing_symbol.ko; sleep 3; try bad 'ipvs-latency hotfix status'
echo == kept out; modprobe ip_vs 2>&1; echo code $?
dmesg | grep -F 'refusing to load module' | tail -1
try cure 'ipvs-latency hotfix unload est_missing_symbol'; left cure
modprobe ip_vs; try cured 'ipvs-latency hotfix load $F/est_skip.ko'
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_target_that_comes_and_goes_is_told_and_nobody_else_gets_at_what_is_patched() {
    let script = format!("{TRY}{LEFT}{BLIND}export F={FOLDER}\n{SCRIPT}");
    let spec = with_modules(LabSpec::deterministic());
    let sections = scenario::run(spec, &script).unwrap();
    let says = |name: &str, words: &str| {
        let said = sections.text(name).unwrap();
        assert!(said.contains(words), "{name}: {said}");
    };
    let done = |name: &str, words: &[&str]| ended(&sections, name, "0", words);
    let found = |name: &str, words: &[&str]| ended(&sections, name, "1", words);
    let patched = "estimation_timer of ip_vs: patched";
    let not_patched = "not patched, for it is not loaded";
    done("load", &["est_skip is in force"]);
    says("kprobe", "Device or resource busy");
    says("kprobe", "code 1");
    says("sysctl", "Device or resource busy");
    says("sysctl", "\n1\n");
    done("untouched", &["est_skip: in force\n", patched]);
    found("unloaded", &["an object is not loaded", not_patched]);
    done("patched", &["est_skip: in force\n", patched]);
    done("unload", &["est_skip is gone"]);
    done("again", &["est_skip is in force"]);
    done("alone", &["est_skip is gone"]);
    assert_eq!(sections.text("left alone").unwrap(), "");
    refused(
        &sections,
        "absent",
        &[
            "blocker object-not-loaded: ",
            "the load would succeed and nothing would be patched",
        ],
    );
    found("waiting", &["an object is not loaded", not_patched]);
    done("later", &["est_skip: in force\n", patched]);
    done("back", &["est_skip is gone"]);
    found("bad", &[not_patched]);
    says("kept out", "code 1");
    says(
        "kept out",
        "patch 'est_missing_symbol' failed for module 'ip_vs'",
    );
    done("cure", &["est_missing_symbol is gone"]);
    assert_eq!(sections.text("left cure").unwrap(), "");
    done("cured", &["est_skip is in force"]);
}
