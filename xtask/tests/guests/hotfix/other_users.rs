//! What two unprivileged users of a node try, so that root loads, runs or writes something of theirs, cannot change the
//! node, or sees false output. SECURITY.md lists these tries in a table.

use xtask::lab::LabSpec;

use super::{FOLDER, HOLD, with_modules};
use crate::steps::Steps;

/// Two users with homes, `one` and `two`, of whom the second is in a group that writes to `/srv/group`; a systemd that
/// is up, and writes down what else it was asked for.
const USERS: &str = r#"
umask 022; export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /home/one/bin /home/two /srv/group /usr/local/sbin /var/tmp /run/systemd/system
chmod 1777 /var/tmp; cp $(command -v ipvs-latency) /usr/local/sbin
chown -R 1001:1001 /home/one; chown -R 1002:1002 /home/two; chgrp 2000 /srv/group; chmod 2775 /srv/group
printf '#!/bin/sh\nexec setpriv --reuid 1001 --regid 1001 --clear-groups "$@"\n' > /usr/bin/one
printf '#!/bin/sh\nexec setpriv --reuid 1002 --regid 1002 --groups 2000 "$@"\n' > /usr/bin/two
printf '#!/bin/sh\n[ $1 = is-system-running ] && echo running\necho $* >> /root/systemctl\n' > /usr/bin/systemctl
chmod 755 /usr/bin/one /usr/bin/two /usr/bin/systemctl
"#;

/// What is tried: its name, what is run, the exit code, and words that are said.
type Try = (&'static str, &'static str, u8, &'static [&'static str]);

/// Makes each of the tries a step.
fn tried(steps: &mut Steps, tries: &[Try]) {
    for (name, command, code, words) in tries {
        steps
            .step(name, command)
            .exits(*code)
            .says(words)
            .says_not(&["panicked"]);
    }
}

fn guest() -> Steps {
    let mut steps = Steps::on(with_modules(LabSpec {
        services: 10,
        destinations: 2,
        ..LabSpec::default()
    }));
    steps.shell(format!("{HOLD}{USERS}F={FOLDER}; export F"));
    steps
}

/// An earlier version left folder and lock for all to read, and whoever had the lock open may still lock it: also in a
/// program that runs with root's rights and waits, and by another name in a mount namespace of one's own.
const LOCKED: &str = r"
mkdir -m 755 /var/lib/ipvs-latency; echo 101 > /var/lib/ipvs-latency/lock
one flock -s /var/lib/ipvs-latency/lock sleep 1000 > /dev/null 2>&1 &
cp $(command -v cat) /usr/bin/held; chmod 4755 /usr/bin/held; mkfifo -m 644 /tmp/never
one sh -c 'exec 9< /var/lib/ipvs-latency/lock; flock -s 9; exec held hotfix /tmp/never' > /dev/null 2>&1 &
one unshare -Urm sh -c 'touch /tmp/x; mount --bind /var/lib/ipvs-latency/lock /tmp/x; exec 9< /tmp/x; flock -s 9
    exec tail -f /dev/null' > /dev/null 2>&1 &
sleep 3
";

const LOCKS: &[Try] = &[
    (
        "named",
        "ipvs-latency hotfix load $F/est_skip.ko",
        2,
        &[
            "of user 1001) holds the lock, and is no ipvs-latency",
            "(held, of user 1001)",
            "(tail, of user 1001)",
        ],
    ),
    ("foreign", "insmod $F/est_skip.ko; sleep 5", 0, &[]),
    (
        "past",
        "ipvs-latency hotfix unload est_skip",
        0,
        &["another lock is in its place now", "est_skip is gone"],
    ),
    (
        "again",
        "ipvs-latency hotfix load $F/est_skip.ko",
        0,
        &["est_skip is in force"],
    ),
    (
        "lock",
        "one flock -n /var/lib/ipvs-latency/lock true",
        66,
        &["ermission denied"],
    ),
    (
        "read",
        "one cat /var/lib/ipvs-latency/journal.json",
        1,
        &["ermission denied"],
    ),
    (
        "link",
        "two ln /var/lib/ipvs-latency/journal.json /home/two/journal",
        1,
        &["ermission denied"],
    ),
    (
        "plant",
        "two sh -c \"echo > /var/lib/ipvs-latency/journal.json\"",
        2,
        &["ermission denied"],
    ),
    (
        "roots-own",
        "flock /var/lib/ipvs-latency/lock sleep 1000 > /dev/null 2>&1 & sleep 1; ipvs-latency hotfix unload est_skip",
        0,
        &["(flock, of user 0)", "est_skip is gone"],
    ),
];

