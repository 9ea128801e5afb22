//! `watch` on kernel threads that estimate: calibrations, and what happens to `ip_vs` and to `watch` meanwhile.

use std::time::Duration;

use serde_json::Value;
use xtask::{
    kernel::{Line, under_test},
    lab::LabSpec,
    scenario::{self, Sections, Watched, number},
};

/// Ten thousand services with two destinations each.
const FIRST_SERVICES: &str = r#"
rules() {
    i=0
    while [ $i -lt 10000 ]; do
        a=$((i / 250)).$((i % 250))
        echo "-A -t 10.0.$a:80 -s rr"
        echo "-a -t 10.0.$a:80 -r 10.1.$a:80 -m"
        echo "-a -t 10.0.$a:80 -r 10.2.$a:80 -m"
        i=$((i + 1))
    done
}
rules > /tmp/rules
"#;

/// What the kernel's log says of its threads.
const CALIBRATED: &str = r"
echo == calibrated
dmesg | sed -n 's/.*IPVS: \(using max .*\)/\1/p'
echo == started
dmesg | grep -c 'IPVS: starting estimator thread'
";

/// Linux 6.12, or the kernel with threads that was chosen.
fn line() -> Line {
    under_test::chosen_line().unwrap_or(Line::V6_12)
}

/// A guest whose clock counts instructions: there a notice comes as fast on any machine.
fn empty() -> LabSpec {
    LabSpec {
        kernel: line(),
        timeout: Duration::from_mins(10),
        ..LabSpec::deterministic()
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn watch_leaves_the_calibration_of_kernel_threads_alone_and_sees_every_run_after_it() {
    if !scenario::available(line()) {
        return;
    }
    let alone = format!("{FIRST_SERVICES} ipvsadm -R < /tmp/rules; sleep 5; {CALIBRATED}");
    let watched = format!(
        "{FIRST_SERVICES}
        ipvs-latency watch --json > /tmp/watched & watch=$!
        sleep 3
        ipvsadm -R < /tmp/rules
        sleep 8
        truth_chains_begin
        sleep 20
        echo == truth; truth_runs
        kill $watch; wait $watch
        echo == watch; cat /tmp/watched
        {CALIBRATED}"
    );
    let alone = scenario::run(empty(), &alone).unwrap();
    let watched = scenario::run(empty(), &watched).unwrap();
    for section in ["calibrated", "started"] {
        let text = alone.text(section).unwrap();
        assert!(!text.trim().is_empty(), "{}", alone.noise);
        assert_eq!(watched.text(section).unwrap(), text, "{section}");
    }
    let records = watched.watched("watch").unwrap();
    let seen = records.chains(&watched.truth("truth").unwrap()).unwrap();
    assert!(seen >= 400, "only {seen} runs of 25 a second");
    let summary = records.only("summary").unwrap();
    for field in ["lost", "missed"] {
        assert_eq!(summary[field], 0, "{summary}");
    }
    let threads = summary["threads"].as_array().unwrap();
    let estimators = threads.iter().map(|one| number(one, "estimators").unwrap());
    assert_eq!(estimators.sum::<u64>(), 30_001, "{summary}");
    let limit = format!(
        "using max {} ests per chain",
        summary["namespaces"][0]["chain_max"]
    );
    assert!(
        watched.text("calibrated").unwrap().starts_with(&limit),
        "{limit}"
    );
    let told = notices(&records, "calibration");
    assert_eq!(told.first(), Some(&BEGAN), "{told:?}");
    assert!(
        told.last().unwrap().starts_with("runs are measured again"),
        "{told:?}"
    );
}

/// Returns the texts of the notices about a topic.
fn notices<'a>(watched: &'a Watched, topic: &str) -> Vec<&'a str> {
    let notices = watched.of("notice").filter(|one| one["topic"] == topic);
    notices.filter_map(|one| one["text"].as_str()).collect()
}

