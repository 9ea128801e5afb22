//! Changes that are cut off: the tool killed at any moment, and the node going down.

use std::{fmt::Write as _, time::Duration};

use xtask::lab::{KERNEL_PANIC, LabSpec};
use xtask::scenario::{self, Sections};

use super::{FOLDER, HOLD, LEFT, names, with_modules};
use crate::steps::Steps;

/// `killed NAME MOMENT COMMAND HOTFIX` runs a command, kills it by SIGKILL at that moment, which is a command that
/// succeeds then, waits until nobody changes the node any more, for 15 s at most, and tells what is left.
const KILLED: &str = r#"
sysfs() { value=gone; read -r value 2> /dev/null < /sys/kernel/livepatch/$hotfix/$1; [ "$value" = $2 ]; }
moving() { sysfs transition 1; }
in_force() { sysfs enabled 1 && sysfs transition 0; }
killed() {
    hotfix=$4
    sh -c "exec $3" > /dev/null 2> /tmp/err & pid=$!
    until eval "$2" || ! [ -d /proc/$pid ]; do sleep 0.05; done
    echo "== $1 at"
    [ -d /proc/$pid ] || echo ended
    guards && echo guarded
    [ -d /sys/module/$4 ] && echo loaded
    cat /sys/kernel/livepatch/$4/enabled /sys/kernel/livepatch/$4/transition 2> /dev/null | paste -sd' '
    kill -9 $pid; wait $pid
    unguarded || echo "the guard did not end within 15 s"
    left $1
    echo "== $1 status"; ipvs-latency hotfix status; echo "code $?"; echo "== rest"
}
"#;

/// A moment to kill at, of the load or unload of a hotfix.
struct Kill {
    at: String,
    hotfix: &'static str,
    /// What is done just before.
    prepare: &'static str,
}

impl Kill {
    fn of(at: &str) -> Self {
        Self {
            at: at.to_owned(),
            hotfix: "est_skip",
            prepare: "true",
        }
    }

    /// While a task that sleeps for six seconds keeps the transition.
    fn moving() -> Self {
        Self {
            at: "moving".into(),
            hotfix: "est_hold",
            prepare: "nap 6",
        }
    }

