//! Modules that were built for another kernel, though they carry this one's name: the kernel alone can tell.

use xtask::lab::LabSpec;

use super::{FOLDER, with_modules};
use crate::steps::Steps;

/// `crc FILE SYMBOL` makes a file in which the symbol has another version, which lies before its name (`struct
/// modversion_info`, `include/linux/module.h` of Linux 6.1).
const CHANGED: &str = r"
crc() {
    at=$(grep -abo $2 $F/est_copy.ko | head -1 | cut -d: -f1); cp $F/est_copy.ko $1
    printf '\125\252\125\252' | dd of=$1 bs=1 seek=$((at - 8)) conv=notrunc status=none
}
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_module_of_another_build_is_refused_with_what_differs() {
    let mut steps = Steps::on(with_modules(LabSpec::deterministic()));
    steps.shell(format!("F={FOLDER}\n{CHANGED}"));
    let load = |name: &str| format!("ipvs-latency hotfix load /tmp/{name}.ko");
    let build = "build it with the headers of this one";
    // A longer word moves all that follows it.
    steps.shell("sed 's/SMP preempt /SMP voluntary /' $F/est_copy.ko > /tmp/cut.ko");
    steps.step("cut", load("cut")).is_refused(&["/tmp/cut.ko "]);
    steps.shell("sed 's/SMP preempt /SMP PREEMPT /' $F/est_copy.ko > /tmp/options.ko");
    steps.step("options", load("options")).is_refused(&[
        "the kernel refused est_copy (",
        "ENOEXEC",
        "version magic",
        build,
    ]);
    steps.shell("crc /tmp/layout.ko module_layout");
    steps.step("layout", load("layout")).is_refused(&[
        "the kernel refused est_copy (",
        "ENOEXEC",
        "(a symbol's version differs)",
        "kernel: est_copy: disagrees about version of symbol module_layout",
        build,
    ]);
    steps.shell("crc /tmp/version.ko mod_timer");
    steps.step("version", load("version")).is_refused(&[
        "the kernel refused est_copy (",
        "EINVAL",
        "(a symbol's version differs)",
        "kernel: est_copy: disagrees about version of symbol mod_timer",
        build,
    ]);
    steps.shell(
        r"sed 's/\x00_raw_spin_lock\x00/\x00_raw_spin_luck\x00/g' $F/est_copy.ko > /tmp/symbol.ko",
    );
    steps.step("symbol", load("symbol")).is_refused(&[
        "the kernel refused est_copy (",
        "ENOENT",
        "a function or variable that this kernel does not give to modules",
        "kernel: est_copy: Unknown symbol _raw_spin_luck (err -2)",
    ]);
    steps
        .step(
            "fine",
            format!("ipvs-latency hotfix load {FOLDER}/est_copy.ko"),
        )
        .exits(0)
        .says(&["est_copy is in force"]);
    steps.run();
}
