//! What other programs, and other people, do around a change while it is under way: the command ends, says what it did, and
//! `status` says what is.

use xtask::{
    lab::LabSpec,
    scenario::{self, Sections},
};

use super::{FOLDER, HOLD, LEFT, TRY, with_modules};

/// `amid NAME MOMENT WHAT COMMAND` runs a command, does WHAT at that moment, which is a command that succeeds then, and
/// waits for its end.
const AMID: &str = r#"
S=/var/lib/ipvs-latency
moving() { value=gone; read -r value 2> /dev/null < /sys/kernel/livepatch/est_hold/transition; [ "$value" = 1 ]; }
said() { grep -q "$1" /tmp/err; }
amid() {
    name=$1; : > /tmp/err; sh -c "exec $4" > /tmp/out 2> /tmp/err & pid=$!
    until eval "$2" || ! [ -d /proc/$pid ]; do sleep 0.1; done
    eval "$3"; wait $pid; code=$?
    echo "== $name"; cat /tmp/out; echo "== $name code"; echo $code; echo "== $name err"; cat /tmp/err; echo "== rest"
}
state() { ipvs-latency hotfix status; echo "code $?"; }
"#;

fn run(script: &str) -> Sections {
    let spec = with_modules(LabSpec {
        services: 1_000,
        destinations: 2,
        ..LabSpec::deterministic()
    });
    let begin = format!("{TRY}{LEFT}{HOLD}{AMID}cd {FOLDER}; insmod hold_task.ko\n");
    scenario::run(spec, &(begin + script)).unwrap()
}

/// The section has each of these words; and its command, if it is one, this exit code.
fn says(sections: &Sections, name: &str, words: &[&str]) {
    let text = sections.text(name).unwrap();
    for words in words {
        assert!(text.contains(words), "{name}: no {words:?} in {text}");
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_that_others_disturb_ends_and_is_told_where_it_can_be() {
    let sections = run(
        "echo == full; ipvs-latency hotfix apply est_skip.ko --yes --json --runs 4 > /dev/full 2> /tmp/err; echo $?
         echo == full err; cat /tmp/err; echo == rest
         ipvs-latency hotfix unload est_skip > /dev/null 2>&1
         amid blind 'said \"measuring after\"' 'sleep 3; echo 0 > /sys/kernel/debug/kprobes/enabled' \
              'ipvs-latency hotfix apply est_skip.ko --yes --json --runs 4'
         echo 1 > /sys/kernel/debug/kprobes/enabled; left blind
         amid killed 'said \"measuring after\"' \
              'nap 16; kill -9 $pid; for i in 1 2 3 4 5 6; do sleep 1; ipvs-latency hotfix status | grep -q removal && break; done
               echo == status; state; echo == journal; cat $S/journal.json; echo == rest' \
              'ipvs-latency hotfix apply est_hold.ko --yes --trial --runs 4'
         unguarded; wait; unguarded; left killed",
    );
    assert_eq!(sections.text("full").unwrap(), "0\n");
    says(
        &sections,
        "full err",
        &[
            "warning: standard output cannot be written",
            "\"outcome\": \"kept\"",
            "\"undo\": \"ipvs-latency hotfix unload est_skip\"",
        ],
    );
    // The hotfix is out, and that the estimators run again could not be seen.
    assert_eq!(sections.text("blind code").unwrap(), "3\n");
    let blind = ["\"aborted\"", "Kprobes were disabled"];
    says(&sections, "blind", &blind);
    assert_eq!(sections.text("left blind").unwrap(), "");
    let words = [
        "est_hold: its removal, begun at",
        "is not over: process",
        "code 1",
    ];
    says(&sections, "status", &words);
    says(&sections, "journal", &["\"phase\": \"unloading\""]);
    assert_eq!(sections.text("left killed").unwrap(), "");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_load_that_others_disturb_ends_and_status_says_what_is() {
    let sections = run(
        "nap 4
         amid stopped moving 'kill -STOP $(guard)' 'ipvs-latency hotfix load est_hold.ko --timeout 60s'
         wait; ipvs-latency hotfix unload est_hold > /dev/null 2>&1
         nap 4
         amid removed moving 'rm -rf $S' 'ipvs-latency hotfix load est_hold.ko --timeout 60s'
         wait; ipvs-latency hotfix unload est_hold > /dev/null 2>&1
         mkdir -p $S; mount -t tmpfs -o size=64k,mode=700 state $S
         nap 6
         amid full moving 'dd if=/dev/zero of=$S/fill bs=1k 2> /dev/null' 'ipvs-latency hotfix load est_hold.ko --timeout 60s'
         wait; echo == open; state; echo == rest; rm $S/fill
         try again 'ipvs-latency hotfix load est_hold.ko'; echo == proven; state; echo == rest
         ipvs-latency hotfix unload est_hold > /dev/null 2>&1; left end",
    );
    for name in ["stopped", "removed", "full", "again"] {
        let code = sections.text(&format!("{name} code")).unwrap();
        assert_eq!(code, "0\n", "{name}: {}", sections.noise);
    }
    says(&sections, "stopped", &["est_hold is in force"]);
    says(&sections, "removed err", &["lock was removed or replaced"]);
    says(&sections, "full err", &["make room there", "out of date"]);
    says(
        &sections,
        "open",
        &["its load, begun at", "completes the record", "code 1"],
    );
    says(&sections, "proven", &["est_hold: in force", "code 0"]);
    assert_eq!(sections.text("left end").unwrap(), "");
}
