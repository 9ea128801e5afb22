//! Hotfixes that change nothing, or a little.

use std::{fmt::Write as _, time::Duration};

use xtask::lab::LabSpec;
use xtask::scenario::{self, Sections};

use super::{APPLY, Applied, big};
use crate::hotfix::{FOLDER, LEFT};

/// Applies one as often, each time in vain, and gives the verdicts.
fn verdicts(mut spec: LabSpec, hotfix: &str, times: usize) -> Vec<String> {
    spec.timeout = Duration::from_hours(1);
    let mut script = format!("{APPLY}{LEFT}cd {FOLDER}\n");
    for number in 0..times {
        writeln!(script, "apply {number} {hotfix}.ko").unwrap();
    }
    script += "left all\n";
    let sections: Sections = scenario::run(spec, &script).unwrap();
    assert_eq!(sections.text("left all").unwrap(), "");
    let one = |number: usize| {
        let applied = Applied::of(&sections, &number.to_string());
        assert_eq!(applied.code, "1", "{}", applied.document);
        assert_eq!(applied.document["host"], "given_back");
        applied.document["verdict"].as_str().unwrap().to_owned()
    };
    (0..times).map(one).collect()
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_faithful_copy_changes_nothing_and_a_tenth_more_is_seen() {
    assert_eq!(verdicts(big(), "est_copy", 2), ["unchanged"; 2]);
    assert_eq!(verdicts(big(), "est_slow_tenth", 1), ["regressed"]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_a_faithful_copy_changes_nothing_twenty_times_of_twenty() {
    assert_eq!(verdicts(big(), "est_copy", 20), ["unchanged"; 20]);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_a_tenth_more_is_seen_twenty_times_of_twenty() {
    assert_eq!(verdicts(big(), "est_slow_tenth", 20), ["regressed"; 20]);
}

/// Not deterministic: CPUs and their neighbours make noise here.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_a_faithful_copy_on_a_noisy_node_never_improves_and_hardly_regresses() {
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::default()
    };
    let verdicts = verdicts(crate::hotfix::with_modules(spec), "est_copy", 20);
    let count = |verdict: &str| verdicts.iter().filter(|one| *one == verdict).count();
    eprintln!("{verdicts:?}");
    assert_eq!(count("improved"), 0, "{verdicts:?}");
    assert!(count("regressed") <= 1, "{verdicts:?}");
}
