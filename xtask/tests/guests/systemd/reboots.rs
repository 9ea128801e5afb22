//! One node over several boots: shut down in good order, cut off from its power, and brought down by a hotfix.

use std::path::Path;

use xtask::lab::{KERNEL_PANIC, LabSpec};
use xtask::scenario::{self, Sections};

use super::{CONSUMERS, boot, ended, guest, lines};

/// What is asked after every boot: `after NAME`.
const AFTER: &str = r#"
after() {
    echo == enabled; enabled $1; echo == seen; cat /run/kubelet /run/kube-proxy
    try status "systemctl status -l $LOAD"; try info "$TOOL hotfix info $1"
    echo == journal; journalctl -q -o cat -b -u $LOAD; echo == rest
}
"#;

/// A node that keeps no `wtmp`: only the unit can say then that a shutdown was one in good order.
const NO_WTMP: &str =
    "mkdir -p /etc/tmpfiles.d; : > /etc/tmpfiles.d/var.conf; rm -f /var/log/wtmp\n";

fn run(spec: LabSpec, script: &str) -> Sections {
    scenario::run(spec, &boot(&format!("{AFTER}{script}"))).unwrap()
}

/// The boot at which the hotfix brings the node down, some runs after it was loaded.
fn run_to_panic(disk: &Path) {
    let script = boot("sleep 60; echo == survived\n");
    let outcome = guest(disk).run(&["sh", "-c", &script]).unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(!said.contains("survived"), "{said}\n{}", outcome.console);
    assert_eq!(outcome.code, KERNEL_PANIC, "{said}\n{}", outcome.console);
    assert!(outcome.console.contains("panic_estimation"));
}

/// The hotfix was enabled before the programs started that fill IPVS, and has no finding against it.
fn loaded(sections: &Sections, when: &str) {
    assert_eq!(lines(sections, "up"), ["running"], "{when}");
    assert_eq!(lines(sections, "enabled"), ["1"], "{when}");
    assert_eq!(lines(sections, "seen"), ["1", "1"], "{when}");
    ended(sections, "status", "0", &["Active: active (exited)"]);
    let journal = sections.text("journal").unwrap();
    assert!(
        !journal.contains("crashed-here-before"),
        "{when}: {journal}"
    );
}

/// The node runs without the hotfix, and systemd says why.
fn refused(sections: &Sections, name: &str) {
    assert_eq!(lines(sections, "up"), ["degraded"], "{name}");
    assert_eq!(lines(sections, "enabled"), ["none"], "{name}");
    let seen = sections.text("seen").unwrap();
    assert_eq!(seen.matches("No such file").count(), 2, "{name}: {seen}");
    let words = ["Active: failed", "crashed-here-before", name];
    ended(sections, "status", "3", &words);
    let journal = sections.text("journal").unwrap();
    for word in ["crashed-here-before", name] {
        assert!(journal.contains(word), "{name}: no {word:?} in: {journal}");
    }
}

#[test]
#[ignore = "boots a kernel seven times; run by cargo xtask test --soak"]
fn soak_a_node_keeps_its_hotfix_over_reboots_and_refuses_the_one_that_it_went_down_under() {
    let place = tempfile::tempdir().unwrap();
    let disk = place.path().join("disk");
    run(
        guest(&disk),
        &format!(
            "{CONSUMERS}{NO_WTMP}put_tool; systemctl -q enable kubelet kube-proxy\n\
             $TOOL hotfix install $F/est_skip.ko || exit\nsystemctl reboot\n"
        ),
    );
    let orderly = "after est_skip; systemctl reboot\n";
    loaded(&run(guest(&disk), orderly), "after the installation");
    let by_way_of_rescue =
        "after est_skip; timeout 120 systemctl rescue || exit; systemctl reboot\n";
    let sections = run(guest(&disk), by_way_of_rescue);
    loaded(&sections, "after an orderly reboot");
    // Where the script ends, the guest loses its power.
    let cut = run(guest(&disk), "after est_skip\n");
    loaded(&cut, "after one in rescue mode");
    let second = "after est_skip; $TOOL hotfix uninstall est_skip\n\
                  echo == traces; traces; echo == rest\n\
                  $TOOL hotfix install $F/est_panic.ko || exit; systemctl poweroff\n";
    let sections = run(guest(&disk), second);
    refused(&sections, "est_skip");
    // Nor does systemd remember that its unit has failed.
    assert_eq!(lines(&sections, "traces"), [""; 0], "left");
    run_to_panic(&disk);
    let sections = run(guest(&disk), "after est_panic; systemctl reboot\n");
    refused(&sections, "est_panic");
    switched_off(&disk);
}

/// With the kernel's command line a person keeps everything from being loaded, and can then tidy up.
fn switched_off(disk: &Path) {
    let spec = LabSpec {
        kernel_parameters: vec!["ipvs_latency.hotfix=0".into()],
        ..guest(disk)
    };
    let script = "after est_panic; try uninstall \"$TOOL hotfix uninstall est_panic\"\n\
                  echo == traces; traces\n";
    let sections = run(spec, script);
    assert_eq!(lines(&sections, "up"), ["running"], "{}", sections.noise);
    assert_eq!(lines(&sections, "enabled"), ["none"]);
    let words = ["Active: inactive (dead)", "ipvs_latency.hotfix=0"];
    ended(&sections, "status", "3", &words);
    assert_eq!(sections.text("journal").unwrap().matches("est_").count(), 0);
    ended(&sections, "uninstall", "0", &[]);
    assert_eq!(lines(&sections, "traces"), [""; 0], "left");
}
