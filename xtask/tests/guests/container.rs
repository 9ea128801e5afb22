//! `ipvs-latency` in a container of a node: with the capabilities that the README names, and with fewer.

use serde_json::Value;
use xtask::{
    kernel::{Line, under_test::root_netns},
    lab::LabSpec,
    scenario::{self, Watched, number},
};

use crate::steps::{Step, Steps};

/// What a container is made of: namespaces of its own, a root that holds the binary alone, `/proc` and a read-only `/sys`
/// of its own, the node's root at `/host`, and the capabilities that it was given. `kubectl debug node` and a Pod with
/// `hostPath` volumes have no more, and mostly share some of the node's namespaces.
///
/// `contained CAPABILITY,... ARGUMENT...` runs `ipvs-latency` in such a container.
///
/// Beside it a pod, as the kubelet and a runtime lay it out in cgroups.
const CONTAINER: &str = r#"
    box=/run/box
    mkdir $box; mount -t tmpfs -o mode=755 none $box; mkdir $box/proc $box/sys $box/host
    cp /usr/bin/ipvs-latency $box/
    mount --rbind / $box/host; mount --make-rprivate $box/host
    cat > /usr/bin/contained << 'END'
#!/bin/sh
box=/run/box; keep=",$1,"; shift; drop=
for one in $(capsh --print | sed -n 's/^Bounding set =//p' | tr , ' '); do
    case $keep in *,$one,*) ;; *) drop=$drop,$one ;; esac
done
unshare --mount --pid --fork --kill-child --net --ipc --uts --cgroup sh -c '
    box=$1; drop=$2; shift 2
    mount -t proc proc $box/proc; mount -t sysfs -o ro sysfs $box/sys
    exec capsh --drop=$drop --chroot=$box --shell=/ipvs-latency -- "$@"' sh $box "${drop#,}" "$@"
END
    chmod 755 /usr/bin/contained
    pods=/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice
    id=$(printf '%064d' 7 | tr 0 a)
    pod=$pods/kubepods-burstable-pod1f2e3d4c_5b6a_4978_8695_a4b3c2d1e0f0.slice/cri-containerd-$id.scope
    mkdir -p $pod
    nsenter --net=/run/netns/lab1 env HOSTNAME=web-7d9f8 setpriv --bounding-set=-all,+chown,+net_raw sleep 1000 &
    sleep 1; pgrep -x sleep | tail -n 1 > $pod/cgroup.procs
"#;

/// The capabilities that the README names.
const NAMED: &str = "cap_bpf,cap_perfmon,cap_sys_ptrace";

/// Begins on a node that lets nobody use perf events without a capability.
fn node() -> Steps {
    node_of(LabSpec::default().kernel)
}

fn node_of(kernel: Line) -> Steps {
    let mut steps = Steps::on(LabSpec {
        kernel,
        services: 10,
        destinations: 2,
        netns: 2,
        ..LabSpec::deterministic()
    });
    steps.shell(CONTAINER);
    steps.shell("echo 2 > /proc/sys/kernel/perf_event_paranoid");
    steps
}

/// Shows the kernel's addresses and eBPF to everybody with 0, and hides them from who has no capability with 2.
fn hide(steps: &mut Steps, value: u8) {
    for setting in ["kptr_restrict", "unprivileged_bpf_disabled"] {
        steps.shell(format!("echo {value} > /proc/sys/kernel/{setting}"));
    }
}

/// Watches in a container with these capabilities.
fn watch<'a>(steps: &'a mut Steps, name: &str, capabilities: &str) -> &'a mut Step {
    steps.step(
        name,
        format!("contained {capabilities} watch --json --duration 5s"),
    )
}

/// The same by eBPF alone.
fn by_ebpf<'a>(steps: &'a mut Steps, name: &str, capabilities: &str) -> &'a mut Step {
    steps.step(
        name,
        format!("contained {capabilities} watch --via bpf --json --duration 5s"),
    )
}

impl Step {
    /// Expects the runs of the node's first namespace, and no complaint.
    fn sees_the_node(&mut self) -> &mut Self {
        self.exits(0)
            .errors(|errors| assert_eq!(errors, ""))
            .records(has_runs_of_the_root)
    }

    /// Expects one sentence, with this word, and nothing else.
    fn is_told(&mut self, word: &str) -> &mut Self {
        self.exits(2)
            .prints("")
            .complains(&[word])
            .errors(|errors| assert_eq!(errors.lines().count(), 1, "{errors}"))
    }
}

