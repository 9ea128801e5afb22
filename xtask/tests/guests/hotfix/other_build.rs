//! Modules that were built for another kernel, though they carry this one's name: the kernel alone can tell.

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{BLIND, FOLDER, LEFT, TRY, ended, refused, with_modules};

/// A symbol's version lies before its name (`struct modversion_info`, `include/linux/module.h` of Linux 6.1).
const SCRIPT: &str = r"
crc() {
    at=$(grep -abo $2 $F/est_copy.ko | head -1 | cut -d: -f1); cp $F/est_copy.ko $1
    printf '\125\252\125\252' | dd of=$1 bs=1 seek=$((at - 8)) conv=notrunc status=none
}
sed 's/SMP preempt /SMP voluntary /' $F/est_copy.ko > /tmp/options.ko
load cut /tmp/options.ko
sed 's/SMP preempt /SMP PREEMPT /' $F/est_copy.ko > /tmp/options.ko
load options /tmp/options.ko
crc /tmp/layout.ko module_layout; load layout /tmp/layout.ko
crc /tmp/version.ko mod_timer; load version /tmp/version.ko
sed 's/\x00_raw_spin_lock\x00/\x00_raw_spin_luck\x00/g' $F/est_copy.ko > /tmp/symbol.ko
load symbol /tmp/symbol.ko
load fine $F/est_copy.ko
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_module_of_another_build_is_refused_with_what_differs() {
    let script = format!("{TRY}{LEFT}{BLIND}F={FOLDER}\n{SCRIPT}");
    let spec = with_modules(LabSpec::deterministic());
    let sections = scenario::run(spec, &script).unwrap();
    // A longer word moves all that follows it.
    refused(&sections, "cut", &["/tmp/options.ko "]);
    let build = "build it with the headers of this one";
    let cases: [(&str, &[&str]); 4] = [
        ("options", &["ENOEXEC", "version magic", build]),
        (
            "layout",
            &[
                "ENOEXEC",
                "(a symbol's version differs)",
                "kernel: est_copy: disagrees about version of symbol module_layout",
                build,
            ],
        ),
        (
            "version",
            &[
                "EINVAL",
                "(a symbol's version differs)",
                "kernel: est_copy: disagrees about version of symbol mod_timer",
                build,
            ],
        ),
        (
            "symbol",
            &[
                "ENOENT",
                "a function or variable that this kernel does not give to modules",
                "kernel: est_copy: Unknown symbol _raw_spin_luck (err -2)",
            ],
        ),
    ];
    for (name, words) in cases {
        refused(&sections, name, &["the kernel refused est_copy ("]);
        refused(&sections, name, words);
    }
    ended(&sections, "fine", "0", &["est_copy is in force"]);
}
