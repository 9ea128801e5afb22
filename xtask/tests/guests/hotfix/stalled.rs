//! Tasks that keep a transition from its end.

use crate::steps::Steps;
use xtask::lab::LabSpec;

use super::{FOLDER, HOLD, ended, patient, with_modules};

/// `messages NAME` tells the kernel's messages of transitions that are switched on.
const MESSAGES: &str = "\
messages() { echo == messages $1; grep 'livepatch/transition.c' /proc/dynamic_debug/control | grep '=[a-z]*p'; echo == rest; }
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_sleeping_task_is_named_with_the_kernels_reason_and_the_transition_turned_back() {
    let spec = LabSpec {
        services: 20,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let mut steps = Steps::on(with_modules(spec));
    steps.shell(format!("{HOLD}{MESSAGES}insmod {FOLDER}/hold_task.ko"));
    steps.shell("echo 'file kernel/livepatch/transition.c func klp_init_transition +p' > /proc/dynamic_debug/control");
    steps.shell("messages before");
    let why = "is sleeping on function hold_nap";
    let back = "taken back before it was in force";
    // The last are the kernel's own lines of the window.
    steps.shell("nap 25");
    steps
        .step(
            "stalled",
            format!("ipvs-latency hotfix load {FOLDER}/est_hold.ko --timeout 8s"),
        )
        .exits(1)
        .says(&[
            "kept by sh (tid ",
            why,
            "hold_nap < set_nap",
            back,
            "kernel: livepatch: 'est_hold': starting patching transition",
        ]);
    steps.shell("messages after");
    steps.shell("left stalled");
    steps.shell("wait $napping");
    steps.shell(format!("nap 25; ipvs-latency hotfix load {FOLDER}/est_hold.ko --timeout 60s 2> /tmp/said & loading=$!"));
    steps.shell("sleep 4");
    steps
        .step("midway", "ipvs-latency hotfix status")
        .exits(1)
        .says(&["est_hold: coming into force", "not through: sh (tid "]);
    steps
        .step(
            "second",
            format!("ipvs-latency hotfix load {FOLDER}/est_skip.ko"),
        )
        .exits(2)
        .says(&["is changing this node's livepatches"]);
    steps.shell("kill -TERM $loading; wait $loading; code=$?");
    steps.shell(
        "echo == signal; cat /tmp/said; echo == signal code; echo $code; echo == signal err",
    );
    steps.shell("left signal");
    steps.shell("wait $napping");
    steps
        .step(
            "load",
            format!("ipvs-latency hotfix load {FOLDER}/est_hold.ko"),
        )
        .exits(0)
        .says(&["est_hold is in force"]);
    steps.shell("nap 25");
    steps
        .step("kept", "ipvs-latency hotfix unload est_hold --timeout 8s")
        .exits(1)
        .says(&["est_hold is in force as before", why, "nap_anew < set_nap"]);
    steps
        .step("inforce", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["est_hold: in force", "hold_nap of hold_task: patched"]);
    steps.shell("wait $napping");
    steps
        .step("unload", "ipvs-latency hotfix unload est_hold")
        .exits(0)
        .says(&["est_hold is gone"])
        .leaves_nothing();
    steps.shell("messages end");
    let sections = steps.run();
    ended(
        &sections,
        "signal",
        "1",
        &["a key or a signal asked to end", why, back],
    );
    for name in ["stalled", "signal"] {
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
    }
    let before = sections.text("messages before").unwrap();
    assert!(before.contains("klp_init_transition"), "{before}");
    for name in ["after", "end"] {
        assert_eq!(
            sections.text(&format!("messages {name}")).unwrap(),
            before,
            "{name}"
        );
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_kernel_thread_that_never_yields_is_named_and_not_waited_for() {
    // The first timers that a starved CPU sets come late once, by the steps of its timer wheel: the sleep is for those.
    let mut steps = Steps::on(patient());
    steps.shell(format!(
        "{HOLD}insmod {FOLDER}/hold_task.ko; spin 60; sleep 1"
    ));
    steps.shell("began=$(cut -d. -f1 /proc/uptime)");
    steps
        .step(
            "stuck",
            format!("ipvs-latency hotfix load {FOLDER}/est_hold.ko --timeout 5s"),
        )
        .exits(3)
        .says(&["half way", "stays behind"])
        .errors(|said| {
            // On a busy host the thread keeps the insertion itself, before there is a task to switch.
            let is_named = said.contains("hold_spin (tid ") && said.contains("on CPU 1");
            let is_inserted = !said.contains("a wait inside the kernel");
            assert!(is_named == is_inserted, "{said}");
        });
    steps.shell("echo == seconds; echo $(($(cut -d. -f1 /proc/uptime) - began)); echo == rest");
    steps.shell("echo == spinning; spins | wc -l; echo == rest");
    steps
        .step(
            "meanwhile",
            format!("ipvs-latency hotfix load {FOLDER}/est_skip.ko"),
        )
        .exits(2)
        .says(&["is changing this node's livepatches"]);
    steps
        .step("halfway", "ipvs-latency hotfix status")
        .exits(1)
        .says(&["est_hold: its load, begun at ", "works on it"]);
    steps.shell("while [ -n \"$(spins)\" ]; do sleep 1; done");
    steps.shell("unguarded; sleep 5");
    steps.shell("left stuck");
    steps
        .step("over", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["no livepatch is loaded"]);
    steps
        .step(
            "load",
            format!("ipvs-latency hotfix load {FOLDER}/est_hold.ko"),
        )
        .exits(0)
        .says(&["est_hold is in force"]);
    let sections = steps.run();
    // Asked for: 5 s of --timeout and 15 more. What it is on this machine is shown, and not judged.
    let seconds = sections.text("seconds").unwrap().trim();
    eprintln!("the tool was back after {seconds} s of guest time");
    assert_eq!(
        sections.text("spinning").unwrap().trim(),
        "1",
        "{sections:?}"
    );
    assert_eq!(sections.text("left stuck").unwrap(), "");
}
