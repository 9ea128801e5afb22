//! A process that goes from one network namespace to another and back, and is the only door to either.

use std::fmt::Write as _;

use xtask::lab::LabSpec;
use xtask::scenario;

use super::APPLY;

const TRIES: usize = 6;

/// Two namespaces without a name of `ip netns`, with services; `/tmp/hop` moves its own process from one to the other, and
/// whatever is set in the second is noted: a trial would leave it set for seconds.
const TWO: &str = r#"
for n in a b; do
    ip netns add $n; touch /tmp/$n; mount --bind /run/netns/$n /tmp/$n; umount /run/netns/$n; rm /run/netns/$n
    for i in $(seq 20); do echo "-A -t 198.18.0.$i:80 -s rr"; done | nsenter --net=/tmp/$n ipvsadm -R
done
printf '#!/bin/sh\nsleep 0.3\nexec nsenter --net=$2 /tmp/hop $2 $1\n' > /tmp/hop; chmod 755 /tmp/hop
nsenter --net=/tmp/a /tmp/hop /tmp/a /tmp/b & hopping=$!
: > /tmp/touched
nsenter --net=/tmp/b sh -c 'while :; do read value < /proc/sys/net/ipv4/vs/run_estimation; [ $value = 1 ] || echo $value >> /tmp/touched; sleep 0.5; done' & noting=$!
A=$(stat -Lc %i /tmp/a)
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_switch_is_never_set_in_the_namespace_that_a_process_went_to() {
    let mut script = format!("{APPLY}{TWO}");
    for number in 0..TRIES {
        writeln!(
            script,
            "apply try{number} --run-estimation off --netns $A --runs 4 --trial"
        )
        .unwrap();
    }
    script += "kill $hopping $noting; echo == touched; cat /tmp/touched; echo == value\n\
               nsenter --net=/tmp/a cat /proc/sys/net/ipv4/vs/run_estimation; echo == rest\n";
    let spec = LabSpec {
        services: 20,
        ..LabSpec::deterministic()
    };
    let sections = scenario::run(spec, &script).unwrap();
    assert_eq!(sections.text("touched").unwrap(), "", "{}", sections.noise);
    assert_eq!(sections.text("value").unwrap(), "1\n");
    for number in 0..TRIES {
        let text = |section: &str| sections.text(&format!("try{number}{section}")).unwrap();
        let code = text(" code").trim();
        let said = text(" err");
        eprintln!("try {number}: code {code}: {said}");
        assert!(["0", "1", "2"].contains(&code), "{code}: {said}");
        if code == "2" {
            // It stands for the other one, or the process was not there to be found.
            let reasons = ["stands for the namespace", "cannot be entered"];
            assert!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
        }
    }
}
