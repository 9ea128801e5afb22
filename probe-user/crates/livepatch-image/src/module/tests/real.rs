//! Modules that kpatch-build made, where they lie beside the checkout.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
};

use super::*;
use Answer::{No, Yes};

/// Name, `rearms`, jiffies, whether an address escapes, functions with their positions.
type Row = (
    &'static str,
    Rearms,
    Option<u64>,
    Answer,
    &'static [(&'static str, u64)],
);

const TABLE: [Row; 6] = [
    ("v2", Rearms::No, None, No, &[("estimation_timer", 1)]),
    (
        "v3b",
        Rearms::Yes,
        Some(1250),
        No,
        &[("estimation_timer", 1)],
    ),
    (
        "same",
        Rearms::Yes,
        Some(500),
        No,
        &[("estimation_timer", 1)],
    ),
    (
        "dup_name",
        Rearms::Yes,
        Some(1250),
        No,
        &[("estimation_timer", 1), ("seq_show", 2)],
    ),
    (
        "one_path",
        Rearms::SomePaths,
        Some(500),
        No,
        &[("estimation_timer", 1)],
    ),
    (
        "escape",
        Rearms::Yes,
        Some(1250),
        Yes,
        &[("estimation_timer", 1)],
    ),
];

/// Where `replace` lies in the `klp_patch` of Linux 6.1.
const REPLACE: u32 = 24;

fn file(name: &str) -> Option<Vec<u8>> {
    let folder = env::var_os("IPVS_LATENCY_KPATCH_MODULES").map_or_else(
        || {
            // Asked for at run time: a copied checkout looks beside itself.
            let package =
                env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
            PathBuf::from(package).join("../../../../shared/kpatch-build")
        },
        PathBuf::from,
    );
    fs::read(folder.join(format!("livepatch-ip_vs_timer_{name}.ko"))).ok()
}

/// Notes where `cargo xtask test` counts what was skipped, as `xtask::scenario::skip` does.
fn skip() {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let note = format!("{test}: there are no modules made by kpatch-build beside the checkout");
    eprintln!("skipped: {note}");
    if let Some(file) = env::var_os("IPVS_LATENCY_SKIPS") {
        let file = OpenOptions::new().append(true).create(true).open(file);
        writeln!(file.unwrap(), "{note}").unwrap();
    }
}

#[test]
fn what_kpatch_build_made_is_told_for_what_it_is() {
    for (name, rearms, jiffies, escapes, functions) in TABLE {
        let Some(bytes) = file(name) else {
            skip();
            return;
        };
        let module = Module::parse(&bytes).unwrap();
        assert_eq!(module.layout, Layout::KpatchBuild, "{name}");
        assert_eq!(
            (module.rearms, module.period_jiffies),
            (rearms, jiffies),
            "{name}"
        );
        assert_eq!(module.address_escapes, escapes, "{name}");
        assert_eq!(module.switch(REPLACE), Some(true), "{name}");
        assert_eq!(module.callbacks, [], "{name}");
        let found: Vec<_> = module.replaces.iter().collect();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.function.as_str(), one.position))
            .collect();
        assert_eq!(found, functions, "{name}");
        let off = Reason::Field {
            offset: -0x48,
            number: 0,
            equal: true,
        };
        let reasons = if rearms == Rearms::SomePaths {
            vec![off]
        } else {
            Vec::new()
        };
        assert_eq!(module.unset_when, reasons, "{name}");
    }
}

/// With `-R`, the only difference is the byte that is written to `klp_patch.replace`.
#[test]
fn a_module_that_replaces_no_others_is_told_by_one_byte() {
    let Some(mut bytes) = file("v3b") else {
        skip();
        return;
    };
    let store = [0xc6, 0x40, 24, 1];
    let places: Vec<usize> = (0..bytes.len() - 4)
        .filter(|at| bytes[*at..*at + 4] == store)
        .collect();
    let [at] = places.as_slice() else {
        panic!("movb $1,24(%rax) is there at {places:?}");
    };
    bytes[at + 3] = 0;
    assert_eq!(Module::parse(&bytes).unwrap().switch(REPLACE), Some(false));
    bytes[at + 3] = 2;
    assert_eq!(Module::parse(&bytes).unwrap().switch(REPLACE), None);
}
