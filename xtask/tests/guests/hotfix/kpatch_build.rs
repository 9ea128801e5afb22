//! Modules that the real kpatch-build made, where they lie beside the checkout: for the kernel of the lab that they were
//! made for, they are loaded, too.

use serde_json::json;
use xtask::kernel::{self, under_test};
use xtask::lab::Copy;
use xtask::lab::LabSpec;
use xtask::scenario;

use super::{FOLDER, Inspected, inspect, with_modules};
use crate::steps::Steps;

/// Where they are in the guest.
const MADE: &str = "/root/kpatch-build";

/// What they were made for.
const RELEASE: &str = "6.1.0-56-amd64";

/// Module, `rearms`, `period_ns`, `address_escapes`, blockers, warnings.
type Row = (
    &'static str,
    &'static str,
    Option<u64>,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const TABLE: [Row; 6] = [
    ("v2", "no", None, "no", &[], &["no-rearm"]),
    ("v3b", "yes", Some(5_000_000_000), "no", &[], &[]),
    ("same", "yes", Some(2_000_000_000), "no", &[], &[]),
    ("dup_name", "yes", Some(5_000_000_000), "no", &[], &[]),
    (
        "one_path",
        "some_paths",
        Some(2_000_000_000),
        "no",
        &[],
        &["rearm-some-paths"],
    ),
    (
        "escape",
        "yes",
        Some(5_000_000_000),
        "yes",
        &["address-escapes"],
        &[],
    ),
];

fn file(name: &str) -> String {
    format!("{MADE}/livepatch-ip_vs_timer_{name}.ko")
}

/// Returns a guest that has them; `None` where there are none, or none for its kernel.
fn with_made(spec: LabSpec) -> Option<LabSpec> {
    let folder = xtask::checkout::folder()
        .unwrap()
        .join("../shared/kpatch-build");
    let Ok(folder) = folder.canonicalize() else {
        scenario::skip("there are no modules made by kpatch-build beside the checkout");
        return None;
    };
    let release = kernel::fetch(&under_test::line()).unwrap().release;
    if release != RELEASE {
        scenario::skip(&format!(
            "the modules made by kpatch-build are for {RELEASE}, and the lab boots {release}"
        ));
        return None;
    }
    let mut spec = with_modules(spec);
    spec.copies.push(Copy {
        source: folder,
        destination: Some(MADE.into()),
    });
    Some(spec)
}

/// One that replaces no others differs from one that does by the byte that is written to `klp_patch.replace`.
const WITHOUT_REPLACE: &str = r"
stay() { # from, to
    at=$(grep -abo -P '\xc6\x40\x18\x01' $1 | cut -d: -f1); [ $(echo $at | wc -w) = 1 ] || exit 1
    cp $1 $2; printf '\000' | dd of=$2 bs=1 seek=$((at + 3)) conv=notrunc status=none
}
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_kpatch_build_made_is_told_for_what_it_is() {
    let Some(spec) = with_made(LabSpec::deterministic()) else {
        return;
    };
    let files: Vec<(&str, String)> = TABLE.iter().map(|row| (row.0, file(row.0))).collect();
    let cases: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, file)| (*name, file.as_str()))
        .collect();
    let beside = [
        ("replacing", file("v3b")),
        ("staying", "/tmp/stay.ko".to_owned()),
    ];
    let beside: Vec<(&str, &str)> = beside
        .iter()
        .map(|(name, file)| (*name, file.as_str()))
        .collect();
    let script = format!(
        "{WITHOUT_REPLACE}{}stay {} /tmp/stay.ko\nipvs-latency hotfix load {FOLDER}/est_skip.ko > /dev/null\n{}",
        inspect(&cases),
        file("v3b"),
        inspect(&beside)
    );
    let sections = scenario::run(spec, &script).unwrap();
    for (name, rearms, period_ns, escapes, blockers, warnings) in TABLE {
        let told = Inspected::of(&sections, name);
        let document = &told.document;
        assert_eq!(document["layout"], "kpatch-build", "{name}");
        assert_eq!(document["rearms"], rearms, "{name}");
        assert_eq!(document["period_ns"], json!(period_ns), "{name}");
        assert_eq!(document["address_escapes"], escapes, "{name}");
        assert_eq!(document["atomic_replace"], true, "{name}");
        assert_eq!(told.names("blockers"), blockers, "{name}");
        assert_eq!(told.names("warnings"), warnings, "{name}");
        assert!(!told.names("notes").contains(&"callbacks"), "{name}");
        let clean = blockers.is_empty() && warnings.is_empty();
        assert_eq!(told.code, u8::from(!clean), "{name}");
    }
    let one_path = Inspected::of(&sections, "one_path");
    let text = one_path.text("warnings", "rearm-some-paths");
    assert!(text.contains("where run_estimation is 0 ("), "{text}");
    let replacing = Inspected::of(&sections, "replacing");
    assert_eq!(replacing.names("warnings"), ["replaces-others"]);
    let text = replacing.text("notes", "other-patches");
    assert!(text.contains("have to be loaded again"), "{text}");
    let staying = Inspected::of(&sections, "staying");
    assert_eq!(staying.document["atomic_replace"], false);
    assert_eq!(staying.names("warnings"), [""; 0]);
    let text = staying.text("notes", "other-patches");
    assert!(text.contains("brings that replacement back"), "{text}");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_kpatch_build_made_is_loaded_and_unloaded_by_what_was_found() {
    let Some(spec) = with_made(LabSpec::deterministic()) else {
        return;
    };
    let mut steps = Steps::on(spec);
    steps.shell(WITHOUT_REPLACE);
    let load = |name: &str| format!("ipvs-latency hotfix load {}", file(name));
    let unload = |name: &str| format!("ipvs-latency hotfix unload livepatch_ip_vs_timer_{name}");
    for (name, words) in [
        ("escape", "blocker address-escapes"),
        ("one_path", "--accept rearm-some-paths"),
        ("v2", "--accept no-rearm"),
    ] {
        steps
            .step(name, load(name))
            .exits(2)
            .says(&[words])
            .leaves_nothing();
    }
    steps
        .step(
            "apply",
            format!("ipvs-latency hotfix apply {} --yes", file("one_path")),
        )
        .exits(2)
        .says(&["--accept rearm-some-paths"])
        .leaves_nothing();
    steps
        .step("dup_name", load("dup_name"))
        .exits(0)
        .says(&["is in force"]);
    steps
        .step("replaced", "ls -d /sys/kernel/livepatch/*/*/*")
        .says(&["vmlinux/seq_show,2"]);
    steps
        .step("dup_name away", unload("dup_name"))
        .exits(0)
        .says(&["is gone"]);
    steps.shell("sleep 6");
    steps
        .step(
            "below",
            format!("ipvs-latency hotfix load {FOLDER}/est_copy.ko"),
        )
        .exits(0)
        .says(&["est_copy is in force"]);
    steps
        .step("unasked", load("same"))
        .exits(2)
        .says(&["--accept replaces-others"]);
    steps.shell(format!("stay {} /tmp/stay.ko", file("same")));
    steps
        .step("stay", "ipvs-latency hotfix load /tmp/stay.ko")
        .exits(0)
        .says(&["is in force"]);
    steps.step("stay away", unload("same")).exits(0);
    steps
        .step("below_still", "ipvs-latency hotfix list")
        .exits(0)
        .says(&["est_copy [in force]"]);
    steps.run();
}
