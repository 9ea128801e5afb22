//! Trials on nodes that are not at their best: with somebody else's livepatch, with dead estimators, over a terminal that
//! goes away.

use nix::sys::signal::Signal;
use xtask::lab::LabSpec;
use xtask::scenario;

use super::{APPLY, Applied, big};
use crate::hotfix::{FOLDER, LEFT, with_modules};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_livepatch_whose_place_was_taken_is_told_of_and_the_node_not_said_to_be_as_before() {
    let script = format!(
        "{APPLY}{LEFT}cd {FOLDER}; insmod hold_task.ko\n\
         apply_beside() {{ insmod hold_patch.ko; sleep 3; apply \"$@\" --accept replaces-others\n\
             echo \"== $1 patches\"; ls /sys/kernel/livepatch; echo == rest; rmmod hold_patch; }}\n\
         apply_beside trial est_replace.ko --trial; left trial\n\
         apply_beside kept est_replace.ko; ipvs-latency hotfix unload est_replace; left kept\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    let trial = Applied::of(&sections, "trial");
    trial.is("improved", "needs_person", "3");
    let back = trial.document["back"].as_str().unwrap();
    assert!(back.contains("load them again (hold_patch)"), "{back}");
    let kept = Applied::of(&sections, "kept");
    kept.is("improved", "patched", "0");
    for (applied, patches) in [(trial, ""), (kept, "est_replace\n")] {
        let effects = applied.document["side_effects"].to_string();
        assert!(
            effects.contains("the place of other livepatches") && effects.contains("hold_patch"),
            "{effects}"
        );
        let section = format!("{} patches", applied.name);
        assert_eq!(sections.text(&section).unwrap(), patches);
        assert_eq!(
            sections.text(&format!("left {}", applied.name)).unwrap(),
            ""
        );
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn estimators_that_were_dead_before_are_nobodys_fault() {
    let spec = LabSpec {
        services: 20,
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{APPLY}{LEFT}cd {FOLDER}\n\
         ipvs-latency hotfix load est_no_rearm.ko --accept no-rearm; ipvs-latency hotfix unload est_no_rearm\n\
         apply none est_skip.ko --trial; left none\n\
         ip netns add busy\n\
         for i in $(seq 2000); do echo \"-A -t 198.18.$((i / 250)).$((i % 250)):81 -s rr\"; done | ip netns exec busy ipvsadm -R\n\
         apply beside est_skip.ko --trial; left beside\n"
    );
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    let none = Applied::of(&sections, "none");
    none.is("refused", "unchanged", "2");
    let why = none.document["why"].as_str().unwrap();
    assert!(why.contains("no estimator runs on this node"), "{why}");
    let beside = Applied::of(&sections, "beside");
    beside.is("improved", "given_back", "0");
    assert!(
        beside.document["rolled_back"].is_object(),
        "{}",
        beside.document
    );
    for name in ["none", "beside"] {
        assert_eq!(sections.text(&format!("left {name}")).unwrap(), "");
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_cannot_be_stopped_half_way_and_under_nohup_outlives_its_terminal() {
    let script = format!(
        "{LEFT}cd {FOLDER}; : > /tmp/err\n\
         nohup ipvs-latency hotfix apply --yes --json est_skip.ko --trial > /tmp/out 2> /tmp/err & pid=$!\n\
         until grep -q 'measuring after' /tmp/err; do sleep 0.1; done\n\
         echo == caught; sed -n 's/^SigCgt:\\s*//p' /proc/$pid/status; echo == rest\n\
         kill -HUP $pid; wait $pid; code=$?\n\
         echo == nohup; cat /tmp/out; echo == nohup code; echo $code; echo == nohup err; cat /tmp/err\n\
         echo == nohup seconds; echo 0; left nohup\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    Applied::of(&sections, "nohup").is("improved", "given_back", "0");
    assert_eq!(sections.text("left nohup").unwrap(), "");
    // What `kill` sends stops nobody whose shell knows no jobs: that it is caught tells more.
    let caught = sections.text("caught").unwrap().trim();
    let caught = u64::from_str_radix(caught, 16).unwrap();
    let is_caught = |signal: Signal| caught >> (signal as i32 - 1) & 1 == 1;
    assert_eq!(
        [Signal::SIGTSTP, Signal::SIGINT, Signal::SIGHUP].map(is_caught),
        [true, true, false]
    );
}
