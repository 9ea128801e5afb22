//! The guard of a change is killed, alone or before the tool: another replaces it, and each message about a process is
//! true when it is printed.

use std::fmt::Write as _;

use xtask::lab::LabSpec;
use xtask::scenario::{self, Sections};

use super::{FOLDER, HOLD, LEFT, TRY, ended, patient, with_modules};

/// `lost NAME MOMENT WHAT HOTFIX COMMAND` runs a command, does WHAT at that moment, which is a command that succeeds
/// then, and waits for its end, and until no process changes the node. `lose` kills the guard; `lose_both` the guard,
/// then the one that took its place, and `lose_all` the tool as well.
const LOST: &str = r#"
sysfs() { value=gone; read -r value 2> /dev/null < /sys/kernel/livepatch/$hotfix/$1; [ "$value" = $2 ]; }
moving() { sysfs transition 1; }
enabled() { sysfs enabled 1 && sysfs transition 0; }
leaving() { [ -d /sys/module/$hotfix ] && ! [ -d /sys/kernel/livepatch/$hotfix ]; }
said() { grep -q "$1" /tmp/err; }
lose() { lost=$(guard); [ -n "$lost" ] && kill -9 $lost && echo "lost a guard" >> /tmp/lost; }
another() { for i in $(seq 50); do next=$(guard); [ -n "$next" ] && [ "$next" != "$lost" ] && return 0; sleep 0.1; done; return 1; }
lose_both() { lose; another && lose; }
lost() {
    name=$1; hotfix=$4; : > /tmp/lost; : > /tmp/err
    sh -c "exec $5" > /tmp/out 2> /tmp/err & pid=$!
    until eval "$2" || ! [ -d /proc/$pid ]; do sleep 0.02; done
    eval "$3"; wait $pid; code=$?
    unguarded || echo "the guard did not end within 15 s" >> /tmp/lost
    echo "== $name"; cat /tmp/out; echo "== $name code"; echo $code; echo "== $name err"; cat /tmp/err
    echo "== $name lost"; cat /tmp/lost; left $name
    echo "== $name status"; ipvs-latency hotfix status; echo "code $?"; echo "== rest"
}
"#;

/// A phase in which guards are lost.
struct Phase {
    name: &'static str,
    /// What is done just before.
    prepare: &'static str,
    command: &'static str,
    hotfix: &'static str,
    /// When it is.
    moment: &'static str,
    /// Whether it may be over before it is seen, as it lasts for milliseconds.
    is_short: bool,
    code: &'static str,
    words: &'static [&'static str],
}

const LOAD: &str = "ipvs-latency hotfix load est_hold.ko --timeout 60s";

