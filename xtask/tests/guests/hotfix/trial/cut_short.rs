//! Trials that are cut short, or whose node changes under them: the verdict is never `improved`, and the node as it was.

use std::fmt::Write as _;

use xtask::scenario::{self, Sections};

use super::{APPLY, Applied, big, ticks};
use crate::hotfix::{FOLDER, HOLD, LEFT, patient};

/// `during NAME MOMENT WHAT ARGS...` tries one in the background, does WHAT at that moment, and waits for its end.
const DURING: &str = r#"
moving() { grep -qsx 1 /sys/kernel/livepatch/$1/transition; }
said() { grep -q "$1" /tmp/err; }
during() {
    name=$1; moment=$2; what=$3; shift 3
    : > /tmp/err; sh -c "exec ipvs-latency hotfix apply --yes --json $*" > /tmp/out 2> /tmp/err & pid=$!
    until eval "$moment" || ! [ -d /proc/$pid ]; do sleep 0.5; done
    sleep 3; eval "$what"; wait $pid; code=$?
    unguarded
    echo "== $name"; cat /tmp/out; echo "== $name code"; echo $code; echo "== $name err"; cat /tmp/err
    echo "== $name seconds"; echo 0; echo "== $name status"; ipvs-latency hotfix status; echo "code $?"; echo "== rest"
    left $name; runs_of $name 6.1
}
"#;

/// Phases by what is said when they begin.
const PHASES: [&str; 3] = ["measuring before", "measuring after", "measuring rolled"];

