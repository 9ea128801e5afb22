//! What of a node keeps a hotfix from being loaded.

use serde_json::Value;
use xtask::kernel::{Line, under_test};
use xtask::lab::LabSpec;
use xtask::scenario;

use super::{BLIND, FOLDER, finding, names, with_modules, with_modules_for};
use crate::steps::{Step, Steps};

/// Blockers and warnings.
pub type Findings<'a> = (&'a [&'static str], &'a [&'static str]);

const NONE: Findings = (&[], &[]);

/// Inspects a file, of which these are found: as a document on standard output, and for people on standard error.
pub fn inspected<'a>(
    steps: &'a mut Steps,
    name: &str,
    file: &str,
    findings: Findings,
) -> &'a mut Step {
    inspected_by(steps, name, "ipvs-latency", file, findings)
}

/// Does so by another program, which runs `ipvs-latency`.
fn inspected_by<'a>(
    steps: &'a mut Steps,
    name: &str,
    program: &str,
    file: &str,
    (blockers, warnings): Findings,
) -> &'a mut Step {
    let inspect = format!("{program} hotfix inspect");
    let step = steps.step(
        name,
        format!("{inspect} --json {file}; {inspect} {file} >&2"),
    );
    for blocker in blockers {
        step.complains(&[&format!("BLOCKER {blocker}: ")]);
    }
    let (blockers, warnings) = (blockers.to_vec(), warnings.to_vec());
    step.document(move |told| {
        assert_eq!(told["schema"], 1, "{told}");
        assert_eq!(names(told, "blockers"), blockers, "{told}");
        assert_eq!(names(told, "warnings"), warnings, "{told}");
    })
}

const SKIP: &str = "$F/est_skip.ko";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn each_thing_that_a_running_node_has_against_a_hotfix_is_told() {
    let mut steps = Steps::on(with_modules(LabSpec::default()));
    steps.shell(format!("export F={FOLDER}"));
    the_kernel(&mut steps);
    other_livepatches(&mut steps);
    the_module_on_disk(&mut steps);
    privilege(&mut steps);
    steps.shell("rmmod ip_vs_rr ip_vs");
    inspected(&mut steps, "no ip_vs", SKIP, (&["object-not-loaded"], &[])).exits(1);
    // There is no way back from this one.
    steps.shell("modprobe ip_vs; sysctl -q kernel.modules_disabled=1");
    inspected(&mut steps, "disabled", SKIP, (&["modules-disabled"], &[])).exits(1);
    steps.run();
}

fn the_kernel(steps: &mut Steps) {
    // Another release of the same length, as after an upgrade: this kernel would take the module.
    steps.shell(r"sed 's/vermagic=6\.1\.0-[0-9]*/vermagic=6.1.0-99/' $F/est_skip.ko > $F/other.ko");
    inspected(
        steps,
        "other kernel",
        "$F/other.ko",
        (&["other-kernel"], &[]),
    )
    .exits(1);
    steps.shell("sysctl -q kernel.ftrace_enabled=0");
    inspected(steps, "ftrace", SKIP, (&["ftrace-off"], &[])).exits(1);
    steps.shell("sysctl -q kernel.ftrace_enabled=1");
}

fn other_livepatches(steps: &mut Steps) {
    steps.shell("insmod $F/est_skip.ko; sleep 3");
    inspected(steps, "enabled", SKIP, NONE)
        .exits(0)
        .document(|told| {
            let text = finding(told, "notes", "enabled");
            assert!(text.contains("a load has nothing to do"), "{text}");
        });
    steps.shell("LC_ALL=C sed 's/est_slow/est_skip/g' $F/est_slow.ko > $F/named.ko");
    inspected(steps, "loaded", "$F/named.ko", (&["already-loaded"], &[])).exits(1);
    inspected(steps, "stacked", "$F/est_same_name.ko", NONE)
        .exits(0)
        .document(|told| {
            let text = finding(told, "notes", "other-patches");
            assert!(text.contains("brings that replacement back"), "{text}");
        });
    let replaces: Findings = (&[], &["replaces-others"]);
    inspected(steps, "replaces", "$F/est_replace.ko", replaces)
        .exits(1)
        .document(|told| {
            let text = finding(told, "warnings", "replaces-others");
            assert!(text.contains("est_skip"), "{text}");
        });
    steps.shell("echo 0 > /sys/kernel/livepatch/est_skip/enabled; sleep 3; rmmod est_skip");
    steps.shell("insmod $F/est_taken.ko");
    inspected(steps, "taken", SKIP, (&["foreign-redirection"], &[])).exits(1);
    steps.shell("rmmod est_taken; mount -t tmpfs none /sys/kernel");
    inspected(steps, "no livepatching", SKIP, (&["no-livepatching"], &[]))
        .exits(1)
        .document(|told| assert_eq!(told["atomic_replace"], Value::Null, "{told}"));
    steps.shell("umount /sys/kernel");
}

