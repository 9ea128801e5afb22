//! What of a node keeps a hotfix from being loaded.

use serde_json::Value;
use xtask::kernel::Line;
use xtask::lab::LabSpec;
use xtask::scenario::{self, Sections};

use super::{BLIND, FOLDER, Inspected, LEFT, TRY, inspect, refused, with_modules};

/// Runs `script`, whose first line is common to all, and holds the blockers of each section against `expected`.
pub fn blocked(spec: LabSpec, script: &str, expected: &[(&str, &[&str])]) -> Sections {
    let script = format!("F={FOLDER}\n{script}");
    let sections = scenario::run(spec, &script).unwrap();
    for (section, blockers) in expected {
        let told = Inspected::of(&sections, section);
        assert_eq!(
            told.names("blockers"),
            *blockers,
            "{section}: {}",
            told.document
        );
        let clean = blockers.is_empty() && told.names("warnings").is_empty();
        assert_eq!(told.code, u8::from(!clean), "{section}");
        let page = sections.text(&format!("{section} page")).unwrap();
        for blocker in *blockers {
            assert!(
                page.contains(&format!("BLOCKER {blocker}: ")),
                "{section}: {page}"
            );
        }
    }
    sections
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn each_thing_that_a_running_node_has_against_a_hotfix_is_told() {
    let case = |section: &str, file: &str| inspect(&[(section, &format!("$F/{file}.ko"))]);
    let mut script = String::new();
    // Another release of the same length, as after an upgrade: this kernel would take the module.
    script += "sed 's/vermagic=6\\.1\\.0-[0-9]*/vermagic=6.1.0-99/' $F/est_skip.ko > $F/other.ko\n";
    script += &case("other kernel", "other");
    script += "sysctl -q kernel.ftrace_enabled=0\n";
    script += &case("ftrace", "est_skip");
    script += "sysctl -q kernel.ftrace_enabled=1; insmod $F/est_skip.ko; sleep 3\n";
    script += &case("enabled", "est_skip");
    script += "LC_ALL=C sed 's/est_slow/est_skip/g' $F/est_slow.ko > $F/named.ko\n";
    script += &case("loaded", "named");
    script += &case("stacked", "est_same_name");
    script += &case("replaces", "est_replace");
    script += "echo 0 > /sys/kernel/livepatch/est_skip/enabled; sleep 3; rmmod est_skip\n";
    script += "insmod $F/est_taken.ko\n";
    script += &case("taken", "est_skip");
    script += "rmmod est_taken\n";
    script += "mount -t tmpfs none /sys/kernel\n";
    script += &case("no livepatching", "est_skip");
    script += "umount /sys/kernel\n";
    // A module on disk that was changed after it was loaded.
    script += "D=$(echo /lib/modules/*/kernel/net/netfilter/ipvs); cp $D/ip_vs.ko /tmp; cp $D/ip_vs_rr.ko $D/ip_vs.ko\n";
    script += &case("changed", "est_skip");
    script += "xz() { printf '\\3757zXZ\\000' > $D/ip_vs.ko; }; xz\n";
    script += &case("packed", "est_skip");
    script += "cp /tmp/ip_vs.ko $D/ip_vs.ko\n";
    script += "PRIVILEGE='setpriv --bounding-set=-sys_module'\n";
    script += &case("privilege", "est_skip")
        .replace("ipvs-latency hotfix", "$PRIVILEGE ipvs-latency hotfix");
    script += "PRIVILEGE='unshare --user --map-root-user'\n";
    script += &case("namespace", "est_skip")
        .replace("ipvs-latency hotfix", "$PRIVILEGE ipvs-latency hotfix");
    script += "rmmod ip_vs_rr ip_vs\n";
    script += &case("no ip_vs", "est_skip");
    // There is no way back from this one.
    script += "modprobe ip_vs; sysctl -q kernel.modules_disabled=1\n";
    script += &case("disabled", "est_skip");
    let script = format!("{script}\ntrue\n");
    let spec = with_modules(LabSpec::default());
    let sections = blocked(
        spec,
        &script,
        &[
            ("other kernel", &["other-kernel"]),
            ("ftrace", &["ftrace-off"]),
            ("enabled", &[]),
            ("loaded", &["already-loaded"]),
            ("stacked", &[]),
            ("replaces", &[]),
            ("taken", &["foreign-redirection"]),
            ("no livepatching", &["no-livepatching"]),
            ("changed", &["ip-vs-differs"]),
            ("packed", &[]),
            ("privilege", &["no-privilege"]),
            ("namespace", &["no-privilege"]),
            ("no ip_vs", &["object-not-loaded"]),
            ("disabled", &["modules-disabled"]),
        ],
    );
    let told = |section: &str| Inspected::of(&sections, section);
    let text = told("enabled").text("notes", "enabled").to_owned();
    assert!(text.contains("a load has nothing to do"), "{text}");
    assert_eq!(told("replaces").names("warnings"), ["replaces-others"]);
    assert!(
        told("replaces")
            .text("warnings", "replaces-others")
            .contains("est_skip")
    );
    assert!(
        told("stacked")
            .text("notes", "other-patches")
            .contains("brings that replacement back")
    );
    assert!(
        told("packed")
            .text("notes", "ip-vs-not-compared")
            .contains("compressed with xz")
    );
    assert_eq!(
        told("no livepatching").document["atomic_replace"],
        Value::Null
    );
}

/// A module of another kernel, loaded on a node that the checks take for that kernel's. It is none for the estimator,
/// of which a run would have to be seen.
const ANOTHER_KERNELS: &str = r#"
load beforehand $F/est_skip.ko
awk '$3 == "ip_vs_estimation_kthread" { $3 = "estimation_timer_of_another_kernel" } { print }' /proc/kallsyms > /tmp/symbols
say "$(modinfo -F vermagic $F/est_skip.ko | cut -d' ' -f1)" /proc/sys/kernel/osrelease
mount --bind /tmp/symbols /proc/kallsyms; hide; load blind $F/est_missing_symbol.ko; show
umount /proc/kallsyms; unsay /proc/sys/kernel/osrelease
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_hotfix_for_the_timer_is_told_from_a_kernel_that_has_threads() {
    if !scenario::available(Line::V6_12) {
        return;
    }
    let spec = LabSpec {
        kernel: Line::V6_12,
        ..LabSpec::default()
    };
    let script = format!("{TRY}{LEFT}{BLIND}")
        + &inspect(&[("threads", "$F/est_skip.ko")])
        + ANOTHER_KERNELS;
    let expected: &[&str] = &["other-kernel", "estimator-threads", "symbol-missing"];
    let sections = blocked(with_modules(spec), &script, &[("threads", expected)]);
    refused(&sections, "beforehand", &["blocker other-kernel: "]);
    let words = [
        "ENOEXEC",
        "whose struct module has another size",
        "kernel: module est_missing_symbol: .gnu.linkonce.this_module section size must match",
    ];
    refused(&sections, "blind", &words);
    let told = Inspected::of(&sections, "threads");
    assert_eq!(told.document["rearms"], "yes");
    assert_eq!(
        told.document["period_ns"],
        Value::Null,
        "a jiffy of 6.1 need not be one of 6.12"
    );
    assert_eq!(told.document["atomic_replace"], Value::Null);
}
