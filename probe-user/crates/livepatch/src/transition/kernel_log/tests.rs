use super::{
    complaint::{LONGEST_NAME, is_complaint},
    *,
};
use crate::running_kernel::RunningKernel;
use std::path::Path;

/// Lines of Linux 6.1 that begin with a task's name, or carry it; `%` stands for the name.
pub const OF_TASKS: [&str; 27] = [
    "%[123]: segfault at 0 ip 0000000000401000 sp 00007ffc0 error 4 in a[401000+1000]",
    "%[123]: segfault at 0 ip 0 sp 0 error 4 in BUG: unable to handle [401000+1000]",
    "traps: %[123] general protection fault ip:401000 sp:7ffc0 error:0 in a[401000+1000]",
    "traps: %[123] trap invalid opcode ip:401000 sp:7ffc0 error:0 in a[401000+1000]",
    "%[123] bad frame in rt_sigreturn frame:00000000 ip:401000 sp:7ffc0 orax:0",
    "%[123] vsyscall attempted with vsyscall=none ip:ffffffffff600000 cs:33 sp:7ffc0",
    "umip: %[123] ip:401000 sp:7ffc0: SGDT instruction cannot be used by applications.",
    "process '%' launched '/tmp/a' with NULL argv: empty string added",
    "process 'a' launched '/tmp/%' with NULL argv: empty string added",
    "% (123): drop_caches: 3",
    "% (123) used greatest stack depth: 11000 bytes left",
    "mmap: % (123): VmData 1 exceed data ulimit 0. Update limits or use boot option ignore_rlimit_data.",
    "% invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    "%: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL), nodemask=(null),cpuset=/,mems_allowed=0",
    "% uses obsolete (PF_INET,SOCK_PACKET)",
    "%/123: potentially unexpected fatal signal 11.",
    "INFO: task %:123 blocked for more than 120 seconds.",
    "task:%           state:D stack:0     pid:123   ppid:1      flags:0x00000000",
    "audit: type=1701 audit(1.0:1): auid=0 uid=0 gid=0 ses=1 pid=123 comm=\"%\" exe=\"/a\" sig=11 res=1",
    "CPU: 0 PID: 123 Comm: % Not tainted 6.1.0-56-amd64 #1  Debian",
    "Out of memory: Killed process 123 (%) total-vm:1kB, anon-rss:1kB",
    "[    123]     0   123     1000      100    10000        0             0 %",
    "note: %[123] exited with preempt_count 1",
    "ptrace attach of \"a\"[1] was attempted by \"%\"[123]",
    "warning: `%' uses 32-bit capabilities (legacy support in use)",
    "x86/split lock detection: #AC: %/123 took a split_lock trap at address: 0x401000",
    "livepatch: klp_try_switch_task: %:123 is running",
];

/// Lines that begin with a network device's name, which an unprivileged user gives in a namespace of their own.
const OF_DEVICES: [&str; 4] = [
    "%: renamed from veth0",
    "%: entered promiscuous mode",
    "%: Caught tx_queue_len zero misconfig",
    "IPv6: ADDRCONF(NETDEV_CHANGE): %: link becomes ready",
];

/// What the kernel says of itself.
const COMPLAINTS: [&str; 32] = [
    "BUG: unable to handle page fault for address: ffffffffc0a51000",
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "BUG: scheduling while atomic: a/123/0x00000002",
    "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580",
    "BUG: using smp_processor_id() in preemptible [00000000] code: a/123",
    "BUG: Bad page state in process a  pfn:00001",
    "BUG: spinlock bad magic on CPU#0, a/123",
    "BUG: spinlock already unlocked on CPU#11, a/123",
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
    "BUG: KASAN: slab-out-of-bounds in estimation_timer+0x1/0x2 [ip_vs]",
    "BUG: KFENCE: use-after-free read in f+0x1/0x2",
    "UBSAN: array-index-out-of-bounds in net/a.c:1:2",
    "BUG kmalloc-32 (Tainted: G    B      O     ): Poison overwritten",
    "BUG kmalloc-32 (Not tainted): Object already free",
    "BUG: IRQ stack guard page was hit at 0000000000000000 (stack is 0..0)",
    "BUG: Dentry 00000000f00d{i=1,n=a}  still in use (1) [unmount of tmpfs tmpfs]",
    "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [hold_spin:97]",
    "NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
    "watchdog: Watchdog detected hard LOCKUP on cpu 1",
    "WARNING: CPU: 0 PID: 12 at kernel/livepatch/core.c:1234 klp_x+0x1/0x2",
    "WARNING: possible circular locking dependency detected",
    "kernel BUG at mm/slub.c:4118!",
    "Oops: 0010 [#1] PREEMPT SMP NOPTI",
    "invalid opcode: 0000 [#1] PREEMPT SMP PTI",
    "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] PREEMPT SMP",
    "general protection fault: 0000 [#2] SMP",
    "divide error: 0000 [#1] SMP",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu: INFO: rcu_sched self-detected stall on CPU",
    "INFO: rcu_sched detected stalls on CPUs/tasks:",
    "Kernel panic - not syncing: Fatal exception in interrupt",
    "list_add corruption. prev->next should be next (1), but was 2. (prev=3).",
];

