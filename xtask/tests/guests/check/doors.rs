//! Namespaces that no process lives in, and those whose services the kernel's own file miscounts.

use serde_json::Value;
use xtask::{kernel::Line, lab::LabSpec, scenario};

use super::{ROOT, TRY, code, mitigation, namespace, number, page, places::FIELD};

/// The file that Docker Swarm has of its ingress namespace.
const SWARM: &str = "/run/docker/netns/ingress_sbox";

/// How many destinations the service of the ingress namespace has.
const DESTINATIONS: u64 = 1_000;

/// Makes namespaces as Docker has them: files of their own, and no process. `held` is mounted in a mount namespace of its
/// own alone, as those of a container runtime may be.
const MADE: &str = r#"
mkdir -p /run/docker/netns; touch $swarm; unshare --net=$swarm true
nsenter --net=$swarm ip link set lo up
{
    echo "-A -f 256 -s rr"
    for i in $(seq $destinations); do echo "-a -f 256 -r 10.0.$((i/250)).$((i%250+1)):0 -m"; done
} | nsenter --net=$swarm ipvsadm -R
echo == inode; stat -Lc %i $swarm
unshare -m --propagation private sh -c '
    touch /tmp/held; unshare --net=/tmp/held true
    nsenter --net=/tmp/held ipvsadm -A -f 1 -s rr; stat -Lc %i /tmp/held > /tmp/number
    exec sleep 1000' &
until [ -s /tmp/number ]; do sleep 0.1; done
echo == held; cat /tmp/number
there() { nsenter --net=$swarm cat /proc/sys/net/ipv4/vs/run_estimation; }
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_namespace_without_a_process_is_named_counted_and_entered_by_the_file_it_is_mounted_on() {
    let script = format!(
        "swarm={SWARM}; destinations={DESTINATIONS}
        {TRY}{FIELD}{MADE}
        try json 'ipvs-latency check --max 1us --json | tee /tmp/page'
        try see \"$(field fewer_entries command)\"
        try off \"$(field run_estimation command | sed 's/\\\\\"/\"/g')\"; echo == switched; there
        try on \"$(field run_estimation undo | sed 's/\\\\\"/\"/g')\"; echo == restored; there
        try apply 'ipvs-latency hotfix apply --run-estimation off --yes --runs 4 --trial --netns {SWARM}'
        try named 'timeout -s INT 3 ipvs-latency watch --json --netns ingress_sbox'
        echo == after; there"
    );
    let sections = scenario::run(LabSpec::deterministic(), &script).unwrap();
    let inode = number(&sections, "inode");
    let page = page(&sections, "json");
    let swarm = namespace(&page, inode);
    for (field, value) in [
        ("who", Value::from("ingress_sbox (docker)")),
        ("door", SWARM.into()),
        ("services", 1.into()),
        ("destinations", DESTINATIONS.into()),
        ("estimators", (DESTINATIONS + 2).into()),
    ] {
        assert_eq!(swarm[field], value, "{field} of {swarm}");
    }
    let held = namespace(&page, number(&sections, "held"));
    assert_eq!(
        (&held["who"], &held["services"]),
        (&"held".into(), &1.into()),
        "{held}"
    );
    let door = held["door"].as_str().unwrap();
    assert!(
        door.starts_with("/proc/") && door.ends_with("/root/tmp/held"),
        "{held}"
    );
    assert_eq!(page["missing"], Value::Array(vec![]), "{page}");
    let enters = format!("nsenter --net={SWARM} ");
    for name in ["run_estimation", "fewer_entries"] {
        for field in ["command", "undo"] {
            let command = mitigation(&page, name)[field].as_str().unwrap();
            assert!(command.contains(&enters), "{field} of {name}: {command}");
        }
    }
    let seen = sections.text("see").unwrap();
    assert!(seen.contains("FWM  256 rr"), "{seen}");
    let said = |name: &str| sections.text(&format!("{name} err")).unwrap().to_owned();
    for (name, switch, value) in [("off", "switched", 0), ("on", "restored", 1)] {
        assert_eq!(code(&sections, name), 0, "{name}: {}", said(name));
        assert_eq!(number(&sections, switch), value);
    }
    let verdict = sections.text("apply").unwrap();
    assert_eq!(code(&sections, "apply"), 0, "{verdict}\n{}", said("apply"));
    assert!(verdict.to_lowercase().contains("improved"), "{verdict}");
    assert_eq!(number(&sections, "after"), 1, "the trial put it back");
    let named = sections.text("named").unwrap();
    assert!(named.contains(&format!("\"netns\":{inode}")), "{named}");
    assert!(!named.contains(&format!("\"netns\":{ROOT}")), "{named}");
}