const BEGAN: &str = "a kernel thread began and may calibrate: no run is measured";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn threads_that_are_started_again_are_followed() {
    if !scenario::available(line()) {
        return;
    }
    let change = |with: &str| {
        format!(
            "vs=/proc/sys/net/ipv4/vs
            {with}
            ipvsadm -A -t 10.0.0.1:80 -s rr; sleep 5
            echo 0 > $vs/est_cpulist; sleep 5
            echo 5 > $vs/est_nice; sleep 5
            echo 0 > $vs/run_estimation; sleep 5
            echo 1 > $vs/run_estimation; sleep 5
            {CALIBRATED}"
        )
    };
    let alone = scenario::run(empty(), &change("")).unwrap();
    let script = change("ipvs-latency watch --json > /tmp/watched & watch=$!; sleep 3");
    let script = format!(
        "{script}
        kill $watch; wait $watch
        echo == watch; cat /tmp/watched"
    );
    let with = scenario::run(empty(), &script).unwrap();
    let started = alone.text("started").unwrap();
    assert_eq!(with.text("started").unwrap(), started);
    let watched = with.watched("watch").unwrap();
    let told = notices(&watched, "calibration");
    // The first service, and the CPUs.
    same_limits_or_said(&with, &alone, &told);
    // These two, the niceness, and the switch.
    let began = told.iter().filter(|text| **text == BEGAN);
    assert_eq!(began.count(), 4, "{told:?}");
    assert!(
        told.iter()
            .all(|text| !text.contains("disturbed the calibration")),
        "{told:?}"
    );
    let summary = watched.only("summary").unwrap();
    for field in ["lost", "missed"] {
        assert_eq!(summary[field], 0, "{summary}");
    }
    let thread = &summary["threads"][0];
    assert_eq!(
        (&thread["nice"], &thread["cpus"]),
        (&5.into(), &Value::from(vec![0])),
        "{thread}"
    );
    assert!(number(thread, "runs").unwrap() >= 8, "{thread}");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn watch_waits_for_ip_vs_and_says_which_calibration_it_disturbed_while_it_was_stopped() {
    if !scenario::available(line()) {
        return;
    }
    let script = "
        ipvs-latency watch --json > /tmp/watched & watch=$!; sleep 3
        ipvsadm -A -t 10.0.0.1:80 -s rr; sleep 5
        ipvsadm -C; rmmod ip_vs_rr ip_vs; sleep 3
        modprobe ip_vs; sleep 3
        kill -STOP $watch
        ipvsadm -A -t 10.0.0.1:80 -s rr; sleep 5
        kill -CONT $watch; sleep 5
        kill -STOP $watch
        echo 0 > /proc/sys/net/ipv4/vs/est_cpulist; sleep 5
        kill -CONT $watch; sleep 8
        kill $watch; wait $watch
        echo == watch; cat /tmp/watched
        ipvs-latency watch --json > /dev/null & watch=$!; sleep 3
        kill -KILL $watch; wait $watch
        echo == left; grep -c ip_vs /sys/kernel/debug/kprobes/list; true";
    let sections = scenario::run(empty(), script).unwrap();
    let watched = sections.watched("watch").unwrap();
    let of_ip_vs = notices(&watched, "ip_vs");
    assert!(of_ip_vs[0].contains("was unloaded"), "{of_ip_vs:?}");
    assert!(
        of_ip_vs[1].contains("the probes are in place"),
        "{of_ip_vs:?}"
    );
    let told = notices(&watched, "calibration");
    let disturbed = told
        .iter()
        .filter(|text| text.contains("disturbed the calibration"));
    // The second: at the first, no probe is attached.
    assert_eq!(disturbed.count(), 1, "{told:?}");
    assert!(watched.of("chain_run").count() >= 4, "{told:?}");
    assert_eq!(sections.text("left").unwrap().trim(), "0");
}

/// The first of two calibrations was left alone, and the second too, or `watch` says that it may have disturbed it.
fn same_limits_or_said(with: &Sections, alone: &Sections, told: &[&str]) {
    let [limits, limits_alone] = [with, alone].map(|sections| {
        let limits = sections.text("calibrated").unwrap().lines();
        limits.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!((limits.len(), limits_alone.len()), (2, 2), "{}", with.noise);
    assert_eq!(limits[0], limits_alone[0], "the first");
    let is_said = told.iter().any(|text| text.contains("may be too short"));
    assert!(limits[1] == limits_alone[1] || is_said, "{told:?}");
}

/// Other work delays the kernel when it removes probes. At the first calibration there is none to remove.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn on_a_busy_cpu_the_first_calibration_is_left_alone_and_a_later_one_or_it_is_said_to_be_disturbed()
{
    if !scenario::available(line()) {
        return;
    }
    let busy = "for hog in 1 2 3 4; do (while :; do :; done) & done";
    let services = "ip netns add later
        ipvsadm -A -t 10.0.0.1:80 -s rr; sleep 5
        ip netns exec later ipvsadm -A -t 10.0.0.1:80 -s rr; sleep 5";
    let alone = format!("{busy}; {services}; {CALIBRATED}");
    let with = format!(
        "ipvs-latency watch --json > /tmp/watched & watch=$!
        {busy}; sleep 4; {services}
        kill $watch; wait $watch
        echo == watch; cat /tmp/watched
        {CALIBRATED}"
    );
    let alone = scenario::run(empty(), &alone).unwrap();
    let with = scenario::run(empty(), &with).unwrap();
    let watched = with.watched("watch").unwrap();
    let told = notices(&watched, "calibration");
    same_limits_or_said(&with, &alone, &told);
    assert!(watched.of("chain_run").count() >= 1, "{told:?}");
}
