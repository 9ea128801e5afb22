//! Functions that cannot be replaced: refused beforehand, and by the kernel where the checks are blind.

use xtask::lab::LabSpec;

use super::{BLIND, FOLDER, with_modules};
use crate::steps::Steps;

/// Module, what is said beforehand, the cause that is named where the kernel refuses, and the kernel's own line.
const CASES: [(&str, &str, &str, &str); 5] = [
    (
        "est_missing_symbol",
        "ip_vs has no function estimation_timer_of_another_kernel on this kernel: ",
        "the function that it replaces is not in that object",
        "symbol 'estimation_timer_of_another_kernel' not found in symbol table",
    ),
    (
        "est_wrong_object",
        "vmlinux has no function estimation_timer on this kernel (it is in ip_vs)",
        "names the wrong object",
        "symbol 'estimation_timer' not found in symbol table",
    ),
    (
        "est_position",
        "ip_vs has 1 of functions named estimation_timer, and the hotfix wants number 2",
        "correct its position (sympos)",
        "symbol position 2 for symbol 'estimation_timer' in object 'ip_vs' not found",
    ),
    (
        "est_ambiguous",
        "functions named type_show, and the hotfix does not say which",
        "give its position (sympos)",
        "unresolvable ambiguity for symbol 'type_show'",
    ),
    (
        "est_untraceable",
        "ensure_mtu_is_adequate cannot be redirected on this kernel",
        "it is inlined or not traced",
        "for function 'ensure_mtu_is_adequate'",
    ),
];

/// The symbols as the hotfixes would have them.
const SYMBOLS: &str = r#"awk '
$3 == "type_show" && NF == 3 && seen++ { next }
{ print }
$3 == "estimation_timer" { print; print $1, $2, $3; print $1, $2, "estimation_timer_of_another_kernel", $4 }
' /proc/kallsyms > /tmp/symbols; mount --bind /tmp/symbols /proc/kallsyms
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_function_that_cannot_be_replaced_is_told_beforehand_and_by_the_kernels_own_refusal() {
    let mut steps = Steps::on(with_modules(LabSpec::deterministic()));
    let load = |name: &str| format!("ipvs-latency hotfix load {FOLDER}/{name}.ko");
    steps.shell(BLIND);
    for (name, beforehand, ..) in CASES {
        steps
            .step(name, load(name))
            .is_refused(&["is not loaded: blocker ", beforehand]);
    }
    // What the kernel calls a livepatch is read as the kernel reads it: there is no getting around that check.
    steps
        .step("unmarked", load("est_unmarked"))
        .is_refused(&["blocker no-livepatch-mark: "]);
    steps.shell(format!("{SYMBOLS}hide"));
    for (name, _, cause, line) in CASES {
        steps
            .step(&format!("{name} blind"), load(name))
            .is_refused(&["(EINVAL: Invalid argument): ", cause, "kernel: ", line]);
    }
    steps.shell("show; umount /proc/kallsyms");
    steps
        .step("fine", load("est_skip"))
        .exits(0)
        .says(&["est_skip is in force"]);
    steps.run();
}