/// It was changed after it was loaded.
fn the_module_on_disk(steps: &mut Steps) {
    steps.shell(
        "D=$(echo /lib/modules/*/kernel/net/netfilter/ipvs)\n\
         cp $D/ip_vs.ko /tmp; cp $D/ip_vs_rr.ko $D/ip_vs.ko",
    );
    inspected(steps, "changed", SKIP, (&["ip-vs-differs"], &[])).exits(1);
    steps.shell(r"printf '\3757zXZ\000' > $D/ip_vs.ko");
    inspected(steps, "packed", SKIP, NONE)
        .exits(0)
        .document(|told| {
            let text = finding(told, "notes", "ip-vs-not-compared");
            assert!(text.contains("compressed with xz"), "{text}");
        });
    steps.shell("cp /tmp/ip_vs.ko $D/ip_vs.ko");
}

fn privilege(steps: &mut Steps) {
    let missing: Findings = (&["no-privilege"], &[]);
    let bounded = "setpriv --bounding-set=-sys_module ipvs-latency";
    inspected_by(steps, "privilege", bounded, SKIP, missing).exits(1);
    let namespaced = "unshare --user --map-root-user ipvs-latency";
    inspected_by(steps, "namespace", namespaced, SKIP, missing).exits(1);
}

/// A kernel that the checks take for another, whose livepatches have the function that `est_missing_symbol` replaces. It
/// is none for the estimator, of which a run would have to be seen.
const ANOTHER_KERNELS: &str = r#"
awk '$3 == "ip_vs_estimation_kthread" { $3 = "estimation_timer_of_another_kernel" } { print }' /proc/kallsyms > /tmp/symbols
say "$(modinfo -F vermagic $F/est_skip.ko | cut -d' ' -f1)" /proc/sys/kernel/osrelease
mount --bind /tmp/symbols /proc/kallsyms; hide
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_hotfix_for_the_timer_is_told_from_a_kernel_that_has_threads() {
    if !scenario::available(Line::V6_12) {
        return;
    }
    let threads = LabSpec {
        kernel: Line::V6_12,
        ..LabSpec::default()
    };
    let mut steps = Steps::on(with_modules_for(under_test::line(), threads));
    steps.shell(format!("{BLIND}export F={FOLDER}"));
    let blockers = ["other-kernel", "estimator-threads", "symbol-missing"];
    inspected(&mut steps, "threads", SKIP, (&blockers, &[]))
        .exits(1)
        .document(|told| {
            assert_eq!(told["rearms"], "yes", "{told}");
            // A jiffy of 6.1 need not be one of 6.12.
            assert_eq!(told["period_ns"], Value::Null, "{told}");
            assert_eq!(told["atomic_replace"], Value::Null, "{told}");
        });
    steps
        .step("beforehand", format!("ipvs-latency hotfix load {SKIP}"))
        .is_refused(&["blocker other-kernel: "]);
    steps.shell(ANOTHER_KERNELS);
    steps
        .step("blind", "ipvs-latency hotfix load $F/est_missing_symbol.ko")
        .is_refused(&[
            "ENOEXEC",
            "whose struct module has another size",
            "kernel: module est_missing_symbol: .gnu.linkonce.this_module section size must match",
        ]);
    steps.shell("show; umount /proc/kallsyms; unsay /proc/sys/kernel/osrelease");
    steps.run();
}
