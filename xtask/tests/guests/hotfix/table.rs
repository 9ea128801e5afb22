//! What each module is told to be.

use serde_json::{Value, json};
use xtask::lab::LabSpec;
use xtask::scenario;

use super::{FOLDER, Inspected, inspect, with_modules};

/// Module, `rearms`, `period_ns`, `address_escapes`, `atomic_replace`, blockers, warnings.
type Row = (
    &'static str,
    &'static str,
    Option<u64>,
    &'static str,
    bool,
    &'static [&'static str],
    &'static [&'static str],
);

const TABLE: [Row; 25] = [
    ("est_no_rearm", "no", None, "no", false, &[], &["no-rearm"]),
    (
        "est_300s",
        "yes",
        Some(300_000_000_000),
        "no",
        false,
        &[],
        &[],
    ),
    ("est_5s", "yes", Some(5_000_000_000), "no", false, &[], &[]),
    (
        "est_skip",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &[],
    ),
    (
        "est_same_name",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &[],
    ),
    (
        "est_slow",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &[],
    ),
    (
        "est_copy",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &[],
    ),
    (
        "est_own_function",
        "yes",
        Some(2_000_000_000),
        "yes",
        false,
        &["address-escapes"],
        &[],
    ),
    (
        "est_in_callee",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &[],
    ),
    (
        "est_indirect",
        "unknown",
        None,
        "no",
        false,
        &[],
        &["rearm-unknown"],
    ),
    ("est_parameter", "yes", None, "no", false, &[], &[]),
    (
        "est_replace",
        "yes",
        Some(2_000_000_000),
        "no",
        true,
        &[],
        &[],
    ),
    (
        "est_missing_symbol",
        "unknown",
        None,
        "no",
        false,
        &["symbol-missing"],
        &[],
    ),
    (
        "est_wrong_object",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &["symbol-missing"],
        &[],
    ),
    (
        "est_position",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &["symbol-missing"],
        &[],
    ),
    (
        "est_ambiguous",
        "unknown",
        None,
        "no",
        false,
        &["symbol-ambiguous"],
        &[],
    ),
    (
        "est_untraceable",
        "unknown",
        None,
        "no",
        false,
        &["untraceable"],
        &[],
    ),
    (
        "est_unmarked",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &["no-livepatch-mark"],
        &[],
    ),
    (
        "est_some_paths",
        "some_paths",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &["rearm-some-paths"],
    ),
    (
        "est_helper_paths",
        "some_paths",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &["rearm-some-paths"],
    ),
    (
        "est_timer_setup",
        "yes",
        Some(2_000_000_000),
        "yes",
        false,
        &["address-escapes"],
        &[],
    ),
    (
        "est_forgotten_timer",
        "yes",
        Some(2_000_000_000),
        "yes",
        false,
        &["address-escapes"],
        &[],
    ),
    (
        "est_work",
        "yes",
        Some(2_000_000_000),
        "yes",
        false,
        &["address-escapes"],
        &[],
    ),
    (
        "est_cancelled_timer",
        "yes",
        Some(2_000_000_000),
        "no",
        false,
        &[],
        &[],
    ),
    (
        "est_own_timer",
        "yes",
        Some(2_000_000_000),
        "unknown",
        false,
        &[],
        &[],
    ),
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_module_is_told_for_what_it_is() {
    let files: Vec<(&str, String)> = TABLE
        .iter()
        .map(|row| (row.0, format!("{FOLDER}/{}.ko", row.0)))
        .collect();
    let mut cases: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, file)| (*name, file.as_str()))
        .collect();
    cases.push((
        "ordinary",
        "/lib/modules/*/kernel/net/netfilter/ipvs/ip_vs_rr.ko",
    ));
    let script = inspect(&cases);
    let sections = scenario::run(with_modules(LabSpec::default()), &script).unwrap();
    for (name, rearms, period_ns, escapes, replace, blockers, warnings) in TABLE {
        let told = Inspected::of(&sections, name);
        let document = &told.document;
        assert_eq!(document["name"], name);
        assert_eq!(document["layout"], "headers", "{name}");
        assert_eq!(document["signed"], false, "{name}");
        assert_eq!(document["rearms"], rearms, "{name}");
        assert_eq!(document["period_ns"], json!(period_ns), "{name}");
        assert_eq!(document["address_escapes"], escapes, "{name}");
        assert_eq!(document["atomic_replace"], replace, "{name}");
        assert_eq!(told.names("blockers"), blockers, "{name}");
        assert_eq!(told.names("warnings"), warnings, "{name}");
        let clean = blockers.is_empty() && warnings.is_empty();
        assert_eq!(told.code, u8::from(!clean), "{name}");
    }
    let replaced = &Inspected::of(&sections, "est_wrong_object").document["replaces"];
    assert_eq!(
        *replaced,
        json!([{"object": "vmlinux", "function": "estimation_timer"}])
    );
    let long = Inspected::of(&sections, "est_300s");
    assert!(
        long.text("notes", "long-period").contains("316.4 s"),
        "{}",
        long.document
    );
    let some_paths = Inspected::of(&sections, "est_some_paths");
    let text = some_paths.text("warnings", "rearm-some-paths");
    assert!(text.contains("where run_estimation is 0 ("), "{text}");
    let advice = some_paths.text("notes", "run-estimation");
    assert!(advice.contains("never while it is loaded"), "{advice}");
    let cancelled = Inspected::of(&sections, "est_cancelled_timer");
    let text = cancelled.text("notes", "callbacks");
    assert!(
        text.contains("after it is disabled (post_unpatch)"),
        "{text}"
    );
    let ordinary = Inspected::of(&sections, "ordinary");
    assert_eq!(ordinary.document["layout"], "unknown");
    assert_eq!(ordinary.document["replaces"], Value::Array(Vec::new()));
    assert_eq!(ordinary.document["rearms"], "unknown");
    assert_eq!(ordinary.document["address_escapes"], "unknown");
    assert_eq!(ordinary.document["atomic_replace"], Value::Null);
    assert_eq!(
        ordinary.names("blockers"),
        ["no-livepatch-mark", "already-loaded"]
    );
}
