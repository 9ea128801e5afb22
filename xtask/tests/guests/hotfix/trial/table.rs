//! What each hotfix comes to.

use std::{fmt::Write as _, time::Duration};

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{APPLY, Applied, big, ticks, walked};
use crate::hotfix::{FOLDER, LEFT};

/// Name, arguments, verdict, state under it, host, exit code.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
);

const TRIALS: [Row; 7] = [
    (
        "five",
        "est_5s.ko --trial",
        "improved",
        Some("SLOWED"),
        "given_back",
        "0",
    ),
    (
        "skip",
        "est_skip.ko --trial",
        "improved",
        Some("SKIPPING"),
        "given_back",
        "0",
    ),
    (
        "namesake",
        "est_same_name.ko --trial",
        "improved",
        Some("SKIPPING"),
        "given_back",
        "0",
    ),
    (
        "slow",
        "est_slow.ko",
        "regressed",
        Some("ACTIVE"),
        "given_back",
        "1",
    ),
    (
        "pointer",
        "est_own_function.ko",
        "refused",
        None,
        "unchanged",
        "2",
    ),
    (
        "warned",
        "est_no_rearm.ko",
        "refused",
        None,
        "unchanged",
        "2",
    ),
    (
        "switch",
        "--run-estimation off --trial",
        "improved",
        Some("SKIPPING"),
        "given_back",
        "0",
    ),
];

fn every_row(spec: LabSpec) {
    let others = usize::try_from(spec.netns).unwrap();
    let mut script = format!("{APPLY}{LEFT}cd {FOLDER}; truth_begin 65536\n");
    for (name, args, ..) in TRIALS {
        writeln!(
            script,
            "apply {name} {args}; left {name}; runs_of {name} 6.1"
        )
        .unwrap();
    }
    // What it leaves behind is DEAD: the last.
    script += "apply kept est_skip.ko; runs_of kept 6.1; ipvs-latency hotfix unload est_skip > /dev/null\n\
               apply dead est_no_rearm.ko --accept no-rearm; left dead; runs_of dead 6.1\n";
    let sections = scenario::run(spec, &script).unwrap();
    for (name, _, verdict, state, host, code) in TRIALS {
        let applied = Applied::of(&sections, name);
        applied.is(verdict, host, code);
        if let Some(state) = state {
            applied.state_after(state);
        }
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
        // Three periods of two seconds, and the wheel's rounding.
        let (walks, rest) = walked(&sections, name);
        assert!(
            (3..=4).contains(&walks),
            "{name}: the node does what it did: {walks}"
        );
        assert!(rest >= others * 3, "{name}: {rest} of {others} namespaces");
        let rolled_back = &applied.document["rolled_back"];
        assert_eq!(
            rolled_back.is_null(),
            host != "given_back" || name == "slow",
            "{name}"
        );
    }
    let kept = Applied::of(&sections, "kept");
    kept.is("improved", "patched", "0");
    kept.state_after("SKIPPING");
    assert_eq!(walked(&sections, "kept").0, 0, "no walk under it");
    let dead = Applied::of(&sections, "dead");
    dead.is("disabled", "needs_person", "3");
    dead.state_after("DEAD");
    assert_eq!(sections.text("left dead").unwrap(), "");
    assert_eq!(walked(&sections, "dead"), (0, 0), "nothing runs any more");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_hotfix_comes_to_what_it_is() {
    every_row(big());
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_hotfix_comes_to_what_it_is_beside_two_hundred_idle_namespaces() {
    every_row(LabSpec {
        netns: 200,
        timeout: Duration::from_mins(20),
        ..big()
    });
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_the_hotfix_that_runs_every_five_minutes_is_rarer_and_comes_back_when_its_timer_expires() {
    // The timer wheel makes up to 316 s of its 300: with no run under it, nothing could be told.
    let script = format!(
        "{APPLY}{LEFT}cd {FOLDER}; truth_begin\n\
         apply patient est_300s.ko --trial --timeout 330s --max-wait 330s; left patient; runs_of patient 6.1\n\
         apply hasty est_300s.ko --trial --max-wait 330s; left hasty; runs_of hasty 6.1\n\
         ipvs-latency hotfix status > /tmp/status; echo == status; cat /tmp/status\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    let patient = Applied::of(&sections, "patient");
    patient.is("improved", "given_back", "0");
    patient.state_after("SLOWED");
    assert!(patient.said.contains("note length"), "{}", patient.said);
    assert!(ticks(&sections, "patient"));
    let hasty = Applied::of(&sections, "hasty");
    hasty.is("improved", "needs_person", "3");
    assert_eq!(walked(&sections, "hasty").0, 0, "its pending expiry is far");
    let status = sections.text("status").unwrap();
    assert!(
        status.contains("is SLOWED: due in ") && status.contains("by its own timer"),
        "{status}"
    );
    for name in ["patient", "hasty"] {
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn verdicts_come_in_time() {
    let script = format!(
        "{APPLY}cd {FOLDER}\n\
         apply skip est_skip.ko; ipvs-latency hotfix unload est_skip > /dev/null\n\
         apply trial est_skip.ko --trial; truth_begin; apply slow est_slow.ko; echo == runs; truth_runs\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    let seconds = |name: &str| Applied::of(&sections, name).seconds;
    // In guest time, which counts instructions.
    assert!(seconds("skip") < 30.0, "{}", seconds("skip"));
    assert!(seconds("trial") < 50.0, "{}", seconds("trial"));
    // From the end of its phase to the first run that is as long as before.
    let slow = Applied::of(&sections, "slow");
    let end_ns = slow.document["after"]["end_ns"].as_u64().unwrap();
    let longest_ns = slow.document["before"]["all"]["max_ns"].as_u64().unwrap();
    let runs = sections.truth("runs").unwrap();
    let mut after = runs.iter().filter(|run| run.begin_ns > end_ns);
    let back = after
        .find(|run| run.lasted_ns < longest_ns * 11 / 10)
        .unwrap();
    assert!(
        back.begin_ns - end_ns < 15_000_000_000,
        "{back:?}, {end_ns}"
    );
}
