//! Many namespaces beside a busy one.

use std::collections::BTreeMap;

use xtask::{
    ground_truth::Run,
    kernel::under_test,
    lab::LabSpec,
    scenario::{self, number},
};

/// Runs on one CPU closer together than this are one blackout.
const GAP_NS: u64 = 20_000;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_namespace_is_seen_and_blackouts_are_what_the_tracepoints_give() {
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        netns: 200,
        ..LabSpec::deterministic()
    };
    let sections = scenario::run(
        spec,
        "truth_begin 8192
        echo == watch; ipvs-latency watch --json --duration 21s
        echo == truth; truth_runs
        echo == named; ipvs-latency watch --json --netns lab7 --duration 5s
        echo == inode; stat -Lc %i /run/netns/lab7",
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    let truth = sections.truth("truth").unwrap();
    let pairs = watched.matched(&truth).unwrap();

    let mut calls: BTreeMap<u64, u64> = BTreeMap::new();
    for (call, _) in &pairs {
        *calls.entry(number(call, "netns").unwrap()).or_default() += 1;
        let length = if call["netns"] == under_test::root_netns() {
            30_001
        } else {
            1
        };
        assert_eq!(call["estimators"], length, "{call}");
    }
    assert_eq!(calls.len(), 201, "root and 200 more");
    assert!(
        calls.values().all(|calls| (10..=11).contains(calls)),
        "{calls:?}"
    );
    let summary = watched.only("summary").unwrap();
    assert_eq!(
        number(summary, "missed").unwrap() + number(summary, "lost").unwrap(),
        0
    );

    let told: Vec<u64> = watched
        .of("call")
        .filter_map(|call| call["blackout_ns"].as_u64())
        .collect();
    let traced = blackouts(pairs.iter().map(|(_, run)| *run).collect());
    assert_eq!(told.len(), traced.len(), "as many blackouts");
    let (told, traced): (u64, u64) = (told.iter().sum(), traced.iter().sum());
    eprintln!("blackouts: told {told} ns, traced {traced} ns");
    assert!(
        told.abs_diff(traced) * 100 <= traced,
        "told {told} ns, traced {traced} ns"
    );

    let inode: u64 = sections.text("inode").unwrap().trim().parse().unwrap();
    let named = sections.watched("named").unwrap();
    assert!(named.of("call").count() >= 2);
    assert!(
        named.of("call").all(|call| call["netns"] == inode),
        "only the one asked for"
    );
}

/// The blackouts of the batches that these runs form: from the beginning of the first to the end of the
/// last.
fn blackouts(mut runs: Vec<Run>) -> Vec<u64> {
    runs.sort_by_key(|run| run.begin_ns);
    let mut batches: Vec<Vec<Run>> = Vec::new();
    for run in runs {
        match batches.last_mut() {
            Some(batch) if run.begin_ns < batch[batch.len() - 1].end_ns() + GAP_NS => {
                batch.push(run);
            }
            _ => batches.push(vec![run]),
        }
    }
    batches
        .iter()
        .map(|batch| batch[batch.len() - 1].end_ns() - batch[0].begin_ns)
        .collect()
}
