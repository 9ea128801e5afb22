//! Names of modules that cannot be addressed: refused when we would load them, and found when another tool loaded them.

use crate::steps::Steps;
use std::fmt::Write as _;

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{FOLDER, HOLD, LEFT, RENAMED, TRY, document, ended, with_modules};

/// `odd NAME TO` makes a file of that name, and tries all that would load it.
const ODD: &str = r#"
odd() {
    named est_skip "$2" /tmp/$1.ko
    try "$1 inspect" "ipvs-latency hotfix inspect --json /tmp/$1.ko"
    try "$1 load" "ipvs-latency hotfix load /tmp/$1.ko --timeout 6s"; left "$1 load"
    try "$1 apply" "ipvs-latency hotfix apply /tmp/$1.ko --yes --runs 4"; left "$1 apply"
    try "$1 install" "ipvs-latency hotfix install /tmp/$1.ko"; left "$1 install"
}
foreign() {
    insmod /tmp/$1.ko; sleep 3
    try "$1 status" 'ipvs-latency hotfix status'; try "$1 list" 'ipvs-latency hotfix list --json'
    try "$1 info" 'ipvs-latency hotfix info "$T"'
    try "$1 unload" 'ipvs-latency hotfix unload "$T"'; left "$1 unload"
}
"#;

/// File, name as `sed` takes it, its form for people, and what is typed for it.
const NAMES: [(&str, &str, &str, &str); 5] = [
    ("slash", r"est\\/skip", "est!skip", "'est/skip'"),
    (
        "umlaut",
        r"est_\xc3\xbc_p",
        r"est_\xc3\xbc_p",
        r"'est_\xc3\xbc_p'",
    ),
    (
        "latin",
        r"est_sk\xfcp",
        r"est_sk\xfcp",
        r#""$(printf 'est_sk\374p')""#,
    ),
    ("blank", "est skip", r"est\x20skip", "'est skip'"),
    ("quote", "est'skip", r"est\x27skip", r"'est\x27skip'"),
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_name_that_cannot_be_addressed_is_refused_and_one_that_somebody_loaded_is_found() {
    let mut script = format!("{TRY}{LEFT}{HOLD}{RENAMED}{ODD}export F={FOLDER}\n");
    for (file, name, _, typed) in NAMES {
        let _ = writeln!(
            script,
            "odd {file} \"{name}\"; export T={typed}; foreign {file}"
        );
    }
    // A folder of this name is there for every module.
    script += r"named est_skip '.\x00\x00\x00\x00\x00\x00\x00' /tmp/dot.ko";
    script += "\ntry dot 'ipvs-latency hotfix inspect --json /tmp/dot.ko'\n\
               try dot-unload 'ipvs-latency hotfix unload .'\n";
    // The tool and its guard know it by the same bytes.
    script += "insmod /tmp/umlaut.ko; sleep 3\n\
               sh -c 'exec ipvs-latency hotfix unload \"est_\\xc3\\xbc_p\"' > /dev/null 2>&1 & pid=$!\n\
               until guards || ! [ -d /proc/$pid ]; do sleep 0.05; done; kill -9 $pid; wait $pid\n\
               unguarded || echo \"the guard did not end\"; left killed\n";
    let sections = scenario::run(with_modules(LabSpec::deterministic()), &script).unwrap();
    for (file, _, shown, _) in NAMES {
        let of = |what: &str| format!("{file} {what}");
        ended(&sections, &of("inspect"), "1", &["name-unusable"]);
        for command in ["load", "apply", "install"] {
            let words = ["blocker name-unusable: "];
            ended(&sections, &of(command), "2", &words);
            let left = sections.text(&format!("left {file} {command}")).unwrap();
            assert_eq!(left, "", "{file} {command}");
        }
        let in_force = format!("{shown}: in force");
        ended(&sections, &of("status"), "0", &[&in_force]);
        let list = document(&sections, &of("list"));
        assert_eq!(list["livepatches"][0]["name"], shown, "{list}");
        ended(&sections, &of("info"), "0", &[shown, "somebody else"]);
        let words = [&format!("{shown} is gone"), "every estimator ran since"];
        ended(&sections, &of("unload"), "0", &words);
        let left = sections.text(&format!("left {file} unload")).unwrap();
        assert_eq!(left, "", "{file} unload");
    }
    let dot = document(&sections, "dot");
    let blockers = dot["blockers"].as_array().unwrap();
    assert_eq!(blockers.len(), 1, "{dot}");
    assert_eq!(blockers[0]["name"], "name-unusable", "{dot}");
    ended(&sections, "dot-unload", "2", &["no path of sysfs"]);
    assert_eq!(sections.text("left killed").unwrap(), "");
    assert!(!sections.noise.contains("the guard did not end"));
}

/// Without sysfs nothing is found, and nothing is said to be gone.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_livepatch_that_cannot_be_seen_is_not_said_to_be_gone() {
    let mut steps = Steps::on(with_modules(LabSpec::deterministic()));
    steps.shell(format!("export F={FOLDER}"));
    steps.shell("ipvs-latency hotfix load $F/est_skip.ko > /dev/null 2>&1; cp /var/lib/ipvs-latency/journal.json /tmp");
    // `load` of that very file ends with 0.
    steps
        .step(
            "enabled",
            "ipvs-latency hotfix inspect --json $F/est_skip.ko",
        )
        .exits(0)
        .says(&["\"enabled\"", "\"blockers\": []"]);
    steps
        .step(
            "another",
            "ipvs-latency hotfix inspect --json $F/est_copy.ko",
        )
        .exits(0)
        .says(&["\"other-patches\""]);
    steps.shell("mount -t tmpfs none /sys");
    steps
        .step("unload", "ipvs-latency hotfix unload est_skip")
        .exits(2)
        .says(&["cannot list the loaded modules"]);
    steps.step("status", "ipvs-latency hotfix status").exits(2);
    steps.shell("umount /sys; mount -t tmpfs none /sys/module");
    steps
        .step("modules", "ipvs-latency hotfix status --json")
        .exits(2)
        .says(&["cannot tell which livepatches"]);
    steps
        .step("list", "ipvs-latency hotfix list")
        .exits(2)
        .says(&["cannot tell which livepatches"]);
    steps
        .step("loads", "ipvs-latency hotfix load $F/est_copy.ko")
        .exits(2)
        .says(&["blocker livepatches-unknown: "]);
    steps.shell("umount /sys/module; cmp /tmp/journal.json /var/lib/ipvs-latency/journal.json && echo == same");
    steps.shell("left there");
    steps
        .step("after", "ipvs-latency hotfix unload est_skip")
        .exits(0)
        .says(&["est_skip is gone"])
        .leaves_nothing();
    let sections = steps.run();
    assert!(sections.text("same").is_ok());
    let left = sections.text("left there").unwrap();
    assert_eq!(left, "est_skip\n/sys/module/est_skip/taint\n");
}