/// Counts services and destinations of a namespace as `ipvsadm` lists them.
const COUNT: &str = r#"
count() {
    $2 ipvsadm -Ln > /tmp/list
    echo "== $1 services"; grep -cE "^(TCP|UDP|SCTP|FWM) " /tmp/list
    echo "== $1 destinations"; grep -cE "^  -> [^R]" /tmp/list
}
fill() {
    ip -n lab1 link set lo up
    for i in $(seq $1); do
        echo "-A -t 10.0.0.1:$i -s rr"; echo "-a -t 10.0.0.1:$i -r 127.0.0.1 -m"
    done | ip netns exec lab1 ipvsadm -R
    ip netns exec lab1 ipvsadm -A -t [fd00::1]:80 -s rr
    ip netns exec lab1 ipvsadm -A -f 9 -s rr
    ip netns exec lab1 ipvsadm -a -f 9 -r 127.0.0.1 -m
    echo == inode; stat -Lc %i /run/netns/lab1
    count lab1 'ip netns exec lab1'; count root
}
"#;

fn two_busy(kernel: Line) -> LabSpec {
    LabSpec {
        kernel,
        services: 1_500,
        destinations: 2,
        netns: 1,
        ..LabSpec::deterministic()
    }
}

/// Runs `check` in several ways in a guest with two namespaces that both have services, and holds what it counts against
/// what `ipvsadm` lists.
fn counted(kernel: Line, checks: &[(&str, &str)]) {
    if !scenario::available(kernel) {
        return;
    }
    let tries: Vec<String> = checks
        .iter()
        .map(|(name, command)| format!("try {name} '{command}'\n"))
        .collect();
    let script = format!("{TRY}{COUNT}fill 300\n{}", tries.concat());
    let sections = scenario::run(two_busy(kernel), &script).unwrap();
    for (name, _) in checks {
        let page = page(&sections, name);
        let root = page["root_netns"].as_u64().unwrap();
        for (place, netns) in [("root", root), ("lab1", number(&sections, "inode"))] {
            let told = namespace(&page, netns);
            for field in ["services", "destinations"] {
                let listed = number(&sections, &format!("{place} {field}"));
                assert_eq!(told[field], listed, "{name}: {field} of {told}");
            }
        }
    }
    assert_eq!(number(&sections, "lab1 services"), 302, "all were made");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn services_of_two_busy_namespaces_are_counted_as_ipvsadm_lists_them() {
    let blind =
        "unshare -m sh -c \"mount -t tmpfs none /sys/kernel/btf; ipvs-latency check --json\"";
    counted(
        Line::V6_1,
        &[("measured", "ipvs-latency check --json"), ("blind", blind)],
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn kernel_6_12_services_of_two_busy_namespaces_are_counted_without_a_list() {
    counted(Line::V6_12, &[("threads", "ipvs-latency check --json")]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn who_has_no_privilege_is_told_no_miscount_no_owner_and_no_command_that_cannot_work() {
    let user =
        "setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --bounding-set=-all";
    let script = format!(
        "{TRY}{COUNT}fill 300
        try json '{user} ipvs-latency check --json'
        try text '{user} ipvs-latency check'"
    );
    let sections = scenario::run(two_busy(Line::V6_1), &script).unwrap();
    let page = page(&sections, "json");
    assert_eq!(code(&sections, "json"), 2, "{page}");
    let root = namespace(&page, ROOT);
    // The file that everybody may read has fewer than there are.
    assert_eq!(
        (&root["services"], &root["destinations"]),
        (&Value::Null, &Value::Null),
        "{root}"
    );
    assert_eq!(root["who"], "host", "{root}");
    // The other one has a name that everybody may see, and may not be entered.
    let other = namespace(&page, number(&sections, "inode"));
    assert_eq!(
        (&other["who"], &other["services"]),
        (&"lab1".into(), &Value::Null),
        "{other}"
    );
    let missing = page["missing"].to_string();
    assert!(missing.contains("CAP_NET_ADMIN"), "{missing}");
    for name in ["json", "text"] {
        let told = sections.text(name).unwrap();
        assert!(!told.contains("nsenter"), "{told}");
    }
}
