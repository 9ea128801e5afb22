//! Snapshots in pages, and maps without room: what happens at the limits, at small numbers.

use std::collections::BTreeSet;

use serde_json::Value;
use xtask::{
    kernel::under_test,
    lab::LabSpec,
    scenario::{self, Watched, number},
};

fn spec() -> LabSpec {
    LabSpec {
        services: 20,
        destinations: 2,
        netns: 200,
        ..LabSpec::deterministic()
    }
}

/// Returns the namespaces of the reported calls.
fn namespaces(watched: &Watched) -> BTreeSet<u64> {
    let numbers = watched
        .of("call")
        .map(|call| number(call, "netns").unwrap());
    numbers.collect()
}

fn nothing_is_without_a_record(summary: &Value) {
    for field in ["lost", "missed"] {
        assert_eq!(number(summary, field).unwrap(), 0, "{field}");
    }
}

/// A page holds 8 namespaces, or ends amid a list of 61 entries: one snapshot is made of 26 pages and more. Meanwhile
/// namespaces come and go, at which pages end and lists are walked.
fn every_run_is_seen_in_small_pages(without: &str) {
    let script = r"truth_begin 16384
        churn() {
            for round in $(seq 1000); do
                for i in $(seq 8); do ip netns add new$i; done
                ip netns delete lab$((round % 20 * 10 + 1)); ip netns add lab$((round % 20 * 10 + 1))
                sleep 1
                for i in $(seq 8); do ip netns delete new$i; done
            done
        }
        churn & churn=$!
        echo == watch; IPVS_LATENCY_WITHOUT=WITHOUT IPVS_LATENCY_PAGE=8,16 ipvs-latency watch --json --duration 15s
        kill $churn
        echo == truth; truth_runs
        echo == stays; for i in 2 3 4 5; do stat -Lc %i /run/netns/lab$i; done";
    let script = script.replace("=WITHOUT ", &format!("={without} "));
    let sections = scenario::run(spec(), &script).unwrap();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    assert!(pairs.len() >= 180 * 7, "{} calls", pairs.len());
    nothing_is_without_a_record(watched.only("summary").unwrap());
    let root = |call: &&Value| call["netns"] == under_test::root_netns();
    let mut lengths = watched.of("call").filter(root);
    assert!(lengths.all(|call| call["estimators"] == 61));
    assert!(
        watched.of("call").filter(root).count() >= 7,
        "the root namespace is there all the time"
    );
    let seen = namespaces(&watched);
    for netns in sections.text("stays").unwrap().lines() {
        assert!(seen.contains(&netns.parse().unwrap()), "{netns}");
    }
    assert_eq!(
        watched.of("notice").count(),
        0,
        "no length was corrected, and no limit was reached"
    );
    let dead = watched.of("state").filter(|state| state["to"] == "DEAD");
    assert_eq!(dead.count(), 0);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn in_small_pages_and_while_namespaces_come_and_go_every_run_is_seen() {
    every_run_is_seen_in_small_pages("");
}

/// Linux 5.10 to 5.16, whose namespaces change as well.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn without_bpf_loop_too_every_run_is_seen_while_namespaces_come_and_go() {
    every_run_is_seen_in_small_pages("bpf_loop");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn where_the_probes_have_no_room_runs_are_told_with_their_namespace_and_the_limit_too() {
    let sections = scenario::run(
        spec(),
        "truth_begin 16384
        echo == watch; IPVS_LATENCY_ROOM=100 ipvs-latency watch --json --duration 11s
        echo == truth; truth_runs
        echo == whole; ipvs-latency watch --json --duration 5s",
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    watched.matched(&sections.truth("truth").unwrap()).unwrap();
    let seen = namespaces(&watched);
    assert_eq!(seen.len(), 201);
    assert!(!seen.contains(&0));
    let summary = watched.only("summary").unwrap();
    nothing_is_without_a_record(summary);
    let sums = summary["namespaces"].as_array().unwrap();
    assert_eq!(sums.len(), 201, "sums are kept for all of them");
    let unknown = sums.iter().filter(|sums| sums["estimators"].is_null());
    assert!(unknown.count() >= 100, "{summary}");
    let limits: Vec<_> = watched
        .of("notice")
        .filter(|notice| notice["topic"] == "limit")
        .collect();
    assert_eq!(limits.len(), 1, "{limits:?}");
    let text = limits[0]["text"].as_str().unwrap();
    assert!(text.contains("of 201 network namespaces"), "{text}");
    let whole = sections.watched("whole").unwrap();
    assert_eq!(whole.of("notice").count(), 0);
    let known = whole.of("call").all(|call| call["estimators"].is_u64());
    assert!(known, "with room, every length is known");
}
