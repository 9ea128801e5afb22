//! The units of `hotfix install` under a real systemd: Debian's, as PID 1 of a guest.

mod reboots;

use xtask::lab::LabSpec;
use xtask::scenario::{self, Sections};

use crate::hotfix::{FOLDER, TRY, ended, with_modules};

/// The program that the units run, where a node has it, and what is asked of systemd again and again.
///
/// `up` waits until nothing is left to be started, and prints what systemd calls the system then. `enabled NAME` prints
/// what the kernel says of that hotfix. `traces` prints what there is of the units and of what is installed: in the
/// folders of units, in systemd's memory, and in the folder of state.
const UNITS: &str = r"
export SYSTEMD_COLORS=0 SYSTEMD_PAGER=; TOOL=/usr/local/sbin/ipvs-latency
LOAD=ipvs-latency-hotfix.service; SHUT_DOWN=ipvs-latency-hotfix-shut-down.service
up() {
    for i in $(seq 900); do
        state=$(systemctl is-system-running 2> /dev/null)
        case $state in running|degraded) break;; esac; sleep 0.2
    done; echo $state
}
enabled() { cat /sys/kernel/livepatch/$1/enabled 2> /dev/null || echo none; }
put_tool() { mkdir -p /usr/local/sbin; cp /usr/bin/ipvs-latency $TOOL; }
traces() {
    find /etc/systemd /run/systemd -name '*ipvs-latency*'
    systemctl list-units --all --plain --no-legend 'ipvs-latency*'
    find /var/lib/ipvs-latency/hotfixes -name '*.ko' -o -name '*.json'
}
";

/// Stand-ins for what makes IPVS services: each writes down whether `est_skip` or `est_panic` was enabled when it was
/// started.
const CONSUMERS: &str = r"
for name in kubelet kube-proxy; do cat > /etc/systemd/system/$name.service << 'END'
[Unit]
Description=Stand-in for %p

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sh -c 'cat /sys/kernel/livepatch/est_*/enabled > /run/%p 2>&1; true'

[Install]
WantedBy=multi-user.target
END
done
";

/// Returns a guest of systemd on that disk, with the modules of `hotfix/`.
fn guest(disk: &std::path::Path) -> LabSpec {
    with_modules(LabSpec {
        disk: Some(disk.to_owned()),
        systemd: true,
        ..LabSpec::default()
    })
}

/// Returns a script of one boot, which waits until the system is up.
fn boot(script: &str) -> String {
    format!("{TRY}{UNITS}F={FOLDER}; echo == up; up\necho == rest\n{script}")
}

/// Returns the lines of a section.
fn lines<'a>(sections: &'a Sections, name: &str) -> Vec<&'a str> {
    let lines = sections.text(name).unwrap().lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}

/// What else is started by the same transaction waits for the hotfix, though nothing had loaded `ip_vs` before.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_units_load_before_kube_proxy_starts_and_uninstall_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let script = boot(&format!(
        "{CONSUMERS}put_tool; try install \"$TOOL hotfix install $F/est_skip.ko\"\n\
         try verify \"systemd-analyze verify /etc/systemd/system/$LOAD /etc/systemd/system/$SHUT_DOWN\"\n\
         try before \"systemctl status -l $LOAD\"; try noting \"systemctl is-active $SHUT_DOWN\"\n\
         echo == ip_vs; grep '^ip_vs ' /proc/modules\n\
         echo '[Unit]\nWants=kubelet.service kube-proxy.service '$LOAD > /etc/systemd/system/node.target\n\
         systemctl daemon-reload; try started 'systemctl start node.target'\n\
         echo == seen; cat /run/kubelet /run/kube-proxy; echo == rest\n\
         systemctl stop node.target; rm /etc/systemd/system/node.target\n\
         try status \"systemctl status -l $LOAD $SHUT_DOWN\"\n\
         echo == result; journalctl -q -o cat -u $LOAD | grep '^est_skip '\n\
         echo == confined; systemctl show -p NoNewPrivileges $LOAD; systemctl show -p NoNewPrivileges $SHUT_DOWN\n\
         echo == again; for verb in start restart stop start; do systemctl $verb $LOAD || echo cannot $verb\n\
         enabled est_skip; done; systemctl daemon-reexec; enabled est_skip; systemctl is-active $LOAD $SHUT_DOWN\n\
         echo == rest; systemctl stop $SHUT_DOWN; systemctl start $SHUT_DOWN\n\
         echo == stopped; journalctl -q -o cat -u $SHUT_DOWN | grep noted; echo == rest\n\
         try healthy \"$TOOL hotfix status\"; try unload \"$TOOL hotfix unload est_skip\"\n\
         try uninstall \"$TOOL hotfix uninstall est_skip\"\n\
         echo == traces; traces; echo == failed; systemctl --failed --plain --no-legend; systemctl is-system-running\n\
         echo == rest; systemctl poweroff\n"
    ));
    let sections = scenario::run(guest(&place.path().join("disk")), &script).unwrap();
    assert_eq!(lines(&sections, "up"), ["running"], "{}", sections.noise);
    ended(&sections, "install", "0", &[]);
    ended(&sections, "verify", "0", &[]);
    let complaints = lines(&sections, "verify err");
    assert_eq!(complaints, [""; 0], "systemd-analyze verify");
    ended(&sections, "before", "3", &["Active: inactive (dead)"]);
    ended(&sections, "noting", "0", &["active"]);
    assert_eq!(lines(&sections, "ip_vs"), [""; 0], "loaded before the unit");
    ended(&sections, "started", "0", &[]);
    assert_eq!(lines(&sections, "seen"), ["1", "1"], "{}", sections.noise);
    reads_well(&sections);
    let again = lines(&sections, "again");
    assert_eq!(again, ["1", "1", "1", "1", "1", "active", "active"]);
    let stopped = lines(&sections, "stopped");
    assert!(stopped.len() == 1 && stopped[0].contains("nothing is noted"));
    ended(&sections, "healthy", "0", &[]);
    ended(&sections, "unload", "0", &[]);
    ended(&sections, "uninstall", "0", &[]);
    assert_eq!(lines(&sections, "traces"), [""; 0], "left");
    assert_eq!(lines(&sections, "failed"), ["running"]);
}

/// What a person reads of the units once they have done their work.
fn reads_well(sections: &Sections) {
    ended(
        sections,
        "status",
        "0",
        &[
            "Active: active (exited)",
            "hotfix load --all (code=exited, status=0/SUCCESS)",
        ],
    );
    let result = lines(sections, "result");
    assert_eq!(result.len(), 1, "one line says what came of it: {result:?}");
    let status = sections.text("status").unwrap();
    assert!(status.contains(result[0]), "{status}");
    let confined = lines(sections, "confined");
    assert_eq!(confined, ["NoNewPrivileges=yes"; 2], "{confined:?}");
}
