//! What an errno of the kernel means: one stands for many causes, and the log tells which.

use nix::errno::Errno;

use super::module::Module;

/// A line of the kernel's log tells the cause, whatever the errno. The words are those of Linux 4.15 to 6.12
/// (`kernel/livepatch/`, `kernel/module/`, `kernel/trace/ftrace.c`).
const BY_LINE: [(&str, &str); 17] = [
    (
        "not found in symbol table",
        "the function that it replaces is not in that object: it was made for another kernel, or names the wrong object",
    ),
    (
        "unresolvable ambiguity for symbol",
        "the object has several functions of that name, and it does not say which: give its position (sympos)",
    ),
    (
        "livepatch: symbol position",
        "the object has not that many functions of that name: correct its position (sympos)",
    ),
    (
        "failed to find location for function",
        "ftrace cannot redirect that function: it is inlined or not traced, so replace the function that calls it",
    ),
    (
        "failed to register ftrace handler",
        "ftrace is off (kernel.ftrace_enabled=0), or something else redirects that function already: a kprobe with a \
         post handler, or on kernels before 6.0 a BPF program at its entry; end that first",
    ),
    (
        "is not marked as a livepatch module",
        "it lacks the mark of a livepatch: add MODULE_INFO(livepatch, \"Y\") and build it again",
    ),
    (
        "livepatch support is disabled",
        "this kernel was built without CONFIG_LIVEPATCH: boot one that has it",
    ),
    (
        "is not compatible with the already installed livepatches",
        "it does not go together with a livepatch that is in force (klp_state): take that one back first",
    ),
    (
        "section size must match",
        "it was built for another kernel, whose struct module has another size: build it with the headers of this one",
    ),
    (
        "version magic",
        "it was built for another kernel: build it with the headers of this one",
    ),
    (
        "disagrees about version of symbol",
        "it was built for another kernel (a symbol's version differs): build it with the headers of this one",
    ),
    (
        "Unknown symbol",
        "it uses a function or variable that this kernel does not give to modules: correct it, or load the module that has it",
    ),
    (
        "unsigned module loading is restricted",
        "the kernel is locked down (Secure Boot) and takes signed modules alone: sign it with a key that this kernel knows",
    ),
    (
        "unsigned module is rejected",
        "this kernel insists on signatures (module.sig_enforce), and it has none: sign it with a key that this kernel \
         knows",
    ),
    (
        "module with unavailable key is rejected",
        "this kernel insists on signatures (module.sig_enforce), and does not know the key of this one: sign it with \
         one that is enrolled here (see /proc/keys)",
    ),
    (
        "module with unsupported crypto is rejected",
        "this kernel insists on signatures (module.sig_enforce), and cannot read one of this kind: sign it with the \
         scripts/sign-file of this kernel's headers",
    ),
    (
        "is blacklisted",
        "this node was booted not to load a module of that name (module_blacklist on the kernel's command line): boot \
         without that, or build it under another name",
    ),
];