const PHASES: [Phase; 9] = [
    Phase {
        name: "inserting",
        prepare: "true",
        command: "ipvs-latency hotfix load est_skip.ko",
        hotfix: "est_skip",
        moment: "guards",
        is_short: true,
        code: "0",
        words: &["est_skip is in force"],
    },
    Phase {
        name: "transition",
        prepare: "nap 6",
        command: LOAD,
        hotfix: "est_hold",
        moment: "moving",
        is_short: false,
        code: "0",
        words: &["est_hold is in force"],
    },
    Phase {
        name: "proving",
        prepare: "true",
        command: "ipvs-latency hotfix load est_skip.ko",
        hotfix: "est_skip",
        moment: "enabled",
        is_short: false,
        code: "0",
        words: &["est_skip is in force"],
    },
    Phase {
        name: "back",
        prepare: "nap 12",
        command: "ipvs-latency hotfix load est_hold.ko --timeout 6s",
        hotfix: "est_hold",
        moment: "said \"turning back\"",
        is_short: true,
        code: "1",
        words: &["taken back before it was in force"],
    },
    Phase {
        name: "unloading",
        prepare: "ipvs-latency hotfix load est_hold.ko > /dev/null 2>&1; nap 6",
        command: "ipvs-latency hotfix unload est_hold --timeout 60s",
        hotfix: "est_hold",
        moment: "moving",
        is_short: false,
        code: "0",
        words: &["est_hold is gone"],
    },
    Phase {
        name: "removing",
        prepare: "ipvs-latency hotfix load est_skip.ko > /dev/null 2>&1",
        command: "ipvs-latency hotfix unload est_skip",
        hotfix: "est_skip",
        moment: "leaving",
        is_short: true,
        code: "0",
        words: &["est_skip is gone"],
    },
    Phase {
        name: "observing",
        prepare: "ipvs-latency hotfix load est_skip.ko > /dev/null 2>&1",
        command: "ipvs-latency hotfix unload est_skip",
        hotfix: "est_skip",
        moment: "! [ -d /sys/module/est_skip ]",
        is_short: true,
        code: "0",
        words: &["est_skip is gone"],
    },
    Phase {
        name: "measuring",
        prepare: "true",
        command: "ipvs-latency hotfix apply est_skip.ko --yes --json --trial",
        hotfix: "est_skip",
        moment: "said \"measuring after\"",
        is_short: false,
        code: "0",
        words: &["\"host\": \"given_back\""],
    },
    Phase {
        name: "switch",
        prepare: "true",
        command: "ipvs-latency hotfix apply --run-estimation off --yes --json --trial",
        hotfix: "none",
        moment: "said \"measuring after\"",
        is_short: false,
        code: "0",
        words: &["\"host\": \"given_back\""],
    },
];

/// Phases of a trial, which needs runs that are long enough to tell by.
const OF_TRIALS: std::ops::RangeFrom<usize> = 7..;

/// Those of loads and unloads.
const OF_LOADS: std::ops::RangeTo<usize> = ..7;

fn deterministic(services: u32) -> LabSpec {
    with_modules(LabSpec {
        services,
        destinations: 2,
        ..LabSpec::deterministic()
    })
}

fn script(what: &str, phases: &[Phase]) -> String {
    let mut script = format!("{TRY}{LEFT}{HOLD}{LOST}cd {FOLDER}; insmod hold_task.ko\n");
    for Phase {
        name,
        prepare,
        command,
        hotfix,
        moment,
        ..
    } in phases
    {
        writeln!(
            script,
            "{prepare}; lost {name} '{moment}' '{what}' {hotfix} '{command}'; wait\n\
             [ -d /sys/module/{hotfix} ] && ipvs-latency hotfix unload {hotfix} > /dev/null 2>&1"
        )
        .unwrap();
    }
    script + "echo == value; cat /proc/sys/net/ipv4/vs/run_estimation; echo == rest\n"
}

fn guards_lost(sections: &Sections, name: &str) -> usize {
    let lost = sections.text(&format!("{name} lost")).unwrap();
    assert!(!lost.contains("did not end"), "{name}: {lost}");
    lost.matches("lost a guard").count()
}

/// Kills guards, twice in each phase.
fn kill_guards(services: u32, phases: &[Phase]) {
    let sections = scenario::run(deterministic(services), &script("lose_both", phases)).unwrap();
    for phase in phases {
        let name = phase.name;
        let lost = guards_lost(&sections, name);
        assert!(phase.is_short || lost == 2, "{name}: {lost} lost");
        ended(&sections, name, phase.code, phase.words);
        let said = sections.text(&format!("{name} err")).unwrap();
        let replaced = said.matches("guards it now").count();
        // The last may be lost just before the end, and is not missed then.
        assert!(replaced <= lost, "{name}: {said}");
        assert!(phase.is_short || replaced >= 1, "{name}: {said}");
        let status = sections.text(&format!("{name} status")).unwrap();
        assert!(status.ends_with("code 0\n"), "{name}: {status}");
    }
    assert_eq!(sections.text("value").unwrap(), "1\n");
}

