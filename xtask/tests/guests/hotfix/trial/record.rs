//! A document is a change record: who, when, what, and a way back that works as it is written.

use xtask::scenario;

use super::{APPLY, Applied, big};
use crate::hotfix::{FOLDER, LEFT};

/// `keep NAME ARGS...` applies one, types what its document names as the way back, and tells in `NAME undone` what that
/// said.
const KEEP: &str = r#"
undo() { sed -n 's/^  "undo": "\(.*\)",$/\1/p' /tmp/doc | sed 's/\\"/"/g'; }
keep() {
    name=$1; apply "$@" > /tmp/doc; cat /tmp/doc
    undo | sh > /tmp/undone 2>&1; code=$?
    echo "== $name undone"; echo code $code; cat /tmp/undone; echo "== rest"
}
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_was_kept_is_recorded_with_a_way_back_that_works_as_it_is_written() {
    let script = format!(
        "{APPLY}{KEEP}{LEFT}cd {FOLDER}; export SUDO_USER=anna\n\
         V=/proc/sys/net/ipv4/vs/run_estimation\n\
         keep hotfix est_skip.ko; left hotfix; echo == sum; sha256sum est_skip.ko | cut -d' ' -f1\n\
         keep switch --run-estimation off; echo == switch value; cat $V; echo == rest\n\
         ip netns add busy\n\
         for i in $(seq 2000); do echo \"-A -t 198.18.$((i / 250)).$((i % 250)):81 -s rr\"; done | ip netns exec busy ipvsadm -R\n\
         keep inside --run-estimation off --netns busy\n\
         echo == inside value; ip netns exec busy cat $V; echo == rest; ip netns del busy\n\
         echo == check; ipvs-latency check --json; echo == list; ipvs-latency hotfix list --json; echo == rest\n\
         echo == load; ipvs-latency hotfix load est_copy.ko 2> /dev/null; echo == rest\n\
         echo == unload; ipvs-latency hotfix unload est_copy 2> /dev/null | tee /tmp/unload; left load\n\
         echo == again; sed -n 's/^Undo: //p' /tmp/unload | sh 2> /dev/null; echo == rest\n\
         ipvs-latency hotfix unload est_copy > /dev/null\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    for name in ["hotfix", "switch", "inside"] {
        let applied = Applied::of(&sections, name);
        applied.is("improved", "patched", "0");
        let document = &applied.document;
        assert_eq!(document["outcome"], "kept", "{document}");
        assert_eq!(document["user"], "anna", "{document}");
        let command = document["command"].as_str().unwrap();
        assert!(
            command.starts_with("ipvs-latency hotfix apply --yes --json "),
            "{command}"
        );
        for field in ["node", "kernel", "version", "at"] {
            assert!(document[field].is_string(), "{field}: {document}");
        }
        let undone = sections.text(&format!("{name} undone")).unwrap();
        assert!(undone.starts_with("code 0\n"), "{name}: {undone}");
        let undo = document["undo"].as_str().unwrap();
        assert_eq!(undo.contains("nsenter"), name == "inside", "{undo}");
    }
    let hotfix = Applied::of(&sections, "hotfix").document;
    assert_eq!(hotfix["sha256"], sections.text("sum").unwrap().trim());
    let file = hotfix["file"].as_str().unwrap();
    assert_eq!(file, format!("{FOLDER}/est_skip.ko"));
    assert_eq!(sections.text("left hotfix").unwrap(), "");
    for name in ["switch", "inside"] {
        assert_eq!(sections.text(&format!("{name} value")).unwrap(), "1\n");
    }
    for name in ["check", "list"] {
        let document: serde_json::Value =
            serde_json::from_str(sections.text(name).unwrap()).unwrap();
        for field in ["node", "version", "commit"] {
            assert_eq!(document[field], hotfix[field], "{name} {field}");
        }
    }
    let load = sections.text("load").unwrap();
    assert!(
        load.ends_with("Undo: ipvs-latency hotfix unload est_copy\n"),
        "{load}"
    );
    assert_eq!(sections.text("left load").unwrap(), "");
    let unload = sections.text("unload").unwrap();
    let undo = format!("Undo: ipvs-latency hotfix load {FOLDER}/est_copy.ko\n");
    assert!(unload.ends_with(&undo), "{unload}");
    let again = sections.text("again").unwrap();
    assert!(again.starts_with("est_copy is in force"), "{again}");
}
