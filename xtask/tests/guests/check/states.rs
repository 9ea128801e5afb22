//! What `check` says of each namespace, held against the kernel's own tracepoints.

use std::{fs, process::Command};

use serde_json::{Value, json};
use xtask::{
    checkout,
    ground_truth::Run,
    kernel::{self, under_test, under_test::root_netns},
    lab::Copy,
    lab::LabSpec,
    scenario::{self, Sections},
};

use super::{mitigation, namespace, number};
use crate::steps::Steps;

/// The kernel of the guests has 250 of them in a second (`CONFIG_HZ`).
const TICK_NS: u64 = 4_000_000;

/// Makes three namespaces beside those of the lab: `inode NAME` tells their numbers.
const NAMESPACES: &str = r"
ip netns exec lab1 sh -c 'echo 0 > /proc/sys/net/ipv4/vs/run_estimation'
ip netns exec lab2 sleep 1000 &
ip netns exec lab3 ipvsadm -A -t 10.0.0.1:80 -s rr
ip -n lab3 link set lo up
ip netns exec lab3 ipvsadm -a -t 10.0.0.1:80 -r 127.0.0.1 -m
ip netns add nobody
ip netns exec nobody ipvsadm -A -t 10.0.0.1:80 -s rr
inode=$(stat -Lc %i /run/netns/nobody)
exec 9< /run/netns/nobody
ip netns del nobody
for name in lab1 lab2 lab3; do echo == inode $name; stat -Lc %i /run/netns/$name; done
echo == inode nobody; echo $inode
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_namespace_is_told_as_it_is_and_the_next_run_within_a_tick() {
    let mut steps = Steps::on(LabSpec {
        services: 10_000,
        destinations: 2,
        netns: 3,
        ..LabSpec::deterministic()
    });
    steps.shell(format!("{NAMESPACES}truth_begin"));
    steps
        .step("json", "ipvs-latency check --json")
        .exits(0)
        .page(|page, _| is_of_a_busy_node(page))
        .page(every_namespace_is_told)
        .page(|page, sections| next_runs_came(page, &sections.truth("truth").unwrap()));
    steps.shell("sleep 3; echo == truth; truth_runs");
    steps
        .step("text", "ipvs-latency check")
        .exits(0)
        .output(|text, _| {
            let first = text.lines().next().unwrap();
            let end = " every 2.0 s on CPU 0, netns root (30,001 estimators)";
            assert!(first.ends_with(end), "{first}");
        })
        .shows(&["sysctl -w net.ipv4.vs.run_estimation=0"]);
    steps.run();
}

fn is_of_a_busy_node(page: &Value) {
    assert_eq!(page["verdict"], "ok", "{page}");
    assert_eq!(page["root_netns"], root_netns());
    assert_eq!(page["kernel"]["estimator"], "timer");
    assert_eq!(page["kernel"]["possible_cpus"], 1);
    assert_eq!(page["kernel"]["online_cpus"], 1);
    // One has neither a process nor a file, and no path opens it.
    let missing: Vec<&str> = page["missing"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].contains("services of 1 network namespace "),
        "{missing:?}"
    );
    let open: Vec<&str> = page["mitigations"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(
        open,
        ["run_estimation", "hotfix", "fewer_entries", "newer_kernel"]
    );
    assert_eq!(
        mitigation(page, "run_estimation")["command"],
        "sysctl -w net.ipv4.vs.run_estimation=0"
    );
}

fn every_namespace_is_told(page: &Value, sections: &Sections) {
    let inode = |name: &str| number(sections, &format!("inode {name}"));
    let expect = |netns: u64, expected: Value| {
        let found = namespace(page, netns);
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&found[field], value, "{field} of {found}");
        }
        assert!(found["next_run_in_ns"].is_u64(), "{found}");
        assert_eq!(found["next_cpu"], 0);
        // 2 s, and what the wheel's steps of 32 ms add.
        let period = found["period_ns"].as_u64().unwrap();
        assert!((2_000_000_000..=2_064_000_000).contains(&period), "{found}");
    };
    let told = |who: Option<&str>,
                services: Option<u32>,
                destinations: Option<u32>,
                estimators: u32| {
        json!({ "who": who, "services": services, "destinations": destinations, "estimators": estimators,
                "state": "ACTIVE", "run_estimation": 1 })
    };
    expect(
        root_netns(),
        told(Some("host"), Some(10_000), Some(20_000), 30_001),
    );
    let mut off = told(Some("lab1"), Some(0), Some(0), 1);
    (off["state"], off["run_estimation"]) = (json!("SKIPPING"), json!(0));
    expect(inode("lab1"), off);
    expect(inode("lab2"), told(Some("sleep"), Some(0), Some(0), 1));
    expect(inode("lab3"), told(Some("lab3"), Some(1), Some(1), 3));
    expect(inode("nobody"), told(None, None, None, 2));
    assert_eq!(page["namespaces"].as_array().unwrap().len(), 5);
}

