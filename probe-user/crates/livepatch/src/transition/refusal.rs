//! What an errno of the kernel means: one stands for many causes, and the log tells which.

use nix::errno::Errno;

use livepatch_image::{Layout, Module};

/// A line of the kernel's log tells the cause, whatever the errno: one that begins so, where `{module}` is the module's own
/// name, `{symbol}` one that it may name, and `{number}` a number. So neither another module's load nor a name that a task
/// gave itself passes for it. The words are those of Linux 4.15 to 6.12 (`kernel/livepatch/`, `kernel/module/`,
/// `kernel/trace/ftrace.c`, `security/lockdown/`).
const BY_LINE: [(&str, &str); 18] = [
    (
        "livepatch: symbol '{symbol}' not found in symbol table",
        "the function that it replaces is not in that object: it was made for another kernel, or names the wrong object",
    ),
    (
        "livepatch: unresolvable ambiguity for symbol '{symbol}' in object '",
        "the object has several functions of that name, and it does not say which: give its position (sympos)",
    ),
    (
        "livepatch: symbol position {number} for symbol '{symbol}' in object '",
        "the object has not that many functions of that name: correct its position (sympos)",
    ),
    (
        "livepatch: failed to find location for function '{symbol}'",
        NOT_TRACED,
    ),
    // Linux before 5.18 takes the function's address for its location, and fails one step later.
    (
        "livepatch: failed to set ftrace filter for function '{symbol}'",
        NOT_TRACED,
    ),
    (
        "livepatch: failed to register ftrace handler for function '{symbol}'",
        "ftrace is off (kernel.ftrace_enabled=0), or something else redirects that function already: a kprobe with a \
         post handler, or on kernels before 6.0 a BPF program at its entry; end that first",
    ),
    (
        "livepatch: module {module} is not marked as a livepatch module",
        "it lacks the mark of a livepatch: add MODULE_INFO(livepatch, \"Y\") and build it again",
    ),
    (
        "{module}: module is marked as livepatch module, but livepatch support is disabled",
        "this kernel was built without CONFIG_LIVEPATCH: boot one that has it",
    ),
    (
        "livepatch: Livepatch patch ({module}) is not compatible with the already installed livepatches",
        "it does not go together with a livepatch that is in force (klp_state): take that one back first",
    ),
    (
        "module {module}: .gnu.linkonce.this_module section size must match",
        "it was built for another kernel, whose struct module has another size: build it with the headers of this one",
    ),
    (
        "{module}: version magic '",
        "it was built for another kernel: build it with the headers of this one",
    ),
    (
        "{module}: disagrees about version of symbol ",
        "it was built for another kernel (a symbol's version differs): build it with the headers of this one",
    ),
    (
        "{module}: Unknown symbol ",
        "it uses a function or variable that this kernel does not give to modules: correct it, or load the module that has it",
    ),
    (
        "Lockdown: ipvs-latency: unsigned module loading is restricted",
        "the kernel is locked down (Secure Boot) and takes signed modules alone: sign it with a key that this kernel knows",
    ),
    (
        "Loading of unsigned module is rejected",
        "this kernel insists on signatures (module.sig_enforce), and it has none: sign it with a key that this kernel \
         knows",
    ),
    (
        "Loading of module with unavailable key is rejected",
        "this kernel insists on signatures (module.sig_enforce), and does not know the key of this one: sign it with \
         one that is enrolled here (see /proc/keys)",
    ),
    (
        "Loading of module with unsupported crypto is rejected",
        "this kernel insists on signatures (module.sig_enforce), and cannot read one of this kind: sign it with the \
         scripts/sign-file of this kernel's headers",
    ),
    (
        "Module {module} is blacklisted",
        "this node was booted not to load a module of that name (module_blacklist on the kernel's command line): boot \
         without that, or build it under another name",
    ),
];

const NOT_TRACED: &str = "ftrace cannot redirect that function: it is inlined or not traced, so replace the function that calls it";

/// Words of the kernel about signatures name no module: they count where its answer is that of a signature.
const UNNAMED: &str = "Loading of ";

