//! The journal blames what was loaded when the node went down, and nothing else.

use std::fmt::Write as _;

use serde_json::{Value, json};
use xtask::lab::{KERNEL_PANIC, LabSpec};
use xtask::scenario::{self, Sections};
use xtask::userland;

use super::{FOLDER, LEFT, RENAMED, TRY, ended, with_modules};
use crate::steps::Steps;

/// Ours: one unloaded by kpatch, one replaced by kpatch's, one whose name another file took, and one enabled. Each was
/// looked at in between by another command; then the node goes down.
const BEFORE: &str = r"
set -e
$H load $F/est_5s.ko; kpatch unload est_5s; $H status || true
$H load $F/est_same_name.ko; kpatch load $F/est_replace.ko; $H list; rmmod est_same_name
$H unload est_replace
$H load $F/est_skip.ko; kpatch unload est_skip; renamed est_slow est_skip; insmod /tmp/est_skip.ko; sleep 3
$H info est_skip
$H load $F/est_copy.ko
cat /disk/state/journal.json > /disk/before
sync; echo c > /proc/sysrq-trigger
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_crash_is_put_down_to_what_was_there_and_to_nothing_that_somebody_else_took_out() {
    let programs = match userland::kpatch() {
        Ok(programs) => programs,
        Err(error) => return scenario::skip(&format!("kpatch cannot be had: {error:#}")),
    };
    let place = tempfile::tempdir().unwrap();
    let mut spec = with_modules(LabSpec {
        disk: Some(place.path().join("disk")),
        ..LabSpec::deterministic()
    });
    spec.copies.extend(programs);
    let common = format!(
        "{TRY}{LEFT}{RENAMED}export F={FOLDER} H='ipvs-latency --state-dir /disk/state hotfix'\n"
    );
    let outcome = spec
        .run(&["sh", "-c", &format!("{common}{BEFORE}")])
        .unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(
        said.contains("est_copy is in force"),
        "{said}\n{}",
        outcome.console
    );
    assert_eq!(outcome.code, KERNEL_PANIC, "{}", outcome.console);

    // It went down long after these looks: a guest's clock is the host's again when it boots, so that no sleep would do.
    let mut script = format!(
        "{common}echo == before; cat /disk/before; echo == rest\n\
         sed -i 's/\"since_s\": [0-9]*/\"since_s\": 1000000000/' /disk/state/journal.json\n"
    );
    for name in [
        "est_5s",
        "est_same_name",
        "est_skip",
        "est_slow",
        "est_copy",
    ] {
        let _ = writeln!(script, "try {name} '$H inspect --json $F/{name}.ko'");
    }
    let sections = scenario::run(spec, &script).unwrap();
    let phases = phases(&sections);
    assert_eq!(phases["est_5s"], "gone", "{phases}");
    assert_eq!(phases["est_skip"], "gone", "{phases}");
    assert_eq!(phases["est_copy"], "in-force", "{phases}");
    for name in ["est_5s", "est_same_name", "est_skip", "est_slow"] {
        ended(&sections, name, "0", &["\"warnings\": []"]);
    }
    ended(&sections, "est_copy", "1", &["crashed-here-before"]);
}

/// Returns what the journal said before the crash, by name.
fn phases(sections: &Sections) -> Value {
    let journal: Value = serde_json::from_str(sections.text("before").unwrap()).unwrap();
    let entries = journal["entries"].as_array().unwrap().iter();
    let phases = entries.map(|entry| {
        let name = entry["name"].as_str().unwrap().to_owned();
        (name, entry["phase"].clone())
    });
    json!(phases.collect::<serde_json::Map<_, _>>())
}

