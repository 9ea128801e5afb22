//! Changes that are cut off: the tool killed at any moment, and the node going down.

use std::fmt::Write as _;

use serde_json::Value;
use xtask::lab::{KERNEL_PANIC, LabSpec};
use xtask::scenario::{self, Sections};

use super::{FOLDER, LEFT, TRY, ended, with_modules};

/// `killed NAME WAIT COMMAND PATCH` runs a command, kills it by SIGKILL after that wait, waits until nobody changes the
/// node any more, for 15 s at most, and tells what is left. A wait is `sleep SECONDS`, `until_transition 0` or `1`, or
/// `until_gone`; these two end with the command, too. So that there is a transition to be seen, for which a busy CPU
/// would have to be met, a task keeps it meanwhile.
const KILLED: &str = r#"
guards() { pgrep -f 'hotfix guard' > /dev/null; }
until_true() { while [ -d /proc/$pid ]; do eval "$1" && return; sleep 0.01; done; }
until_transition() { until_true "grep -qsx $1 /sys/kernel/livepatch/$patch/transition"; }
until_gone() { until_true "[ ! -d /sys/module/$patch ]"; }
nap() { sh -c 'echo 6 > /sys/module/hold_task/parameters/nap' & sleep 0.5; }
killed() {
    patch=$4; [ "$2" = 'until_transition 1' ] && nap
    sh -c "exec $3" > /dev/null 2> /tmp/err & pid=$!
    $2
    echo "== $1 at"
    [ -d /proc/$pid ] || echo ended
    guards && echo guarded
    [ -d /sys/module/$4 ] && echo loaded
    cat /sys/kernel/livepatch/$4/enabled /sys/kernel/livepatch/$4/transition 2> /dev/null | paste -sd' '
    kill -9 $pid; wait $pid
    for i in $(seq 150); do guards || break; sleep 0.1; done
    guards && echo "the guard did not end within 15 s"
    left $1
    echo "== $1 status"; ipvs-latency hotfix status; echo "code $?"; echo "== rest"
}
"#;

fn killed(name: &str, wait: &str, command: &str) -> String {
    format!("killed {name} '{wait}' 'ipvs-latency hotfix {command}' est_hold\n")
}

/// After so many milliseconds, of a load and of an unload.
fn after(delay_ms: u32) -> [String; 2] {
    let wait = format!("sleep {}", f64::from(delay_ms) / 1000.0);
    [wait.clone(), wait]
}

/// What was seen of a change at the moment of the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// It was still reading, or had ended.
    Outside,
    /// The guard was there, and the kernel not asked yet, or done.
    Guarded,
    /// Tasks were on their way.
    Moving,
    /// Every task was through, and the proof not there yet.
    InForce,
    /// Out of force, and the module not removed.
    Leaving,
}

fn moment(at: &str) -> Moment {
    let has = |line: &str| at.lines().any(|one| one == line);
    if has("ended") || !has("guarded") {
        Moment::Outside
    } else if has("1 1") || has("0 1") {
        Moment::Moving
    } else if has("1 0") {
        Moment::InForce
    } else if has("loaded") {
        Moment::Leaving
    } else {
        Moment::Guarded
    }
}

