//! `ipvs-latency` in a container of a node: with the capabilities that the README names, and with fewer.

use std::sync::OnceLock;

use serde_json::Value;
use xtask::{
    lab::LabSpec,
    scenario::{self, Sections, Watched, number},
};

/// The first network namespace of a node.
const ROOT: u64 = 4_026_531_840;

/// What a container is made of: namespaces of its own, a root that holds the binary alone, `/proc` and a read-only `/sys`
/// of its own, the node's root at `/host`, and the capabilities that it was given. `kubectl debug node` and a Pod with
/// `hostPath` volumes have no more, and mostly share some of the node's namespaces.
///
/// Beside it a pod, as the kubelet and a runtime lay it out in cgroups.
const CONTAINER: &str = r#"
    box=/run/box
    mkdir $box; mount -t tmpfs -o mode=755 none $box; mkdir $box/proc $box/sys $box/host
    cp /usr/bin/ipvs-latency $box/
    mount --rbind / $box/host; mount --make-rprivate $box/host
    all=$(capsh --print | sed -n 's/^Bounding set =//p' | tr , ' ')

    # contained CAPABILITY,... ARGUMENT...: ipvs-latency in such a container.
    contained() {
        keep=",$1,"; shift; drop=
        for one in $all; do case $keep in *,$one,*) ;; *) drop=$drop,$one ;; esac; done
        unshare --mount --pid --fork --kill-child --net --ipc --uts --cgroup sh -c '
            box=$1; drop=$2; shift 2
            mount -t proc proc $box/proc; mount -t sysfs -o ro sysfs $box/sys
            exec capsh --drop=$drop --chroot=$box --shell=/ipvs-latency -- "$@"' sh $box "${drop#,}" "$@"
    }
    # try NAME CAPABILITY,... ARGUMENT...: the same, told in sections.
    try() {
        name=$1; shift; contained "$@" > /tmp/out 2> /tmp/err; code=$?
        echo == code $name; echo $code; echo == out $name; cat /tmp/out; echo == err $name; cat /tmp/err
    }
    pods=/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice
    id=$(printf '%064d' 7 | tr 0 a)
    pod=$pods/kubepods-burstable-pod1f2e3d4c_5b6a_4978_8695_a4b3c2d1e0f0.slice/cri-containerd-$id.scope
    mkdir -p $pod
    nsenter --net=/run/netns/lab1 env HOSTNAME=web-7d9f8 setpriv --bounding-set=-all,+chown,+net_raw sleep 1000 &
    sleep 1; pgrep -x sleep | tail -n 1 > $pod/cgroup.procs
"#;

/// Capabilities and what is tried with them, as a shell reads it.
const TRIES: &str = "
    watch='watch --json --duration 5s'
    named=cap_bpf,cap_perfmon,cap_sys_ptrace
    echo 2 > /proc/sys/kernel/perf_event_paranoid
    for hidden in 0 2; do
        echo $hidden > /proc/sys/kernel/kptr_restrict
        echo $hidden > /proc/sys/kernel/unprivileged_bpf_disabled
        try named-$hidden $named $watch
    done
    try check $named check --json
    try no-bpf cap_perfmon,cap_sys_ptrace $watch
    try no-perfmon cap_bpf,cap_sys_ptrace $watch
    try no-ptrace cap_bpf,cap_perfmon $watch
    try check-no-ptrace cap_bpf,cap_perfmon check --json
    echo 3 > /proc/sys/kernel/perf_event_paranoid
    try paranoid $named $watch
    try admin cap_sys_admin,cap_sys_ptrace $watch
";

/// Both tests read what one guest said.
fn tried() -> &'static Sections {
    static TRIED: OnceLock<Sections> = OnceLock::new();
    TRIED.get_or_init(run)
}

fn run() -> Sections {
    let spec = LabSpec {
        services: 10,
        destinations: 2,
        netns: 2,
        ..LabSpec::deterministic()
    };
    scenario::run(spec, &format!("{CONTAINER}\n{TRIES}")).unwrap()
}

fn text<'a>(sections: &'a Sections, section: &str, name: &str) -> &'a str {
    sections.text(&format!("{section} {name}")).unwrap()
}

/// The stream of a try that must have gone well.
fn watched(sections: &Sections, name: &str) -> Watched {
    let told = text(sections, "err", name);
    assert_eq!(text(sections, "code", name), "0\n", "{name}: {told}");
    sections.watched(&format!("out {name}")).unwrap()
}

/// The document of a `check` that must have gone well.
fn checked(sections: &Sections, name: &str) -> Value {
    let told = text(sections, "err", name);
    assert_eq!(text(sections, "code", name), "0\n", "{name}: {told}");
    serde_json::from_str(text(sections, "out", name)).unwrap()
}

fn refused(sections: &Sections, name: &str, capability: &str) {
    let told = text(sections, "err", name);
    assert_eq!(text(sections, "code", name), "2\n", "{name}: {told}");
    assert_eq!(told.lines().count(), 1, "{name}: {told}");
    assert!(
        told.contains(capability),
        "{name}: no {capability} in {told}"
    );
    assert_eq!(text(sections, "out", name), "", "{name}");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_container_needs_exactly_the_capabilities_that_the_readme_names() {
    let sections = tried();
    for name in ["named-0", "named-2", "admin"] {
        let watched = watched(sections, name);
        let start = watched.only("start").unwrap();
        assert_eq!(
            number(start, "root_netns").unwrap(),
            ROOT,
            "{name}: {start}"
        );
        let root: Vec<_> = watched
            .of("call")
            .filter(|call| call["netns"] == ROOT)
            .collect();
        assert!(root.len() >= 2, "{name}: {root:?}");
        assert!(
            root.iter().all(|call| call["estimators"] == 31),
            "{name}: {root:?}"
        );
        assert_eq!(text(sections, "err", name), "", "{name}");
    }
    // Each capability fewer has its sentence.
    refused(sections, "no-bpf", "lacks CAP_BPF");
    refused(sections, "no-perfmon", "lacks CAP_PERFMON");
    refused(sections, "paranoid", "CAP_SYS_ADMIN");
    assert!(text(sections, "err", "paranoid").contains("perf_event_paranoid"));
    // Measured all the same, but nobody is named.
    let calls = watched(sections, "no-ptrace").of("call").count();
    assert!(calls >= 2, "{calls} calls");
    assert!(text(sections, "err", "no-ptrace").contains("CAP_SYS_PTRACE"));
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn check_in_a_container_names_pods_and_says_what_it_may_not_see() {
    let sections = tried();
    let page = checked(sections, "check");
    let who: Vec<&str> = page["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|namespace| namespace["who"].as_str())
        .collect();
    assert!(who.contains(&"host"), "{page}");
    assert!(who.contains(&"pod web-7d9f8"), "{page}");
    assert!(!page.to_string().contains("CAP_SYS_PTRACE"), "{page}");

    let blind = checked(sections, "check-no-ptrace");
    let missing = blind["missing"].as_array().unwrap();
    assert!(
        missing.iter().any(|line| line
            .as_str()
            .is_some_and(|line| line.contains("CAP_SYS_PTRACE"))),
        "{blind}"
    );
    assert!(!blind.to_string().contains("web-7d9f8"), "{blind}");
}
