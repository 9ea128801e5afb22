//! The kept inputs, on stable Rust.

use std::{collections::BTreeSet, env, path::PathBuf};

use super::*;

/// Asked for at run time: a copied checkout replays its own.
fn fuzz() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    Path::new(&package).join("../fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |entry: Result<fs::DirEntry, _>| entry.unwrap().file_name().into_string().unwrap();
    entries.map(name).collect()
}

#[test]
fn every_reader_answers_to_every_kept_input() {
    for (name, feed) in READERS {
        let folder = fuzz().join("seeds").join(name);
        let seeds = names(&folder);
        assert!(!seeds.is_empty(), "{} is empty", folder.display());
        for seed in seeds {
            let bytes = fs::read(folder.join(&seed)).unwrap();
            // Names the input if the reader panics.
            eprintln!("{name}/{seed}");
            feed(&bytes);
            for end in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
                feed(&bytes[..end]);
            }
        }
    }
}

/// `wire` is read by the lab, whose own test replays its seeds.
#[test]
fn every_reader_has_a_fuzz_target_and_every_fuzz_target_has_a_reader() {
    let readers = READERS.map(|(name, _)| name.to_owned()).into_iter();
    let readers: BTreeSet<String> = readers.chain(["wire".to_owned()]).collect();
    let targets = names(&fuzz().join("fuzz_targets"));
    let targets: BTreeSet<String> = targets
        .iter()
        .filter_map(|file| Some(file.strip_suffix(".rs")?.to_owned()))
        .collect();
    assert_eq!(targets, readers);
    assert_eq!(names(&fuzz().join("seeds")), readers);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in readers {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
    }
}

#[test]
fn a_few_bytes_grow_into_a_module_that_is_read() {
    use livepatch::fuzzed::replaced_by;
    let [piece, end, entries] = [
        [1, 0, 16, 0, 0, 0, 0, 0],
        [2, 0, 1, 0, 0, 0, 0, 0],
        [3, 0, 3, 0, 0, 0, 0, 0],
    ];
    let grown = grown::module(&[piece, end, entries].concat());
    assert_eq!(replaced_by(&grown), Some(3));
    // By the parts of a `klp_patch`, as a module built from headers has them.
    let patch = fs::read(fuzz().join("seeds/module_grown/patch")).unwrap();
    assert_eq!(replaced_by(&grown::module(&patch)), Some(1));
    // 65,535 << 11 bytes are asked for.
    let largest = grown::module(&[1, 0, 0xff, 0xff, 11, 0, 0, 0]);
    assert!(
        largest.len() > grown::LARGEST / 2 && largest.len() <= grown::LARGEST,
        "{}",
        largest.len()
    );
}