/// The cause, and what to do about it.
pub fn cause(errno: Errno, log: &[String], module: &Module) -> String {
    let line = |words: &str| log.iter().any(|line| line.contains(words));
    if let Some((_, cause)) = BY_LINE.iter().find(|(words, _)| line(words)) {
        return (*cause).to_owned();
    }
    match errno {
        Errno::EEXIST => format!(
            "a module named {} is loaded already: take it back first",
            module.name.as_deref().unwrap_or("like it")
        ),
        // klp_enable_patch says nothing in the log where another transition runs.
        Errno::EBUSY => "another livepatch is in transition, and there is one at a time: look at \
                         `ipvs-latency hotfix status`, and wait until it is through"
            .into(),
        Errno::EPERM => "this process may not load modules: CAP_SYS_MODULE is missing, kernel.modules_disabled is 1, a \
                         seccomp filter forbids it, or the kernel is locked down \
                         (/sys/kernel/security/lockdown) and said so too often to say it again"
            .into(),
        // These two even where the kernel takes unsigned modules (`module_sig_check`, kernel/module/signing.c).
        Errno::EBADMSG => "its signature is damaged, which is worse than none: sign it again, or take the signature \
                           off with `strip --strip-debug`"
            .into(),
        Errno::EKEYREJECTED => "its signature does not fit its content, as when it was changed after it was signed: \
                                sign it again, or take the signature off with `strip --strip-debug`"
            .into(),
        Errno::ENOKEY => "its signature is of a key that this kernel does not know, and the kernel insists on one: \
                          sign it with one that is enrolled here (see /proc/keys)"
            .into(),
        Errno::ENOEXEC => "it is no module that this kernel can take: build it with the headers of this one".into(),
        Errno::ENOMEM => "the kernel has no memory for it".into(),
        Errno::EINVAL if module.replaces_estimator() => {
            "the kernel gave no reason: compare what `ipvs-latency hotfix inspect` says it replaces with /proc/kallsyms"
                .into()
        }
        _ => "the kernel gave no reason".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotfix::module::tests::sample;

    /// Errno, the lines of the log, and words of the cause.
    type Case<'a> = (Errno, &'a [&'a str], &'a str);

    fn are_told(cases: &[Case<'_>]) {
        for (errno, lines, words) in cases {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            let told = cause(*errno, &lines, &sample());
            assert!(told.contains(words), "{errno}: {told}");
            assert!(!told.contains("  ") && !told.contains('\n'), "{told}");
        }
    }

    #[test]
    fn the_log_tells_the_cause_and_else_the_errno_does() {
        are_told(&[
            (
                Errno::EINVAL,
                &["livepatch: symbol 'f' not found in symbol table"],
                "wrong object",
            ),
            (
                Errno::EINVAL,
                &["livepatch: symbol position 2 for symbol 'f' in object 'ip_vs' not found"],
                "sympos",
            ),
            (
                Errno::EINVAL,
                &["livepatch: unresolvable ambiguity for symbol 'f' in object 'ip_vs'"],
                "several",
            ),
            (
                Errno::EINVAL,
                &[
                    "livepatch: enabling patch 'x'",
                    "livepatch: failed to find location for function 'f'",
                    "livepatch: 'x': unpatching complete",
                ],
                "inlined",
            ),
            (
                Errno::EINVAL,
                &["livepatch: module x is not marked as a livepatch module"],
                "MODULE_INFO",
            ),
            (
                Errno::EBUSY,
                &["livepatch: failed to register ftrace handler for function 'f' (-16)"],
                "post handler",
            ),
            (Errno::EBUSY, &[], "transition"),
            (Errno::EEXIST, &[], "loaded already"),
            (
                Errno::EPERM,
                &["Module x is blacklisted"],
                "module_blacklist",
            ),
            (Errno::EPERM, &[], "modules_disabled"),
            (
                Errno::ENOEXEC,
                &["x: version magic 'A' should be 'B'"],
                "headers of this one",
            ),
            (
                Errno::ENOEXEC,
                &[
                    "module x: .gnu.linkonce.this_module section size must match the kernel's built struct module size at run time",
                ],
                "another size",
            ),
            (
                Errno::ENOEXEC,
                &["x: disagrees about version of symbol module_layout"],
                "version differs",
            ),
            // A symbol's version that differs is told by both lines.
            (
                Errno::EINVAL,
                &[
                    "x: disagrees about version of symbol mod_timer",
                    "x: Unknown symbol mod_timer (err -22)",
                ],
                "version differs",
            ),
            (
                Errno::ENOENT,
                &["x: Unknown symbol s (err -2)"],
                "give to modules",
            ),
        ]);
    }

    #[test]
    fn a_signature_is_missing_unknown_or_damaged() {
        are_told(&[
            (
                Errno::EKEYREJECTED,
                &["Loading of unsigned module is rejected"],
                "it has none",
            ),
            (
                Errno::EKEYREJECTED,
                &["Loading of module with unavailable key is rejected"],
                "enrolled",
            ),
            (
                Errno::EKEYREJECTED,
                &["Loading of module with unsupported crypto is rejected"],
                "of this kind",
            ),
            (Errno::EKEYREJECTED, &[], "does not fit its content"),
            (Errno::ENOKEY, &[], "enrolled"),
            (
                Errno::EPERM,
                &["Lockdown: insmod: unsigned module loading is restricted"],
                "Secure Boot",
            ),
            (Errno::EBADMSG, &[], "damaged"),
            // Of something else that was looked at meanwhile.
            (
                Errno::EBADMSG,
                &[
                    "Lockdown: ipvs-latency: debugfs access is restricted; see man kernel_lockdown.7",
                ],
                "damaged",
            ),
        ]);
    }

    /// By kernels without livepatching, or where `klp_state` is used.
    #[test]
    fn what_no_kernel_of_the_lab_answers_is_told_too() {
        are_told(&[
            (
                Errno::ENOEXEC,
                &["x: module is marked as livepatch module, but livepatch support is disabled"],
                "CONFIG_LIVEPATCH",
            ),
            (
                Errno::EINVAL,
                &[
                    "livepatch: Livepatch patch (x) is not compatible with the already installed livepatches.",
                ],
                "klp_state",
            ),
        ]);
    }
}