/// Kills loads and unloads after these waits, each of a hotfix that skips the walk, and holds what is left against the
/// kernel's own files. Gives the moments that were hit, of loads and of unloads.
fn kill_after(waits: &[[String; 2]]) -> (Vec<Moment>, Vec<Moment>) {
    let spec = LabSpec {
        services: 200,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let mut script = format!("{TRY}{LEFT}{KILLED}insmod {FOLDER}/hold_task.ko\ntruth_begin\n");
    for (index, [load, unload]) in waits.iter().enumerate() {
        script += &killed(
            &format!("load{index}"),
            load,
            &format!("load {FOLDER}/est_hold.ko"),
        );
        // Where it had ended before.
        script +=
            "[ -d /sys/module/est_hold ] && ipvs-latency hotfix unload est_hold > /dev/null\n";
        // Through the tool too, so that the journal knows it.
        writeln!(
            script,
            "ipvs-latency hotfix load {FOLDER}/est_hold.ko > /dev/null 2>&1"
        )
        .unwrap();
        script += &killed(&format!("unload{index}"), unload, "unload est_hold");
        script +=
            "[ -d /sys/module/est_hold ] && ipvs-latency hotfix unload est_hold > /dev/null\n";
        writeln!(
            script,
            "truth_clear; sleep 4.1; echo == ticks {index}; truth_runs; echo == rest"
        )
        .unwrap();
    }
    script += "truth_end\n";
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    let mut moments = (Vec::new(), Vec::new());
    for (index, wait) in waits.iter().enumerate() {
        for (verb, into) in [("load", &mut moments.0), ("unload", &mut moments.1)] {
            let name = format!("{verb}{index}");
            let text = |section: &str| sections.text(section).unwrap();
            let at = moment(text(&format!("{name} at")));
            into.push(at);
            let status = text(&format!("{name} status"));
            let left = text(&format!("left {name}"));
            // Killed before the guard was there, or after it was let go, an unload has not begun, and a load has ended.
            if at == Moment::Outside && left.contains("est_hold") {
                assert!(status.contains("est_hold: in force"), "{name}: {status}");
            } else {
                assert_eq!(left, "", "{name} at {at:?}: {status}\n{}", sections.noise);
                assert!(status.ends_with("code 0\n"), "{name} at {at:?}: {status}");
                // When within its two seconds it was asked, is chance; one that is late would be told by code 1.
                assert!(
                    status.contains("1 estimators, all due within "),
                    "{name}: {status}"
                );
            }
        }
        let ticks = sections.truth(&format!("ticks {index}")).unwrap();
        assert!((2..=3).contains(&ticks.len()), "{wait:?}: {ticks:?}");
    }
    moments
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_tool_that_is_killed_in_any_phase_leaves_the_node_unpatched_and_ticking() {
    let waits = |load: &str, unload: &str| [load.to_owned(), unload.to_owned()];
    let (loads, unloads) = kill_after(&[
        after(300),
        waits("until_transition 1", "until_transition 1"),
        waits("until_transition 0", "until_gone"),
        after(6_000),
    ]);
    for moment in [Moment::Moving, Moment::InForce, Moment::Outside] {
        assert!(
            loads.contains(&moment),
            "no load was killed {moment:?}: {loads:?}"
        );
    }
    for moment in [Moment::Moving, Moment::Guarded] {
        assert!(
            unloads.contains(&moment),
            "no unload was killed {moment:?}: {unloads:?}"
        );
    }
}

/// The moments that last for a few milliseconds, too.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_a_tool_that_is_killed_at_any_moment_leaves_the_node_unpatched_and_ticking() {
    for part in 0..10 {
        let waits: Vec<_> = (part * 300..part * 300 + 300)
            .step_by(15)
            .map(after)
            .collect();
        let (loads, unloads) = kill_after(&waits);
        eprintln!("{part}: loads {loads:?}, unloads {unloads:?}");
    }
}

/// A hotfix whose own timer expires after its module was removed is a panic, and nobody can tell beforehand.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_file_under_which_the_node_went_down_is_refused_on_the_next_boot_until_it_is_accepted() {
    let place = tempfile::tempdir().unwrap();
    let spec = with_modules(LabSpec {
        disk: Some(place.path().join("disk")),
        kernel_parameters: vec!["panic_on_oops=1".to_owned()],
        ..LabSpec::deterministic()
    });
    let hotfix = "ipvs-latency --state-dir /disk/state hotfix";
    let script = format!(
        "set -e; {hotfix} load {FOLDER}/est_skip.ko; {hotfix} load {FOLDER}/est_own_timer.ko\n\
         echo == loaded; {hotfix} unload est_own_timer; sleep 10; echo == survived\n"
    );
    let outcome = spec.run(&["sh", "-c", &script]).unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(
        said.contains("== loaded") && !said.contains("survived"),
        "{said}"
    );
    assert_eq!(outcome.code, KERNEL_PANIC, "{}", outcome.console);

    let script = format!(
        "{TRY}{LEFT}cp {FOLDER}/est_own_timer.ko /tmp/innocent.ko\n\
         try inspect '{hotfix} inspect --json /tmp/innocent.ko'\n\
         try refused '{hotfix} load /tmp/innocent.ko'; left refused\n\
         try inforce '{hotfix} load {FOLDER}/est_skip.ko'; left inforce\n\
         try other '{hotfix} load {FOLDER}/est_same_name.ko'\n\
         try accepted '{hotfix} load {FOLDER}/est_skip.ko --accept crashed-here-before'\n\
         {hotfix} unload est_skip > /dev/null; try forgiven '{hotfix} load {FOLDER}/est_skip.ko'\n"
    );
    let sections = scenario::run(spec, &script).unwrap();
    assert_eq!(warnings(&sections, "inspect"), ["crashed-here-before"]);
    let words = [
        "went down under this very file",
        "--accept crashed-here-before",
    ];
    ended(&sections, "refused", "2", &words);
    ended(
        &sections,
        "refused",
        "2",
        &["while it was being taken back", "est_own_timer.ko"],
    );
    ended(&sections, "inforce", "2", &["while it was in force"]);
    for name in ["refused", "inforce"] {
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
    }
    for name in ["other", "accepted", "forgiven"] {
        ended(&sections, name, "0", &["is in force"]);
    }
}

fn warnings(sections: &Sections, section: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(sections.text(section).unwrap()).unwrap();
    let warnings = document["warnings"].as_array().unwrap();
    let names = warnings.iter().map(|one| one["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}