/// What no program of ours wrote.
const ABSURD: [&str; 5] = [
    r#"{"schema":1,"entries":[{"sha256":"S","name":"est_skip","file":"/a","boot_id":"x","pid":1,"phase":"gone","since_s":18446744073709551615}]}"#,
    r#"{"schema":1,"entries":[{"sha256":"S","name":"a\u001b[2J","file":"/a","boot_id":"x","pid":1,"phase":"gone","since_s":1}]}"#,
    r#"{"schema":1,"entries":7}"#,
    r#"{"schema":2,"entries":[]}"#,
    "",
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn an_absurd_journal_is_told_and_neither_a_panic_nor_overwritten() {
    let mut steps = Steps::on(with_modules(LabSpec::deterministic()));
    steps.shell("J=/var/lib/ipvs-latency/journal.json; mkdir -p ${J%/*}");
    for (index, text) in ABSURD.iter().enumerate() {
        let words = if text.contains("schema\":2") {
            "is of schema 2"
        } else {
            "is damaged"
        };
        let text = text.replace("\"S\"", &format!("\"{}\"", "a".repeat(64)));
        steps.shell(format!("cat > $J <<'END'\n{text}\nEND\ncp $J /tmp/journal"));
        steps
            .step(
                &format!("load {index}"),
                format!("ipvs-latency hotfix load {FOLDER}/est_skip.ko"),
            )
            .exits(2)
            .says(&[words])
            .leaves_nothing();
        steps
            .step(&format!("status {index}"), "ipvs-latency hotfix status")
            .exits(2)
            .says(&[words]);
        steps.shell("cmp $J /tmp/journal || echo \"the journal was changed\" >&2");
    }
    steps.shell("truncate -s 1T $J");
    steps
        .step("huge", "ipvs-latency hotfix status")
        .exits(2)
        .says(&["is damaged"]);
    let sections = steps.run();
    assert!(!sections.noise.contains("the journal was changed"));
}

/// A replacement left ours behind, and another file has its name.
const LEFT_BEHIND: &str = r"
noted() { echo == noted $1; cat /var/lib/ipvs-latency/journal.json; echo == rest; }
$H load $F/est_skip.ko > /dev/null 2>&1; insmod $F/est_replace.ko; sleep 5; $H status > /dev/null 2>&1; noted before
renamed est_slow est_skip
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_module_that_stays_is_not_noted_as_gone_because_of_a_load_that_was_refused() {
    let mut steps = Steps::on(with_modules(LabSpec::deterministic()));
    steps.shell(format!(
        "{RENAMED}export F={FOLDER} H='ipvs-latency hotfix'\n{LEFT_BEHIND}"
    ));
    // Without this file no timer is known not to call it, so that it is not removed for another file of its name, nor for
    // the same file.
    steps.shell("mount --bind /dev/null /proc/modules");
    let stays = ["est_skip is not loaded", "is still there"];
    steps
        .step("other", "$H load /tmp/est_skip.ko")
        .exits(2)
        .says(&stays);
    steps.shell("noted other");
    steps
        .step("same", "$H load $F/est_skip.ko")
        .exits(2)
        .says(&stays);
    steps.shell("noted same; left same; umount /proc/modules");
    steps
        .step("loads", "$H load /tmp/est_skip.ko")
        .exits(0)
        .says(&["est_skip is in force"]);
    steps.shell("noted loads");
    let sections = steps.run();
    let (before, none) = noted(&sections, "before");
    assert_eq!((&before["phase"], &none), (&json!("left"), &Value::Null));
    for name in ["other", "same"] {
        let (ours, other) = noted(&sections, name);
        assert_eq!(ours, before, "{name}");
        assert_eq!(other["phase"], "gone", "{name}");
    }
    let left = sections.text("left same").unwrap();
    assert!(left.contains("/sys/module/est_skip/taint"), "{left}");
    let (ours, other) = noted(&sections, "loads");
    assert_eq!(ours["phase"], "gone", "{ours}");
    assert_eq!(other["phase"], "in-force", "{other}");
}

/// Returns the journal's entries of our file and of the one in `/tmp`.
fn noted(sections: &Sections, when: &str) -> (Value, Value) {
    let journal = sections.text(&format!("noted {when}")).unwrap();
    let journal: Value = serde_json::from_str(journal).unwrap();
    let entries = journal["entries"].as_array().unwrap();
    let of = |folder: &str| {
        let is_there = |one: &&Value| one["file"].as_str().unwrap().starts_with(folder);
        entries.iter().find(is_there).cloned().unwrap_or_default()
    };
    (of(FOLDER), of("/tmp"))
}
