//! The guard of a change is killed, alone, before the tool or together with it: another replaces it where the tool is
//! there, `status` says what is left where no process is, and each message about a process is true when it is printed.

use crate::steps::Steps;
use std::fmt::Write as _;

use serde_json::Value;
use xtask::lab::LabSpec;
use xtask::scenario::{self, Sections};

use super::{FOLDER, HOLD, LEFT, TRY, ended, patient, with_modules};

/// `lost NAME MOMENT PAUSE WHAT HOTFIX COMMAND` runs a command, does WHAT at that moment, which is a command that succeeds
/// then and is tried every PAUSE seconds, and waits for its end, and until no process changes the node. `lose` kills the guard; `lose_both` the guard,
/// then the one that took its place; `lose_all` the guard and the tool, of which neither sees the other's end. `nap_when
/// WORDS SECONDS` puts a task to sleep once a command says these words.
const LOST: &str = r#"
sysfs() { value=gone; read -r value 2> /dev/null < /sys/kernel/livepatch/$hotfix/$1; [ "$value" = $2 ]; }
moving() { sysfs transition 1; }
enabled() { sysfs enabled 1 && sysfs transition 0; }
leaving() { [ -d /sys/module/$hotfix ] && ! [ -d /sys/kernel/livepatch/$hotfix ]; }
said() { grep -q "$1" /tmp/err; }
lose() { lost=$(guard); [ -n "$lost" ] && kill -9 $lost && echo "lost a guard" >> /tmp/lost; }
another() { for i in $(seq 50); do next=$(guard); [ -n "$next" ] && [ "$next" != "$lost" ] && return 0; sleep 0.1; done; return 1; }
lose_both() { lose; another && lose; }
lose_all() {
    lost=$(guard); [ -n "$lost" ] && kill -STOP $lost && echo "lost a guard" >> /tmp/lost
    kill -9 $pid $lost
}
nap_when() { : > /tmp/err; (until said "$1"; do sleep 0.2; done; nap $2; wait) & }
asking() { pgrep -f 'hotfix step' > /dev/null; }
lost() {
    name=$1; hotfix=$5; : > /tmp/lost; : > /tmp/err
    sh -c "exec $6" > /tmp/out 2> /tmp/err & pid=$!
    until eval "$2" || ! [ -d /proc/$pid ]; do sleep $3; done
    eval "$4"; wait $pid; code=$?
    unguarded || echo "the guard did not end within 15 s" >> /tmp/lost
    for i in $(seq 10); do asking || break; sleep 0.5; done
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
    /// What `status` says once tool and guard are killed together, as long as something of the change is there.
    alone: &'static [&'static str],
}

impl Phase {
    /// Seconds between two looks whether the moment has come: each look is a process that the guest has to run.
    fn pause(&self) -> &'static str {
        if self.is_short { "0.02" } else { "0.2" }
    }

    /// Returns the line of a script that does WHAT in this phase.
    fn lost(&self, what: &str) -> String {
        let Self {
            name,
            prepare,
            command,
            hotfix,
            moment,
            ..
        } = self;
        let pause = self.pause();
        format!("{prepare}; lost {name} '{moment}' {pause} '{what}' {hotfix} '{command}'; wait")
    }
}

const LOAD: &str = "ipvs-latency hotfix load est_hold.ko --timeout 60s";

const HOLD_TRIAL: &str = "ipvs-latency hotfix apply est_hold.ko --yes --json --trial";

const CUT_LOAD: &[&str] = &[": its load, begun at", "was cut off", "code 1"];
const CUT_REMOVAL: &[&str] = &[": its removal, begun at", "was cut off", "code 1"];

