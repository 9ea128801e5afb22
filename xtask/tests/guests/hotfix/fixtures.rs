//! The modules of `hotfix/` do what they say: only then do tests that load them say anything.

use xtask::lab::{KERNEL_PANIC, LabSpec};
use xtask::scenario::{self, number};

use super::{FOLDER, with_modules};

/// Waits for a transition, as a person would.
const FUNCTIONS: &str = r"
through() { for i in $(seq 100); do [ $(cat /sys/kernel/livepatch/$1/transition) = 0 ] && return; sleep 0.1; done; return 1; }
gone() { for i in $(seq 100); do [ -d /sys/kernel/livepatch/$1 ] || return 0; sleep 0.1; done; return 1; }
put() { insmod $FOLDER/$1.ko && through $1 && echo == $1 patched && cat /sys/kernel/livepatch/$1/ip_vs/patched; }
take() { echo 0 > /sys/kernel/livepatch/$1/enabled && gone $1 && rmmod $1; }
look() { echo == $1; ipvs-latency watch --json --duration $2; }
";

/// Loads one, looks at what it does, and takes it back.
fn one(name: &str) -> String {
    // Once a timer waits for 300 s, only loading ip_vs anew keeps the next one from waiting for that.
    let anew = "ipvsadm -S -n > /tmp/services; ipvsadm -C; rmmod ip_vs_rr ip_vs; modprobe -a ip_vs ip_vs_rr; \
                ipvsadm -R < /tmp/services\n";
    let (seconds, after) = match name {
        "est_5s" => ("22s", "sleep 6\n"),
        "est_300s" => ("9s", anew),
        _ => ("9s", ""),
    };
    format!("put {name}; sleep 2.2; look {name} {seconds}; take {name}\n{after}")
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_hotfix_patches_does_what_it_says_and_can_be_taken_back() {
    let spec = LabSpec {
        services: 200,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let names = [
        "est_copy",
        "est_slow",
        "est_skip",
        "est_same_name",
        "est_in_callee",
        "est_indirect",
        "est_parameter",
        "est_replace",
        "est_5s",
        "est_300s",
        "est_no_rearm",
    ];
    let mut script = format!("set -e\nFOLDER={FOLDER}\n{FUNCTIONS}\nlook plain 9s\n");
    for name in names {
        script.push_str(&one(name));
    }
    script += "look dead 9s; echo == left; ls /sys/kernel/livepatch\n";
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    let durations = |name: &str| -> Vec<u64> {
        let watched = sections.watched(name).unwrap();
        watched
            .of("call")
            .map(|call| number(call, "duration_ns").unwrap())
            .collect()
    };
    let median = |name: &str| {
        let mut durations = durations(name);
        durations.sort_unstable();
        durations[durations.len() / 2]
    };
    for name in names {
        assert_eq!(
            sections.text(&format!("{name} patched")).unwrap(),
            "1\n",
            "{name}"
        );
    }
    let kernel = median("plain");
    let percent = |name: &str| median(name) * 100 / kernel;
    assert!(
        (95..=105).contains(&percent("est_copy")),
        "{} of {kernel}",
        median("est_copy")
    );
    assert!(
        (140..=160).contains(&percent("est_slow")),
        "{} of {kernel}",
        median("est_slow")
    );
    for name in [
        "est_skip",
        "est_same_name",
        "est_in_callee",
        "est_indirect",
        "est_parameter",
        "est_replace",
    ] {
        assert!(durations(name).len() >= 4, "{name}: {:?}", durations(name));
        assert!(percent(name) <= 5, "{name}: {} of {kernel}", median(name));
    }
    let starts: Vec<u64> = sections
        .watched("est_5s")
        .unwrap()
        .of("call")
        .map(|call| number(call, "start_ns").unwrap())
        .collect();
    assert!(starts.len() >= 3, "{starts:?}");
    for pair in starts.windows(2) {
        // The timer wheel rounds 5 s up by less than half a second.
        assert!(
            (5_000_000_000..5_500_000_000).contains(&(pair[1] - pair[0])),
            "{starts:?}"
        );
    }
    assert_eq!(durations("est_300s").len(), 0, "the next run is in 300 s");
    assert_eq!(durations("est_no_rearm").len(), 0);
    assert_eq!(
        durations("dead").len(),
        0,
        "taking it back does not revive the timer"
    );
    assert_eq!(sections.text("left").unwrap(), "");
}

/// What the blocker `address-escapes` is for.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_timer_that_keeps_the_address_of_a_removed_hotfix_is_a_panic() {
    let script = format!(
        "set -e\nFOLDER={FOLDER}\n{FUNCTIONS}\nput est_own_function; sleep 3; take est_own_function; \
         echo == removed; sleep 10; echo == survived\n"
    );
    let spec = LabSpec {
        kernel_parameters: vec!["panic_on_oops=1".to_owned()],
        ..LabSpec::deterministic()
    };
    let outcome = with_modules(spec).run(&["sh", "-c", &script]).unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(
        said.contains("== removed") && !said.contains("== survived"),
        "{said}"
    );
    assert_eq!(outcome.code, KERNEL_PANIC, "{}", outcome.console);
}
