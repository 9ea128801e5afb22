//! The tool on each line of kernels that the lab boots, against the kernel's own tracepoints.

use serde_json::Value;
use xtask::{
    kernel::{self, Line},
    lab::LabSpec,
    scenario::{self, number},
};

use crate::{
    hotfix::{FOLDER, with_modules_for},
    steps::Steps,
};

/// A guest of that line with a busy namespace and three idle ones; `None` where the line is not available.
fn guest(kernel: Line) -> Option<LabSpec> {
    scenario::available(kernel).then(|| LabSpec { kernel, ..filled() })
}

fn filled() -> LabSpec {
    LabSpec {
        services: 1_000,
        destinations: 2,
        netns: 3,
        ..LabSpec::default()
    }
}

/// Where a timer estimates: `check` tells the state of all, and `watch` sees every run. `has_switch`: whether the kernel has
/// `run_estimation`.
fn timers_are_measured(spec: LabSpec, has_switch: bool) {
    let mut steps = Steps::on(spec);
    steps.shell("truth_begin");
    steps
        .step("check", "ipvs-latency check --max 60s --json")
        .exits(0)
        .document(move |page| {
            assert_eq!(page["kernel"]["estimator"], "timer", "{page}");
            let open = page["mitigations"].as_array().unwrap();
            let offers = |name: &str| open.iter().any(|one| one["name"] == name);
            assert!(offers("newer_kernel"), "{page}");
            assert_eq!(offers("run_estimation"), has_switch, "{page}");
            assert_eq!(page["missing"], Value::Array(Vec::new()), "{page}");
            let namespaces = page["namespaces"].as_array().unwrap().iter();
            let told = namespaces.map(|one| (number(one, "estimators").unwrap(), &one["state"]));
            let told: Vec<_> = told.collect();
            let active = Value::from("ACTIVE");
            let expected = [3_001, 1, 1, 1].map(|estimators| (estimators, &active));
            assert_eq!(told, expected, "{page}");
        });
    steps.shell("echo == watch; ipvs-latency watch --json --duration 13s");
    steps.shell("echo == truth; truth_runs");
    let sections = steps.run();
    let watched = sections.watched("watch").unwrap();
    let pairs = watched.matched(&sections.truth("truth").unwrap()).unwrap();
    assert!(pairs.len() >= 20, "only {} runs of 4 timers", pairs.len());
    let long = pairs.iter().filter(|(call, _)| call["estimators"] == 3_001);
    assert!(long.count() >= 5, "{pairs:?}");
    let summary = watched.only("summary").unwrap();
    for field in ["lost", "missed"] {
        assert_eq!(summary[field], 0, "{summary}");
    }
}