/// The cause, and what to do about it.
#[must_use]
pub fn cause(errno: Errno, log: &[String], module: &Module) -> String {
    let is_told = |form: &str| {
        let may_be = !form.starts_with(UNNAMED) || errno == Errno::EKEYREJECTED;
        may_be && log.iter().any(|line| is_of(line, form, module))
    };
    if let Some((_, cause)) = BY_LINE.iter().find(|(form, _)| is_told(form)) {
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

/// Returns whether a line begins with that form, and is about that module.
fn is_of(line: &str, form: &str, module: &Module) -> bool {
    follow(line, form, module).is_some()
}

fn follow(line: &str, form: &str, module: &Module) -> Option<()> {
    let mut rest = line;
    for (index, part) in form.split(['{', '}']).enumerate() {
        // Words and what they are about take turns.
        rest = match (index % 2, part) {
            (1, "module") => rest.strip_prefix(module.name.as_deref()?)?,
            (1, "number") => rest.trim_start_matches(|one: char| one.is_ascii_digit()),
            (1, _) => {
                let (symbol, _) = rest.split_once('\'')?;
                rest.get(symbol.len()..)
                    .filter(|_| may_name(module, symbol))?
            }
            (_, words) => rest.strip_prefix(words)?,
        };
    }
    Some(())
}

/// Returns whether a module may be the one that names a symbol. What kpatch-build makes also names symbols that it only
/// uses.
fn may_name(module: &Module, symbol: &str) -> bool {
    let mut replaced = module.replaces.iter();
    let is_all = module.layout == Layout::Headers && !module.replaces.is_empty();
    !is_all || replaced.any(|one| one.function == symbol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transition::kernel_log::tests::{OF_TASKS, hostile_names};
    use livepatch_image::samples::sample;

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
                &["livepatch: symbol 'estimation_timer' not found in symbol table"],
                "wrong object",
            ),
            (
                Errno::EINVAL,
                &[
                    "livepatch: symbol position 2 for symbol 'estimation_timer' in object 'ip_vs' not found",
                ],
                "sympos",
            ),
            (
                Errno::EINVAL,
                &[
                    "livepatch: unresolvable ambiguity for symbol 'estimation_timer' in object 'ip_vs'",
                ],
                "several",
            ),
            (
                Errno::EINVAL,
                &[
                    "livepatch: enabling patch 'x'",
                    "livepatch: failed to find location for function 'estimation_timer'",
                    "livepatch: 'x': unpatching complete",
                ],
                "inlined",
            ),
            // Linux 5.10.
            (
                Errno::EINVAL,
                &[
                    "livepatch: failed to set ftrace filter for function 'estimation_timer' (-22)",
                    "livepatch: failed to patch object 'ip_vs'",
                ],
                "inlined",
            ),
            (
                Errno::EINVAL,
                &["livepatch: module made is not marked as a livepatch module"],
                "MODULE_INFO",
            ),
            (
                Errno::EBUSY,
                &[
                    "livepatch: failed to register ftrace handler for function 'estimation_timer' (-16)",
                ],
                "post handler",
            ),
            (
                Errno::EINVAL,
                &[],
                "compare what `ipvs-latency hotfix inspect` says it replaces",
            ),
            (Errno::EBUSY, &[], "transition"),
            (Errno::EEXIST, &[], "loaded already"),
            (
                Errno::EPERM,
                &["Module made is blacklisted"],
                "module_blacklist",
            ),
            (Errno::EPERM, &[], "modules_disabled"),
            (
                Errno::ENOEXEC,
                &["made: version magic 'A' should be 'B'"],
                "headers of this one",
            ),
            (
                Errno::ENOEXEC,
                &[
                    "module made: .gnu.linkonce.this_module section size must match the kernel's built struct module size at run time",
                ],
                "another size",
            ),
            (
                Errno::ENOEXEC,
                &["made: disagrees about version of symbol module_layout"],
                "version differs",
            ),
            // A symbol's version that differs is told by both lines.
            (
                Errno::EINVAL,
                &[
                    "made: disagrees about version of symbol mod_timer",
                    "made: Unknown symbol mod_timer (err -22)",
                ],
                "version differs",
            ),
            (
                Errno::ENOENT,
                &["made: Unknown symbol s (err -2)"],
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
                &["Lockdown: ipvs-latency: unsigned module loading is restricted"],
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
                &["made: module is marked as livepatch module, but livepatch support is disabled"],
                "CONFIG_LIVEPATCH",
            ),
            (
                Errno::EINVAL,
                &[
                    "livepatch: Livepatch patch (made) is not compatible with the already installed livepatches.",
                ],
                "klp_state",
            ),
        ]);
    }

    /// Of each cause, the line with another module's name, or with a symbol of another's.
    #[test]
    fn a_line_about_another_module_is_no_cause() {
        for (form, expected) in BY_LINE {
            let filled = |module: &str, symbol: &str| {
                let line = form.replace("{module}", module).replace("{symbol}", symbol);
                line.replace("{number}", "2")
            };
            let told = |line: String| cause(Errno::EKEYREJECTED, &[line], &sample());
            assert_eq!(told(filled("made", "estimation_timer")), expected, "{form}");
            if form.contains('{') {
                assert_ne!(told(filled("made2", "other")), expected, "{form}");
                assert_ne!(told(filled("other", "other")), expected, "{form}");
            }
            let line = format!("other: {}", filled("made", "estimation_timer"));
            assert_ne!(told(line), expected, "{form}: not at the beginning");
        }
        let lines = ["Loading of unsigned module is rejected".to_owned()];
        let told = cause(Errno::EINVAL, &lines, &sample());
        assert!(!told.contains("it has none"), "{told}");
    }

    #[test]
    fn a_name_of_a_task_is_no_cause() {
        let lines = BY_LINE.map(|(form, _)| {
            let line = form.replace("{module}", "made");
            line.replace("{symbol}", "estimation_timer")
                .replace("{number}", "2")
        });
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for name in hostile_names(&lines) {
            for form in OF_TASKS {
                let line = form.replace('%', &name);
                for errno in [Errno::EKEYREJECTED, Errno::EINVAL] {
                    let told = cause(errno, std::slice::from_ref(&line), &sample());
                    assert_eq!(told, cause(errno, &[], &sample()), "{line}");
                }
            }
        }
    }
}