/// For each namespace, a run of its own began within a tick of the time and on the CPU that were told: for the root
/// namespace the long one.
fn next_runs_came(page: &Value, truth: &[Run]) {
    let now = page["now_ns"].as_u64().unwrap();
    let mut left: Vec<Run> = truth
        .iter()
        .copied()
        .filter(|run| run.begin_ns > now)
        .collect();
    for namespace in page["namespaces"].as_array().unwrap() {
        let due = now + namespace["next_run_in_ns"].as_u64().unwrap();
        let is_root = namespace["netns"] == root_netns();
        let came = left.iter().position(|run| {
            let long = run.lasted_ns > 30_001 * 100;
            run.begin_ns.abs_diff(due) <= TICK_NS
                && namespace["next_cpu"] == run.cpu
                && long == is_root
        });
        let came = came.unwrap_or_else(|| panic!("{namespace}: {due} in {truth:?}"));
        left.remove(came);
    }
    let longest = truth
        .iter()
        .filter(|run| run.end_ns() < now)
        .map(|run| run.lasted_ns)
        .max();
    let told = page["measured"]["longest_run"]["duration_ns"]
        .as_u64()
        .unwrap();
    assert!(
        longest.unwrap().abs_diff(told) * 100 < told,
        "{told} ns told of {longest:?}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn an_idle_node_is_told_that_nothing_needs_doing() {
    let mut steps = Steps::on(LabSpec::deterministic());
    steps
        .step("json", "ipvs-latency check --json")
        .exits(0)
        .page(|page, _| {
            assert_eq!(page["verdict"], "ok", "{page}");
            let root = namespace(page, root_netns());
            for field in ["services", "destinations"] {
                assert_eq!(root[field], 0, "{root}");
            }
            assert_eq!(root["estimators"], 1, "{root}");
            assert_eq!(root["state"], "ACTIVE", "{root}");
            assert_eq!(page["mitigations"], json!([]));
        });
    steps
        .step("text", "ipvs-latency check")
        .begins("OK ")
        .shows(&[
            " on CPU 0, netns root (1 estimator)\n",
            "Nothing needs doing",
        ]);
    steps.run();
}

/// Builds a module of `xtask/tests/fixtures` for the lab's kernel.
fn module(name: &str) -> Option<(tempfile::TempDir, Copy)> {
    if !scenario::available(under_test::line()) {
        return None;
    }
    let headers = kernel::headers(&under_test::line()).unwrap();
    let source = checkout::file("xtask/tests/fixtures").join(name);
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(source).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let built = Command::new("make")
        .env_remove("MAKEFLAGS")
        .arg("-C")
        .arg(headers)
        .arg(format!("M={}", folder.path().display()))
        .arg("modules")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let copy = Copy {
        source: folder.path().join(format!("{name}.ko")),
        destination: Some(format!("/root/{name}.ko").into()),
    };
    Some((folder, copy))
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_dead_timer_is_a_problem_and_reloading_ip_vs_is_named_as_the_way_back() {
    let Some((_folder, stop_timer)) = module("stop_timer") else {
        return;
    };
    let mut steps = Steps::on(LabSpec {
        services: 10,
        destinations: 2,
        netns: 1,
        copies: vec![stop_timer],
        ..LabSpec::deterministic()
    });
    steps.shell("insmod /root/stop_timer.ko 2> /dev/null; truth_begin");
    steps
        .step("json", "ipvs-latency check --json")
        .exits(1)
        .page(|page, sections| {
            assert_eq!(page["verdict"], "problem", "{page}");
            let root = namespace(page, root_netns());
            assert_eq!(root["state"], "DEAD", "{root}");
            assert_eq!(root["estimators"], 31, "{root}");
            for field in ["next_run_in_ns", "next_cpu"] {
                assert_eq!(root[field], Value::Null, "{root}");
            }
            let lab1 = namespace(page, number(sections, "inode"));
            assert_eq!(lab1["state"], "ACTIVE", "{lab1}");
            mitigation(page, "reload_ip_vs");
            // No run of the long list was there to be seen.
            let runs = sections.truth("truth").unwrap();
            let longest = runs.iter().map(|run| run.lasted_ns).max();
            assert!(longest.unwrap() < 5_000, "{longest:?}");
        });
    steps
        .step("judged", "ipvs-latency check --max 1s")
        .exits(1)
        .begins("DEAD estimator in netns root (31 estimators): its statistics are frozen\n");
    steps.shell("echo == truth; truth_runs; truth_end");
    steps.shell("echo == inode; stat -Lc %i /run/netns/lab1");
    steps.shell(r"ipvs-latency check | sed -n 's/^ *\(ipvsadm -Sn.*\)/\1/p' > /tmp/reload");
    // The page's own command clears nothing that it could not save.
    steps
        .step(
            "unsaved",
            "sh -c \"$(sed 's|RULES|/nowhere/RULES|g' /tmp/reload)\"",
        )
        .fails();
    steps.step("kept", "ipvsadm -Sn | wc -l").prints("30");
    // It brings the timer back, and the rules.
    steps
        .step(
            "saved",
            "sh -c \"$(sed 's|RULES|/tmp/RULES|g' /tmp/reload)\"",
        )
        .exits(0);
    steps.step("back", "ipvsadm -Sn | wc -l").prints("30");
    steps
        .step("again", "ipvs-latency check --json")
        .page(|page, _| {
            let root = namespace(page, root_netns());
            assert_eq!(root["state"], "ACTIVE", "{page}");
            assert_eq!(root["estimators"], 31, "{page}");
        });
    steps.run();
}
