//! Hotfixes that are kept over a reboot.

use serde_json::{Value, json};
use xtask::lab::LabSpec;
use xtask::scenario::Sections;

use super::{FOLDER, with_modules};
use crate::steps::Steps;

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
    let hotfixes = document["hotfixes"].as_array().unwrap().iter();
    hotfixes
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
    let guest = || {
        Steps::on(with_modules(LabSpec {
            disk: Some(place.path().join("disk")),
            services: 20,
            destinations: 2,
            ..LabSpec::deterministic()
        }))
    };
    let mut steps = guest();
    steps.shell(format!(
        "{SYSTEMD}F={FOLDER}; mkdir -p /disk/bin; cp $(command -v ipvs-latency) /disk/bin"
    ));
    installed(&mut steps);
    loaded(&mut steps);
    informed(&mut steps);
    unloaded(&mut steps);
    shut_down(&mut steps);
    uninstalled(&mut steps);
    let sections = steps.run();
    units_are_written(&sections);
    what_is_kept(&sections);
    let mut steps = guest();
    steps.shell(format!("{SYSTEMD}mkdir -p /etc/systemd"));
    loaded_again(&mut steps);
    let sections = steps.run();
    assert_eq!(sections.text("kept").unwrap(), "lock\n");
}

fn installed(steps: &mut Steps) {
    steps
        .step(
            "escapes",
            format!("{TOOL} install {FOLDER}/est_own_function.ko"),
        )
        .exits(2)
        .says(&["is not installed", "blocker address-escapes"]);
    steps
        .step("warned", format!("{TOOL} install {FOLDER}/est_no_rearm.ko"))
        .exits(2)
        .says(&["warning no-rearm", "--accept no-rearm"]);
    steps.shell(
        r"sed 's/vermagic=6\.1\.0-[0-9]*/vermagic=6.1.0-99/' $F/est_skip.ko > /tmp/other.ko",
    );
    steps
        .step("other", format!("{TOOL} install /tmp/other.ko"))
        .exits(2)
        .says(&["blocker other-kernel"]);
    steps
        .step("empty", format!("{TOOL} load --all"))
        .exits(0)
        .says(&["no hotfix is installed for Linux 6.1."]);
    steps.shell("echo == nothing; ls /disk/state/hotfixes /etc/systemd 2>&1; echo == rest");
    let skip = format!("{TOOL} install {FOLDER}/est_skip.ko");
    steps.step("skip", &skip).exits(0).says(&[
        "est_skip is installed",
        "ipvs-latency-hotfix.service loads it at every boot",
    ]);
    steps
        .step("again", &skip)
        .exits(0)
        .says(&["was installed already, from the same file"]);
    steps
        .step(
            "second",
            format!("{TOOL} install {FOLDER}/est_same_name.ko"),
        )
        .exits(0)
        .says(&["est_same_name is installed"]);
    steps.shell(
        "echo == units; cat /etc/systemd/system/*.service; ls /etc/systemd/system/*.wants; cat /tmp/systemctl",
    );
}

fn loaded(steps: &mut Steps) {
    steps
        .step("before", format!("{TOOL} list"))
        .exits(0)
        .says(&[
            "Loaded livepatches:\n  none\n",
            "est_skip (Linux 6.1.",
            "[not in force]",
        ])
        .leaves_nothing();
    steps
        .step("all", format!("{TOOL} load --all --json"))
        .exits(0)
        .document(|all| {
            assert_eq!(
                outcomes(all),
                [("est_skip", "done"), ("est_same_name", "done")]
            );
            let log = all["hotfixes"][0]["kernel_log"].to_string();
            assert!(log.contains("'est_skip': patching complete"), "{all}");
        });
    steps
        .step("once", format!("{TOOL} load --all"))
        .exits(0)
        .says(&["est_skip is in force already, from the file that is installed"]);
    steps
        .step("list", format!("{TOOL} list --json"))
        .exits(0)
        .document(|list| {
            assert_eq!(list["livepatches"].as_array().unwrap().len(), 2, "{list}");
            let installed = list["installed"].as_array().unwrap();
            assert_eq!(installed.len(), 2, "{list}");
            for one in installed {
                assert_eq!(one["for_this_kernel"], true, "{list}");
                assert_eq!(one["in_force"], true, "{list}");
            }
        });
    steps.step("text", format!("{TOOL} list")).exits(0).says(&[
        "  est_skip [in force]\n",
        "Installed hotfixes:\n  est_skip (Linux 6.1.",
    ]);
}

fn informed(steps: &mut Steps) {
    steps
        .step("info", format!("{TOOL} info est-skip --json"))
        .exits(0)
        .document(|info| {
            let file = &info["file"];
            assert_eq!(file["replaces"][0]["function"], "estimation_timer");
            assert_eq!(file["sha256"], info["installed"]["sha256"]);
            let loaded = &info["loaded"];
            assert_eq!(loaded["state"], "in force", "{info}");
            assert_eq!(loaded["taint"], "OEK", "{info}");
            assert_eq!(loaded["loaded_by"]["sha256"], file["sha256"], "{info}");
            assert!(loaded["refcount"].as_u64().unwrap() > 0, "{info}");
        });
    steps
        .step("page", format!("{TOOL} info est_skip"))
        .exits(0)
        .says(&[
            "installed for       Linux 6.1.",
            "redirects           estimation_timer of ip_vs",
        ]);
    steps
        .step("file", format!("{TOOL} info {FOLDER}/est_5s.ko --json"))
        .exits(0)
        .document(|file| {
            assert_eq!(file["file"]["period_ns"], 5_000_000_000_u64, "{file}");
            assert_eq!(file["installed"], Value::Null, "{file}");
            assert_eq!(file["loaded"], Value::Null, "{file}");
        });
    steps
        .step("nobody", format!("{TOOL} info nobody"))
        .exits(2)
        .says(&["no hotfix nobody is installed or loaded"]);
}

