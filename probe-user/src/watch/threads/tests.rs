use std::io;

use serde_json::Value;

use super::{
    json,
    made::{ROOT, estimation, made},
    text::{self, ThreadLines},
};
use crate::watch::{json::Names, marks::Colour};
use model::threads::{ThreadOutput, ThreadRun};

const LINES: ThreadLines = ThreadLines {
    colour: Colour(false),
    root_netns: ROOT,
};

fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_say_what_ran_where_and_over_how_many_and_that_no_softirq_waits() {
    let (outputs, period) = made();
    let text = written(|out| {
        text::header(out)?;
        for output in outputs.iter().take(3).chain(&outputs[500..]) {
            LINES.output(out, output)?;
        }
        text::interval(out, &period.sums)?;
        LINES.summary(out, &period)
    });
    insta::assert_snapshot!(text);
}

#[test]
fn records_have_the_runs_by_thread_beside_what_the_kernel_says_of_it() {
    let (outputs, period) = made();
    let names = Names::new();
    let run = written(|out| json::output(out, &outputs[1], &names));
    let run: Value = serde_json::from_str(&run).unwrap();
    let expected = serde_json::json!({
        "type": "chain_run", "schema": 1, "start_ns": 1_020_000_000,
        "at": "2023-11-14T22:13:21.020Z", "duration_ns": 41_700, "cpu": 2, "netns": ROOT,
        "who": null, "door": null, "thread": 1, "tid": 132, "tick": 0, "estimators": 24,
    });
    assert_eq!(run, expected);
    let notice = written(|out| json::output(out, &outputs[500], &names));
    let notice: Value = serde_json::from_str(&notice).unwrap();
    assert_eq!(
        (&notice["type"], &notice["topic"]),
        (&"notice".into(), &"calibration".into())
    );
    let summary = written(|out| json::summary(out, &period, &names));
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(
        (&summary["runs"], &summary["expected"]),
        (&500.into(), &500.into())
    );
    assert_eq!(summary["observed_ns"], 11_750_000_000_u64);
    let first = &summary["threads"][0];
    for (field, value) in [
        ("thread", 0),
        ("tid", 131),
        ("estimators", 30_000),
        ("estimators_max", 324_000),
        ("ticks", 50),
        ("longest_run_estimators", 600),
        ("runs", 250),
        ("max_ns", 121_600),
        ("netns", u64::from(ROOT)),
    ] {
        assert_eq!(first[field], value, "{field} of {first}");
    }
    let namespaces = summary["namespaces"].as_array().unwrap();
    let told: Vec<_> = namespaces
        .iter()
        .map(|one| {
            (
                one["threads"].as_u64(),
                one["estimators"].as_u64(),
                one["chain_max"].as_u64(),
            )
        })
        .collect();
    let expected = [(2, 31_201, 6_480), (0, 0, 0)];
    assert_eq!(told, expected.map(|(a, b, c)| (Some(a), Some(b), Some(c))));
}

/// The run of `made` with so many estimators and such a duration is the longest.
fn with_longest(estimators: Option<u32>, duration_ns: u64) -> Vec<String> {
    let (outputs, mut period) = made();
    let ThreadOutput::Run(run) = outputs[0] else {
        panic!("{outputs:?}")
    };
    period.sums.threads[0].longest = Some(ThreadRun {
        estimators,
        duration_ns,
        ..run
    });
    period.sums.threads.truncate(1);
    period.remarks()
}

#[test]
fn a_chain_beyond_its_limit_is_said_and_one_within_it_is_not() {
    assert_eq!(with_longest(Some(6_480), 4_560_000), [""; 0]);
    let long = with_longest(Some(6_481), 100_000);
    assert!(
        long[0].contains("was over 6481 estimators; the kernel allows a chain 6480 now"),
        "{long:?}"
    );
    let slow = with_longest(Some(6_480), 4_560_001);
    assert!(slow[0].contains("plans 4.56 ms at most"), "{slow:?}");
    // One of several chains of a tick, whose length the probe does not see.
    assert_eq!(with_longest(None, 95_000), [""; 0]);
    assert!(with_longest(None, 95_001)[0].contains("plans 95.0 us at most"));
    let (_, mut period) = made();
    period.read.namespaces = vec![estimation(ROOT, 0)];
    assert_eq!(period.remarks(), [""; 0], "no limit is known yet");
}