    fn script(&self, name: &str, command: &str) -> String {
        let Self {
            at,
            hotfix,
            prepare,
        } = self;
        format!(
            "{prepare}; killed {name} '{at}' 'ipvs-latency hotfix {command}' {hotfix}\n\
             [ -d /sys/module/{hotfix} ] && ipvs-latency hotfix unload {hotfix} > /dev/null\n\
             truth_clear; sleep 4.1; echo == {name} ticks; truth_runs; echo == rest\n"
        )
    }
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

/// Kills loads at the first moments and unloads at the second ones, and holds what is left against the kernel's own
/// files. Gives what was seen at these moments.
fn kill_at(loads: &[Kill], unloads: &[Kill]) -> (Vec<Moment>, Vec<Moment>) {
    let spec = LabSpec {
        services: 200,
        destinations: 2,
        timeout: Duration::from_hours(1),
        ..LabSpec::deterministic()
    };
    let mut script = format!("{LEFT}{HOLD}{KILLED}insmod {FOLDER}/hold_task.ko; truth_begin\n");
    for (number, kill) in loads.iter().enumerate() {
        let load = format!("load {FOLDER}/{}.ko", kill.hotfix);
        script += &kill.script(&format!("load{number}"), &load);
    }
    for (number, kill) in unloads.iter().enumerate() {
        let hotfix = kill.hotfix;
        writeln!(
            script,
            "ipvs-latency hotfix load {FOLDER}/{hotfix}.ko > /dev/null 2>&1"
        )
        .unwrap();
        script += &kill.script(&format!("unload{number}"), &format!("unload {hotfix}"));
    }
    script += "truth_end\n";
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    let seen = |verb: &str, count: usize| {
        let names = (0..count).map(|number| format!("{verb}{number}"));
        names.map(|name| clean_after(&sections, &name)).collect()
    };
    (seen("load", loads.len()), seen("unload", unloads.len()))
}

/// Whether the node is as it was after a kill; when that was.
fn clean_after(sections: &Sections, name: &str) -> Moment {
    let text = |section: &str| sections.text(section).unwrap();
    let seen = text(&format!("{name} at"));
    assert!(!seen.contains("did not end"), "{name}: {seen}");
    let at = moment(seen);
    let status = text(&format!("{name} status"));
    let left = text(&format!("left {name}"));
    // Killed before the guard was there, or after it was let go, an unload has not begun, and a load has ended. The
    // guard may be let go just after it was seen; the journal says by then that the load is proven.
    let may_stay = matches!(at, Moment::Outside | Moment::InForce);
    if may_stay && left.contains("/est_") {
        assert!(status.contains(": in force"), "{name}: {status}");
        assert!(
            at == Moment::Outside || status.ends_with("code 0\n"),
            "{name}: {status}"
        );
    } else {
        assert_eq!(left, "", "{name} at {at:?}: {status}\n{}", sections.noise);
        assert!(status.ends_with("code 0\n"), "{name} at {at:?}: {status}");
        assert!(status.contains("due within "), "{name}: {status}");
    }
    let ticks = sections.truth(&format!("{name} ticks")).unwrap();
    assert!((2..=3).contains(&ticks.len()), "{name}: {ticks:?}");
    at
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_tool_that_is_killed_in_any_phase_leaves_the_node_unpatched_and_ticking() {
    let (loads, unloads) = kill_at(
        &[Kill::of("guards"), Kill::moving(), Kill::of("in_force")],
        &[Kill::of("guards"), Kill::moving(), Kill::of("false")],
    );
    // When its guard is there, a load may have begun or not.
    assert_ne!(loads[0], Moment::Outside, "of the loads: {loads:?}");
    assert_eq!(
        loads[1..],
        [Moment::Moving, Moment::InForce],
        "of the loads"
    );
    // When its guard is there, an unload may have begun or not.
    assert_ne!(unloads[0], Moment::Outside, "of the unloads: {unloads:?}");
    assert_eq!(
        unloads[1..],
        [Moment::Moving, Moment::Outside],
        "of the unloads"
    );
}

/// The moments that last for a few milliseconds, too.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_a_tool_that_is_killed_at_any_moment_leaves_the_node_unpatched_and_ticking() {
    for part in 0..5 {
        let delays = (part * 600..part * 600 + 600).step_by(50);
        let kill = |delay_ms| Kill::of(&format!("sleep {}", f64::from(delay_ms) / 1000.0));
        let kills: Vec<Kill> = delays.map(kill).collect();
        let (loads, unloads) = kill_at(&kills, &kills);
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

    let mut steps = Steps::on(spec);
    steps.shell(format!("cp {FOLDER}/est_own_timer.ko /tmp/innocent.ko"));
    steps
        .step(
            "inspect",
            format!("{hotfix} inspect --json /tmp/innocent.ko"),
        )
        .document(|told| assert_eq!(names(told, "warnings"), ["crashed-here-before"]));
    steps
        .step("refused", format!("{hotfix} load /tmp/innocent.ko"))
        .is_refused(&[
            "went down under this very file",
            "--accept crashed-here-before",
            "est_own_timer.ko",
        ])
        .errors(|said| {
            // Whether the command had ended by then, is chance.
            let moments = [
                "while it was being taken back",
                "after its module was removed",
            ];
            assert!(moments.iter().any(|moment| said.contains(moment)), "{said}");
        });
    let load = format!("{hotfix} load {FOLDER}/est_skip.ko");
    steps
        .step("inforce", &load)
        .is_refused(&["while it was in force"]);
    steps
        .step("other", format!("{hotfix} load {FOLDER}/est_same_name.ko"))
        .exits(0)
        .says(&["is in force"]);
    steps
        .step("accepted", format!("{load} --accept crashed-here-before"))
        .exits(0)
        .says(&["is in force"]);
    steps.shell(format!("{hotfix} unload est_skip > /dev/null"));
    steps
        .step("forgiven", &load)
        .exits(0)
        .says(&["is in force"]);
    steps.run();
}