fn unloaded(steps: &mut Steps) {
    steps
        .step("twice", format!("{TOOL} load {FOLDER}/est_skip.ko --json"))
        .exits(0)
        .says(&["is enabled already"])
        .outcome("done")
        .document(|twice| assert_eq!(twice["name"], "est_skip", "{twice}"));
    steps.shell("insmod $F/hold_task.ko; insmod $F/hold_patch.ko; sleep 3");
    steps
        .step("foreign", format!("{TOOL} info hold_patch"))
        .exits(0)
        .says(&["hold_nap of hold_task", "somebody else"]);
    steps
        .step("back", format!("{TOOL} unload --all --json"))
        .exits(0)
        .document(|back| {
            let mut outcomes = outcomes(back);
            outcomes.sort_unstable();
            let expected = [("est_same_name", "done"), ("est_skip", "done")];
            assert_eq!(outcomes, expected, "{back}");
            assert_eq!(back["left_alone"], json!(["hold_patch"]), "{back}");
        });
    steps.shell("left back");
    steps
        .step("noneleft", format!("{TOOL} unload --all"))
        .exits(0)
        .says(&["hold_patch is left alone", "no livepatch is loaded that"]);
    steps
        .step("one", format!("{TOOL} load {FOLDER}/est_skip.ko --json"))
        .exits(0)
        .outcome("done")
        .document(|one| assert_eq!(one["command"], "load", "{one}"));
    steps.shell(format!("{TOOL} load $F/est_same_name.ko"));
}

/// Expects of `info --json` how far the journal says that a hotfix is.
fn is_noted_as(phase: &'static str) -> impl FnOnce(&Value) {
    move |info| assert_eq!(info["loaded"]["loaded_by"]["phase"], phase, "{info}")
}

fn shut_down(steps: &mut Steps) {
    steps
        .step("ourselves", format!("{TOOL} shut-down"))
        .exits(0)
        .says(&["nothing is noted: the system is running"]);
    let info = format!("{TOOL} info est_skip --json");
    steps
        .step("running", &info)
        .exits(0)
        .document(is_noted_as("in-force"));
    steps.shell("echo stopping > /tmp/systemd");
    steps
        .step("down", format!("{TOOL} shut-down"))
        .exits(0)
        .says(&["est_skip"]);
    steps
        .step("noted", &info)
        .exits(0)
        .document(is_noted_as("shut-down"));
}

fn uninstalled(steps: &mut Steps) {
    steps.shell(format!("{TOOL} unload est_same_name"));
    steps
        .step(
            "installed",
            format!("{TOOL} load {FOLDER}/est_same_name.ko"),
        )
        .exits(0)
        .says(&["est_same_name is in force"]);
    steps.shell(format!("{TOOL} install $F/est_5s.ko"));
    steps
        .step("gone", format!("{TOOL} uninstall est-5s"))
        .exits(0)
        .says(&["est_5s is not installed for Linux 6.1."]);
    steps
        .step("unknown", format!("{TOOL} uninstall est_5s"))
        .exits(2)
        .says(&["no hotfix est_5s is installed"]);
    steps.shell("echo == kept; ls /disk/state/hotfixes/*; ls /etc/systemd/system");
}

fn units_are_written(sections: &Sections) {
    let nothing = sections.text("nothing").unwrap();
    assert!(
        !nothing.contains(".ko") && !nothing.contains("service"),
        "{nothing}"
    );
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
}

fn what_is_kept(sections: &Sections) {
    let left = sections.text("left back").unwrap();
    assert!(
        left.contains("hold_patch") && !left.contains("est_"),
        "{left}"
    );
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
fn loaded_again(steps: &mut Steps) {
    steps
        .step("load", format!("{TOOL} load --all --json"))
        .exits(2)
        .says(&["warning crashed-here-before"])
        .document(|load| {
            let expected = [("est_skip", "done"), ("est_same_name", "refused")];
            assert_eq!(outcomes(load), expected, "{load}");
        });
    steps
        .step("list", format!("{TOOL} list --json"))
        .exits(0)
        .document(|list| {
            let installed = list["installed"].as_array().unwrap().iter();
            let in_force: Vec<&Value> = installed.map(|one| &one["in_force"]).collect();
            assert_eq!(in_force, [&json!(true), &json!(false)], "{list}");
        });
    steps
        .step("one", format!("{TOOL} uninstall est_skip"))
        .exits(0)
        .says(&["It is loaded still (in force)"]);
    steps
        .step("two", format!("{TOOL} uninstall est_same_name"))
        .exits(0)
        .says(&["est_same_name is not installed for Linux"]);
    steps
        .step("running", format!("{TOOL} info est_skip"))
        .exits(0)
        .says(&["in force"]);
    steps
        .step("unload", format!("{TOOL} unload --all"))
        .exits(0)
        .says(&["est_skip is gone"])
        .leaves_nothing();
    steps.shell("echo == kept; ls -A /disk/state/hotfixes");
}
