//! Tasks that keep a transition from its end.

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{FOLDER, HOLD, LEFT, TRY, ended, patient, with_modules};

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
    let script = format!(
        "{TRY}{LEFT}{HOLD}{MESSAGES}insmod {FOLDER}/hold_task.ko\n\
         echo 'file kernel/livepatch/transition.c func klp_init_transition +p' > /proc/dynamic_debug/control\n\
         messages before\n\
         nap 25; try stalled 'ipvs-latency hotfix load {FOLDER}/est_hold.ko --timeout 8s'\n\
         messages after; left stalled; wait $napping\n\
         nap 25; ipvs-latency hotfix load {FOLDER}/est_hold.ko --timeout 60s 2> /tmp/said & loading=$!\n\
         sleep 4; try midway 'ipvs-latency hotfix status'\n\
         try second 'ipvs-latency hotfix load {FOLDER}/est_skip.ko'\n\
         kill -TERM $loading; wait $loading; code=$?\n\
         echo == signal; cat /tmp/said; echo == signal code; echo $code; echo == signal err; left signal\n\
         wait $napping\n\
         try load 'ipvs-latency hotfix load {FOLDER}/est_hold.ko'\n\
         nap 25; try kept 'ipvs-latency hotfix unload est_hold --timeout 8s'\n\
         try inforce 'ipvs-latency hotfix status'; wait $napping\n\
         try unload 'ipvs-latency hotfix unload est_hold'; left unload; messages end\n"
    );
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    let why = "is sleeping on function hold_nap";
    let back = "taken back before it was in force";
    ended(
        &sections,
        "stalled",
        "1",
        &["kept by sh (tid ", why, "hold_nap < set_nap", back],
    );
    // The kernel's own lines of the window.
    ended(
        &sections,
        "stalled",
        "1",
        &["kernel: livepatch: 'est_hold': starting patching transition"],
    );
    ended(
        &sections,
        "midway",
        "1",
        &["est_hold: coming into force", "not through: sh (tid "],
    );
    ended(
        &sections,
        "second",
        "2",
        &["is changing this node's livepatches"],
    );
    ended(
        &sections,
        "signal",
        "1",
        &["a key or a signal asked to end", why, back],
    );
    ended(&sections, "load", "0", &["est_hold is in force"]);
    ended(
        &sections,
        "kept",
        "1",
        &["est_hold is in force as before", why, "nap_anew < set_nap"],
    );
    ended(
        &sections,
        "inforce",
        "0",
        &["est_hold: in force", "hold_nap of hold_task: patched"],
    );
    ended(&sections, "unload", "0", &["est_hold is gone"]);
    for name in ["stalled", "signal", "unload"] {
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
    let script = format!(
        "{TRY}{LEFT}{HOLD}insmod {FOLDER}/hold_task.ko; spin 60; sleep 1\n\
         began=$(cut -d. -f1 /proc/uptime)\n\
         try stuck 'ipvs-latency hotfix load {FOLDER}/est_hold.ko --timeout 5s'\n\
         echo == seconds; echo $(($(cut -d. -f1 /proc/uptime) - began)); echo == rest\n\
         echo == spinning; spins | wc -l; echo == rest\n\
         try meanwhile 'ipvs-latency hotfix load {FOLDER}/est_skip.ko'\n\
         try halfway 'ipvs-latency hotfix status'\n\
         while [ -n \"$(spins)\" ]; do sleep 1; done\n\
         unguarded; sleep 5\n\
         left stuck; try over 'ipvs-latency hotfix status'\n\
         try load 'ipvs-latency hotfix load {FOLDER}/est_hold.ko'\n"
    );
    let sections = scenario::run(patient(), &script).unwrap();
    ended(
        &sections,
        "stuck",
        "3",
        &["half way", "hold_spin (tid ", "on CPU 1", "stays behind"],
    );
    // Asked for: 5 s of --timeout and 15 more. What it is on this machine is shown, and not judged.
    let seconds = sections.text("seconds").unwrap().trim();
    eprintln!("the tool was back after {seconds} s of guest time");
    assert_eq!(
        sections.text("spinning").unwrap().trim(),
        "1",
        "{sections:?}"
    );
    let one_at_a_time = "is changing this node's livepatches";
    ended(&sections, "meanwhile", "2", &[one_at_a_time]);
    ended(
        &sections,
        "halfway",
        "1",
        &["est_hold: its load, begun at ", "works on it"],
    );
    assert_eq!(sections.text("left stuck").unwrap(), "");
    ended(&sections, "over", "0", &["no livepatch is loaded"]);
    ended(&sections, "load", "0", &["est_hold is in force"]);
}
