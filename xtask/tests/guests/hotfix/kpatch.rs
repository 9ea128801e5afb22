//! kpatch beside us: what one loads, the other sees and takes back.

use xtask::lab::LabSpec;
use xtask::scenario;
use xtask::userland;

use super::{FOLDER, HOLD, RENAMED, with_modules};
use crate::steps::Steps;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_kpatch_loads_is_seen_and_taken_back_and_what_we_load_kpatch_sees_and_takes_back() {
    let programs = match userland::kpatch() {
        Ok(programs) => programs,
        Err(error) => return scenario::skip(&format!("kpatch cannot be had: {error:#}")),
    };
    let mut spec = with_modules(LabSpec::deterministic());
    spec.copies.extend(programs);
    let mut steps = Steps::on(spec);
    steps.shell(format!("{HOLD}{RENAMED}export F={FOLDER}"));
    foreign(&mut steps);
    own(&mut steps);
    replaced(&mut steps);
    stacked(&mut steps);
    turned_back(&mut steps);
    let sections = steps.run();
    assert_eq!(sections.text("left turned").unwrap(), "");
}

/// What kpatch loaded is seen, told by its file, and taken back.
fn foreign(steps: &mut Steps) {
    steps
        .step("theirs", "kpatch load $F/est_skip.ko")
        .exits(0)
        .says(&["loading patch module: "]);
    steps
        .step("list", "ipvs-latency hotfix list")
        .exits(0)
        .says(&["est_skip [in force]"]);
    steps
        .step("status", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["est_skip: in force", "estimation_timer of ip_vs: patched"]);
    steps
        .step("twice", "ipvs-latency hotfix load $F/est_skip.ko")
        .exits(0)
        .says(&["est_skip is enabled already, from this very file"]);
    steps.shell("renamed est_copy est_skip");
    steps
        .step("another", "ipvs-latency hotfix load /tmp/est_skip.ko")
        .exits(2)
        .says(&["blocker already-loaded: "]);
    steps
        .step("unload", "ipvs-latency hotfix unload $F/est-skip.ko")
        .exits(0)
        .says(&["est_skip is gone", "every estimator ran since"])
        .leaves_nothing();
    steps
        .step("no more", "kpatch list")
        .exits(0)
        .says(&["Loaded patch modules:\n\n"]);
}

/// What we loaded is seen by kpatch and taken back, and the journal knows.
fn own(steps: &mut Steps) {
    steps
        .step("ours", "ipvs-latency hotfix load $F/est_skip.ko")
        .exits(0)
        .says(&["est_skip is in force"]);
    steps
        .step("their list", "kpatch list")
        .exits(0)
        .says(&["est_skip [enabled]"]);
    steps
        .step("their load", "kpatch load $F/est_skip.ko")
        .exits(0)
        .says(&["already loaded and enabled"]);
    steps
        .step("their unload", "kpatch unload est_skip")
        .exits(0)
        .says(&["unloading patch module: est_skip"])
        .leaves_nothing();
    // What the journal has of it does not outlive that.
    steps
        .step("after", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["no livepatch is loaded"]);
    steps
        .step("again", "ipvs-latency hotfix load $F/est_skip.ko")
        .exits(0)
        .says(&["est_skip is in force"]);
}

/// A replacement leaves the module behind, and "load them again" works all the same.
fn replaced(steps: &mut Steps) {
    steps
        .step("replaced", "kpatch load $F/est_replace.ko")
        .exits(0)
        .says(&["loading patch module: "]);
    steps
        .step("them", "ipvs-latency hotfix list")
        .exits(0)
        .says(&[
            "est_replace [in force]",
            "est_skip [out of force, module loaded]",
        ]);
    steps
        .step("anew", "ipvs-latency hotfix load $F/est_skip.ko")
        .exits(0)
        .says(&["note left-behind: ", "est_skip is in force"]);
    steps
        .step("both anew", "ipvs-latency hotfix list")
        .exits(0)
        .says(&["est_replace [in force]", "est_skip [in force]"]);
    steps
        .step(
            "replacement",
            "ipvs-latency hotfix unload livepatch/est-replace.ko",
        )
        .exits(0)
        .says(&["est_replace is gone"]);
}

/// One above the other, each taken back by the other tool.
fn stacked(steps: &mut Steps) {
    steps
        .step("beneath", "kpatch load $F/est_same_name.ko")
        .exits(0)
        .says(&["loading patch module: "]);
    steps
        .step("both", "ipvs-latency hotfix list")
        .exits(0)
        .says(&["est_same_name [in force]", "est_skip [in force]"]);
    steps
        .step("upper", "ipvs-latency hotfix unload est_same_name")
        .exits(0)
        .says(&["est_same_name is gone"]);
    steps
        .step("lower", "kpatch unload est_skip")
        .exits(0)
        .says(&["unloading patch module: est_skip"])
        .leaves_nothing();
}

/// A transition of kpatch's is taken back amid it.
fn turned_back(steps: &mut Steps) {
    steps.shell(
        "insmod $F/hold_task.ko; nap 60; kpatch load $F/est_hold.ko > /dev/null 2>&1 & loading=$!",
    );
    steps.shell("sleep 5");
    steps
        .step("midway", "ipvs-latency hotfix status")
        .exits(1)
        .says(&["est_hold: coming into force", "not through: sh (tid "]);
    steps
        .step("meanwhile", "ipvs-latency hotfix load $F/est_skip.ko")
        .exits(2)
        .says(&["blocker transition-running: "]);
    steps
        .step(
            "turned",
            "ipvs-latency hotfix unload est_hold --timeout 90s",
        )
        .exits(0)
        .says(&["est_hold is gone"]);
    steps.shell("wait $loading; wait $napping; left turned");
}
