//! A hotfix is loaded, proven, told of, taken back, and that is proven too.

use serde_json::json;
use xtask::lab::LabSpec;
use xtask::scenario;

use super::{FOLDER, LEFT, TRY, document, ended, with_modules};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_hotfix_is_loaded_and_taken_back_with_proof_while_every_run_is_seen() {
    let spec = LabSpec {
        services: 200,
        destinations: 2,
        netns: 2,
        ..LabSpec::deterministic()
    };
    let script = format!(
        "F={FOLDER}\n{TRY}{LEFT}\
         truth_begin\n\
         ipvs-latency watch --json > /tmp/watched & watch=$!\n\
         sleep 3\n\
         try none 'ipvs-latency hotfix list'\n\
         try load 'ipvs-latency hotfix load {FOLDER}/est_skip.ko'\n\
         try again 'ipvs-latency hotfix load {FOLDER}/est_skip.ko'\n\
         try list 'ipvs-latency hotfix list'\n\
         try status 'ipvs-latency hotfix status'\n\
         try json 'ipvs-latency hotfix status --json'\n\
         echo == names; ipvs-latency hotfix list --json; echo == rest\n\
         try unload 'ipvs-latency hotfix unload est-skip'\n\
         left unload\n\
         try gone 'ipvs-latency hotfix unload est_skip'\n\
         try foreign 'ipvs-latency hotfix unload ip_vs_rr'\n\
         insmod $F/est_same_name.ko; sleep 3; echo 0 > /sys/kernel/livepatch/est_same_name/enabled; sleep 3\n\
         try behind 'ipvs-latency hotfix status'\n\
         try module 'ipvs-latency hotfix unload est_same_name'\n\
         left module\n\
         kill -INT $watch; wait $watch\n\
         echo == watched; cat /tmp/watched; echo == truth; truth_runs; truth_end\n"
    );
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    ended(&sections, "none", "0", &[]);
    ended(
        &sections,
        "load",
        "0",
        &["est_skip is in force", "ran under it", "note statistics"],
    );
    ended(&sections, "again", "0", &["est_skip is enabled already"]);
    ended(&sections, "list", "0", &["est_skip [in force]"]);
    ended(
        &sections,
        "status",
        "0",
        &["est_skip: in force", "estimation_timer of ip_vs: patched"],
    );
    let objects = json!([{"name": "ip_vs", "patched": true, "functions": ["estimation_timer"]}]);
    let entry = json!({"name": "est_skip", "state": "in force", "objects": objects});
    let status = document(&sections, "json");
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
    let names = document(&sections, "names");
    assert_eq!(names["livepatches"], json!([entry]));
    assert_eq!(names["installed"], json!([]));
    ended(
        &sections,
        "unload",
        "0",
        &[
            "est_skip is gone",
            "every estimator ran since (3 network namespaces)",
        ],
    );
    assert_eq!(sections.text("left unload").unwrap(), "");
    ended(&sections, "gone", "2", &["no module est_skip is loaded"]);
    ended(&sections, "foreign", "2", &["is no livepatch"]);
    ended(&sections, "behind", "1", &["est_same_name: out of force"]);
    ended(&sections, "module", "0", &["est_same_name is gone"]);
    assert_eq!(sections.text("left module").unwrap(), "");
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
    let script = format!(
        "{TRY}{LEFT}\
         try far 'ipvs-latency hotfix load {FOLDER}/est_300s.ko'\n\
         sleep 3; try slowed 'ipvs-latency hotfix status'\n\
         try back 'ipvs-latency hotfix unload est_300s'; try alone 'ipvs-latency hotfix status'\n\
         ipvsadm -C; rmmod ip_vs_rr ip_vs; modprobe -a ip_vs ip_vs_rr\n\
         try warned 'ipvs-latency hotfix load {FOLDER}/est_no_rearm.ko'\n\
         left warned\n\
         try dead 'ipvs-latency hotfix load {FOLDER}/est_no_rearm.ko --accept no-rearm'\n\
         try buried 'ipvs-latency hotfix unload est_no_rearm'\n\
         left buried\n"
    );
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    ended(&sections, "far", "0", &["est_300s is in force"]);
    let words = ["is SLOWED: due in ", "under a livepatch that replaces"];
    ended(&sections, "slowed", "0", &words);
    ended(&sections, "alone", "1", &["is SLOWED: due in "]);
    ended(
        &sections,
        "back",
        "3",
        &["est_300s is gone", "is due in ", " s, by its own timer"],
    );
    ended(
        &sections,
        "warned",
        "2",
        &["warning no-rearm", "--accept no-rearm"],
    );
    assert_eq!(sections.text("left warned").unwrap(), "");
    ended(
        &sections,
        "dead",
        "3",
        &["is DEAD", "only loading ip_vs anew"],
    );
    ended(
        &sections,
        "buried",
        "3",
        &["est_no_rearm is gone", "is DEAD"],
    );
    assert_eq!(sections.text("left buried").unwrap(), "");
}
