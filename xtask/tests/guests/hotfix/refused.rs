//! What of a node makes the kernel refuse a hotfix: told beforehand, and where it is hidden from the checks, by its
//! true cause with the kernel's own lines.

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{BLIND, FOLDER, HOLD, LEFT, RENAMED, TRY, ended, refused, with_modules};

/// Each with the checks seeing, and blind.
const NODE: &str = r"
insmod $F/est_taken.ko
load taken $F/est_skip.ko; hide; load 'taken blind' $F/est_skip.ko; show
rmmod est_taken

sysctl -q kernel.ftrace_enabled=0
load ftrace $F/est_skip.ko
say 1 /proc/sys/kernel/ftrace_enabled; load 'ftrace blind' $F/est_skip.ko; unsay /proc/sys/kernel/ftrace_enabled
sysctl -q kernel.ftrace_enabled=1

LIST=/sys/module/kernel/parameters/module_blacklist
load blacklisted $F/est_parameter.ko
say '(null)' $LIST; load 'blacklisted blind' $F/est_parameter.ko; unsay $LIST
";

/// A process that may not load modules, and one that the checks take for another.
const PRIVILEGE: &str = r#"
R=/tmp/root; mkdir -p $R/proc/self
for link in sys dev lib usr proc/sys proc/kallsyms proc/self/uid_map; do ln -s /$link $R/$link; done
cat /proc/self/status > $R/proc/self/status
lacking() { try "$1" "setpriv --bounding-set=-sys_module --inh-caps=-sys_module ipvs-latency $2 hotfix load $F/est_skip.ko"; left "$1"; }
lacking privilege ''
lacking 'privilege blind' "--root $R"
"#;

/// Another livepatch in transition, by somebody else; the same livepatch in force, by somebody else; and what that
/// leaves behind.
const OTHERS: &str = r"
insmod $F/hold_task.ko
nap 60; insmod $F/est_hold.ko; sleep 1
load moving $F/est_skip.ko
mount -t tmpfs none /sys/kernel/livepatch; hide; load 'moving blind' $F/est_skip.ko; show; umount /sys/kernel/livepatch
echo == transition; cat /sys/kernel/livepatch/est_hold/transition; echo == rest
wait $napping; sleep 3; try through 'ipvs-latency hotfix unload est_hold'

insmod $F/est_skip.ko; sleep 3
renamed est_copy est_skip; load loaded /tmp/est_skip.ko
mkdir /tmp/ip_vs; mount --bind /sys/module/ip_vs /tmp/ip_vs; mount -t tmpfs none /sys/module
mkdir /sys/module/ip_vs; mount --bind /tmp/ip_vs /sys/module/ip_vs
try 'loaded blind' 'ipvs-latency hotfix load $F/est_skip.ko'
umount /sys/module/ip_vs /sys/module
echo 0 > /sys/kernel/livepatch/est_skip/enabled; sleep 3
load behind $F/est_skip.ko
try clear 'ipvs-latency hotfix unload est_skip'; left clear
";

/// There is no way back from this one.
const DISABLED: &str = r"
load fine $F/est_skip.ko; ipvs-latency hotfix unload est_skip
sysctl -q kernel.modules_disabled=1
load disabled $F/est_skip.ko
say 0 /proc/sys/kernel/modules_disabled; load 'disabled blind' $F/est_skip.ko
";

/// Sections, and words of what they say; nothing is left of any.
const REFUSED: [(&str, &[&str]); 10] = [
    ("taken", &["blocker foreign-redirection: "]),
    (
        "taken blind",
        &[
            "a kprobe with a post handler",
            "kernel: livepatch: failed to register ftrace handler",
        ],
    ),
    ("ftrace", &["blocker ftrace-off: "]),
    ("ftrace blind", &["kernel.ftrace_enabled=0", "(-16)"]),
    (
        "blacklisted",
        &[
            "blocker blacklisted: ",
            "booted with module_blacklist=est_parameter ",
        ],
    ),
    (
        "blacklisted blind",
        &[
            "booted not to load a module of that name",
            "kernel: Module est_parameter is blacklisted",
        ],
    ),
    (
        "privilege",
        &["blocker no-privilege: ", "CAP_SYS_MODULE, which"],
    ),
    (
        "privilege blind",
        &["EPERM", "CAP_SYS_MODULE is missing", "it wrote nothing"],
    ),
    ("disabled", &["blocker modules-disabled: "]),
    (
        "disabled blind",
        &[
            "EPERM",
            "kernel.modules_disabled is 1",
            "it wrote nothing to its log",
        ],
    ),
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_refusal_of_the_kernel_is_told_by_its_true_cause_with_the_kernels_own_lines() {
    let spec = LabSpec {
        kernel_parameters: vec!["module_blacklist=nouveau,est_parameter".to_owned()],
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{TRY}{LEFT}{HOLD}{BLIND}{RENAMED}export F={FOLDER}\n{NODE}{PRIVILEGE}{OTHERS}{DISABLED}"
    );
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    for (name, words) in REFUSED {
        refused(&sections, name, words);
    }
    let left = |name: &str| sections.text(&format!("left {name}")).unwrap();
    ended(&sections, "moving", "2", &["blocker transition-running: "]);
    let words = [
        "EBUSY",
        "another livepatch is in transition",
        "it wrote nothing",
    ];
    ended(&sections, "moving blind", "2", &words);
    assert_eq!(sections.text("transition").unwrap(), "1\n");
    let other = "est_hold\n/sys/module/est_hold/taint\n";
    assert_eq!(left("moving"), other);
    ended(&sections, "through", "0", &["est_hold is gone"]);
    let in_force = "est_skip\n/sys/module/est_skip/taint\n";
    ended(&sections, "loaded", "2", &["blocker already-loaded: "]);
    assert_eq!(left("loaded"), in_force);
    let words = [
        "EEXIST",
        "a module named est_skip is loaded already",
        "it wrote nothing",
    ];
    ended(&sections, "loaded blind", "2", &words);
    // What is left of it blocks nothing.
    let words = ["note left-behind: ", "est_skip is in force"];
    ended(&sections, "behind", "0", &words);
    assert_eq!(left("behind"), in_force);
    ended(&sections, "clear", "0", &["est_skip is gone"]);
    assert_eq!(left("clear"), "");
    ended(&sections, "fine", "0", &["est_skip is in force"]);
}