/// Where kernel threads estimate, `check` reports them as the kernel's own log and `/proc` show them, and `watch` sees the
/// runs that the kernel traces.
fn threads_are_reported(spec: LabSpec) {
    let mut steps = Steps::on(spec);
    steps
        .step("check", "ipvs-latency check --json")
        .exits(0)
        .document_beside(|page, sections| {
            assert_eq!(page["kernel"]["estimator"], "kthread", "{page}");
            assert_eq!(page["missing"], Value::Array(Vec::new()), "{page}");
            let namespaces = page["namespaces"].as_array().unwrap().iter();
            let told: Vec<_> = namespaces
                .map(|one| (number(one, "estimators").unwrap(), &one["state"]))
                .collect();
            let state = Value::from("KTHREAD");
            let expected = [3_001, 1, 1, 1].map(|estimators| (estimators, &state));
            assert_eq!(told, expected, "{page}");
            let threads = page["threads"]["threads"].as_array().unwrap();
            let names: Vec<_> = threads
                .iter()
                .map(|one| format!("{} {}", one["tid"], one["name"].as_str().unwrap()))
                .collect();
            let mut expected: Vec<_> = sections.text("tasks").unwrap().lines().collect();
            expected.sort_unstable();
            assert_eq!(names, expected, "{page}");
            let estimators = threads.iter().map(|one| number(one, "estimators").unwrap());
            assert_eq!(estimators.sum::<u64>(), 3_001, "{page}");
            let most = sections.text("most").unwrap().trim().parse::<u64>();
            assert_eq!(
                number(&threads[0], "estimators_max").unwrap(),
                most.unwrap()
            );
        });
    steps.shell("echo == tasks; ps -e | awk '/ipvs-e/ { print $1, $NF }'");
    steps.shell(
        "echo == most; dmesg | sed -n 's/.*ests per chain, \\([0-9]*\\) per kthread.*/\\1/p'",
    );
    steps.shell("truth_chains_begin");
    steps.shell("echo == watch; ipvs-latency watch --json --duration 9s");
    steps.shell("echo == truth; truth_runs");
    steps
        .step("lines", "ipvs-latency watch --plain --duration 3s")
        .exits(0)
        .shows(&["but no softirq", "thread  0", "ipvs-e:0:0"]);
    steps.shell("echo 0 > /proc/sys/net/ipv4/vs/run_estimation; sleep 1");
    steps
        .step("stopped", "ipvs-latency check")
        .exits(0)
        .shows(&[
            "the kernel has stopped the threads",
            "run_estimation is 0 there",
        ]);
    let sections = steps.run();
    let watched = sections.watched("watch").unwrap();
    let seen = watched.chains(&sections.truth("truth").unwrap()).unwrap();
    assert!(seen >= 2, "only {seen} runs, of one chain every 2 s");
    let start = watched.only("start").unwrap();
    assert_eq!(start["estimator"], "kthread", "{start}");
    let summary = watched.only("summary").unwrap();
    let threads = summary["threads"].as_array().unwrap();
    let estimators = threads.iter().map(|one| number(one, "estimators").unwrap());
    assert_eq!(estimators.sum::<u64>(), 3_001, "{summary}");
    assert_eq!(
        summary["namespaces"].as_array().unwrap().len(),
        4,
        "{summary}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_5_10_is_measured_without_bpf_loop_and_module_btf() {
    if let Some(spec) = guest(Line::V5_10) {
        timers_are_measured(spec, false);
    }
}

/// A guest of Linux 5.10 with its hotfixes in `$F`; `None` where it, or its headers, are not available.
fn with_hotfixes_of_5_10() -> Option<Steps> {
    let spec = guest(Line::V5_10)?;
    match kernel::headers(&spec.kernel) {
        Ok(_) => {}
        Err(kernel::Error::Failed(error)) => panic!("{error:#}"),
        Err(unavailable) => {
            scenario::skip(&unavailable.to_string());
            return None;
        }
    }
    let mut steps = Steps::on(with_modules_for(spec.kernel, spec));
    steps.shell(format!("F={FOLDER}; export F"));
    Some(steps)
}

/// Before Linux 6.1 sysfs does not say whether an object is patched.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_hotfix_of_kernel_5_10_is_loaded_and_unloaded_with_proof() {
    let Some(mut steps) = with_hotfixes_of_5_10() else {
        return;
    };
    steps
        .step("inspect", "ipvs-latency hotfix inspect $F/est_skip.ko")
        .exits(0);
    steps
        .step("load", "ipvs-latency hotfix load --json $F/est_skip.ko")
        .exits(0)
        .outcome("done");
    steps
        .step("status", "ipvs-latency hotfix status --json")
        .document(|status| {
            let livepatch = &status["livepatches"][0];
            assert_eq!(livepatch["state"], "in force", "{status}");
            assert_eq!(livepatch["objects"][0]["patched"], Value::Null, "{status}");
        });
    steps
        .step("unload", "ipvs-latency hotfix unload est_skip")
        .exits(0)
        .leaves_nothing();
    steps.run();
}

#[test]
#[ignore = "takes minutes; run by cargo xtask test --soak"]
fn soak_a_hotfix_of_kernel_5_10_is_tried_and_one_that_leaves_the_estimator_dead_is_reported() {
    let Some(mut steps) = with_hotfixes_of_5_10() else {
        return;
    };
    steps
        .step(
            "trial",
            "ipvs-latency hotfix apply $F/est_skip.ko --trial --yes --json",
        )
        .exits(0)
        .document(|trial| {
            assert_eq!(trial["verdict"], "improved", "{trial}");
            assert_eq!(trial["outcome"], "rolled_back", "{trial}");
        })
        .leaves_nothing();
    steps
        .step(
            "dead",
            "ipvs-latency hotfix load --accept no-rearm $F/est_no_rearm.ko",
        )
        .exits(3)
        .complains(&["DEAD"]);
    steps
        .step("gone", "ipvs-latency hotfix unload est_no_rearm")
        .exits(3)
        .complains(&["DEAD"])
        .leaves_nothing();
    steps.run();
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_6_1_rt_is_measured() {
    if let Some(spec) = guest(Line::V6_1_RT) {
        timers_are_measured(spec, true);
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_6_1_cloud_is_measured() {
    if let Some(spec) = guest(Line::V6_1_CLOUD) {
        timers_are_measured(spec, true);
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_6_12_reports_its_threads() {
    if let Some(spec) = guest(Line::V6_12) {
        threads_are_reported(spec);
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_newest_kernel_reports_its_threads() {
    if let Some(spec) = guest(Line::NEWEST) {
        threads_are_reported(spec);
    }
}

/// Run by `cargo xtask test --kernel` and `--kernel-image` alone.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test --kernel LINE"]
fn chosen_kernel_is_measured_or_its_threads_are_reported() {
    let spec = filled();
    let look = "grep -c ' estimation_timer.*ip_vs' /proc/kallsyms
        echo == switch; ls /proc/sys/net/ipv4/vs | grep -c run_estimation; true";
    let sections = scenario::run(spec.clone(), &format!("echo == timer; {look}")).unwrap();
    let is_there = |name: &str| sections.text(name).unwrap().trim() != "0";
    if is_there("timer") {
        timers_are_measured(spec, is_there("switch"));
    } else {
        threads_are_reported(spec);
    }
}
