//! `check` on two CPUs, inside containers, and with fewer capabilities.

use serde_json::Value;
use xtask::{
    kernel::under_test::root_netns,
    lab::{Cpus, LabSpec},
    scenario::Sections,
};

use super::{mitigation, namespace, number};
use crate::steps::Steps;

/// Prints the command or its counterpart of a mitigation on the page in /tmp/page.
pub(super) const FIELD: &str = r#"
field() {
    sed -n "/\"name\": \"$1\"/,/}/s/^ *\"$2\": \"\(.*\)\",\{0,1\}\$/\1/p" /tmp/page
}
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn packets_are_kept_off_the_cpu_of_the_timer_and_led_back() {
    let mask = "/sys/class/net/lo/queues/rx-0/rps_cpus";
    let mut steps = Steps::on(LabSpec {
        services: 3_000,
        destinations: 2,
        ..LabSpec::default()
    });
    steps.shell(format!("{FIELD}truth_begin; echo 3 > {mask}"));
    steps
        .step("json", "ipvs-latency check --json | tee /tmp/page")
        .page(|page, sections| {
            let cpu = cpu_of_the_next_run(page, sections);
            let about = mitigation(page, "rps_irq_masks")["does"].as_str().unwrap();
            assert!(about.contains(&format!("than {cpu},")), "{about}");
            // What the command leaves is the other of the two CPUs.
            let without = if cpu == 0 { 2 } else { 1 };
            assert_eq!(number(sections, "without"), without, "{page}");
        });
    steps.shell("sleep 3; echo == truth; truth_runs");
    steps.step("before", format!("cat {mask}")).prints("3");
    steps.shell("sh -c \"$(field rps_irq_masks command)\" > /dev/null");
    steps.step("without", format!("cat {mask}"));
    steps.shell("sh -c \"$(field rps_irq_masks undo)\" > /dev/null");
    steps.step("after", format!("cat {mask}")).prints("3");
    steps.shell(
        "field run_estimation command > /tmp/command; field run_estimation undo > /tmp/undo",
    );
    steps
        .step("command", "cat /tmp/command")
        .prints("sysctl -w net.ipv4.vs.run_estimation=0");
    steps
        .step("undo", "cat /tmp/undo")
        .prints("sysctl -w net.ipv4.vs.run_estimation=1");
    steps.run();
}

/// Returns the CPU that a page names for the next run of the root namespace: the one where the long run came after it.
fn cpu_of_the_next_run(page: &Value, sections: &Sections) -> u64 {
    let cpu = namespace(page, root_netns())["next_cpu"].as_u64().unwrap();
    let now = page["now_ns"].as_u64().unwrap();
    let after = sections
        .truth("truth")
        .unwrap()
        .into_iter()
        .filter(|run| run.begin_ns > now);
    let long = after.max_by_key(|run| run.lasted_ns).unwrap();
    assert_eq!(cpu, u64::from(long.cpu), "{long:?} for {page}");
    cpu
}

/// The kernel of the guests has 250 jiffies in a second (`CONFIG_HZ`).
const JIFFY_NS: u64 = 4_000_000;

/// An expiry as `timer:timer_expire_entry` tells it.
#[derive(Debug, Clone, Copy)]
struct Expiry {
    /// The callback begins.
    begin_ns: u64,
    /// The wheel's bucket was due: a busy or emulated CPU comes to it later.
    due_ns: u64,
    cpu: u64,
}

/// Reads a line of `TOLD`.
fn expiry(line: &str) -> Expiry {
    let words: Vec<&str> = line.split(' ').collect();
    let [cpu, at, now, bucket] = words[..] else {
        panic!("{line:?}")
    };
    let (seconds, micros) = at.split_once('.').unwrap();
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert_eq!(micros.len(), 6, "{line:?}");
    let begin_ns = number(seconds) * 1_000_000_000 + number(micros) * 1_000;
    Expiry {
        begin_ns,
        due_ns: begin_ns - (number(now) - number(bucket)) * JIFFY_NS,
        cpu: number(cpu),
    }
}

/// Follows the expiries of `estimation_timer` by the tracepoint alone.
const EXPIRIES: &str = r#"
tracing=/sys/kernel/tracing; expiries=$tracing/instances/expiries
mkdir $expiries; echo mono > $expiries/trace_clock
address=$(awk '$3 == "estimation_timer" && $4 == "[ip_vs]" { print "0x" $1 }' /proc/kallsyms)
echo "function == $address" > $expiries/events/timer/timer_expire_entry/filter
echo 1 > $expiries/events/timer/timer_expire_entry/enable
"#;

/// Prints them as `[CPU] SECONDS NOW BASECLK`, the last two in jiffies.
const TOLD: &str = r"echo == expiries
sed -n 's/^.*\[0*\([0-9]\{1,\}\)\] [^ ]* *\([0-9.]*\): timer_expire_entry: .*now=\([0-9]*\) baseclk=\([0-9]*\).*/\1 \2 \3 \4/p' $expiries/trace";

