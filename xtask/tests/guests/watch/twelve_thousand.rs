//! A node with more network namespaces than one page holds, and than the map of estimators usually does.

use std::time::Duration;

use xtask::{
    hotfix_modules,
    kernel::under_test,
    lab::Copy,
    lab::LabSpec,
    scenario::{self, number},
};

/// Network namespaces beside the first: of about 215 KiB of kernel memory each.
const NETNS: u32 = 12_000;

/// What `watch --json` may hold resident at its highest, in KiB.
const RESIDENT_KIB: u64 = 64 * 1024;

#[test]
#[ignore = "takes half an hour; run by cargo xtask test --soak"]
fn soak_twelve_thousand_namespaces() {
    let spec = LabSpec {
        services: 10,
        netns: NETNS,
        memory: 6 * 1024,
        timeout: Duration::from_hours(2),
        copies: vec![Copy {
            source: hotfix_modules::folder(under_test::line()).unwrap(),
            destination: Some("/root/hotfixes".into()),
        }],
        ..LabSpec::deterministic()
    };
    let sections = scenario::run(
        spec,
        r#"truth_begin 65536 32768
        ipvs-latency watch --json > /tmp/watch & pid=$!
        until grep -qs start /tmp/watch; do sleep 0.1; done; sleep 22
        kill -INT $pid
        while grep -s '^VmHWM' /proc/$pid/status > /tmp/now; do cp /tmp/now /tmp/resident; done
        wait $pid
        echo 0 > $truth/events/synthetic/estimator_run/enable
        echo == resident; awk '{ print $2 }' /tmp/resident
        echo == watch; cat /tmp/watch
        echo == truth; truth_runs
        truth_end
        echo == load; ipvs-latency hotfix load /root/hotfixes/est_skip.ko 2>&1; echo "code $?"
        echo == unload; ipvs-latency hotfix unload est_skip 2>&1; echo "code $?"
        echo == left; ls /sys/kernel/livepatch"#,
    )
    .unwrap();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    let all = NETNS as usize + 1;
    assert!(pairs.len() >= all * 10, "{} calls", pairs.len());
    let summary = watched.only("summary").unwrap();
    for field in ["lost", "missed"] {
        assert_eq!(number(summary, field).unwrap(), 0, "{field}");
    }
    let sums = summary["namespaces"].as_array().unwrap();
    assert_eq!(sums.len(), all);
    assert!(sums.iter().all(|sums| sums["estimators"].is_u64()));
    let limits = watched
        .of("notice")
        .filter(|notice| notice["topic"] == "limit");
    assert_eq!(limits.count(), 0);
    let resident: u64 = sections.text("resident").unwrap().trim().parse().unwrap();
    eprintln!(
        "{all} namespaces: {} calls, {resident} KiB resident",
        pairs.len()
    );
    assert!(resident <= RESIDENT_KIB, "{resident}");
    for (section, word) in [
        ("load", "est_skip is in force"),
        ("unload", "every estimator ran since"),
    ] {
        let text = sections.text(section).unwrap();
        assert!(text.ends_with("code 0\n") && text.contains(word), "{text}");
    }
    assert!(
        sections
            .text("unload")
            .unwrap()
            .contains(&format!("{all} network namespaces"))
    );
    assert_eq!(sections.text("left").unwrap(), "");
}
