//! `check` on two CPUs, inside containers, and with fewer capabilities.

use xtask::{lab::LabSpec, scenario};

use super::{ROOT, TRY, code, mitigation, namespace, number, page};

/// Prints the command or its counterpart of a mitigation on the page in /tmp/page.
const FIELD: &str = r#"
field() {
    sed -n "/\"name\": \"$1\"/,/}/s/^ *\"$2\": \"\(.*\)\",\{0,1\}\$/\1/p" /tmp/page
}
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn packets_are_kept_off_the_cpu_of_the_timer_and_led_back() {
    let spec = LabSpec {
        services: 3_000,
        destinations: 2,
        ..LabSpec::default()
    };
    let mask = "/sys/class/net/lo/queues/rx-0/rps_cpus";
    let switch = "/proc/sys/net/ipv4/vs/run_estimation";
    let script = format!(
        "{TRY}{FIELD}truth_begin
        echo 3 > {mask}
        try json 'ipvs-latency check --json | tee /tmp/page'
        sleep 3; echo == truth; truth_runs
        echo == before; cat {mask}
        sh -c \"$(field rps_irq_masks command)\" > /dev/null; echo == without; cat {mask}
        sh -c \"$(field rps_irq_masks undo)\" > /dev/null; echo == after; cat {mask}
        echo == command; field run_estimation command
        echo == undo; field run_estimation undo"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let page = page(&sections, "json");
    let cpu = namespace(&page, ROOT)["next_cpu"].as_u64().unwrap();
    let now = page["now_ns"].as_u64().unwrap();
    let after = sections
        .truth("truth")
        .unwrap()
        .into_iter()
        .filter(|run| run.begin_ns > now);
    let long = after.max_by_key(|run| run.lasted_ns).unwrap();
    assert_eq!(cpu, u64::from(long.cpu), "{long:?} for {page}");
    assert_eq!(number(&sections, "before"), 3);
    assert_eq!(
        number(&sections, "without"),
        if cpu == 0 { 2 } else { 1 },
        "{page}"
    );
    assert_eq!(number(&sections, "after"), 3);
    assert!(
        mitigation(&page, "rps_irq_masks")["does"]
            .as_str()
            .unwrap()
            .contains(&format!("than {cpu},"))
    );
    let set = |value| format!("sysctl -w net.ipv4.vs.run_estimation={value}\n");
    assert_eq!(sections.text("command").unwrap(), set(0), "{switch}");
    assert_eq!(sections.text("undo").unwrap(), set(1));
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_container_sees_the_host_and_what_it_may_not_see_is_said() {
    let spec = LabSpec {
        services: 10,
        destinations: 2,
        netns: 1,
        ..LabSpec::default()
    };
    let cgroup =
        "/sys/fs/cgroup/kubepods.slice/kubepods-pod1b6ba2ee_4f4e_4a1c_9a53_0c1f7d2f6a11.slice";
    let script = format!(
        "{TRY}
        mkdir -p /host/proc /host/sys /host/run
        mount -t proc proc /host/proc; mount --rbind /sys /host/sys; mount --rbind /run /host/run
        mount | grep -q cgroup2 || mount -t cgroup2 none /sys/fs/cgroup
        mkdir -p {cgroup}
        HOSTNAME=coredns-5d78c9869d-abcde ip netns exec lab1 sleep 1000 &
        echo $! > {cgroup}/cgroup.procs
        sleep 1
        echo == inode; stat -Lc %i /run/netns/lab1
        try inside 'unshare -m -p -n -f ipvs-latency check --json'
        try blind 'setpriv --bounding-set=-sys_ptrace ipvs-latency check --json'"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let inside = page(&sections, "inside");
    assert_eq!(
        (inside["verdict"].as_str(), code(&sections, "inside")),
        (Some("ok"), 0)
    );
    assert_eq!(inside["root_netns"], ROOT);
    let root = namespace(&inside, ROOT);
    assert_eq!(
        (root["who"].as_str(), root["services"].as_u64()),
        (Some("host"), Some(10))
    );
    let pod = namespace(&inside, number(&sections, "inode"));
    assert_eq!(pod["who"], "pod coredns-5d78c9869d-abcde", "{inside}");
    let blind = page(&sections, "blind");
    assert_eq!(code(&sections, "blind"), 0, "{blind}");
    let missing = blind["missing"][0].as_str().unwrap();
    assert!(missing.contains("CAP_SYS_PTRACE"), "{missing}");
}
