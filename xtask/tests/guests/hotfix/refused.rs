//! What the checks beforehand do not see, as it is hidden from them here, and the kernel then refuses.

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{FOLDER, LEFT, TRY, ended, with_modules};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_refusal_of_the_kernel_is_told_by_its_true_cause_with_the_kernels_own_lines() {
    let script = format!(
        "{TRY}{LEFT}F={FOLDER}\n\
         hide() {{ mount -t tmpfs none /sys/kernel/tracing; mount -t tmpfs none /sys/kernel/debug; }}\n\
         show() {{ umount /sys/kernel/tracing /sys/kernel/debug; }}\n\
         say() {{ echo $1 > /tmp/$2; mount --bind /tmp/$2 /proc/sys/kernel/$2; }}\n\
         load() {{ try $1 \"ipvs-latency hotfix load $2\"; left $1; }}\n\
         insmod $F/est_taken.ko; hide; load taken $F/est_skip.ko; show; rmmod est_taken\n\
         sysctl -q kernel.ftrace_enabled=0; say 1 ftrace_enabled; load ftrace $F/est_skip.ko\n\
         umount /proc/sys/kernel/ftrace_enabled; sysctl -q kernel.ftrace_enabled=1\n\
         cat /proc/kallsyms > /tmp/symbols; grep -w estimation_timer /tmp/symbols > /tmp/one\n\
         sed 's/estimation_timer/MISSING/' /tmp/one >> /tmp/symbols\n\
         mount --bind /tmp/symbols /proc/kallsyms; hide; load symbol $F/est_missing_symbol.ko; show\n\
         umount /proc/kallsyms\n\
         load fine $F/est_skip.ko; ipvs-latency hotfix unload est_skip\n\
         sysctl -q kernel.modules_disabled=1; say 0 modules_disabled; load disabled $F/est_skip.ko\n"
    );
    let script = script.replace("MISSING", "estimation_timer_of_another_kernel");
    let sections = scenario::run(with_modules(LabSpec::default()), &script).unwrap();
    ended(
        &sections,
        "taken",
        "2",
        &[
            "a kprobe with a post handler",
            "kernel: livepatch: failed to register ftrace handler",
        ],
    );
    ended(
        &sections,
        "ftrace",
        "2",
        &["kernel.ftrace_enabled=0", "(-16)"],
    );
    ended(
        &sections,
        "symbol",
        "2",
        &["is not in that object", "not found in symbol table"],
    );
    ended(&sections, "fine", "0", &["est_skip is in force"]);
    ended(
        &sections,
        "disabled",
        "2",
        &[
            "kernel.modules_disabled is 1",
            "it wrote nothing to its log",
        ],
    );
    for name in ["taken", "ftrace", "symbol", "disabled"] {
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
    }
}
