//! `check` on two CPUs, inside containers, and with fewer capabilities.

use serde_json::Value;
use xtask::{
    lab::{Cpus, LabSpec},
    scenario,
};

use super::{ROOT, TRY, code, mitigation, namespace, number, page};

/// Prints the command or its counterpart of a mitigation on the page in /tmp/page.
pub(super) const FIELD: &str = r#"
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

/// Reads `[CPU] SECONDS NOW BASECLK`, the last two in jiffies.
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

/// Taking the probes away takes long with many CPUs, and runs come meanwhile.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_next_run_told_is_the_one_that_comes_next() {
    const TIMES: usize = 3;
    let spec = LabSpec {
        services: 1_000,
        destinations: 2,
        cpus: Cpus {
            online: 2,
            possible: 4,
        },
        ..LabSpec::default()
    };
    let tries: Vec<String> = (0..TIMES)
        .map(|time| format!("try {time} 'ipvs-latency check --json'; sleep 0.{time}\n"))
        .collect();
    let tries = tries.concat();
    let script = format!(
        "{TRY}{EXPIRIES}{tries}sleep 3; echo == expiries
        sed -n 's/^.*\\[0*\\([0-9]\\{{1,\\}}\\)\\] [^ ]* *\\([0-9.]*\\): timer_expire_entry: .*now=\\([0-9]*\\) baseclk=\\([0-9]*\\).*/\\1 \\2 \\3 \\4/p' $expiries/trace"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let expiries: Vec<Expiry> = sections
        .text("expiries")
        .unwrap()
        .lines()
        .map(expiry)
        .collect();
    assert!(expiries.len() > TIMES, "{expiries:?}");
    let (mut matched, mut told) = (0, Vec::new());
    for time in 0..TIMES {
        let page = page(&sections, &time.to_string());
        let came = next_run(&page, &expiries);
        matched += usize::from(came.0.abs_diff(came.1) <= 2 * JIFFY_NS);
        told.push(came);
    }
    assert_eq!(matched, TIMES, "told and came: {told:?} in {expiries:?}");
}

/// When the root namespace's next run was told to be due, and when the one that came first was.
fn next_run(page: &Value, expiries: &[Expiry]) -> (u64, u64) {
    let now_ns = page["now_ns"].as_u64().unwrap();
    let root = namespace(page, ROOT);
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
        try alone 'unshare -m -p -n -f --mount-proc ipvs-latency check --max 1s --json'
        mkdir -p /host/proc /host/sys /host/run
        mount -t proc proc /host/proc; mount --rbind /sys /host/sys; mount --rbind /run /host/run
        mount | grep -q cgroup2 || mount -t cgroup2 none /sys/fs/cgroup
        mkdir -p {cgroup}
        HOSTNAME=coredns-5d78c9869d-abcde ip netns exec lab1 sleep 1000 &
        echo $! > {cgroup}/cgroup.procs
        sleep 1
        echo == inode; stat -Lc %i /run/netns/lab1
        try inside 'unshare -m -p -n -f ipvs-latency check --max 1s --json'
        try blind 'setpriv --bounding-set=-sys_ptrace ipvs-latency check --max 1s --json'"
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
    // Without the host's files, its own first process is not taken for the host's, nor others for nobody.
    let alone = page(&sections, "alone");
    assert_eq!(
        (&alone["root_netns"], code(&sections, "alone")),
        (&ROOT.into(), 0)
    );
    for namespace in alone["namespaces"].as_array().unwrap() {
        assert_eq!(
            namespace["who"] == "host",
            namespace["netns"] == ROOT,
            "{alone}"
        );
        assert_ne!(namespace["who"], "no process", "{alone}");
    }
    assert_eq!(alone["namespaces"].as_array().unwrap().len(), 3, "{alone}");
    let missing = alone["missing"][0].as_str().unwrap();
    assert!(missing.contains("not in sight"), "{missing}");
    let blind = page(&sections, "blind");
    assert_eq!(code(&sections, "blind"), 0, "{blind}");
    let missing = blind["missing"][0].as_str().unwrap();
    assert!(missing.contains("CAP_SYS_PTRACE"), "{missing}");
}
