//! Lines by which the kernel says that something went wrong in it.
//!
//! Many lines begin with a name that a stranger chose: a task's (15 bytes of anything), or a network device's (15 bytes
//! without spaces). So the kernel's words count only at the beginning of a line, and only as a form that is longer than
//! such a name can be. Formats are those of Linux 6.1 (`lib/bug.c`, `arch/x86/kernel/dumpstack.c`,
//! `arch/x86/mm/fault.c`, `mm/`, `kernel/watchdog.c`, `kernel/rcu/tree_stall.h`, `kernel/locking/`).
//!
//! Two lines do not count: the line of dashes (`cut here`), because the next line names the warning or bug, and the
//! line about a hung task, because it reports that task.

/// No name of a task or network device is longer.
#[cfg(test)]
pub const LONGEST_NAME: usize = 15;

/// The beginnings of the kernel's own lines, each longer than a name.
const BEGINNINGS: [&str; 24] = [
    "BUG: unable to handle ",
    "BUG: kernel NULL pointer dereference, address: ",
    "BUG: scheduling while atomic: ",
    "BUG: sleeping function called from invalid context at ",
    "BUG: Bad page state in process ",
    "BUG: Bad page map in process ",
    "BUG: Bad page cache in process ",
    "BUG: Bad rss-counter state mm:",
    "BUG: non-zero pgtables_bytes on freeing mm: ",
    "BUG: workqueue lockup - pool",
    "BUG: workqueue leaked ",
    "BUG: stack guard page was hit at ",
    "BUG: soft lockup - CPU#",
    "Watchdog detected hard LOCKUP on cpu ",
    "WARNING: possible circular locking dependency detected",
    "WARNING: possible recursive locking detected",
    "WARNING: possible irq lock inversion dependency detected",
    "WARNING: suspicious RCU usage",
    "WARNING: inconsistent lock state",
    "Kernel panic - not syncing",
    "Internal error: ",
    "Unable to handle kernel ",
    "list_add corruption",
    "list_del corruption",
];

/// What the line of a fatal exception begins with, but for a general protection fault that says more (x86).
const EXCEPTIONS: [&str; 16] = [
    "Oops",
    "general protection fault",
    "invalid opcode",
    "divide error",
    "overflow",
    "bounds",
    "invalid TSS",
    "segment not present",
    "stack segment",
    "alignment check",
    "double fault",
    "int3",
    "debug",
    "fpu exception",
    "simd exception",
    "control protection fault",
];

/// What follows the name of the RCU in the line of an RCU stall.
const STALLS: [&str; 3] = [
    " detected stalls on CPUs",
    " self-detected stall on CPU",
    " detected expedited stalls on CPUs",
];

/// Returns whether the kernel reports a fault of its own in this line, which it has to have written.
pub fn is_complaint(line: &str) -> bool {
    let line = line.strip_prefix("NMI ").unwrap_or(line);
    let line = line.strip_prefix("watchdog: ").unwrap_or(line);
    BEGINNINGS.iter().any(|words| line.starts_with(words))
        || is_exception(line)
        || [
            warning,
            bug_at,
            preemptible,
            lock,
            stall,
            slab,
            sanitizer,
            stack,
            dentry,
        ]
        .iter()
        .any(|form| form(line).is_some())
}

/// `WARNING: CPU: 0 PID: 12 at kernel/livepatch/core.c:1234 f+0x1/0x2`
fn warning(line: &str) -> Option<()> {
    let rest = number(line.strip_prefix("WARNING: CPU: ")?)?;
    let rest = number(rest.strip_prefix(" PID: ")?)?;
    rest.starts_with(" at ").then_some(())
}

/// `kernel BUG at mm/slub.c:4118!`
fn bug_at(line: &str) -> Option<()> {
    let place = line.strip_prefix("kernel BUG at ")?;
    let (file, rest) = place.split_once(':')?;
    let is_file = !file.is_empty() && !file.contains(' ');
    (is_file && number(rest)? == "!").then_some(())
}

/// `BUG: using smp_processor_id() in preemptible [00000000] code: a/12`
fn preemptible(line: &str) -> Option<()> {
    let rest = word(line.strip_prefix("BUG: using ")?, |byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
    })?;
    rest.starts_with("() in preemptible [").then_some(())
}

