//! A hotfix is loaded, proven, told of, taken back, and that is proven too.

use crate::steps::Steps;
use serde_json::json;
use xtask::lab::LabSpec;

use super::{FOLDER, with_modules};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_hotfix_is_loaded_and_taken_back_with_proof_while_every_run_is_seen() {
    let spec = LabSpec {
        services: 200,
        destinations: 2,
        netns: 2,
        ..LabSpec::deterministic()
    };
    let mut steps = Steps::on(with_modules(spec));
    steps.shell(format!("F={FOLDER}"));
    steps.shell("truth_begin");
    steps.shell("ipvs-latency watch --json > /tmp/watched & watch=$!");
    steps.shell("sleep 3");
    steps.step("none", "ipvs-latency hotfix list").exits(0);
    steps
        .step(
            "load",
            format!("ipvs-latency hotfix load {FOLDER}/est_skip.ko"),
        )
        .exits(0)
        .says(&["est_skip is in force", "ran under it", "note statistics"]);
    steps
        .step(
            "again",
            format!("ipvs-latency hotfix load --json {FOLDER}/est_skip.ko"),
        )
        .exits(0)
        .says(&["est_skip is enabled already"])
        .outcome("done");
    steps
        .step("list", "ipvs-latency hotfix list")
        .exits(0)
        .says(&["est_skip [in force]"]);
    steps
        .step("status", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["est_skip: in force", "estimation_timer of ip_vs: patched"]);
    let objects = json!([{"name": "ip_vs", "patched": true, "functions": ["estimation_timer"]}]);
    let entry = json!({"name": "est_skip", "state": "in force", "objects": objects});
    let listed = entry.clone();
    steps
        .step("json", "ipvs-latency hotfix status --json")
        .document(move |status| {
            assert_eq!(status["livepatches"], json!([entry]));
            for empty in ["stalled", "unfinished", "unknown"] {
                assert_eq!(status[empty], json!([]), "{empty}");
            }
            let estimators = status["estimators"].as_array().unwrap();
            assert_eq!(estimators.len(), 3, "{status}");
            for estimator in estimators {
                assert_eq!(estimator["state"], "ACTIVE", "{status}");
                let left_ns = estimator["next_run_in_ns"].as_u64().unwrap();
                assert!(left_ns < 2_100_000_000, "{status}");
            }
        });
    steps
        .step("names", "ipvs-latency hotfix list --json")
        .exits(0)
        .document(move |names| {
            assert_eq!(names["livepatches"], json!([listed]));
            assert_eq!(names["installed"], json!([]));
        });
    steps
        .step("unload", "ipvs-latency hotfix unload est-skip")
        .exits(0)
        .says(&[
            "est_skip is gone",
            "every estimator ran since (3 network namespaces)",
        ])
        .leaves_nothing();
    steps
        .step("gone", "ipvs-latency hotfix unload est_skip")
        .exits(2)
        .says(&["no module est_skip is loaded"]);
    steps
        .step("foreign", "ipvs-latency hotfix unload ip_vs_rr")
        .exits(2)
        .says(&["is no livepatch"]);
    steps.shell("insmod $F/est_same_name.ko; sleep 3; echo 0 > /sys/kernel/livepatch/est_same_name/enabled; sleep 3");
    steps
        .step("behind", "ipvs-latency hotfix status")
        .exits(1)
        .says(&["est_same_name: out of force"]);
    steps
        .step("module", "ipvs-latency hotfix unload est_same_name")
        .exits(0)
        .says(&["est_same_name is gone"])
        .leaves_nothing();
    steps.shell("kill -INT $watch; wait $watch");
    steps.shell("echo == watched; cat /tmp/watched; echo == truth; truth_runs; truth_end");
    let sections = steps.run();
    let watched = sections.watched("watched").unwrap();
    let matched = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    assert!(matched.len() >= 10, "{}", matched.len());
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn an_estimator_that_does_not_come_back_at_once_is_told_with_what_is_known_of_it() {
    let spec = LabSpec {
        services: 20,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let mut steps = Steps::on(with_modules(spec));
    steps
        .step(
            "far",
            format!("ipvs-latency hotfix load {FOLDER}/est_300s.ko"),
        )
        .exits(0)
        .says(&["est_300s is in force"]);
    steps.shell("sleep 3");
    steps
        .step("slowed", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["is SLOWED: due in ", "under a livepatch that replaces"]);
    steps
        .step("back", "ipvs-latency hotfix unload est_300s")
        .exits(3)
        .says(&["est_300s is gone", "is due in ", " s, by its own timer"]);
    steps
        .step("alone", "ipvs-latency hotfix status")
        .exits(1)
        .says(&["is SLOWED: due in "]);
    steps.shell("ipvsadm -C; rmmod ip_vs_rr ip_vs; modprobe -a ip_vs ip_vs_rr");
    steps
        .step(
            "warned",
            format!("ipvs-latency hotfix load {FOLDER}/est_no_rearm.ko"),
        )
        .exits(2)
        .says(&["warning no-rearm", "--accept no-rearm"])
        .leaves_nothing();
    steps
        .step(
            "dead",
            format!("ipvs-latency hotfix load {FOLDER}/est_no_rearm.ko --accept no-rearm"),
        )
        .exits(3)
        .says(&["is DEAD", "only loading ip_vs anew"]);
    steps
        .step("buried", "ipvs-latency hotfix unload est_no_rearm")
        .exits(3)
        .says(&["est_no_rearm is gone", "is DEAD"])
        .leaves_nothing();
    steps.run();
}