const PHASES: [Phase; 11] = [
    Phase {
        name: "inserting",
        prepare: "true",
        command: "ipvs-latency hotfix load est_skip.ko",
        hotfix: "est_skip",
        moment: "guards",
        is_short: true,
        code: "0",
        words: &["est_skip is in force"],
        alone: CUT_LOAD,
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
        alone: CUT_LOAD,
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
        alone: CUT_LOAD,
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
        alone: CUT_LOAD,
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
        alone: CUT_REMOVAL,
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
        alone: CUT_REMOVAL,
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
        alone: CUT_REMOVAL,
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
        alone: &["est_skip: in force", "code 0"],
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
        alone: &["run_estimation of netns", "is 0", "code 0"],
    },
    Phase {
        name: "trial-load",
        prepare: "nap_when \"measuring before\" 20",
        command: HOLD_TRIAL,
        hotfix: "est_hold",
        moment: "moving",
        is_short: false,
        code: "0",
        words: &["\"host\": \"given_back\""],
        alone: CUT_LOAD,
    },
    Phase {
        name: "trial-back",
        prepare: "nap_when \"measuring after\" 20",
        command: HOLD_TRIAL,
        hotfix: "est_hold",
        moment: "sysfs enabled 0 && moving",
        is_short: false,
        code: "0",
        words: &["\"host\": \"given_back\""],
        alone: CUT_REMOVAL,
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
    for phase in phases {
        let (lost, hotfix) = (phase.lost(what), phase.hotfix);
        writeln!(
            script,
            "{lost}\n[ -d /sys/module/{hotfix} ] && ipvs-latency hotfix unload {hotfix} > /dev/null 2>&1"
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
fn kill_guard_and_tool(phases: &[Phase]) {
    let script = script("lose; another; kill -9 $pid", phases);
    // No trial comes to its verdict, so that short runs do.
    let sections = scenario::run(deterministic(200), &script).unwrap();
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
    kill_guard_and_tool(&PHASES[OF_LOADS]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_guard_that_took_anothers_place_takes_a_trial_back_when_the_tool_is_killed() {
    kill_guard_and_tool(&PHASES[OF_TRIALS][..2]);
}

/// In a guest of its own: all four phases take longer than a guest may.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_guard_that_took_anothers_place_takes_a_transition_of_a_trial_back_when_the_tool_is_killed() {
    kill_guard_and_tool(&PHASES[OF_TRIALS][2..]);
}

/// No process is left to act: the node stays as it was at that moment, `status` says what that is and claims no process,
/// and `unload` ends what was cut off.
fn kill_together(phases: &[Phase]) {
    let mut script = format!("{TRY}{LEFT}{HOLD}{LOST}cd {FOLDER}; insmod hold_task.ko\n");
    for phase in phases {
        let lost = phase.lost("lose_all");
        let Phase { name, hotfix, .. } = phase;
        writeln!(
            script,
            "{lost}\n\
             echo '== {name} value'; cat $V; echo 1 > $V; sleep 2; left '{name} later'\n\
             try '{name} unload' 'ipvs-latency hotfix unload {hotfix}'; left '{name} end'\n\
             try '{name} end' 'ipvs-latency hotfix status'\n\
             echo '== {name} journal'; cat /var/lib/ipvs-latency/journal.json; echo == rest"
        )
        .unwrap();
    }
    let script = format!("V=/proc/sys/net/ipv4/vs/run_estimation\n{script}");
    // No trial comes to its verdict, so that short runs do.
    let sections = scenario::run(deterministic(200), &script).unwrap();
    for phase in phases {
        left_alone(&sections, phase);
    }
}

fn left_alone(sections: &Sections, phase: &Phase) {
    let Phase { name, hotfix, .. } = phase;
    let text = |section: &str| sections.text(&format!("{name}{section}")).unwrap();
    let left = |when: &str| sections.text(&format!("left {name}{when}")).unwrap();
    let lost = guards_lost(sections, name);
    let is_killed = text(" code") == "137\n";
    assert!(
        phase.is_short || (lost == 1 && is_killed),
        "{name}: {lost} lost"
    );
    let status = text(" status");
    let is_there = left("").contains(&format!("/{hotfix}/"));
    let is_off = text(" value") == "0\n";
    if is_killed && (is_there || is_off) {
        for words in phase.alone {
            assert!(status.contains(words), "{name}: no {words:?} in {status}");
        }
    }
    // What is there is named, what is not there is not, and no process is said to act.
    assert_eq!(
        status.contains(&format!("{hotfix}: ")),
        is_there,
        "{name}: {status}"
    );
    assert_eq!(
        status.contains("no livepatch is loaded"),
        !is_there,
        "{name}: {status}"
    );
    assert!(!status.contains("is not over"), "{name}: {status}");
    let is_there = left(" later").contains(&format!("/{hotfix}/"));
    let unload = format!("{name} unload");
    if is_there {
        ended(sections, &unload, "0", &[&format!("{hotfix} is gone")]);
    } else {
        ended(sections, &unload, "2", &["no module"]);
    }
    assert_eq!(left(" end"), "", "{name}");
    ended(
        sections,
        &format!("{name} end"),
        "0",
        &["no livepatch is loaded"],
    );
    let journal: Value = serde_json::from_str(text(" journal")).unwrap();
    let entries = journal["entries"].as_array().unwrap();
    assert!(
        entries.iter().all(|one| one["phase"] == "gone"),
        "{name}: {journal}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_change_whose_tool_and_guard_are_killed_is_told_as_cut_off_and_unload_ends_it() {
    kill_together(&PHASES[OF_LOADS]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_whose_tool_and_guard_are_killed_is_told_as_it_is_and_unload_ends_it() {
    kill_together(&PHASES[OF_TRIALS]);
}

/// The kernel does not answer while a thread does not yield: the tool ends, and names a process that is there.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_process_that_is_promised_is_there_though_the_guard_was_killed() {
    let mut steps = Steps::on(patient());
    steps.shell(format!(
        "{HOLD}{LOST}cd {FOLDER}; insmod hold_task.ko; spin 45; sleep 1"
    ));
    steps
        .shell("ipvs-latency hotfix load est_hold.ko --timeout 5s > /tmp/out 2> /tmp/err & pid=$!");
    steps.shell("sleep 3; lose; wait $pid; code=$?");
    steps.shell("promised=$(sed -n 's/.*Process \\([0-9]*\\) stays behind.*/\\1/p' /tmp/err)");
    steps.shell("echo == promised; tr '\\0' ' ' < /proc/$promised/cmdline; echo");
    steps.shell("echo == lost; echo $lost $promised; cat /tmp/lost");
    steps.shell("echo == stuck; cat /tmp/out; echo == stuck code; echo $code; echo == stuck err; cat /tmp/err; echo == rest");
    steps.shell("while [ -n \"$(spins)\" ]; do sleep 1; done");
    steps.shell("unguarded");
    steps.shell("left stuck");
    steps
        .step("over", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["no livepatch is loaded"]);
    let sections = steps.run();
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
}
