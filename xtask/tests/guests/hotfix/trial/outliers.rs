//! Hundreds of idle namespaces beside a busy one, on a node that is not calm: runs of all of them are interrupted.

use std::{fmt::Write as _, time::Duration};

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{APPLY, Applied};
use crate::hotfix::{FOLDER, with_modules};

const TRIALS: usize = 20;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test --soak"]
fn soak_a_verdict_rests_on_the_busy_one_of_six_hundred_namespaces_twenty_times_of_twenty() {
    let spec = LabSpec {
        services: 200,
        destinations: 2,
        netns: 600,
        timeout: Duration::from_hours(2),
        ..LabSpec::default()
    };
    let mut script = format!(
        "{APPLY}cd {FOLDER}; echo == root; stat -Lc %i /proc/1/ns/net; echo == rest\n\
         while :; do for i in $(seq 300); do :; done; sleep 0.01; done & noise=$!\n"
    );
    for number in 0..TRIALS {
        // A hotfix is for all namespaces, so that any of them could be judged.
        writeln!(script, "apply {number} est_skip.ko --runs 4 --trial").unwrap();
    }
    script += "kill $noise\n";
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    let root: u64 = sections.text("root").unwrap().trim().parse().unwrap();
    for number in 0..TRIALS {
        let applied = Applied::of(&sections, &number.to_string());
        let document = &applied.document;
        eprintln!("{number}: {} {}", applied.seconds, document["why"]);
        assert_eq!(document["netns"], root, "{number}: {}", document["why"]);
        let interval = &document["tests"]["shift_interval_percent"];
        let low = interval[0].as_f64().unwrap();
        assert!(low > -100.0, "{number}: {interval}");
        assert_eq!(document["host"], "given_back", "{number}: {document}");
    }
}
