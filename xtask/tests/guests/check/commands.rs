//! The commands that `check` prints for `run_estimation`, run as printed.

use serde_json::Value;
use xtask::lab::LabSpec;

use super::{mitigation, number, places::FIELD};
use crate::steps::Steps;
use xtask::kernel::under_test::root_netns;

/// Prints a command of the page in /tmp/page as a shell reads it.
const COMMAND: &str = r#"
command() { field run_estimation $1 | sed 's/\\"/"/g'; }
"#;

/// Prints the switch of each namespace: lab1, lab2, root.
const SWITCHES: &str = "for name in lab1 lab2; do nsenter --net=/run/netns/$name cat /proc/sys/net/ipv4/vs/run_estimation; done; \
    cat /proc/sys/net/ipv4/vs/run_estimation";

/// Makes lab1 the namespace of the longest run.
const FILL: &str = "for port in $(seq 500); do echo \"-A -t 10.0.0.1:$port -s rr\"; done | ip netns exec lab1 ipvsadm -R";

/// Checks that both commands enter the namespace of that number by that file.
fn enters(page: &Value, file: &str, netns: u64) {
    let told = mitigation(page, "run_estimation");
    let about = told["does"].as_str().unwrap();
    assert!(about.contains(&format!("netns {netns} ")), "{told}");
    for field in ["command", "undo"] {
        let command = told[field].as_str().unwrap();
        assert!(
            command.starts_with(&format!("nsenter --net={file} ")),
            "{told}"
        );
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_commands_for_run_estimation_set_it_in_the_intended_namespace_alone() {
    let mut steps = Steps::on(LabSpec {
        services: 100,
        destinations: 1,
        netns: 2,
        ..LabSpec::deterministic()
    });
    steps.shell(format!("{FIELD}{COMMAND}"));
    steps.shell(FILL);
    steps.shell("echo == inode; stat -Lc %i /run/netns/lab1");
    steps
        .step(
            "named",
            "ipvs-latency check --max 1us --json | tee /tmp/page",
        )
        .page(|page, sections| enters(page, "/run/netns/lab1", number(sections, "inode")));
    set_and_unset(&mut steps, "named", "sh /tmp/typed", "0\n1\n1");

    steps.shell("ip netns exec lab1 ipvsadm -C");
    steps
        .step(
            "other",
            "nsenter --net=/run/netns/lab2 ipvs-latency check --max 1us --json | tee /tmp/page",
        )
        .page(|page, _| enters(page, "/proc/1/ns/net", root_netns()));
    let other = "nsenter --net=/run/netns/lab2 sh /tmp/typed";
    set_and_unset(&mut steps, "other", other, "1\n1\n0");

    steps.shell(FILL);
    steps.shell("mkdir /host; mount --rbind / /host; mount --make-rprivate /host");
    let inside =
        "unshare --mount --pid --fork --mount-proc sh -c 'mount -t tmpfs none /run; sh /tmp/typed'";
    steps.shell("echo 'ipvs-latency --root /host check --max 1us --json' > /tmp/typed");
    steps
        .step("inside", format!("{inside} | tee /tmp/page"))
        .page(|page, sections| enters(page, "/host/run/netns/lab1", number(sections, "inode")));
    set_and_unset(&mut steps, "inside", inside, "0\n1\n1");
    steps.run();
}

/// Types the command of the page in /tmp/page, and what undoes it, as `typed` does with /tmp/typed: the switches are `set`
/// in between.
fn set_and_unset(steps: &mut Steps, name: &str, typed: &str, set: &str) {
    for (field, switches) in [("command", set), ("undo", "1\n1\n1")] {
        steps.shell(format!("command {field} > /tmp/typed"));
        steps.step(&format!("{name}-{field}"), typed).exits(0);
        steps
            .step(&format!("{name}-{field}-switches"), SWITCHES)
            .prints(switches);
    }
}