/// Nothing is left of it, `status` has nothing to tell, and the estimator runs as ever.
fn is_clean(sections: &Sections, name: &str) {
    let text = |section: String| sections.text(&section).unwrap();
    assert_eq!(text(format!("left {name}")), "", "{name}");
    let status = text(format!("{name} status"));
    assert!(status.ends_with("code 0\n"), "{name}: {status}");
    assert!(ticks(sections, name), "{name}");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_that_is_killed_or_interrupted_in_any_phase_leaves_the_node_as_it_was() {
    let mut script = format!("{APPLY}{LEFT}{HOLD}{DURING}cd {FOLDER}; truth_begin\n");
    for (number, phase) in PHASES.iter().enumerate() {
        writeln!(
            script,
            "during killed{number} 'said \"{phase}\"' 'kill -9 $pid' est_skip.ko --trial"
        )
        .unwrap();
    }
    script += "during switch 'said \"measuring after\"' 'kill -9 $pid' --run-estimation off\n\
               echo == value; cat /proc/sys/net/ipv4/vs/run_estimation; echo == rest\n\
               during both 'said \"measuring after\"' 'kill -9 $pid $(guard)' --run-estimation off\n\
               echo 1 > /proc/sys/net/ipv4/vs/run_estimation\n\
               during hotfix 'said \"measuring after\"' 'kill -9 $pid $(guard)' est_skip.ko\n\
               ipvs-latency hotfix unload est_skip 2> /dev/null\n";
    for (number, phase) in PHASES.iter().enumerate() {
        writeln!(
            script,
            "during ended{number} 'said \"{phase}\"' 'kill -TERM $pid' est_skip.ko --trial"
        )
        .unwrap();
    }
    let sections = scenario::run(big(), &script).unwrap();
    for name in ["killed0", "killed1", "killed2", "switch"] {
        assert_eq!(sections.text(name).unwrap(), "", "{name} told nothing");
        is_clean(&sections, name);
    }
    assert_eq!(sections.text("value").unwrap(), "1\n");
    // Killed together with its guard, it leaves what it did, and that is told.
    for (name, words) in [
        ("both", ["run_estimation of netns", "is 0", "code 0"]),
        ("hotfix", ["est_skip: in force", "patched", "code 0"]),
    ] {
        let status = sections.text(&format!("{name} status")).unwrap();
        for words in words {
            assert!(status.contains(words), "{name}: no {words:?} in {status}");
        }
    }
    for (name, host) in [
        ("ended0", "unchanged"),
        ("ended1", "given_back"),
        ("ended2", "given_back"),
    ] {
        Applied::of(&sections, name).is("aborted", host, "1");
        is_clean(&sections, name);
    }
}

/// `est_hold` waits for a task that sleeps in the function that it replaces: so there is a transition to be killed in.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_that_is_killed_on_its_way_there_or_back_leaves_the_node_as_it_was() {
    let way = "until moving est_hold || ! [ -d /proc/$pid ]; do sleep 0.1; done; moving est_hold && echo moving >> /tmp/err; kill -9 $pid";
    let gone = "while [ -d /sys/module/est_skip ]; do sleep 0.05; done; kill -9 $pid";
    let script = format!(
        "{APPLY}{LEFT}{HOLD}{DURING}cd {FOLDER}; insmod hold_task.ko; truth_begin\n\
         during there 'said \"measuring before\"' 'nap 20; {way}' est_hold.ko; wait $napping\n\
         during back 'said \"measuring after\"' 'nap 20; {way}' est_hold.ko --trial; wait $napping\n\
         during gone 'said \"measuring after\"' '{gone}' est_skip.ko --trial\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    for (name, said) in [
        ("there", "moving"),
        ("back", "moving"),
        ("gone", "taking it back"),
    ] {
        let err = sections.text(&format!("{name} err")).unwrap();
        assert!(err.contains(said), "{name}: no {said:?} in {err}");
        assert!(!err.contains("measuring rolled"), "{name}: {err}");
        let code = sections.text(&format!("{name} code")).unwrap();
        assert_eq!(
            (sections.text(name).unwrap(), code),
            ("", "137\n"),
            "{name}"
        );
        is_clean(&sections, name);
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_node_that_changes_under_a_trial_is_never_improved() {
    let more = "for i in $(seq 10000); do echo \"-A -t 198.18.$((i / 250)).$((i % 250)):81 -s rr\"; done | ipvsadm -R";
    let script = format!(
        "{APPLY}{LEFT}{HOLD}{DURING}cd {FOLDER}; truth_begin\n\
         E=/sys/kernel/livepatch/est_skip/enabled; V=/proc/sys/net/ipv4/vs/run_estimation\n\
         mkdir -p /full; mount -t tmpfs -o size=64k none /full; mkdir /full/state; chmod 700 /full/state; : > /full/state/lock; chmod 600 /full/state/lock\n\
         cat /dev/zero > /full/ballast 2> /dev/null\n\
         echo == full; ipvs-latency --state-dir /full/state hotfix apply --yes --json est_skip.ko 2> /tmp/err; code=$?\n\
         echo == full code; echo $code; echo == full err; cat /tmp/err; echo == full seconds; echo 0; echo == rest\n\
         left full; runs_of full 6.1\n\
         during taken 'said \"measuring after\"' 'echo 0 > $E; while [ -e $E ]; do sleep 0.1; done; rmmod est_skip' est_skip.ko\n\
         insmod hold_task.ko\n\
         during stacked 'said \"measuring after\"' 'nap 8; insmod est_hold.ko; moving est_hold && touch /tmp/moving' est_skip.ko\n\
         echo == moving; ls /tmp/moving; echo == rest; wait $napping\n\
         ipvs-latency hotfix unload est_hold 2> /dev/null; left unstacked; runs_of unstacked 6.1\n\
         during switched 'said \"measuring after\"' 'echo 0 > $V' est_skip.ko; echo 1 > $V\n\
         during doubled 'said \"measuring after\"' '{more}' est_skip.ko\n\
         during warned 'said \"measuring after\"' 'echo general protection fault, in a test > /sys/module/hold_task/parameters/say' est_skip.ko\n\
         ipvsadm -C; ip netns add busy\n\
         for i in $(seq 2000); do echo \"-A -t 198.18.$((i / 250)).$((i % 250)):81 -s rr\"; done | ip netns exec busy ipvsadm -R\n\
         during vanished 'said \"measuring after\"' 'ip netns del busy' est_copy.ko\n\
         during unloaded 'said \"measuring after\"' 'rmmod ip_vs_rr ip_vs' est_skip.ko\n\
         modprobe -a ip_vs ip_vs_rr; ipvsadm -A -t 203.0.113.9:80 -s rr\n\
         during unloaded2 'said \"measuring after\"' 'ipvsadm -C; rmmod ip_vs_rr ip_vs' --run-estimation off\n\
         modprobe -a ip_vs ip_vs_rr\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    let applied = |name: &str| Applied::of(&sections, name);
    let full = applied("full");
    full.is("refused", "unchanged", "2");
    for words in ["journal", "No space left"] {
        let why = full.document["why"].as_str().unwrap();
        assert!(why.contains(words), "no {words} in {why}");
    }
    applied("taken").is("aborted", "given_back", "1");
    let stacked = applied("stacked");
    stacked.is("aborted", "given_back", "1");
    let why = stacked.document["why"].as_str().unwrap();
    assert!(why.contains("est_hold"), "{why}");
    assert_eq!(sections.text("moving").unwrap(), "/tmp/moving\n");
    let switched = applied("switched");
    switched.is("aborted", "given_back", "1");
    let why = switched.document["why"].as_str().unwrap();
    assert!(why.contains("from 1 to 0"), "{why}");
    applied("doubled").is("inconclusive", "given_back", "1");
    applied("warned").is("aborted", "given_back", "1");
    let vanished = applied("vanished");
    vanished.is("inconclusive", "given_back", "1");
    let why = vanished.document["why"].as_str().unwrap();
    assert!(why.contains("is gone"), "{why}");
    applied("unloaded").is("aborted", "given_back", "1");
    applied("unloaded2").is("aborted", "given_back", "1");
    let left = sections.text("left stacked").unwrap();
    assert!(left.starts_with("est_hold\n"), "{left}");
    for name in [
        "full",
        "taken",
        "unstacked",
        "switched",
        "doubled",
        "warned",
        "vanished",
        "unloaded",
        "unloaded2",
    ] {
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
    }
    for name in ["full", "taken", "unstacked", "doubled", "warned"] {
        assert!(ticks(&sections, name), "{name}");
    }
}

/// The probes are there before the load here, and taking them away waits for that thread, too. It begins late in the first
/// phase: once the CPU that it keeps leaves its timers to ksoftirqd, no run comes there until it ends.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_thread_that_never_yields_does_not_keep_the_tool_and_the_guard_finishes() {
    let script = format!(
        "{APPLY}{LEFT}{HOLD}{DURING}cd {FOLDER}; insmod hold_task.ko\n\
         : > /tmp/err; ipvs-latency hotfix apply --yes --json est_hold.ko --runs 4 --timeout 5s > /tmp/out 2> /tmp/err & pid=$!\n\
         until said 'measuring before'; do sleep 0.1; done; sleep 5; spin 60; wait $pid; code=$?\n\
         echo == spinning; spins | wc -l; echo == stuck; cat /tmp/out; echo == stuck code; echo $code\n\
         echo == stuck err; cat /tmp/err; echo == stuck seconds; echo 0; echo == rest\n\
         while [ -n \"$(spins)\" ]; do sleep 1; done\n\
         unguarded; left stuck; sleep 3; echo == over; ipvs-latency hotfix status; echo code $?; echo == rest\n\
         echo == processes; pgrep ipvs-latency; true\n"
    );
    let sections = scenario::run(patient(), &script).unwrap();
    assert_eq!(sections.text("spinning").unwrap().trim(), "1");
    let stuck = Applied::of(&sections, "stuck");
    stuck.is("aborted", "needs_person", "3");
    let why = stuck.document["why"].as_str().unwrap();
    assert!(
        why.contains("hold_spin") && why.contains("stays behind"),
        "{why}"
    );
    assert_eq!(sections.text("left stuck").unwrap(), "");
    let over = sections.text("over").unwrap();
    assert!(over.ends_with("code 0\n"), "{over}");
    assert_eq!(
        sections.text("processes").unwrap(),
        "",
        "nobody stays for good"
    );
}
