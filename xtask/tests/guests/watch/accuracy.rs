//! How many runs, and how long.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;
use xtask::{
    bench::REPEATS_WITHIN,
    lab::LabSpec,
    scenario::{self, number},
};

fn busy() -> LabSpec {
    LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::deterministic()
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_run_is_reported_with_its_length_and_within_a_thousandth_of_its_duration() {
    let sections = scenario::run(
        busy(),
        "truth_begin
        echo == watch; ipvs-latency watch --json --duration 42s
        echo == truth; truth_runs
        echo == slow; ipvs-latency watch --json --slow 1s --duration 5s
        echo == text; ipvs-latency watch --duration 5s",
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    assert!(pairs.len() >= 20, "only {} calls in 42 s", pairs.len());
    for (call, run) in &pairs {
        assert_eq!(call["estimators"], 30_001, "{call}");
        assert_eq!(call["blackout_ns"], call["duration_ns"], "{call}");
        let told = number(call, "duration_ns").unwrap();
        assert!(
            told.abs_diff(run.lasted_ns) * 1000 <= run.lasted_ns,
            "{call} {run:?}"
        );
    }
    let summary = watched.only("summary").unwrap();
    assert_eq!(number(summary, "calls").unwrap(), pairs.len() as u64);
    assert_eq!(number(summary, "expected").unwrap(), pairs.len() as u64);
    assert_eq!(
        (&summary["lost"], &summary["missed"]),
        (&0.into(), &0.into())
    );
    assert!(
        summary["p50_ns"].is_u64() && summary["p90_ns"].is_null(),
        "{summary}"
    );

    let slow = sections.watched("slow").unwrap();
    assert_eq!(slow.of("call").count(), 0, "no run takes a second");
    assert!(number(slow.only("summary").unwrap(), "calls").unwrap() >= 2);

    let text = sections.text("text").unwrap();
    let call = text.lines().nth(1).unwrap();
    // Mark, duration and unit as funcgraph gives them.
    let duration = call
        .strip_prefix("# ")
        .and_then(|call| call.split_once(" us "))
        .unwrap()
        .0;
    let duration_us: f64 = duration.parse().unwrap();
    assert!((1_000.0..10_000.0).contains(&duration_us), "{text}");
    assert!(call.contains("30001 estimators"), "{text}");
    assert!(text.contains("lost 0, missed 0"), "{text}");
}

/// What older kernels lack is left out here, so that the other ways are held against the first: without `bpf_loop` the
/// snapshots come in small pieces, and without BTF of `ip_vs` its layout is found in the kernel's memory.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn without_bpf_loop_and_without_module_btf_the_same_is_reported() {
    let spec = LabSpec { netns: 3, ..busy() };
    let ways = [
        ("whole", ""),
        ("no_loop", "bpf_loop"),
        ("no_btf", "module_btf"),
        ("neither", "bpf_loop,module_btf"),
    ];
    let mut script = "truth_begin\n".to_owned();
    for (name, without) in ways {
        let _ = writeln!(
            script,
            "export IPVS_LATENCY_WITHOUT={without}
            echo == {name} way; ipvs-latency -v check 2>&1 > /dev/null
            echo == {name}; ipvs-latency watch --json --duration 22s"
        );
    }
    script.push_str("echo == truth; truth_runs");
    let sections = scenario::run(spec, &script).unwrap();
    let truth = sections.truth("truth").unwrap();
    let mut added = BTreeSet::new();
    let mut first = None;
    for (name, without) in ways {
        let way = sections.text(&format!("{name} way")).unwrap();
        let bounded = way.contains("snapshots come in bounded pages");
        assert_eq!(bounded, without.contains("bpf_loop"), "{way}");
        let searched = way.contains("the fields of ip_vs were found in memory");
        assert_eq!(searched, without.contains("module_btf"), "{way}");
        let watched = sections.watched(name).unwrap();
        let pairs = watched.matched(&truth).unwrap();
        let summary = watched.only("summary").unwrap();
        let [calls, lost, missed] =
            ["calls", "lost", "missed"].map(|field| number(summary, field).unwrap());
        assert_eq!((calls, lost, missed), (pairs.len() as u64, 0, 0), "{name}");
        let namespaces = namespaces(summary);
        assert_eq!(namespaces.len(), 4, "{name}: {summary}");
        let first = first.get_or_insert_with(|| namespaces.clone());
        assert_eq!(&namespaces, first, "{name}");
        let long = pairs
            .iter()
            .filter(|(call, _)| call["estimators"] == 30_001);
        let long: Vec<i64> = long
            .map(|(call, run)| {
                let told = number(call, "duration_ns").unwrap();
                told.cast_signed() - run.lasted_ns.cast_signed()
            })
            .collect();
        assert!(!long.is_empty(), "{name} saw no long run");
        added.extend(long);
    }
    // What lies between the tracepoints and the probes is the same, but for the guest's clock interrupt.
    let apart = added.last().unwrap().abs_diff(*added.first().unwrap());
    assert!(apart <= REPEATS_WITHIN, "{added:?}");
}

/// Returns what a summary says of each namespace, but for durations.
fn namespaces(summary: &Value) -> BTreeMap<u64, Vec<Value>> {
    let fields = ["who", "state", "estimators", "run_estimation"];
    let namespaces = summary["namespaces"].as_array().unwrap().iter();
    namespaces
        .map(|one| {
            let said = fields.map(|field| one[field].clone());
            (number(one, "netns").unwrap(), said.to_vec())
        })
        .collect()
}

/// The reader is stopped for so long that the ring buffer overflows: detail is lost, no count is.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_stalled_reader_loses_detail_and_never_counts() {
    let spec = LabSpec {
        netns: 200,
        ..LabSpec::deterministic()
    };
    let sections = scenario::run(
        spec,
        "truth_begin 32768
        ipvs-latency watch --json > /tmp/watch & pid=$!
        sleep 5; kill -STOP $pid; sleep 120; kill -CONT $pid; sleep 5; kill -INT $pid; wait $pid; code=$?
        echo == code; echo $code
        echo == watch; cat /tmp/watch
        echo == truth; truth_runs",
    )
    .unwrap();
    assert_eq!(sections.text("code").unwrap(), "0\n");
    let watched = sections.watched("watch").unwrap();
    let window = watched.window().unwrap();
    let truth = sections.truth("truth").unwrap();
    let seen = truth
        .iter()
        .filter(|run| window.contains(&run.begin_ns))
        .count() as u64;
    let summary = watched.only("summary").unwrap();
    let [calls, recorded, lost, missed] =
        ["calls", "recorded", "lost", "missed"].map(|field| number(summary, field).unwrap());
    assert!(
        lost > 0,
        "120 s of 201 namespaces are more than the ring buffer holds: {summary}"
    );
    assert_eq!(calls, recorded + lost);
    assert_eq!(recorded, watched.of("call").count() as u64);
    assert_eq!(missed, 0, "{summary}");
    // A run that was under way when watching began may be in one count and not in the other.
    assert!(calls.abs_diff(seen) <= 1, "told {calls}, traced {seen}");
}
