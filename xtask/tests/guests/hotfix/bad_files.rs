//! What is no module is refused in one sentence.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use xtask::hotfix_modules;
use xtask::kernel::under_test;
use xtask::lab::{LabSpec, build};

use super::{FOLDER, with_modules};
use crate::steps::Steps;

/// What each is, how it is made as `/tmp/bad`, and a word of the sentence.
const BAD: [(&str, &str, &str); 11] = [
    ("nothing", "true", "cannot be opened"),
    ("folder", "mkdir /tmp/bad", "a directory"),
    ("empty", "touch /tmp/bad", "is empty"),
    ("huge", "truncate -s 1G /tmp/bad", "1073741824 bytes"),
    ("zeros", "truncate -s 1M /tmp/bad", "not an ELF file"),
    ("pipe", "mkfifo /tmp/bad", "a pipe"),
    ("device", "ln -s /dev/zero /tmp/bad", "a device"),
    (
        "random",
        "head -c 100000 /dev/urandom > /tmp/bad",
        "not an ELF file",
    ),
    (
        "cut off",
        "head -c 100000 $KO > /tmp/bad",
        "cut off or damaged",
    ),
    ("program", "cp /bin/ls /tmp/bad", "relocatable"),
    // The machine's number is 62 in an ELF file for x86-64, and 183 for arm64.
    (
        "arm64",
        r"cp $KO /tmp/bad; printf '\267' | dd of=/tmp/bad bs=1 seek=18 conv=notrunc status=none",
        "another architecture",
    ),
];

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_file_that_is_no_module_is_refused_in_one_sentence_with_exit_code_2() {
    let mut steps = Steps::on(with_modules(LabSpec::default()));
    steps.shell(format!("KO={FOLDER}/est_skip.ko"));
    for (what, make, word) in BAD {
        steps.shell(format!("rm -rf /tmp/bad; {make}"));
        for command in ["inspect", "inspect --json", "load"] {
            let name = format!("{what}: {command}");
            let told = name.clone();
            steps
                .step(
                    &name,
                    format!("timeout 60 ipvs-latency hotfix {command} /tmp/bad"),
                )
                .exits(2)
                .prints("")
                .errors(move |sentence| {
                    let begins = sentence.starts_with("error: /tmp/bad ");
                    let is_one = begins && sentence.lines().count() == 1;
                    assert!(is_one, "{told}: {sentence}");
                    assert!(sentence.contains(word), "{told}: no {word:?} in {sentence}");
                });
        }
    }
    steps
        .step("loaded", "lsmod")
        .says_not(&["est_"])
        .leaves_nothing();
    steps.run();
}

/// Runs `inspect` on this machine: it loads nothing.
fn inspect_here(file: &Path) -> Output {
    let product = build::product().unwrap().unwrap();
    let mut command = Command::new(product);
    command.args(["hotfix", "inspect", "--json"]).arg(file);
    command.stdin(Stdio::null()).output().unwrap()
}

/// A module cut off, overwritten or changed anywhere gives a document or a sentence, never anything else.
#[test]
#[ignore = "builds modules with kernel headers; run by cargo xtask test"]
fn a_real_module_damaged_anywhere_is_told_or_refused() {
    let folder = hotfix_modules::folder(under_test::line()).unwrap();
    let whole = fs::read(folder.join("est_copy.ko")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("damaged.ko");
    let length = whole.len();
    let mut told = 0;
    for part in 0..200 {
        let at = length * part / 200;
        let region = at..(at + 64).min(length);
        let mut zeros = whole.clone();
        zeros[region.clone()].fill(0);
        let mut ones = whole.clone();
        ones[region].fill(0xff);
        // The head of the file and the code behind it, byte by byte.
        let mut flipped = whole.clone();
        flipped[part * 8] ^= 0x55;
        for damaged in [whole[..at].to_vec(), zeros, ones, flipped] {
            fs::write(&file, &damaged).unwrap();
            let output = inspect_here(&file);
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0 | 1) => {
                    serde_json::from_slice::<Value>(&output.stdout).unwrap();
                    told += 1;
                }
                Some(2) => assert_eq!(said.lines().count(), 1, "part {part}: {said}"),
                _ => panic!("part {part}: {:?}: {said}", output.status),
            }
        }
    }
    assert!((100..800).contains(&told), "{told} of 800 were told");
}
