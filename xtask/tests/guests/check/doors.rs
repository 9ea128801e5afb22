//! Namespaces that no process lives in, and those whose services the kernel's own file miscounts.

use serde_json::Value;
use xtask::{
    kernel::{Line, under_test, under_test::root_netns},
    lab::LabSpec,
    scenario::{self, Sections},
};

use super::{mitigation, namespace, number, places::FIELD};
use crate::steps::Steps;

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
"#;

/// Takes commands from the page in /tmp/page, as a shell reads them.
const COMMANDS: &str = r#"
export SEE="$(field fewer_entries command)"
export OFF="$(field run_estimation command | sed 's/\\"/"/g')" ON="$(field run_estimation undo | sed 's/\\"/"/g')"
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_namespace_without_a_process_is_named_counted_and_entered_by_the_file_it_is_mounted_on() {
    let mut steps = Steps::on(LabSpec::deterministic());
    let switch = format!("nsenter --net={SWARM} cat /proc/sys/net/ipv4/vs/run_estimation");
    steps.shell(format!(
        "swarm={SWARM}; destinations={DESTINATIONS}\n{FIELD}{MADE}"
    ));
    steps
        .step(
            "json",
            "ipvs-latency check --max 1us --json | tee /tmp/page",
        )
        .page(are_told);
    steps.shell(COMMANDS);
    steps.step("see", "sh -c \"$SEE\"").shows(&["FWM  256 rr"]);
    steps.step("off", "sh -c \"$OFF\"").exits(0);
    steps.step("switched", &switch).prints("0");
    steps.step("on", "sh -c \"$ON\"").exits(0);
    steps.step("restored", &switch).prints("1");
    steps
        .step(
            "apply",
            format!("ipvs-latency hotfix apply --run-estimation off --yes --runs 4 --trial --netns {SWARM}"),
        )
        .exits(0)
        .output(|verdict, _| assert!(verdict.to_lowercase().contains("improved"), "{verdict}"));
    steps
        .step(
            "named",
            "timeout -s INT 3 ipvs-latency watch --json --netns ingress_sbox",
        )
        .output(|named, sections| {
            let has = |netns: u64| named.contains(&format!("\"netns\":{netns}"));
            assert!(
                has(number(sections, "inode")) && !has(root_netns()),
                "{named}"
            );
        });
    // The trial put it back.
    steps.step("after", &switch).prints("1");
    steps.run();
}

/// Checks what is told of both namespaces, and by which file the commands enter the first.
fn are_told(page: &Value, sections: &Sections) {
    let swarm = namespace(page, number(sections, "inode"));
    for (field, value) in [
        ("who", Value::from("ingress_sbox (docker)")),
        ("door", SWARM.into()),
        ("services", 1.into()),
        ("destinations", DESTINATIONS.into()),
        ("estimators", (DESTINATIONS + 2).into()),
    ] {
        assert_eq!(swarm[field], value, "{field} of {swarm}");
    }
    let held = namespace(page, number(sections, "held"));
    assert_eq!(held["who"], "held", "{held}");
    assert_eq!(held["services"], 1, "{held}");
    let door = held["door"].as_str().unwrap();
    assert!(
        door.starts_with("/proc/") && door.ends_with("/root/tmp/held"),
        "{held}"
    );
    assert_eq!(page["missing"], Value::Array(vec![]), "{page}");
    let enters = format!("nsenter --net={SWARM} ");
    for name in ["run_estimation", "fewer_entries"] {
        for field in ["command", "undo"] {
            let command = mitigation(page, name)[field].as_str().unwrap();
            assert!(command.contains(&enters), "{field} of {name}: {command}");
        }
    }
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
    let mut steps = Steps::on(two_busy(kernel));
    steps.shell(format!("{COUNT}fill 300"));
    for (name, command) in checks {
        steps.step(name, command).page(are_as_listed);
    }
    let sections = steps.run();
    assert_eq!(number(&sections, "lab1 services"), 302, "all were made");
}

fn are_as_listed(page: &Value, sections: &Sections) {
    let root = page["root_netns"].as_u64().unwrap();
    for (place, netns) in [("root", root), ("lab1", number(sections, "inode"))] {
        let told = namespace(page, netns);
        for field in ["services", "destinations"] {
            let listed = number(sections, &format!("{place} {field}"));
            assert_eq!(told[field], listed, "{field} of {told}");
        }
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn services_of_two_busy_namespaces_are_counted_as_ipvsadm_lists_them() {
    let blind =
        "unshare -m sh -c \"mount -t tmpfs none /sys/kernel/btf; ipvs-latency check --json\"";
    counted(
        under_test::line(),
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
    let mut steps = Steps::on(two_busy(under_test::line()));
    steps.shell(format!("{COUNT}fill 300"));
    steps
        .step("json", format!("{user} ipvs-latency check --json"))
        .exits(2)
        .says_not(&["nsenter"])
        .page(|page, sections| {
            let root = namespace(page, root_netns());
            // The file that everybody may read has fewer than there are.
            assert_eq!(root["services"], Value::Null, "{root}");
            assert_eq!(root["destinations"], Value::Null, "{root}");
            assert_eq!(root["who"], "host", "{root}");
            // The other one has a name that everybody may see, and may not be entered.
            let other = namespace(page, number(sections, "inode"));
            assert_eq!(other["who"], "lab1", "{other}");
            assert_eq!(other["services"], Value::Null, "{other}");
            let missing = page["missing"].to_string();
            assert!(missing.contains("CAP_NET_ADMIN"), "{missing}");
        });
    steps
        .step("text", format!("{user} ipvs-latency check"))
        .says_not(&["nsenter"]);
    steps.run();
}