/// One that is called what ours are called, and says that it guards.
const DISGUISED: &str = "
two bash -c 'exec -a /proc/self/exe bash -c \"sleep 1000; :\" --root / hotfix guard est_skip' > /dev/null 2>&1 &
cp /bin/sleep /home/two/ipvs-latency; two /home/two/ipvs-latency 1000 > /dev/null 2>&1 &
";

/// Programs that are called what ours is, and say that they watch: a user's own, and one that runs with root's rights for
/// a user. Beside them root watches twice.
const WATCHING: &str = "
cp $(command -v bash) /home/two/bin/ipvs-latency; cp $(command -v bash) /usr/bin/ipvs-latency-own
chmod 4755 /usr/bin/ipvs-latency-own
two /home/two/bin/ipvs-latency -c 'sleep 1000; :' watch > /dev/null 2>&1 &
two /usr/bin/ipvs-latency-own -p -c 'sleep 1000; :' watch > /dev/null 2>&1 &
sleep 2
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn another_users_process_is_no_instance_of_ours_whatever_it_is_called() {
    let mut steps = guest();
    steps.shell("mkdir -p /home/two/bin; chown 1002 /home/two/bin");
    steps.shell(WATCHING);
    // Both are there.
    steps.step("called", "pgrep -c ipvs-latency").prints("2");
    steps.begin("ipvs-latency watch --json --duration 30s");
    steps.shell("sleep 4; echo == own; echo $pid; echo == rest");
    steps
        .step(
            "instances",
            "ipvs-latency watch --json --duration 6s | grep '\"instance\"'",
        )
        .output(|told, sections| {
            let own = sections.text("own").unwrap().trim();
            assert_eq!(told.trim().lines().count(), 1, "{told}");
            assert!(
                told.contains(&format!("watches too: pid {own}\"")),
                "{told}"
            );
        });
    steps.shell("wait $pid");
    steps.run();
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn another_user_neither_blocks_a_change_nor_ends_it() {
    let mut steps = guest();
    steps.shell(LOCKED);
    tried(&mut steps, LOCKS);
    steps.shell(DISGUISED);
    steps.shell("insmod $F/hold_task.ko; nap 8");
    steps.begin("ipvs-latency hotfix load $F/est_hold.ko --timeout 60s");
    steps.shell("sleep 3; guard=$(guard); export guard");
    steps
        .step("killed", "one kill -9 $pid $guard")
        .says(&["not permitted"]);
    steps.end("loading").exits(0);
    steps
        .step("down", "ipvs-latency hotfix unload est_hold")
        .exits(0)
        .says(&["est_hold is gone"]);
    steps.nothing_is_left("at the end");
    steps
        .step("open", "find /var/lib/ipvs-latency -perm /077")
        .exits(0)
        .prints("");
    steps.run();
}

/// What each prepares for the tries.
const PLANTED: &str = "
one ln -s /var/lib/kept /home/one/link; ln -s /var/lib/kept /root/link
one mkdir /tmp/planted /var/tmp/planted; two mkdir /srv/group/state
for one in systemctl modprobe ipvs-latency; do printf '#!/bin/sh\\ntouch /tmp/ran\\n' > /home/one/bin/$one; done
chmod 755 /home/one/bin/*; chown 1001 /home/one/bin/*
cp /usr/local/sbin/ipvs-latency /srv/group/tool
mkdir -p /host/proc/1 /host/sys/kernel/livepatch/ghost; chown -R 1001 /host
";

const PATHS: &[Try] = &[
    (
        "home-link",
        "ipvs-latency --state-dir /home/one/link hotfix install $F/est_skip.ko",
        2,
        &["can be changed by user 1001, whose /home/one is"],
    ),
    (
        "group",
        "ipvs-latency --state-dir /srv/group/state hotfix install $F/est_skip.ko",
        2,
        &["can be changed by group 2000, by way of /srv/group"],
    ),
    (
        "group-new",
        "ipvs-latency --state-dir /srv/group/new hotfix load $F/est_no_rearm.ko",
        2,
        &["can be changed by group 2000, by way of /srv/group"],
    ),
    (
        "sticky",
        "ipvs-latency --state-dir /tmp/new hotfix install $F/est_skip.ko",
        2,
        &["can be changed by everybody, by way of /tmp"],
    ),
    (
        "sticky-planted",
        "for at in /tmp /var/tmp; do ipvs-latency --state-dir $at/planted hotfix load $F/est_skip.ko; echo $?; done",
        0,
        &[
            "can be changed by user 1001, whose /tmp/planted is",
            "can be changed by user 1001, whose /var/tmp/planted is",
            "2\n2\n",
        ],
    ),
    (
        "program",
        "/srv/group/tool hotfix install $F/est_skip.ko",
        2,
        &["can be changed by group 2000, by way of /srv/group"],
    ),
    ("nothing-yet", "cat /etc/systemd/system/*.service", 1, &[]),
    (
        "units",
        "mkdir -p /etc/systemd/system; chgrp 2000 /etc/systemd/system; chmod 775 /etc/systemd/system; \
         ipvs-latency hotfix install $F/est_skip.ko; code=$?; chmod 755 /etc/systemd/system; exit $code",
        2,
        &["can be changed by group 2000, by way of /etc/systemd/system"],
    ),
    (
        "systemctl",
        "chown 1001 /usr/bin/systemctl; ipvs-latency hotfix install $F/est_skip.ko; cat /root/systemctl; \
         ipvs-latency hotfix uninstall est_skip; chown 0 /usr/bin/systemctl",
        0,
        &[
            "can be changed by user 1001, whose /usr/bin/systemctl is",
            "cat: /root/systemctl",
        ],
    ),
    (
        "root-link",
        "PATH=/home/one/bin:$PATH HOME=/home/one TMPDIR=/home/one LD_PRELOAD=/home/one/x.so \
         IPVS_LATENCY_CACHE=/home/one /usr/local/sbin/ipvs-latency --state-dir /root/link hotfix install $F/est_skip.ko; \
         cat /etc/systemd/system/ipvs-latency-hotfix.service",
        0,
        &[
            "ExecStartPre=-/usr/sbin/modprobe ip_vs",
            "ExecStart=/usr/local/sbin/ipvs-latency --root / --state-dir /var/lib/kept hotfix load --all",
        ],
    ),
    ("fake-programs", "ls /tmp/ran", 2, &[]),
    ("asked", "cat /root/systemctl", 0, &["daemon-reload"]),
    (
        "beside",
        "two cp /usr/bin/true /var/lib/kept/hotfixes/x",
        1,
        &["ermission denied"],
    ),
    (
        "later-group",
        "chgrp 2000 /var/lib/kept/hotfixes; chmod 770 /var/lib/kept/hotfixes; \
         ipvs-latency --state-dir /var/lib/kept hotfix load --all; code=$?; chmod 700 /var/lib/kept/hotfixes; exit $code",
        2,
        &["can be changed by group 2000, by way of /var/lib/kept/hotfixes"],
    ),
    (
        "later-file",
        "chown 1001 /var/lib/kept/hotfixes/*/est_skip.ko; ipvs-latency --state-dir /var/lib/kept hotfix load --all; \
         code=$?; chown 0 /var/lib/kept/hotfixes/*/est_skip.ko; exit $code",
        2,
        &["can be changed by user 1001, whose /var/lib/kept/hotfixes/"],
    ),
    (
        "pipe",
        "mkfifo /var/lib/kept/journal.json; timeout 60 ipvs-latency --state-dir /var/lib/kept hotfix load --all; \
         code=$?; rm /var/lib/kept/journal.json; exit $code",
        2,
        &["journal.json is a pipe and no regular file"],
    ),
    (
        "pipe-unload",
        "insmod $F/est_skip.ko; sleep 5; mkfifo /var/lib/kept/journal.json; \
         timeout 60 ipvs-latency --state-dir /var/lib/kept hotfix unload est_skip; code=$?; \
         rm /var/lib/kept/journal.json; exit $code",
        0,
        &["the change continues", "est_skip is gone"],
    ),
    (
        "device",
        "mknod /var/lib/kept/journal.json c 1 5; timeout 60 ipvs-latency --state-dir /var/lib/kept hotfix load --all; \
         code=$?; rm /var/lib/kept/journal.json; exit $code",
        2,
        &["journal.json is a device and no regular file"],
    ),
    (
        "huge",
        "truncate -s 1T /var/lib/kept/journal.json; chmod 600 /var/lib/kept/journal.json; \
         timeout 60 ipvs-latency --state-dir /var/lib/kept hotfix load --all; code=$?; rm /var/lib/kept/journal.json; \
         exit $code",
        2,
        &["it has more than"],
    ),
    (
        "umask",
        "umask 0; ipvs-latency --state-dir /var/lib/umask/deep hotfix install $F/est_skip.ko; \
         echo open: $(find /var/lib/umask -perm /077) $(find /etc/systemd -perm /022 ! -type l)",
        0,
        &["open:\n"],
    ),
    (
        "race",
        "one bash -c \"cd /tmp; while :; do mkdir race; ln -s /home/one race/x; mv race /home/one/race; \
         rm -rf /home/one/race; ln -s /home/one race; rm race; done\" > /dev/null 2>&1 & racing=$!; \
         for i in $(seq 15); do ipvs-latency --state-dir /tmp/race/x hotfix load $F/est_no_rearm.ko > /dev/null 2>&1; \
         echo $?; done | sort -u; kill $racing; echo owned: $(find /home -user 0 ! -path /home)",
        0,
        &["2\nowned:\n"],
    ),
    (
        "false-host",
        "ipvs-latency hotfix list",
        0,
        &["Loaded livepatches:\n  none"],
    ),
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn nothing_of_another_users_is_run_loaded_or_written_to_by_root() {
    let mut steps = guest();
    steps.shell(PLANTED);
    tried(&mut steps, PATHS);
    steps.nothing_is_left("at the end");
    steps.run();
}

/// What an unprivileged user asks for is refused, and nothing is changed.
const ASKED: &[Try] = &[
    (
        "status",
        "one ipvs-latency hotfix status",
        2,
        &["ermission denied"],
    ),
    (
        "list",
        "one ipvs-latency hotfix list",
        2,
        &["ermission denied"],
    ),
    (
        "info",
        "one ipvs-latency hotfix info est_skip",
        2,
        &["ermission denied"],
    ),
    (
        "inspect",
        "one ipvs-latency hotfix inspect /tmp/c/est_skip.ko",
        1,
        &["no-privilege"],
    ),
    (
        "load",
        "one ipvs-latency hotfix load /tmp/c/est_same_name.ko",
        2,
        &["ermission denied"],
    ),
    (
        "load-own",
        "one ipvs-latency --state-dir /home/one/state hotfix load /tmp/c/est_same_name.ko",
        2,
        &["no-privilege"],
    ),
    (
        "all",
        "one ipvs-latency hotfix load --all",
        2,
        &["ermission denied"],
    ),
    ("unload", "one ipvs-latency hotfix unload est_skip", 2, &[]),
    (
        "apply",
        "one ipvs-latency hotfix apply /tmp/c/est_same_name.ko --yes",
        2,
        &["ermission denied"],
    ),
    (
        "switch",
        "one ipvs-latency hotfix apply --run-estimation off --yes",
        2,
        &[],
    ),
    (
        "install",
        "one ipvs-latency hotfix install /tmp/c/est_same_name.ko",
        2,
        &["ermission denied"],
    ),
    (
        "uninstall",
        "one ipvs-latency hotfix uninstall est_skip",
        2,
        &["ermission denied"],
    ),
    (
        "guard",
        "one ipvs-latency hotfix guard est_skip < /dev/null 2> /dev/null & sleep 8; kill -9 $!",
        0,
        &[],
    ),
    (
        "step",
        "one ipvs-latency hotfix step disable est_skip < /dev/null; echo $?",
        0,
        &["13\n"],
    ),
    (
        "there",
        "cat /sys/kernel/livepatch/est_skip/enabled; ipvs-latency hotfix status",
        0,
        &["1\n", "est_skip"],
    ),
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_another_user_asks_for_is_refused_and_nothing_is_changed() {
    let mut steps = guest();
    steps.shell("mkdir /tmp/c; cp $F/*.ko /tmp/c; chmod -R a+rX /tmp/c");
    steps.shell("ipvs-latency hotfix install $F/est_skip.ko; ipvs-latency hotfix load --all");
    tried(&mut steps, ASKED);
    steps.run();
}