/// Taking the probes away takes long with many CPUs, and runs come meanwhile.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_next_run_told_is_the_one_that_comes_next() {
    const TIMES: usize = 3;
    let mut steps = Steps::on(LabSpec {
        services: 1_000,
        destinations: 2,
        cpus: Cpus {
            online: 2,
            possible: 4,
        },
        ..LabSpec::default()
    });
    steps.shell(EXPIRIES);
    for time in 0..TIMES {
        steps
            .step(&time.to_string(), "ipvs-latency check --json")
            .page(|page, sections| {
                let expiries = sections.text("expiries").unwrap().lines().map(expiry);
                let expiries: Vec<Expiry> = expiries.collect();
                assert!(expiries.len() > TIMES, "{expiries:?}");
                let (told, came) = next_run(page, &expiries);
                assert!(
                    told.abs_diff(came) <= 2 * JIFFY_NS,
                    "told {told} and came {came} in {expiries:?}"
                );
            });
        steps.shell(format!("sleep 0.{time}"));
    }
    steps.shell("sleep 3").shell(TOLD);
    steps.run();
}

/// When the root namespace's next run was told to be due, and when the one that came first was.
fn next_run(page: &Value, expiries: &[Expiry]) -> (u64, u64) {
    let now_ns = page["now_ns"].as_u64().unwrap();
    let root = namespace(page, root_netns());
    let in_ns = root["next_run_in_ns"].as_u64();
    let in_ns = in_ns.unwrap_or_else(|| panic!("no next run in {page}"));
    let first = expiries.iter().find(|expiry| expiry.begin_ns > now_ns);
    let first = first.unwrap_or_else(|| panic!("none after {now_ns} in {expiries:?}"));
    assert_eq!(root["next_cpu"], first.cpu, "{first:?} for {page}");
    (now_ns + in_ns, first.due_ns)
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_container_sees_the_host_and_what_it_may_not_see_is_said() {
    let mut steps = Steps::on(LabSpec {
        services: 10,
        destinations: 2,
        netns: 1,
        ..LabSpec::default()
    });
    // Without the host's files.
    steps
        .step(
            "alone",
            "unshare -m -p -n -f --mount-proc ipvs-latency check --max 1s --json",
        )
        .exits(0)
        .page(|page, _| sees_itself_alone(page));
    steps.shell(POD);
    steps.shell("echo == inode; stat -Lc %i /run/netns/lab1");
    steps
        .step(
            "inside",
            "unshare -m -p -n -f ipvs-latency check --max 1s --json",
        )
        .exits(0)
        .page(|page, sections| {
            assert_eq!(page["verdict"], "ok", "{page}");
            assert_eq!(page["root_netns"], root_netns());
            let root = namespace(page, root_netns());
            assert_eq!(root["who"], "host", "{root}");
            assert_eq!(root["services"], 10, "{root}");
            let pod = namespace(page, number(sections, "inode"));
            assert_eq!(pod["who"], "pod coredns-5d78c9869d-abcde", "{page}");
        });
    steps
        .step(
            "blind",
            "setpriv --bounding-set=-sys_ptrace ipvs-latency check --max 1s --json",
        )
        .exits(0)
        .page(|page, _| {
            let missing = page["missing"][0].as_str().unwrap();
            assert!(missing.contains("CAP_SYS_PTRACE"), "{missing}");
        });
    steps.run();
}

/// Lays the host's files in /host, and has a pod live in lab1.
const POD: &str = "
cgroup=/sys/fs/cgroup/kubepods.slice/kubepods-pod1b6ba2ee_4f4e_4a1c_9a53_0c1f7d2f6a11.slice
mkdir -p /host/proc /host/sys /host/run
mount -t proc proc /host/proc; mount --rbind /sys /host/sys; mount --rbind /run /host/run
mount | grep -q cgroup2 || mount -t cgroup2 none /sys/fs/cgroup
mkdir -p $cgroup
HOSTNAME=coredns-5d78c9869d-abcde ip netns exec lab1 sleep 1000 &
echo $! > $cgroup/cgroup.procs
sleep 1
";

/// A container's own first process is not taken for the host's, nor others for nobody.
fn sees_itself_alone(page: &Value) {
    assert_eq!(page["root_netns"], root_netns(), "{page}");
    let namespaces = page["namespaces"].as_array().unwrap();
    assert_eq!(namespaces.len(), 3, "{page}");
    for namespace in namespaces {
        let is_host = namespace["who"] == "host";
        assert_eq!(is_host, namespace["netns"] == root_netns(), "{page}");
        assert_ne!(namespace["who"], "no process", "{page}");
    }
    let missing = page["missing"][0].as_str().unwrap();
    assert!(missing.contains("not in sight"), "{missing}");
}
