//! Measuring without eBPF: by choice, where `bpf()` is forbidden, and on kernels that lack newer system calls.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use xtask::{
    lab::{Cpus, LabSpec},
    scenario::{self, number},
};

use crate::{
    hotfix::{FOLDER, with_modules},
    steps::Steps,
};

/// A guest with a busy namespace and three idle ones.
fn filled() -> LabSpec {
    LabSpec {
        services: 1_000,
        destinations: 2,
        netns: 3,
        ..LabSpec::deterministic()
    }
}

/// Watches a busy namespace and three idle ones by a mechanism, and holds what it says against the kernel's own trace.
fn every_run_is_seen(mechanism: &'static str, within_a: u64) {
    let spec = LabSpec {
        services: 10_000,
        ..filled()
    };
    let script = format!(
        "truth_begin
        echo == watch; ipvs-latency watch --via {mechanism} --json --duration 42s
        echo == truth; truth_runs"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let watched = sections.watched("watch").unwrap();
    let start = watched.only("start").unwrap();
    assert_eq!(start["mechanism"], mechanism, "{start}");
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    let long = pairs
        .iter()
        .filter(|(call, _)| call["estimators"] == 30_001);
    let long: Vec<_> = long.collect();
    assert!(long.len() >= 20, "only {} long runs in 42 s", long.len());
    for (call, run) in long {
        let told = number(call, "duration_ns").unwrap();
        assert!(
            told.abs_diff(run.lasted_ns) * within_a <= run.lasted_ns,
            "{call} {run:?}"
        );
    }
    let summary = watched.only("summary").unwrap();
    let [calls, expected, lost, missed] =
        ["calls", "expected", "lost", "missed"].map(|field| number(summary, field).unwrap());
    let runs = pairs.len() as u64;
    assert_eq!((calls, expected, lost, missed), (runs, runs, 0, 0));
    let namespaces = summary["namespaces"].as_array().unwrap().iter();
    let told = namespaces.map(|one| (&one["state"], number(one, "estimators").unwrap()));
    let active = Value::from("ACTIVE");
    let expected = [30_001, 1, 1, 1].map(|estimators| (&active, estimators));
    assert_eq!(told.collect::<Vec<_>>(), expected, "{summary}");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn perf_sees_every_run_with_its_length_and_within_a_thousandth_of_its_duration() {
    every_run_is_seen("perf", 1_000);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn tracefs_sees_every_run_with_its_length_and_within_a_hundredth_of_its_duration() {
    every_run_is_seen("tracefs", 100);
}

/// Numbers of system calls on `x86_64`.
const BPF: &str = "321";
const BPF_AND_PERF: &str = "298,321";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn where_bpf_is_forbidden_perf_measures_and_says_so() {
    let mut steps = Steps::on(filled());
    steps
        .step(
            "check",
            format!("/init refuse 1 {BPF} ipvs-latency check --json"),
        )
        .exits(0)
        .document(|page| {
            assert_eq!(page["mechanism"], "perf", "{page}");
            assert_eq!(page["unavailable"][0]["mechanism"], "bpf", "{page}");
            let why = page["unavailable"][0]["why"].as_str().unwrap();
            assert!(why.contains("Operation not permitted"), "{why}");
            assert_eq!(page["missing"], Value::Array(Vec::new()), "{page}");
            let namespaces = page["namespaces"].as_array().unwrap().iter();
            let told = namespaces.map(|one| {
                let length = number(one, "estimators").unwrap();
                assert!(one["next_run_in_ns"].is_u64(), "{one}");
                (length, one["run_estimation"].as_i64(), &one["state"])
            });
            let active = Value::from("ACTIVE");
            let expected = [3_001, 1, 1, 1].map(|length| (length, Some(1), &active));
            assert_eq!(told.collect::<Vec<_>>(), expected, "{page}");
        });
    steps.shell("truth_begin");
    steps.shell(format!(
        "echo == watch; /init refuse 1 {BPF} ipvs-latency watch --json --duration 9s"
    ));
    steps.shell("echo == truth; truth_runs");
    steps
        .step(
            "plain",
            format!("/init refuse 1 {BPF} ipvs-latency watch --plain --duration 3s"),
        )
        .exits(0)
        .complains(&["perf: trace events", "bpf is not available"]);
    let neither = |command: &str| format!("/init refuse 1 {BPF_AND_PERF} ipvs-latency {command}");
    steps
        .step("neither", neither("check --json"))
        .exits(0)
        .document(|page| {
            assert_eq!(page["mechanism"], "tracefs", "{page}");
            assert_eq!(page["unavailable"][1]["mechanism"], "perf", "{page}");
            assert_eq!(page["measured"]["missed"], 0, "{page}");
        });
    steps
        .step("neither watch", neither("watch --plain --duration 3s"))
        .exits(0)
        .shows(&["3001 estimators", "lost 0, missed 0"])
        .complains(&["tracefs: trace events", "perf is not available"]);
    steps.shell("tracing=/sys/kernel/tracing; ls $tracing/instances > /tmp/instances; cat $tracing/kprobe_events >> /tmp/instances");
    steps
        .step("left", "grep ipvs /tmp/instances")
        .exits(1)
        .prints("");
    steps.shell("umount -l $tracing; mount -t tmpfs none /sys/kernel/debug");
    steps
        .step("none", neither("watch --duration 3s"))
        .exits(2)
        .complains(&[
            "cannot measure the estimators by bpf: the kernel refused the eBPF programs",
            "; nor by perf: no tracefs is in sight",
            "; nor by tracefs: no tracefs is in sight",
        ]);
    steps
        .step("none check", neither("check"))
        .exits(2)
        .shows(&["bpf is not available", "tracefs is not available"]);
    let sections = steps.run();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    let summary = watched.only("summary").unwrap();
    assert!(pairs.len() >= 16, "only {} runs", pairs.len());
    assert_eq!(number(summary, "calls").unwrap(), pairs.len() as u64);
    assert_eq!(watched.only("start").unwrap()["mechanism"], "perf");
}

/// The system calls of `x86_64` that came with each version after 3.10 (`arch/x86/entry/syscalls/syscall_64.tbl`).
const NEWER_THAN_3_10: [(&str, &str); 21] = [
    ("3.14", "314-315"),
    ("3.15", "316"),
    ("3.17", "317-320"),
    ("3.18", "321"),
    ("3.19", "322"),
    ("4.2", "323"),
    ("4.3", "324-325"),
    ("4.5", "326"),
    ("4.6", "327-328"),
    ("4.9", "329-331"),
    ("4.11", "332"),
    ("4.18", "333-334"),
    ("5.1", "424-427"),
    ("5.2", "428-433"),
    ("5.3", "434-435"),
    ("5.6", "437-438"),
    ("5.8", "439"),
    ("5.9", "436"),
    ("5.10", "440"),
    ("5.11 to 6.1", "441-450"),
    ("6.2 to 6.13", "451-466"),
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn no_system_call_newer_than_linux_3_10_is_needed() {
    let newer = NEWER_THAN_3_10.map(|(_, numbers)| numbers).join(",");
    let enosys = 38;
    let mut steps = Steps::on(filled());
    let under = |command: &str| format!("/init refuse {enosys} {newer} ipvs-latency {command}");
    steps
        .step("check", under("check --json"))
        .exits(0)
        .document(|page| assert_eq!(page["mechanism"], "perf", "{page}"));
    steps
        .step("watch", under("watch --plain --duration 5s"))
        .exits(0)
        .shows(&["3001 estimators", "lost 0, missed 0"]);
    steps.run();
}

/// `watch` and `check` tell a state from the events of the timers. They do not know what happened before they began.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn states_are_told_from_what_is_seen() {
    let mut steps = Steps::on(with_modules(filled()));
    for mechanism in ["perf", "tracefs"] {
        steps.shell(format!(
            "ipvs-latency watch --via {mechanism} --json > /tmp/out & pid=$!
            sleep 4; insmod {FOLDER}/est_5s.ko 2> /dev/null; sleep 14
            echo 0 > /sys/kernel/livepatch/est_5s/enabled; sleep 12; rmmod est_5s
            insmod {FOLDER}/est_no_rearm.ko 2> /dev/null; sleep 8; kill $pid; wait $pid
            echo == {mechanism}; cat /tmp/out; echo == rest"
        ));
        steps
            .step(
                &format!("{mechanism} check"),
                format!("ipvs-latency check --via {mechanism} --json"),
            )
            .exits(2)
            .document(|page| {
                let message = page["message"].as_str().unwrap();
                assert!(message.starts_with("unknown: no run was seen"), "{message}");
                let namespaces = page["namespaces"].as_array().unwrap();
                assert!(
                    namespaces.iter().all(|one| one["state"].is_null()),
                    "{page}"
                );
            });
        steps.shell(
            "echo 0 > /sys/kernel/livepatch/est_no_rearm/enabled; sleep 3; rmmod est_no_rearm
            ipvsadm -C; rmmod ip_vs_rr ip_vs; modprobe ip_vs; ipvsadm -A -s rr -t 10.99.0.1:80
            ipvsadm -Sn | wc -l; seq 1 999 | sed 's/.*/-A -s rr -t 10.98.0.1:&/' | ipvsadm -R; sleep 3",
        );
    }
    let sections = steps.run();
    for mechanism in ["perf", "tracefs"] {
        let watched = sections.watched(mechanism).unwrap();
        let mut told: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for state in watched.of("state") {
            let netns = number(state, "netns").unwrap();
            told.entry(netns)
                .or_default()
                .push(state["to"].as_str().unwrap());
        }
        assert_eq!(told.len(), 4, "{mechanism}: {told:?}");
        for (netns, mut states) in told {
            // The last run visits no estimator, and then none comes.
            states.retain(|state| *state != "SKIPPING");
            assert_eq!(states, ["SLOWED", "ACTIVE", "DEAD"], "{mechanism} {netns}");
        }
    }
}

/// A length is that of the list or null, never that of before a change.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn lengths_follow_services_that_come_and_go() {
    let mut steps = Steps::on(filled());
    for mechanism in ["perf", "tracefs"] {
        steps.shell(format!(
            "ipvs-latency watch --via {mechanism} --json > /tmp/out & pid=$!
            sleep 6; ipvsadm -A -t 10.99.0.1:80; now=$(cut -d' ' -f1 /proc/uptime); sleep 8
            ipvsadm -D -t 10.99.0.1:80; later=$(cut -d' ' -f1 /proc/uptime); sleep 8
            ip netns add z1; sleep 6; ip netns del z1; sleep 18; kill $pid; wait $pid
            echo == {mechanism}; cat /tmp/out
            echo == {mechanism} moments; echo $now $later; echo == rest"
        ));
    }
    let sections = steps.run();
    for mechanism in ["perf", "tracefs"] {
        let watched = sections.watched(mechanism).unwrap();
        let moments = sections.text(&format!("{mechanism} moments")).unwrap();
        let moments: Vec<f64> = moments
            .split_whitespace()
            .map(|moment| moment.parse().unwrap())
            .collect();
        let mut told = Vec::new();
        for call in watched.of("call").filter(|call| call["who"] == "host") {
            let at = Duration::from_nanos(number(call, "start_ns").unwrap()).as_secs_f64();
            let length = &call["estimators"];
            let expected = if at > moments[0] && at < moments[1] {
                3_002
            } else {
                3_001
            };
            assert!(length.is_null() || *length == expected, "{call}");
            told.push(length.as_u64());
        }
        for length in [3_001, 3_002] {
            let known = told.iter().filter(|told| **told == Some(length));
            assert!(known.count() >= 2, "{told:?}");
        }
        let states: Vec<_> = watched.of("state").map(|state| &state["to"]).collect();
        assert!(states.contains(&&Value::from("ABSENT")), "{states:?}");
        let summary = watched.only("summary").unwrap();
        assert_eq!(
            (&summary["lost"], &summary["missed"]),
            (&0.into(), &0.into()),
            "{summary}"
        );
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn soak_through_perf_a_thousand_namespaces_on_64_possible_cpus_are_seen_in_30_mib() {
    let spec = LabSpec {
        services: 10,
        netns: 999,
        cpus: Cpus {
            online: 1,
            possible: 64,
        },
        ..LabSpec::deterministic()
    };
    let sections = scenario::run(
        spec,
        "truth_begin 65536
        ipvs-latency watch --via perf --json > /tmp/watch & pid=$!
        until grep -qs start /tmp/watch; do sleep 0.1; done; sleep 29
        echo == resident; awk '/^VmHWM/ { print $2 }' /proc/$pid/status
        kill -INT $pid; wait $pid
        echo == watch; cat /tmp/watch
        echo == truth; truth_runs",
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    assert!(pairs.len() >= 1_000 * 13, "{} calls", pairs.len());
    let summary = watched.only("summary").unwrap();
    for field in ["lost", "missed"] {
        assert_eq!(number(summary, field).unwrap(), 0, "{field}");
    }
    let namespaces = summary["namespaces"].as_array().unwrap();
    assert_eq!(namespaces.len(), 1_000);
    for one in namespaces {
        assert_eq!(one["state"], "ACTIVE", "{one}");
        assert!(one["estimators"].is_u64(), "{one}");
    }
    let resident: u64 = sections.text("resident").unwrap().trim().parse().unwrap();
    eprintln!("{resident} KiB resident at most");
    assert!(resident < 30 * 1024, "{resident} KiB");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn it_goes_on_when_ip_vs_is_unloaded_and_loaded_again() {
    let mut steps = Steps::on(LabSpec {
        services: 10,
        ..filled()
    });
    for mechanism in ["perf", "tracefs"] {
        steps.shell(format!(
            "ipvs-latency watch --via {mechanism} --json > /tmp/out & pid=$!
            sleep 6; ipvsadm -C; rmmod ip_vs_rr ip_vs; sleep 3; modprobe ip_vs_rr
            for port in 1 2 3; do ipvsadm -A -s rr -t 10.99.0.1:$port; done; sleep 9
            kill $pid; wait $pid; echo == {mechanism}; cat /tmp/out; echo == rest"
        ));
    }
    let sections = steps.run();
    for mechanism in ["perf", "tracefs"] {
        let watched = sections.watched(mechanism).unwrap();
        let notices: Vec<_> = watched
            .of("notice")
            .filter(|notice| notice["topic"] == "ip_vs")
            .map(|notice| number(notice, "start_ns").unwrap())
            .collect();
        let &[gone, back] = notices.as_slice() else {
            panic!("{mechanism}: {notices:?}")
        };
        let lengths = |from: u64, to: u64| {
            let calls = watched.of("call").filter(move |call| {
                let at = number(call, "start_ns").unwrap();
                call["who"] == "host" && (from..to).contains(&at)
            });
            let mut lengths: Vec<_> = calls
                .filter_map(|call| call["estimators"].as_u64())
                .collect();
            lengths.dedup();
            lengths
        };
        assert!(!lengths(0, gone).is_empty(), "{mechanism}");
        assert_eq!(lengths(back - 2_500_000_000, u64::MAX), [4], "{mechanism}");
        let summary = watched.only("summary").unwrap();
        assert_eq!(
            (&summary["lost"], &summary["missed"]),
            (&0.into(), &0.into()),
            "{summary}"
        );
    }
}

/// A tool that is stopped for a while loses records of a thousand namespaces: they are counted, and no estimator is called DEAD.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn records_that_are_lost_are_counted_and_make_no_estimator_dead() {
    let mut steps = Steps::on(LabSpec {
        services: 10,
        netns: 999,
        ..LabSpec::deterministic()
    });
    for mechanism in ["perf", "tracefs"] {
        steps.shell(format!(
            "ipvs-latency watch --via {mechanism} --json > /tmp/out & pid=$!
            until grep -qs start /tmp/out; do sleep 0.1; done; sleep 6; kill -STOP $pid; sleep 21
            kill -CONT $pid; sleep 8; kill $pid; wait $pid; echo == {mechanism}; cat /tmp/out; echo == rest"
        ));
    }
    let sections = steps.run();
    for mechanism in ["perf", "tracefs"] {
        let watched = sections.watched(mechanism).unwrap();
        let states: Vec<_> = watched.of("state").map(|state| &state["to"]).collect();
        assert!(states.is_empty(), "{mechanism}: {states:?}");
        let summary = watched.only("summary").unwrap();
        let [expected, recorded, lost, missed] =
            ["expected", "recorded", "lost", "missed"].map(|field| number(summary, field).unwrap());
        assert!(lost > 5_000, "{mechanism}: {lost} lost");
        assert_eq!(recorded + lost + missed, expected, "{mechanism}");
        let seconds = number(summary, "observed_ns").unwrap() / 1_000_000_000;
        let due = seconds * 1_000 / 2;
        assert!(
            expected.abs_diff(due) <= 1_100,
            "{mechanism}: {expected} of {due}"
        );
    }
}

/// What SIGKILL leaves is the instance of `tracefs`, which the next start removes; that of a process that lives stays.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_sigkill_leaves_is_removed_by_the_next_start() {
    let mut steps = Steps::on(filled());
    steps.shell("tracing=/sys/kernel/tracing");
    for mechanism in ["perf", "tracefs"] {
        let watch = format!("ipvs-latency watch --via {mechanism} --plain");
        steps.begin(&watch);
        steps.shell("other=$pid; sleep 4");
        steps.begin(&watch);
        steps.shell(format!(
            "sleep 4; kill -9 $pid; wait $pid
            echo == {mechanism} killed; ls $tracing/instances | grep -c ipvs; echo == rest"
        ));
        steps
            .step(
                &format!("{mechanism} next"),
                format!("ipvs-latency watch --via {mechanism} --plain --duration 3s"),
            )
            .exits(0)
            .shows(&["3001 estimators", "lost 0, missed 0"]);
        steps.shell(format!(
            "echo == {mechanism} after; ls $tracing/instances | grep -c _${{other}}_
            ls $tracing/instances | grep -c ipvs; echo == rest
            kill $other; wait $other; echo == {mechanism} end; ls $tracing/instances | grep -c ipvs; echo == rest"
        ));
    }
    let sections = steps.run();
    let counts = |name: &str| {
        sections
            .text(name)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(counts("perf killed"), ["0"]);
    assert_eq!(counts("tracefs killed"), ["2"]);
    assert_eq!(counts("perf after"), ["0", "0"]);
    assert_eq!(counts("tracefs after"), ["1", "1"]);
    assert_eq!(counts("tracefs end"), ["0"]);
}
