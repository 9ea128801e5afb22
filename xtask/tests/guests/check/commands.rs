//! The commands that `check` prints for `run_estimation`, run as printed.

use serde_json::Value;
use xtask::{lab::LabSpec, scenario};

use super::{ROOT, TRY, code, mitigation, number, page, places::FIELD};

/// Prints a command of the page in /tmp/page as a shell reads it, and the switch of each namespace.
const COMMANDS: &str = r#"
command() { field run_estimation $1 | sed 's/\\"/"/g'; }
switches() {
    for name in lab1 lab2; do
        echo "== $1 $name"; nsenter --net=/run/netns/$name cat /proc/sys/net/ipv4/vs/run_estimation
    done
    echo "== $1 root"; cat /proc/sys/net/ipv4/vs/run_estimation
}
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_commands_for_run_estimation_set_it_in_the_intended_namespace_alone() {
    let spec = LabSpec {
        services: 100,
        destinations: 1,
        netns: 2,
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{TRY}{FIELD}{COMMANDS}
        for port in $(seq 500); do echo \"-A -t 10.0.0.1:$port -s rr\"; done | ip netns exec lab1 ipvsadm -R
        echo == inode; stat -Lc %i /run/netns/lab1
        try named 'ipvs-latency check --max 1us --json | tee /tmp/page'
        try named-command \"$(command command)\"; switches named-set
        try named-undo \"$(command undo)\"; switches named-unset
        ip netns exec lab1 ipvsadm -C
        try other 'nsenter --net=/run/netns/lab2 ipvs-latency check --max 1us --json | tee /tmp/page'
        command command > /tmp/command; command undo > /tmp/undo
        try other-command 'nsenter --net=/run/netns/lab2 sh /tmp/command'; switches other-set
        try other-undo 'nsenter --net=/run/netns/lab2 sh /tmp/undo'; switches other-unset
        for port in $(seq 500); do echo \"-A -t 10.0.0.1:$port -s rr\"; done | ip netns exec lab1 ipvsadm -R
        mkdir /host; mount --rbind / /host; mount --make-rprivate /host
        inside=\"unshare --mount --pid --fork --mount-proc sh -c 'mount -t tmpfs none /run; sh /tmp/typed'\"
        echo 'ipvs-latency --root /host check --max 1us --json' > /tmp/typed
        try inside \"$inside | tee /tmp/page\"
        command command > /tmp/typed; try inside-command \"$inside\"; switches inside-set
        command undo > /tmp/typed; try inside-undo \"$inside\"; switches inside-unset"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let commands = |name: &str, file: &str, netns: u64| {
        let page = page(&sections, name);
        let told = mitigation(&page, "run_estimation");
        let about = told["does"].as_str().unwrap();
        assert!(about.contains(&format!("netns {netns} ")), "{told}");
        for field in ["command", "undo"] {
            let command = told[field].as_str().unwrap();
            assert!(
                command.starts_with(&format!("nsenter --net={file} ")),
                "{told}"
            );
            let said: Value = sections
                .text(&format!("{name}-{field} err"))
                .unwrap()
                .into();
            assert_eq!(code(&sections, &format!("{name}-{field}")), 0, "{said}");
        }
    };
    let switches = |when: &str| {
        ["lab1", "lab2", "root"].map(|place| number(&sections, &format!("{when} {place}")))
    };
    commands("named", "/run/netns/lab1", number(&sections, "inode"));
    assert_eq!(switches("named-set"), [0, 1, 1]);
    assert_eq!(switches("named-unset"), [1, 1, 1]);
    let named = number(&sections, "inode");
    commands("inside", "/host/run/netns/lab1", named);
    assert_eq!(switches("inside-set"), [0, 1, 1]);
    assert_eq!(switches("inside-unset"), [1, 1, 1]);
    commands("other", "/proc/1/ns/net", ROOT);
    assert_eq!(switches("other-set"), [1, 1, 0]);
    assert_eq!(switches("other-unset"), [1, 1, 1]);
}