/// `BUG: spinlock bad magic on CPU#0, a/12`
fn lock(line: &str) -> Option<()> {
    let rest = line.strip_prefix("BUG: ")?;
    let rest = ["spinlock ", "rwlock "]
        .iter()
        .find_map(|lock| rest.strip_prefix(lock))?;
    let (what, rest) = rest.split_once(" on CPU#")?;
    let is_plain = |byte: u8| byte.is_ascii_alphabetic() || byte == b' ' || byte == b'-';
    (what.bytes().all(is_plain) && number(rest)?.starts_with(", ")).then_some(())
}

/// `rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:`; the first word is there since Linux 4.20.
fn stall(line: &str) -> Option<()> {
    let line = line.strip_prefix("rcu: ").unwrap_or(line);
    let rest = word(line.strip_prefix("INFO: ")?, |byte| {
        byte.is_ascii_lowercase() || byte == b'_'
    })?;
    let mut stalls = STALLS.iter();
    stalls.any(|words| rest.starts_with(words)).then_some(())
}

/// `BUG kmalloc-32 (Tainted: G    B     O     ): Poison overwritten`
fn slab(line: &str) -> Option<()> {
    let (_, rest) = line.strip_prefix("BUG ")?.split_once(" (")?;
    let (taint, _) = rest.split_once("): ")?;
    let flags = taint.strip_prefix("Tainted: ");
    let is_flag = |byte: u8| byte.is_ascii_uppercase() || byte == b' ';
    (taint == "Not tainted" || flags?.bytes().all(is_flag)).then_some(())
}

/// `BUG: KASAN: slab-out-of-bounds in f+0x1/0x2 [a]`, `UBSAN: array-index-out-of-bounds in a.c:1:2`
fn sanitizer(line: &str) -> Option<()> {
    let names = [
        "BUG: KASAN: ",
        "BUG: KFENCE: ",
        "BUG: KCSAN: ",
        "BUG: KMSAN: ",
        "UBSAN: ",
    ];
    let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
    let (what, _) = rest.split_once(" in ")?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || b" -".contains(&byte);
    what.bytes().all(is_plain).then_some(())
}

/// `BUG: IRQ stack guard page was hit at 0000000000000000`
fn stack(line: &str) -> Option<()> {
    let rest = word(line.strip_prefix("BUG: ")?, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'#'
    })?;
    rest.starts_with(" stack guard page was hit at ")
        .then_some(())
}

/// `BUG: Dentry 0000000000000000{i=1,n=a}  still in use (1) [unmount of tmpfs tmpfs]`
fn dentry(line: &str) -> Option<()> {
    let rest = word(line.strip_prefix("BUG: Dentry ")?, |byte| {
        byte.is_ascii_hexdigit()
    })?;
    rest.starts_with("{i=").then_some(())
}

/// `Oops: 0002 [#1] PREEMPT SMP PTI`, `general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP`
fn is_exception(line: &str) -> bool {
    if line.starts_with("general protection fault, ") {
        return true;
    }
    let mut names = EXCEPTIONS.iter();
    names.any(|name| {
        line.strip_prefix(name)
            .is_some_and(|rest| counted(rest).is_some())
    })
}

/// `: 0002 [#1] PREEMPT SMP PTI`, and nothing else: its beginning alone fits a name.
fn counted(rest: &str) -> Option<()> {
    let rest = word(rest.strip_prefix(": ")?, |byte| byte.is_ascii_hexdigit())?;
    let rest = number(rest.strip_prefix(" [#")?)?.strip_prefix(']')?;
    let is_option = |byte: u8| byte.is_ascii_uppercase() || b" _".contains(&byte);
    rest.bytes().all(is_option).then_some(())
}

/// Returns what follows a number.
fn number(text: &str) -> Option<&str> {
    word(text, |byte| byte.is_ascii_digit())
}

/// Returns what follows a word of such bytes.
fn word(text: &str, is_of_word: impl Fn(u8) -> bool) -> Option<&str> {
    let end = text.bytes().position(|byte| !is_of_word(byte));
    let end = end.unwrap_or(text.len());
    text.get(end..).filter(|_| end > 0)
}
