//! What other programs, and other people, do around a change while it is under way: the command ends, says what it did, and
//! `status` says what is.

use xtask::lab::LabSpec;

use super::{FOLDER, HOLD, with_modules};
use crate::steps::Steps;

/// `moving` succeeds while tasks are on their way to or from `est_hold`.
const MOVING: &str = r#"
S=/var/lib/ipvs-latency; export S
moving() { value=gone; read -r value 2> /dev/null < /sys/kernel/livepatch/est_hold/transition; [ "$value" = 1 ]; }
"#;

fn guest() -> Steps {
    let mut steps = Steps::on(with_modules(LabSpec {
        services: 1_000,
        destinations: 2,
        ..LabSpec::deterministic()
    }));
    steps.shell(format!("{HOLD}{MOVING}cd {FOLDER}; insmod hold_task.ko"));
    steps
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_that_others_disturb_ends_and_is_told_where_it_can_be() {
    let mut steps = guest();
    steps
        .step(
            "full",
            "ipvs-latency hotfix apply est_skip.ko --yes --json --runs 4 > /dev/full",
        )
        .exits(0)
        .complains(&[
            "warning: standard output cannot be written",
            "\"outcome\": \"kept\"",
            "\"undo\": \"ipvs-latency hotfix unload est_skip\"",
        ]);
    steps.shell("ipvs-latency hotfix unload est_skip > /dev/null 2>&1");

    steps.begin("ipvs-latency hotfix apply est_skip.ko --yes --json --runs 4");
    steps.once(
        "said 'measuring after'",
        "sleep 3; echo 0 > /sys/kernel/debug/kprobes/enabled",
    );
    // The hotfix is out, and that the estimators run again could not be seen.
    steps
        .end("blind")
        .exits(3)
        .shows(&["\"aborted\"", "Kprobes were disabled"])
        .leaves_nothing();
    steps.shell("echo 1 > /sys/kernel/debug/kprobes/enabled");

    steps.begin("ipvs-latency hotfix apply est_hold.ko --yes --trial --runs 4");
    steps.once(
        "said 'measuring after'",
        "nap 16; kill -9 $pid; \
         for i in 1 2 3 4 5 6; do sleep 1; ipvs-latency hotfix status | grep -q removal && break; done",
    );
    steps
        .step("status", "ipvs-latency hotfix status")
        .exits(1)
        .shows(&["est_hold: its removal, begun at", "is not over: process"]);
    steps
        .step("journal", "cat $S/journal.json")
        .shows(&["\"phase\": \"unloading\""]);
    steps.shell("unguarded; wait; unguarded");
    steps.nothing_is_left("killed");
    steps.run();
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_load_that_others_disturb_ends_and_status_says_what_is() {
    let load = "ipvs-latency hotfix load est_hold.ko --timeout 60s";
    let unload = "ipvs-latency hotfix unload est_hold > /dev/null 2>&1";
    let mut steps = guest();
    steps.shell("nap 4");
    steps.begin(load).once("moving", "kill -STOP $(guard)");
    steps
        .end("stopped")
        .exits(0)
        .shows(&["est_hold is in force"]);
    steps.shell("wait").shell(unload);

    steps.shell("nap 4");
    steps.begin(load).once("moving", "rm -rf $S");
    steps
        .end("removed")
        .exits(0)
        .complains(&["lock was removed or replaced"]);
    steps.shell("wait").shell(unload);

    steps.shell("mkdir -p $S; mount -t tmpfs -o size=64k,mode=700 state $S; nap 6");
    steps
        .begin(load)
        .once("moving", "dd if=/dev/zero of=$S/fill bs=1k 2> /dev/null");
    steps
        .end("full")
        .exits(0)
        .complains(&["make room there", "out of date"]);
    steps.shell("wait");
    steps
        .step("open", "ipvs-latency hotfix status")
        .exits(1)
        .shows(&["its load, begun at", "completes the record"]);
    steps.shell("rm $S/fill");
    steps
        .step("again", "ipvs-latency hotfix load est_hold.ko")
        .exits(0);
    steps
        .step("proven", "ipvs-latency hotfix status")
        .exits(0)
        .shows(&["est_hold: in force"]);
    steps.shell(unload).nothing_is_left("end");
    steps.run();
}
