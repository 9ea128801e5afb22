//! What of a node makes the kernel refuse a hotfix: told beforehand, and where it is hidden from the checks, by its
//! true cause with the kernel's own lines.

use xtask::lab::LabSpec;

use super::{BLIND, FOLDER, HOLD, RENAMED, with_modules};
use crate::steps::Steps;

const LOAD: &str = "ipvs-latency hotfix load $F/est_skip.ko";

/// What is left where `est_skip` is in force.
const IN_FORCE: &str = "est_skip\n/sys/module/est_skip/taint\n";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_refusal_of_the_kernel_is_told_by_its_true_cause_with_the_kernels_own_lines() {
    let spec = LabSpec {
        kernel_parameters: vec!["module_blacklist=nouveau,est_parameter".to_owned()],
        ..LabSpec::deterministic()
    };
    let mut steps = Steps::on(with_modules(spec));
    steps.shell(format!("{HOLD}{BLIND}{RENAMED}export F={FOLDER}"));
    by_the_node(&mut steps);
    for_want_of_privilege(&mut steps);
    amid_a_transition(&mut steps);
    for_the_same_name(&mut steps);
    for_good(&mut steps);
    steps.run();
}

/// Each with the checks seeing, and blind.
fn by_the_node(steps: &mut Steps) {
    steps.shell("insmod $F/est_taken.ko");
    steps
        .step("taken", LOAD)
        .is_refused(&["blocker foreign-redirection: "]);
    steps.shell("hide");
    steps.step("taken blind", LOAD).is_refused(&[
        "a kprobe with a post handler",
        "kernel: livepatch: failed to register ftrace handler",
    ]);
    steps.shell("show; rmmod est_taken");

    steps.shell("sysctl -q kernel.ftrace_enabled=0");
    steps
        .step("ftrace", LOAD)
        .is_refused(&["blocker ftrace-off: "]);
    steps.shell("say 1 /proc/sys/kernel/ftrace_enabled");
    steps
        .step("ftrace blind", LOAD)
        .is_refused(&["kernel.ftrace_enabled=0", "(-16)"]);
    steps.shell("unsay /proc/sys/kernel/ftrace_enabled; sysctl -q kernel.ftrace_enabled=1");

    let load = "ipvs-latency hotfix load $F/est_parameter.ko";
    steps.step("blacklisted", load).is_refused(&[
        "blocker blacklisted: ",
        "booted with module_blacklist=est_parameter ",
    ]);
    steps.shell("LIST=/sys/module/kernel/parameters/module_blacklist; say '(null)' $LIST");
    steps.step("blacklisted blind", load).is_refused(&[
        "booted not to load a module of that name",
        "kernel: Module est_parameter is blacklisted",
    ]);
    steps.shell("unsay $LIST");
}

/// A root folder, in which a process that may not load modules looks as if it might.
const ROOT: &str = "
R=/tmp/root; mkdir -p $R/proc/self
for link in sys dev lib usr proc/sys proc/kallsyms proc/self/uid_map; do ln -s /$link $R/$link; done
cat /proc/self/status > $R/proc/self/status
";

fn for_want_of_privilege(steps: &mut Steps) {
    let lacking = "setpriv --bounding-set=-sys_module --inh-caps=-sys_module";
    steps.shell(ROOT);
    steps
        .step("privilege", format!("{lacking} {LOAD}"))
        .is_refused(&["blocker no-privilege: ", "CAP_SYS_MODULE, which"]);
    steps
        .step(
            "privilege blind",
            format!("{lacking} ipvs-latency --root /tmp/root hotfix load $F/est_skip.ko"),
        )
        .is_refused(&["EPERM", "CAP_SYS_MODULE is missing", "it wrote nothing"]);
}

/// Another livepatch in transition, by somebody else.
fn amid_a_transition(steps: &mut Steps) {
    let other = "est_hold\n/sys/module/est_hold/taint\n";
    steps.shell("insmod $F/hold_task.ko; nap 60; insmod $F/est_hold.ko; sleep 1");
    steps
        .step("moving", LOAD)
        .exits(2)
        .says(&["blocker transition-running: "])
        .leaves(other);
    steps.shell("mount -t tmpfs none /sys/kernel/livepatch; hide");
    steps.step("moving blind", LOAD).exits(2).says(&[
        "EBUSY",
        "another livepatch is in transition",
        "it wrote nothing",
    ]);
    steps.shell("show; umount /sys/kernel/livepatch");
    steps
        .step(
            "transition",
            "cat /sys/kernel/livepatch/est_hold/transition",
        )
        .prints("1");
    steps.shell("wait $napping; sleep 3");
    steps
        .step("through", "ipvs-latency hotfix unload est_hold")
        .exits(0)
        .says(&["est_hold is gone"]);
}

/// The same livepatch in force, by somebody else; and what that leaves behind.
fn for_the_same_name(steps: &mut Steps) {
    steps.shell("insmod $F/est_skip.ko; sleep 3; renamed est_copy est_skip");
    steps
        .step("loaded", "ipvs-latency hotfix load /tmp/est_skip.ko")
        .exits(2)
        .says(&["blocker already-loaded: "])
        .leaves(IN_FORCE);
    // Of the modules that are loaded, `ip_vs` alone is seen.
    steps.shell(
        "mkdir /tmp/ip_vs; mount --bind /sys/module/ip_vs /tmp/ip_vs; mount -t tmpfs none /sys/module\n\
         mkdir /sys/module/ip_vs; mount --bind /tmp/ip_vs /sys/module/ip_vs",
    );
    steps.step("loaded blind", LOAD).exits(2).says(&[
        "EEXIST",
        "a module named est_skip is loaded already",
        "it wrote nothing",
    ]);
    steps.shell("umount /sys/module/ip_vs /sys/module");
    steps.shell("echo 0 > /sys/kernel/livepatch/est_skip/enabled; sleep 3");
    // What is left of it blocks nothing.
    steps
        .step("behind", LOAD)
        .exits(0)
        .says(&["note left-behind: ", "est_skip is in force"])
        .leaves(IN_FORCE);
    steps
        .step("clear", "ipvs-latency hotfix unload est_skip")
        .exits(0)
        .says(&["est_skip is gone"])
        .leaves_nothing();
}

/// There is no way back from this one.
fn for_good(steps: &mut Steps) {
    steps
        .step("fine", LOAD)
        .exits(0)
        .says(&["est_skip is in force"]);
    steps.shell("ipvs-latency hotfix unload est_skip; sysctl -q kernel.modules_disabled=1");
    steps
        .step("disabled", LOAD)
        .is_refused(&["blocker modules-disabled: "]);
    steps.shell("say 0 /proc/sys/kernel/modules_disabled");
    steps.step("disabled blind", LOAD).is_refused(&[
        "EPERM",
        "kernel.modules_disabled is 1",
        "it wrote nothing to its log",
    ]);
}
