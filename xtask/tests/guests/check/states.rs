//! What `check` says of each namespace, held against the kernel's own tracepoints.

use std::{fs, process::Command};

use serde_json::{Value, json};
use xtask::{
    checkout,
    ground_truth::Run,
    kernel::{self, Line},
    lab::Copy,
    lab::LabSpec,
    scenario::{self, Sections},
};

use super::{ROOT, TRY, code, mitigation, namespace, number, page};

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
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        netns: 3,
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{TRY}{NAMESPACES}truth_begin
        try json 'ipvs-latency check --json'
        sleep 3; echo == truth; truth_runs
        try text 'ipvs-latency check'"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let page = page(&sections, "json");
    assert_eq!(page["verdict"], "ok", "{page}");
    assert_eq!((code(&sections, "json"), code(&sections, "text")), (0, 0));
    assert_eq!(page["root_netns"], ROOT);
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
    let inode = |name: &str| number(&sections, &format!("inode {name}"));
    let expect = |netns: u64, expected: Value| {
        let found = namespace(&page, netns);
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
    expect(ROOT, told(Some("host"), Some(10_000), Some(20_000), 30_001));
    let mut off = told(Some("lab1"), Some(0), Some(0), 1);
    (off["state"], off["run_estimation"]) = (json!("SKIPPING"), json!(0));
    expect(inode("lab1"), off);
    expect(inode("lab2"), told(Some("sleep"), Some(0), Some(0), 1));
    expect(inode("lab3"), told(Some("lab3"), Some(1), Some(1), 3));
    expect(inode("nobody"), told(None, None, None, 2));
    assert_eq!(page["namespaces"].as_array().unwrap().len(), 5);

    next_runs_came(&page, &sections.truth("truth").unwrap());
    open_to_a_busy_node(&page, &sections);
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
        let is_root = namespace["netns"] == ROOT;
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

fn open_to_a_busy_node(page: &Value, sections: &Sections) {
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
    let text = sections.text("text").unwrap();
    let first = text.lines().next().unwrap();
    assert!(
        first.ends_with(" every 2.0 s on CPU 0, netns root (30,001 estimators)"),
        "{first}"
    );
    assert!(
        text.contains("sysctl -w net.ipv4.vs.run_estimation=0"),
        "{text}"
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn an_idle_node_is_told_that_nothing_needs_doing() {
    let script = format!(
        "{TRY}try json 'ipvs-latency check --json'
        try text 'ipvs-latency check'"
    );
    let sections = scenario::run(LabSpec::deterministic(), &script).unwrap();
    let page = page(&sections, "json");
    assert_eq!(
        (page["verdict"].as_str(), code(&sections, "json")),
        (Some("ok"), 0)
    );
    let root = namespace(&page, ROOT);
    assert_eq!(root["estimators"], 1);
    assert_eq!(
        (&root["services"], &root["destinations"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(root["state"], "ACTIVE");
    assert_eq!(page["mitigations"], json!([]));
    let text = sections.text("text").unwrap();
    assert!(
        text.starts_with("OK ") && text.contains(" on CPU 0, netns root (1 estimator)\n"),
        "{text}"
    );
    assert!(text.contains("Nothing needs doing"), "{text}");
}

/// Builds a module of `xtask/tests/fixtures` for the lab's kernel.
fn module(name: &str) -> Option<(tempfile::TempDir, Copy)> {
    if !scenario::available(Line::V6_1) {
        return None;
    }
    let headers = kernel::headers(&Line::V6_1).unwrap();
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
    let spec = LabSpec {
        services: 10,
        destinations: 2,
        netns: 1,
        copies: vec![stop_timer],
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{TRY}insmod /root/stop_timer.ko 2> /dev/null; truth_begin
        try json 'ipvs-latency check --json'
        try judged 'ipvs-latency check --max 1s'
        echo == truth; truth_runs; truth_end
        echo == inode; stat -Lc %i /run/netns/lab1
        ipvs-latency check | sed -n 's/^ *\\(ipvsadm -Sn.*\\)/\\1/p' > /tmp/reload
        try unsaved \"$(sed 's|RULES|/nowhere/RULES|g' /tmp/reload)\"
        echo == kept; ipvsadm -Sn | wc -l
        try saved \"$(sed 's|RULES|/tmp/RULES|g' /tmp/reload)\"
        echo == back; ipvsadm -Sn | wc -l
        try again 'ipvs-latency check --json'"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let dead = page(&sections, "json");
    assert_eq!(dead["verdict"], "problem", "{dead}");
    assert_eq!((code(&sections, "json"), code(&sections, "judged")), (1, 1));
    let root = namespace(&dead, ROOT);
    assert_eq!(root["state"], "DEAD");
    assert_eq!(root["estimators"], 31);
    assert_eq!(
        (&root["next_run_in_ns"], &root["next_cpu"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        namespace(&dead, number(&sections, "inode"))["state"],
        "ACTIVE"
    );
    let first = sections.text("judged").unwrap().lines().next().unwrap();
    assert_eq!(
        first,
        "DEAD estimator in netns root (31 estimators): its statistics are frozen"
    );
    // No run of the long list was there to be seen.
    let longest = sections
        .truth("truth")
        .unwrap()
        .iter()
        .map(|run| run.lasted_ns)
        .max();
    assert!(longest.unwrap() < 5_000, "{longest:?}");
    mitigation(&dead, "reload_ip_vs");
    // The page's own command clears nothing that it could not save.
    assert_ne!(code(&sections, "unsaved"), 0);
    assert_eq!(number(&sections, "kept"), 30);
    // It brought the timer back, and the rules.
    assert_eq!(code(&sections, "saved"), 0);
    assert_eq!(number(&sections, "back"), 30);
    let again = page(&sections, "again");
    assert_eq!(namespace(&again, ROOT)["state"], "ACTIVE", "{again}");
    assert_eq!(namespace(&again, ROOT)["estimators"], 31);
}
