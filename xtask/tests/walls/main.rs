//! The walls of the house: which crate may depend on which, and no circle of `use` between the files of one crate.

mod circles;
mod uses;

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;
use xtask::checkout;

/// Each crate of `probe-user/crates`, and those of ours that it may name.
const MAY_NAME: [(&str, &[&str]); 5] = [
    ("model", &["probe-ebpf"]),
    ("livepatch-image", &["model"]),
    ("host", &["livepatch-image", "model", "probe-ebpf"]),
    // The contract of the probes is for its made nodes alone.
    (
        "livepatch",
        &["host", "livepatch-image", "model", "probe-ebpf"],
    ),
    (
        "monitor",
        &["host", "livepatch-image", "model", "probe-ebpf"],
    ),
];

/// Libraries that one crate alone may name.
const OWNERS: [(&str, &str); 4] = [
    ("aya", "monitor"),
    ("aya-log", "monitor"),
    ("crossterm", "ipvs-latency"),
    ("ratatui", "ipvs-latency"),
];

/// Returns the packages of the workspace, with the dependencies that their manifests name.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(checkout::folder().unwrap())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Returns what a package is built of: tests and build scripts may name more.
fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|one| one["kind"].is_null())
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap()
}

#[test]
fn every_crate_names_those_below_it_alone() {
    let packages = packages();
    let mut seen = BTreeSet::new();
    for package in &packages {
        let manifest = package["manifest_path"].as_str().unwrap();
        if !manifest.contains("/probe-user/crates/") {
            continue;
        }
        let row = MAY_NAME.iter().find(|(one, _)| *one == name(package));
        let (_, allowed) = row.unwrap_or_else(|| panic!("{manifest} is in no row of MAY_NAME"));
        for own in dependencies(package).filter(|one| one["path"].is_string()) {
            let (above, below) = (name(package), name(own));
            assert!(allowed.contains(&below), "{above} names {below}");
        }
        seen.insert(name(package));
    }
    assert_eq!(seen.len(), MAY_NAME.len(), "{seen:?}");
}

#[test]
fn probes_and_screens_are_each_named_by_one_crate() {
    for (library, owner) in OWNERS {
        let packages = packages();
        let named = packages
            .iter()
            .filter(|package| dependencies(package).any(|one| name(one) == library));
        let named: Vec<&str> = named.map(name).collect();
        assert_eq!(named, [owner], "{library}");
    }
}

#[test]
fn no_two_files_of_a_crate_use_each_other() {
    for package in packages() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let circles = circles_of(&manifest.with_file_name("src"));
        assert!(circles.is_empty(), "{}: {circles:#?}", name(&package));
    }
}

/// Returns the groups of files under `sources` that use each other, a parent and its children aside.
fn circles_of(sources: &Path) -> Vec<Vec<String>> {
    circles::find(&uses::between_files(sources))
}

#[test]
fn two_files_that_use_each_other_are_found_and_a_parent_with_its_child_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let file = folder.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c;");
    write(
        "a.rs",
        "mod child; use child::Child; use crate::b::{B, more};",
    );
    write(
        "a/child.rs",
        "use super::A; #[cfg(test)] mod tests { use crate::c::C; }",
    );
    write("b.rs", "pub fn more() { super::c::call() }");
    write("c.rs", "use std::io; pub fn call() {}");
    assert_eq!(circles_of(folder.path()), [[""; 0]; 0]);
    write("c.rs", "use super::a::child::Child;");
    write("a/child.rs", "use crate::b::B;");
    write("b.rs", "use crate::c::{self, C};");
    assert_eq!(circles_of(folder.path()), [["a::child", "b", "c"]]);
}