/// Names that begin like these lines, or are any other part of them: as long as a name can be, and shorter.
pub(crate) fn hostile_names(lines: &[&str]) -> Vec<String> {
    let mut names = vec![
        "BUG: x".to_owned(),
        "Oops: 0000 [#1]".into(),
        "BUG a (Tainted:".into(),
    ];
    for line in lines {
        for length in 1..=LONGEST_NAME.min(line.len()) {
            names.push(line[..length].to_owned());
        }
        let windows = line.as_bytes().windows(LONGEST_NAME);
        names.extend(windows.map(|part| String::from_utf8_lossy(part).into_owned()));
    }
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn no_name_of_a_task_or_a_device_makes_a_complaint() {
    let names = hostile_names(&COMPLAINTS);
    assert!(names.len() > 500, "{}", names.len());
    for name in &names {
        for form in OF_TASKS {
            let line = form.replace('%', name);
            assert!(!is_complaint(&line), "{line}");
        }
        if name.contains([' ', ':', '/']) {
            continue;
        }
        for form in OF_DEVICES {
            let line = form.replace('%', name);
            assert!(!is_complaint(&line), "{line}");
        }
    }
}

#[test]
fn what_the_kernel_complains_of_is_told_from_what_it_tells() {
    for line in COMPLAINTS {
        assert!(is_complaint(line), "{line}");
    }
    for line in [
        "livepatch: enabling patch 'est_slow'",
        "est_slow: loading out-of-tree module taints kernel.",
        "------------[ cut here ]------------",
        "BUG",
        "Oops",
        "",
        "general protection fault ip:401000",
        "a driver says: BUG: unable to handle it",
        "BUG: spinlock x_y on CPU#0, a/12",
    ] {
        assert!(!is_complaint(line), "{line}");
    }
}

fn read(record: &[u8]) -> KernelLog {
    let mut log = KernelLog::from_now(&RunningKernel::new(Path::new("/nowhere")));
    log.keep(message(record));
    log
}

#[test]
fn a_record_is_told_by_its_text() {
    let record = b"6,339,5140900,-;livepatch: enabling patch 'a'; now\n SUBSYSTEM=pci\n";
    assert_eq!(read(record).lines(), ["livepatch: enabling patch 'a'; now"]);
    let record = b"6,339,5140900,-,caller=T12;a\\x0aBUG: unable to handle \n";
    assert_eq!(read(record).lines(), ["a\\x0aBUG: unable to handle "]);
    for record in [&b"no record"[..], b"", b";", b"x,1,2,-;a", b",;a"] {
        assert!(read(record).lines().is_empty());
    }
}

/// Facility 1 is what a process gets that names none, 3 that of daemons; no process gets 0.
#[test]
fn what_a_process_wrote_to_the_log_is_nothing_that_the_kernel_says() {
    let text = "BUG: unable to handle page fault for address: 0";
    for (fields, is_kernels, complains) in [
        ("1,1,2,-", true, true),
        ("0,1,2,-", true, true),
        ("1,1,2,-,caller=C1", true, true),
        ("12,1,2,-", false, false),
        ("8,1,2,-", false, false),
        ("30,1,2,-", false, false),
        // It continues a line that began in another record.
        ("1,1,2,c", true, false),
        ("1,1,2,+", true, false),
        ("1,1,2", true, false),
    ] {
        let log = read(format!("{fields};{text}\n").as_bytes());
        assert_eq!(!log.lines().is_empty(), is_kernels, "{fields}");
        assert_eq!(log.complaint().is_some(), complains, "{fields}");
    }
}

#[test]
fn a_log_that_is_not_there_is_told_and_no_error() {
    let mut log = KernelLog::from_now(&RunningKernel::new(Path::new("/nowhere")));
    log.read();
    assert!(log.lines().is_empty());
    assert!(log.trouble().unwrap().contains("/dev/kmsg"));
}