fn has_runs_of_the_root(watched: &Watched) {
    let start = watched.only("start").unwrap();
    assert_eq!(
        number(start, "root_netns").unwrap(),
        root_netns(),
        "{start}"
    );
    let root = watched
        .of("call")
        .filter(|call| call["netns"] == root_netns());
    let root: Vec<_> = root.collect();
    assert!(root.len() >= 2, "{root:?}");
    assert!(root.iter().all(|call| call["estimators"] == 31), "{root:?}");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_container_needs_exactly_the_capabilities_that_the_readme_names() {
    let mut steps = node();
    for hidden in [0, 2] {
        hide(&mut steps, hidden);
        watch(&mut steps, &format!("named-{hidden}"), NAMED).sees_the_node();
    }
    // Each capability fewer has its sentence.
    watch(&mut steps, "no-bpf", "cap_perfmon,cap_sys_ptrace").is_told("lacks CAP_BPF");
    watch(&mut steps, "no-perfmon", "cap_bpf,cap_sys_ptrace").is_told("lacks CAP_PERFMON");
    // Measured all the same, but nobody is named.
    watch(&mut steps, "no-ptrace", "cap_bpf,cap_perfmon")
        .exits(0)
        .complains(&["CAP_SYS_PTRACE"])
        .records(|watched| {
            let calls = watched.of("call").count();
            assert!(calls >= 2, "{calls} calls");
        });
    steps.shell("echo 3 > /proc/sys/kernel/perf_event_paranoid");
    watch(&mut steps, "paranoid", NAMED)
        .is_told("CAP_SYS_ADMIN")
        .complains(&["perf_event_paranoid"]);
    watch(&mut steps, "admin", "cap_sys_admin,cap_sys_ptrace").sees_the_node();
    steps.run();
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn on_kernel_5_10_a_container_needs_two_capabilities_more() {
    if !scenario::available(Line::V5_10) {
        return;
    }
    let mut steps = node_of(Line::V5_10);
    let all = format!("{NAMED},cap_sys_resource,cap_syslog");
    hide(&mut steps, 2);
    by_ebpf(&mut steps, "hidden", &all)
        .exits(2)
        .complains(&["sysctl kernel.kptr_restrict=1"]);
    steps.shell("echo 1 > /proc/sys/kernel/kptr_restrict");
    watch(&mut steps, "named", &all)
        .exits(0)
        .records(|watched| {
            let calls = watched.of("call").count();
            assert!(calls >= 2, "{calls} calls");
        });
    let without = |one: &str| format!("{NAMED},{one}");
    by_ebpf(&mut steps, "no-resource", &without("cap_syslog"))
        .exits(2)
        .prints("")
        .complains(&[
            "CAP_SYS_RESOURCE",
            "locked memory, of which this process may have 64 KiB",
        ]);
    by_ebpf(&mut steps, "no-syslog", &without("cap_sys_resource")).is_told("CAP_SYSLOG");
    // The trace events of timers take neither.
    watch(&mut steps, "events", &without("cap_syslog"))
        .exits(0)
        .complains(&["bpf is not available", "CAP_SYS_RESOURCE"])
        .records(|watched| {
            assert_eq!(watched.only("start").unwrap()["mechanism"], "perf");
            let calls = watched.of("call").count();
            assert!(calls >= 2, "{calls} calls");
        });
    steps.run();
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn check_in_a_container_names_pods_and_says_what_it_may_not_see() {
    let mut steps = node();
    hide(&mut steps, 2);
    steps
        .step("check", format!("contained {NAMED} check --json"))
        .exits(0)
        .document(|page| {
            let namespaces = page["namespaces"].as_array().unwrap().iter();
            let who = namespaces.filter_map(|namespace| namespace["who"].as_str());
            let who: Vec<&str> = who.collect();
            for name in ["host", "pod web-7d9f8"] {
                assert!(who.contains(&name), "{page}");
            }
            assert!(!page.to_string().contains("CAP_SYS_PTRACE"), "{page}");
        });
    steps
        .step(
            "check-no-ptrace",
            "contained cap_bpf,cap_perfmon check --json",
        )
        .exits(0)
        .document(|blind| {
            let missing = blind["missing"].as_array().unwrap().iter();
            let lines: Vec<&str> = missing.filter_map(Value::as_str).collect();
            let is_named = lines.iter().any(|line| line.contains("CAP_SYS_PTRACE"));
            assert!(is_named, "{blind}");
            assert!(!blind.to_string().contains("web-7d9f8"), "{blind}");
        });
    steps.run();
}
