//! The length of `est_list` while services come and go.

use xtask::{
    lab::Cpus,
    lab::LabSpec,
    scenario::{self, Sections, number},
};

/// Adds and removes 1,000 services while `watch` runs, and records starts, stops and runs in the order
/// in which they happened.
const CHURN: &str = r#"
    cd $tracing
    address=$(awk '$3 == "estimation_timer" && $4 == "[ip_vs]" { print "0x" $1 }' /proc/kallsyms)
    echo mono > trace_clock; echo 16384 > buffer_size_kb
    echo 'p:est/start ip_vs:ip_vs_start_estimator' > kprobe_events
    echo 'p:est/stop ip_vs:ip_vs_stop_estimator' >> kprobe_events
    echo 'r:est/started ip_vs:ip_vs_start_estimator' >> kprobe_events
    echo 'r:est/stopped ip_vs:ip_vs_stop_estimator' >> kprobe_events
    echo "function == $address" > events/timer/timer_expire_entry/filter
    echo 1 > events/timer/timer_expire_entry/enable
    i=0; while [ $i -lt 1000 ]; do
        echo "-t 172.16.$((i / 250)).$((i % 250)):443"; i=$((i + 1))
    done > /tmp/services
    sed 's/^/-A /; s/$/ -s rr/' /tmp/services > /tmp/add; sed 's/^/-D /' /tmp/services > /tmp/remove
    ipvs-latency watch --json > /tmp/watch & pid=$!
    until grep -qs start /tmp/watch; do sleep 0.1; done
    echo 1 > events/est/enable
    end=$(($(date +%s) + SECONDS_OF_CHURN))
    (sleep 3; ipvs-latency watch --json > /tmp/late & echo $! > /tmp/late.pid) &
    while [ $(date +%s) -lt $end ]; do ipvsadm -R < /tmp/add; sleep 1; ipvsadm -R < /tmp/remove; done
    sleep 5; kill -INT $(cat /tmp/late.pid); sleep 1; kill -INT $pid; wait $pid; code=$?
    echo == code; echo $code
    echo == watch; cat /tmp/watch
    echo == late; cat /tmp/late
    echo == trace; awk '/ (start|stop|started|stopped|timer_expire_entry): /' trace
"#;

/// What the trace gives for one run: the length by all starts and stops entered before it, and how many
/// of them were still in flight.
#[derive(Debug)]
struct Expected {
    at_us: u64,
    length: i64,
    in_flight: i64,
}

fn expected(trace: &str, initial: i64) -> Vec<Expected> {
    let (mut length, mut in_flight) = (initial, 0);
    let mut runs = Vec::new();
    assert!(!trace.is_empty(), "nothing was traced");
    for line in trace.lines() {
        let event = ["start", "stop", "started", "stopped", "timer_expire_entry"]
            .into_iter()
            .find(|event| line.contains(&format!(" {event}: ")))
            .unwrap();
        match event {
            "start" => (length, in_flight) = (length + 1, in_flight + 1),
            "stop" => (length, in_flight) = (length - 1, in_flight + 1),
            "timer_expire_entry" => runs.push(Expected {
                at_us: microseconds(line),
                length,
                in_flight,
            }),
            _ => in_flight -= 1,
        }
    }
    assert_eq!(in_flight, 0, "every start and stop came back");
    runs
}

/// The time in a line of the trace, `SECONDS.MICROSECONDS:`.
fn microseconds(line: &str) -> u64 {
    let time = line
        .split_whitespace()
        .find_map(|word| word.strip_suffix(':').filter(|time| time.contains('.')))
        .unwrap();
    time.replace('.', "").parse().unwrap()
}

/// Each call of the stream that `section` holds with what the trace expects of it: the last entry traced
/// before the call began. Calls of unknown length are left out.
fn compared(sections: &Sections, section: &str, initial: i64) -> Vec<(i64, Expected)> {
    assert_eq!(sections.text("code").unwrap(), "0\n");
    assert!(!sections.noise.contains("corrected"), "{}", sections.noise);
    let watched = sections.watched(section).unwrap();
    let mut runs = expected(sections.text("trace").unwrap(), initial);
    let mut pairs = Vec::new();
    for call in watched.of("call") {
        let start_us = number(call, "start_ns").unwrap() / 1000;
        let Some(run) = runs.iter().rposition(|run| run.at_us <= start_us) else {
            panic!("the tracepoint saw no run for {call}");
        };
        let expected = runs.remove(run);
        if let Some(length) = call["estimators"].as_i64() {
            pairs.push((length, expected));
        }
    }
    pairs
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn on_one_cpu_the_length_is_exactly_what_the_ordered_events_give() {
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let script = CHURN.replace("SECONDS_OF_CHURN", "12");
    let sections = scenario::run(spec, &script).unwrap();
    let pairs = compared(&sections, "watch", 30_001);
    assert!(pairs.len() >= 5, "{pairs:?}");
    let late = compared(&sections, "late", 30_001);
    assert!(
        !late.is_empty(),
        "a watch begun amid the churn learns the length in the end"
    );
    for (told, expected) in pairs.iter().chain(&late) {
        assert_eq!(*told, expected.length, "{expected:?}");
    }
    let moved = pairs.iter().filter(|(told, _)| *told != 30_001).count();
    assert!(
        moved > 0,
        "no run came while services were there: {pairs:?}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn on_several_cpus_the_length_is_off_by_at_most_the_calls_in_flight() {
    let spec = LabSpec {
        cpus: Cpus {
            online: 2,
            possible: 2,
        },
        services: 10_000,
        destinations: 2,
        ..LabSpec::default()
    };
    let script = CHURN.replace("SECONDS_OF_CHURN", "12");
    let sections = scenario::run(spec, &script).unwrap();
    let pairs = compared(&sections, "watch", 30_001);
    let late = compared(&sections, "late", 30_001);
    assert!(!pairs.is_empty() && !late.is_empty(), "{pairs:?} {late:?}");
    for (told, expected) in pairs.iter().chain(&late) {
        // One more: the order of two CPUs' trace records within a microsecond is not known.
        let in_flight = expected.in_flight + 1;
        assert!(
            (told - expected.length).abs() <= in_flight,
            "{told} {expected:?}"
        );
    }
    lock_waits_are_overlaps(&sections);
}

/// Every lock wait told is at most as long as some run on another CPU, and lies within it.
fn lock_waits_are_overlaps(sections: &Sections) {
    let watched = sections.watched("watch").unwrap();
    for wait in watched.of("lock_wait") {
        let start = number(wait, "start_ns").unwrap();
        let end = start + number(wait, "duration_ns").unwrap();
        let inside = watched.of("call").any(|call| {
            let begin = number(call, "start_ns").unwrap();
            let over = begin + number(call, "duration_ns").unwrap();
            begin <= start && end <= over && call["cpu"] != wait["cpu"]
        });
        assert!(inside, "no run on another CPU holds {wait}");
    }
}
