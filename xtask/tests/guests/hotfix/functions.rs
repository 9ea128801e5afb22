//! Functions that cannot be replaced: refused beforehand, and by the kernel where the checks are blind.

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{BLIND, FOLDER, LEFT, TRY, ended, refused, with_modules};

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
        "failed to find location for function 'ensure_mtu_is_adequate'",
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
    let loads = |of: &str| -> String {
        let load =
            |(name, ..): &(&str, &str, &str, &str)| format!("load '{name}{of}' $F/{name}.ko\n");
        CASES.iter().map(load).collect()
    };
    // What the kernel calls a livepatch is read as the kernel reads it: there is no getting around that check.
    let script = format!(
        "{TRY}{LEFT}{BLIND}F={FOLDER}\n{}load unmarked $F/est_unmarked.ko\n{SYMBOLS}hide\n{}show\n\
         umount /proc/kallsyms; load fine $F/est_skip.ko\n",
        loads(""),
        loads(" blind")
    );
    let spec = with_modules(LabSpec::deterministic());
    let sections = scenario::run(spec, &script).unwrap();
    for (name, beforehand, cause, line) in CASES {
        refused(&sections, name, &["is not loaded: blocker ", beforehand]);
        let words = ["(EINVAL: Invalid argument): ", cause, "kernel: ", line];
        refused(&sections, &format!("{name} blind"), &words);
    }
    refused(&sections, "unmarked", &["blocker no-livepatch-mark: "]);
    ended(&sections, "fine", "0", &["est_skip is in force"]);
}
