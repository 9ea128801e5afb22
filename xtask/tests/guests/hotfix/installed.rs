//! Hotfixes that are kept over a reboot.

use serde_json::{Value, json};
use xtask::lab::LabSpec;
use xtask::scenario::{self, Sections};

use super::{FOLDER, LEFT, TRY, document, ended, with_modules};

/// A systemd that says that the system is in the state of `/tmp/systemd`, and writes down what else it was asked for.
const SYSTEMD: &str = "\
mkdir -p /run/systemd/system; echo running > /tmp/systemd
cat > /usr/bin/systemctl << 'END'
#!/bin/sh
[ $1 = is-system-running ] && { cat /tmp/systemd; exit 1; }
echo $* >> /tmp/systemctl
END
chmod 755 /usr/bin/systemctl
";

/// A program on the disk, as the node has one that outlives a reboot.
const TOOL: &str = "/disk/bin/ipvs-latency --state-dir /disk/state hotfix";

/// The outcomes of an `--all --json`, by name.
fn outcomes(document: &Value) -> Vec<(&str, &str)> {
    let hotfixes = document["hotfixes"].as_array().unwrap();
    hotfixes
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["outcome"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_is_installed_is_loaded_on_the_next_boot_but_for_what_the_node_went_down_under() {
    let place = tempfile::tempdir().unwrap();
    let spec = || {
        with_modules(LabSpec {
            disk: Some(place.path().join("disk")),
            services: 20,
            destinations: 2,
            ..LabSpec::deterministic()
        })
    };
    let sections = scenario::run(spec(), &first_boot()).unwrap();
    installed_and_loaded(&sections);
    told(&sections);
    taken_back(&sections);
    shut_down(&sections);
    let sections = scenario::run(spec(), &second_boot()).unwrap();
    loaded_again(&sections);
}

fn first_boot() -> String {
    format!(
        "{TRY}{LEFT}{SYSTEMD}F={FOLDER}; mkdir -p /disk/bin; cp $(command -v ipvs-latency) /disk/bin\n\
         try escapes '{TOOL} install {FOLDER}/est_own_function.ko'\n\
         try warned '{TOOL} install {FOLDER}/est_no_rearm.ko'\n\
         sed 's/vermagic=6\\.1\\.0-[0-9]*/vermagic=6.1.0-99/' $F/est_skip.ko > /tmp/other.ko\n\
         try other '{TOOL} install /tmp/other.ko'; try empty '{TOOL} load --all'\n\
         echo == nothing; ls /disk/state/hotfixes /etc/systemd 2>&1; echo == rest\n\
         try skip '{TOOL} install {FOLDER}/est_skip.ko'; try again '{TOOL} install {FOLDER}/est_skip.ko'\n\
         try second '{TOOL} install {FOLDER}/est_same_name.ko'\n\
         echo == units; cat /etc/systemd/system/*.service; ls /etc/systemd/system/*.wants; cat /tmp/systemctl\n\
         try before '{TOOL} list'; left before\n\
         try all '{TOOL} load --all --json'; try once '{TOOL} load --all'\n\
         try list '{TOOL} list --json'; try text '{TOOL} list'\n\
         try info '{TOOL} info est-skip --json'; try page '{TOOL} info est_skip'\n\
         try file '{TOOL} info {FOLDER}/est_5s.ko --json'; try nobody '{TOOL} info nobody'\n\
         try twice '{TOOL} load {FOLDER}/est_skip.ko --json'\n\
         insmod $F/hold_task.ko; insmod $F/hold_patch.ko; sleep 3\n\
         try foreign '{TOOL} info hold_patch'\n\
         try back '{TOOL} unload --all --json'; left back; try noneleft '{TOOL} unload --all'\n\
         try one '{TOOL} load {FOLDER}/est_skip.ko --json'; {TOOL} load $F/est_same_name.ko\n\
         try ourselves '{TOOL} shut-down'; try running '{TOOL} info est_skip --json'\n\
         echo stopping > /tmp/systemd; try down '{TOOL} shut-down'; try noted '{TOOL} info est_skip --json'\n\
         {TOOL} unload est_same_name; try installed '{TOOL} load {FOLDER}/est_same_name.ko'\n\
         {TOOL} install $F/est_5s.ko; try gone '{TOOL} uninstall est-5s'; try unknown '{TOOL} uninstall est_5s'\n\
         echo == kept; ls /disk/state/hotfixes/*; ls /etc/systemd/system\n"
    )
}

fn installed_and_loaded(sections: &Sections) {
    ended(
        sections,
        "escapes",
        "2",
        &["is not installed", "blocker address-escapes"],
    );
    ended(
        sections,
        "warned",
        "2",
        &["warning no-rearm", "--accept no-rearm"],
    );
    ended(sections, "other", "2", &["blocker other-kernel"]);
    ended(
        sections,
        "empty",
        "0",
        &["no hotfix is installed for Linux 6.1."],
    );
    let nothing = sections.text("nothing").unwrap();
    assert!(
        !nothing.contains(".ko") && !nothing.contains("service"),
        "{nothing}"
    );
    let words = [
        "est_skip is installed",
        "ipvs-latency-hotfix.service loads it at every boot",
    ];
    ended(sections, "skip", "0", &words);
    ended(
        sections,
        "again",
        "0",
        &["was installed already, from the same file"],
    );
    ended(sections, "second", "0", &["est_same_name is installed"]);
    let units = sections.text("units").unwrap();
    for line in [
        "ExecStart=/disk/bin/ipvs-latency --root / --state-dir /disk/state hotfix load --all",
        "ExecStop=/disk/bin/ipvs-latency --root / --state-dir /disk/state hotfix shut-down",
        "ipvs-latency-hotfix.service",
        "daemon-reload",
        "start ipvs-latency-hotfix-shut-down.service",
    ] {
        assert!(units.lines().any(|one| one == line), "{line}: {units}");
    }
    ended(
        sections,
        "before",
        "0",
        &[
            "Loaded livepatches:\n  none\n",
            "est_skip (Linux 6.1.",
            "[not in force]",
        ],
    );
    assert_eq!(sections.text("left before").unwrap(), "");
    let all = document(sections, "all");
    assert_eq!(
        outcomes(&all),
        [("est_skip", "done"), ("est_same_name", "done")]
    );
    let log = all["hotfixes"][0]["kernel_log"].to_string();
    assert!(log.contains("'est_skip': patching complete"), "{all}");
    ended(
        sections,
        "once",
        "0",
        &["est_skip is in force already, from the file that is installed"],
    );
}

fn told(sections: &Sections) {
    let list = document(sections, "list");
    assert_eq!(list["livepatches"].as_array().unwrap().len(), 2, "{list}");
    for kept in list["installed"].as_array().unwrap() {
        assert_eq!(
            (&kept["for_this_kernel"], &kept["in_force"]),
            (&json!(true), &json!(true)),
            "{list}"
        );
    }
    assert_eq!(list["installed"].as_array().unwrap().len(), 2, "{list}");
    ended(
        sections,
        "text",
        "0",
        &[
            "  est_skip [in force]\n",
            "Installed hotfixes:\n  est_skip (Linux 6.1.",
        ],
    );
    let info = document(sections, "info");
    assert_eq!(info["file"]["replaces"][0]["function"], "estimation_timer");
    assert_eq!(info["file"]["sha256"], info["installed"]["sha256"]);
    let loaded = &info["loaded"];
    assert_eq!(
        (&loaded["state"], &loaded["taint"]),
        (&json!("in force"), &json!("OEK")),
        "{info}"
    );
    assert_eq!(
        loaded["loaded_by"]["sha256"], info["file"]["sha256"],
        "{info}"
    );
    assert!(loaded["refcount"].as_u64().unwrap() > 0, "{info}");
    ended(
        sections,
        "page",
        "0",
        &[
            "installed for       Linux 6.1.",
            "redirects           estimation_timer of ip_vs",
        ],
    );
    let file = document(sections, "file");
    assert_eq!(file["file"]["period_ns"], 5_000_000_000_u64, "{file}");
    assert_eq!(
        (&file["installed"], &file["loaded"]),
        (&Value::Null, &Value::Null)
    );
    ended(
        sections,
        "nobody",
        "2",
        &["no hotfix nobody is installed or loaded"],
    );
}

fn taken_back(sections: &Sections) {
    ended(sections, "twice", "0", &["is enabled already"]);
    let twice = document(sections, "twice");
    assert_eq!(
        (&twice["name"], &twice["outcome"]),
        (&json!("est_skip"), &json!("done"))
    );
    ended(
        sections,
        "foreign",
        "0",
        &["hold_nap of hold_task", "somebody else"],
    );
    ended(sections, "back", "0", &[]);
    let back = document(sections, "back");
    let mut outcomes = outcomes(&back);
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [("est_same_name", "done"), ("est_skip", "done")],
        "{back}"
    );
    assert_eq!(back["left_alone"], json!(["hold_patch"]), "{back}");
    let left = sections.text("left back").unwrap();
    assert!(
        left.contains("hold_patch") && !left.contains("est_"),
        "{left}"
    );
    ended(
        sections,
        "noneleft",
        "0",
        &["hold_patch is left alone", "no livepatch is loaded that"],
    );
    let one = document(sections, "one");
    assert_eq!(
        (&one["command"], &one["outcome"]),
        (&json!("load"), &json!("done")),
        "{one}"
    );
}

fn shut_down(sections: &Sections) {
    let phase = |section: &str| document(sections, section)["loaded"]["loaded_by"]["phase"].clone();
    ended(
        sections,
        "ourselves",
        "0",
        &["nothing is noted: the system is running"],
    );
    assert_eq!(phase("running"), "in-force");
    ended(sections, "down", "0", &["est_skip"]);
    assert_eq!(phase("noted"), "shut-down");
    ended(sections, "installed", "0", &["est_same_name is in force"]);
    ended(
        sections,
        "gone",
        "0",
        &["est_5s is not installed for Linux 6.1."],
    );
    ended(sections, "unknown", "2", &["no hotfix est_5s is installed"]);
    let kept = sections.text("kept").unwrap();
    for file in [
        "est_skip.ko",
        "est_skip.json",
        "est_same_name.ko",
        "ipvs-latency-hotfix.service",
    ] {
        assert!(kept.contains(file), "{file}: {kept}");
    }
    assert!(!kept.contains("est_5s"), "{kept}");
}

/// The node was shut down under the one in good order, and went down under the other.
fn second_boot() -> String {
    format!(
        "{TRY}{LEFT}{SYSTEMD}mkdir -p /etc/systemd\n\
         try load '{TOOL} load --all --json'; try list '{TOOL} list --json'\n\
         try one '{TOOL} uninstall est_skip'; try two '{TOOL} uninstall est_same_name'\n\
         try running '{TOOL} info est_skip'; try unload '{TOOL} unload --all'; left unload\n\
         echo == kept; ls -A /disk/state/hotfixes\n"
    )
}

fn loaded_again(sections: &Sections) {
    ended(sections, "load", "2", &["warning crashed-here-before"]);
    let load = document(sections, "load");
    assert_eq!(
        outcomes(&load),
        [("est_skip", "done"), ("est_same_name", "refused")]
    );
    let list = document(sections, "list");
    let in_force: Vec<&Value> = list["installed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["in_force"])
        .collect();
    assert_eq!(in_force, [&json!(true), &json!(false)], "{list}");
    ended(sections, "one", "0", &["It is loaded still (in force)"]);
    ended(
        sections,
        "two",
        "0",
        &["est_same_name is not installed for Linux"],
    );
    ended(sections, "running", "0", &["in force"]);
    ended(sections, "unload", "0", &["est_skip is gone"]);
    assert_eq!(sections.text("left unload").unwrap(), "");
    assert_eq!(sections.text("kept").unwrap(), "lock\n");
}