/// Kills the guard, and once another is there, the tool.
fn kill_guard_and_tool(services: u32, phases: &[Phase]) {
    let script = script("lose; another; kill -9 $pid", phases);
    let sections = scenario::run(deterministic(services), &script).unwrap();
    for phase in phases.iter().filter(|phase| !phase.is_short) {
        let name = phase.name;
        assert_eq!(guards_lost(&sections, name), 1, "{name}");
        let code = sections.text(&format!("{name} code")).unwrap();
        assert_eq!(code, "137\n", "{name}");
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}: {}",
            sections.noise
        );
        let status = sections.text(&format!("{name} status")).unwrap();
        assert!(status.ends_with("code 0\n"), "{name}: {status}");
    }
    assert_eq!(sections.text("value").unwrap(), "1\n");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_change_whose_guard_is_killed_has_another_and_ends_as_ever() {
    kill_guards(200, &PHASES[OF_LOADS]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_whose_guard_is_killed_has_another_and_ends_as_ever() {
    kill_guards(4_000, &PHASES[OF_TRIALS]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_guard_that_took_anothers_place_takes_the_change_back_when_the_tool_is_killed() {
    kill_guard_and_tool(200, &PHASES[OF_LOADS]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_guard_that_took_anothers_place_takes_a_trial_back_when_the_tool_is_killed() {
    kill_guard_and_tool(4_000, &PHASES[OF_TRIALS]);
}

/// No process is left to act: the messages say what remains, and which command removes it.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_change_whose_tool_and_guard_are_killed_is_told_as_cut_off() {
    let script = format!(
        "{TRY}{LEFT}{HOLD}{LOST}cd {FOLDER}; insmod hold_task.ko\n\
         nap 6; lost both moving 'kill -9 $pid $(guard)' est_hold '{LOAD}'; wait\n\
         try clear 'ipvs-latency hotfix unload est_hold'; left clear\n"
    );
    let sections = scenario::run(deterministic(200), &script).unwrap();
    let status = sections.text("both status").unwrap();
    for words in [
        "est_hold: its load",
        "was cut off",
        "hotfix unload est_hold",
        "code 1",
    ] {
        assert!(status.contains(words), "no {words:?} in {status}");
    }
    ended(&sections, "clear", "0", &["est_hold is gone"]);
    assert_eq!(sections.text("left clear").unwrap(), "");
}

/// The kernel does not answer while a thread does not yield: the tool ends, and names a process that is there.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_process_that_is_promised_is_there_though_the_guard_was_killed() {
    let script = format!(
        "{TRY}{LEFT}{HOLD}{LOST}cd {FOLDER}; insmod hold_task.ko; spin 45; sleep 1\n\
         ipvs-latency hotfix load est_hold.ko --timeout 5s > /tmp/out 2> /tmp/err & pid=$!\n\
         sleep 3; lose; wait $pid; code=$?\n\
         promised=$(sed -n 's/.*Process \\([0-9]*\\) stays behind.*/\\1/p' /tmp/err)\n\
         echo == promised; tr '\\0' ' ' < /proc/$promised/cmdline; echo\n\
         echo == lost; echo $lost $promised; cat /tmp/lost\n\
         echo == stuck; cat /tmp/out; echo == stuck code; echo $code; echo == stuck err; cat /tmp/err; echo == rest\n\
         while [ -n \"$(spins)\" ]; do sleep 1; done\n\
         unguarded; left stuck; try over 'ipvs-latency hotfix status'\n"
    );
    let sections = scenario::run(patient(), &script).unwrap();
    ended(
        &sections,
        "stuck",
        "3",
        &["half way", "guards it now", "stays behind"],
    );
    let promised = sections.text("promised").unwrap();
    assert!(
        promised.contains("hotfix guard"),
        "{promised}: {sections:?}"
    );
    let lost = sections.text("lost").unwrap();
    let pids: Vec<&str> = lost.lines().next().unwrap().split(' ').collect();
    assert_ne!(pids[0], pids[1], "{lost}");
    assert_eq!(sections.text("left stuck").unwrap(), "");
    ended(&sections, "over", "0", &["no livepatch is loaded"]);
}
