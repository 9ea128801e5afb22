//! `ipvs-latency hotfix` in guests, on the modules of `hotfix/`.

mod bad_files;
mod blockers;
mod bounds;
mod callers;
mod cut_off;
mod cycles;
mod disturbed;
mod fixtures;
mod functions;
mod installed;
mod journal;
mod kpatch;
mod kpatch_build;
mod lost_guard;
mod names;
mod other_build;
mod other_users;
mod paths;
mod refused;
mod signatures;
mod stalled;
mod table;
mod target;
mod there_and_back;
mod trial;

use serde_json::Value;
use xtask::hotfix_modules;
use xtask::kernel::Line;
use xtask::lab::Copy;
use xtask::lab::LabSpec;
use xtask::scenario::Sections;

/// Where the modules are in the guest.
pub(crate) const FOLDER: &str = "/root/hotfixes";

/// A guest that has the modules for its kernel.
pub(crate) fn with_modules(spec: LabSpec) -> LabSpec {
    with_modules_for(spec.kernel, spec)
}

/// A guest that has the modules for that kernel.
pub(crate) fn with_modules_for(kernel: Line, spec: LabSpec) -> LabSpec {
    let source = hotfix_modules::folder(kernel).unwrap();
    let destination = Some(FOLDER.into());
    let mut spec = spec;
    spec.copies.push(Copy {
        source,
        destination,
    });
    spec
}

/// Runs a command as `try NAME 'COMMAND'`: its output in section `NAME`, its exit code in `NAME code`, and what it
/// said on standard error in `NAME err`.
pub(crate) const TRY: &str = r#"
try() {
    echo "== $1"; sh -c "$2" 2> /tmp/err; code=$?
    echo; echo "== $1 code"; echo $code; echo "== $1 err"; cat /tmp/err; echo "== rest"
}
"#;

/// `renamed FROM TO` makes `/tmp/TO.ko` of a module, whose name it changes wherever it stands; `TO`, of as many bytes,
/// may have escapes of `sed`. `named FROM TO FILE` says where.
const RENAMED: &str = r#"
named() { LC_ALL=C sed "s/$1/$2/g" $F/$1.ko > $3; }
renamed() { named $1 $2 /tmp/$2.ko; }
"#;

/// What is there of livepatches, by the kernel's own files: `left NAME`, a section.
const LEFT: &str = "left() { echo == left $1; ls /sys/kernel/livepatch; grep -l K /sys/module/*/taint; echo == rest; }\n";

/// Once `hold_task` is there: `nap SECONDS` puts a task to sleep in the function that `est_hold` replaces, and `spin
/// SECONDS` keeps the last CPU with a kernel thread that never yields, as long as `spins`. `guard` is the process of one who guards a change, `guards` succeeds while there is one, and `unguarded` waits for its end, for 15 s at most.
const HOLD: &str = r#"
nap() { sh -c "echo $1 > /sys/module/hold_task/parameters/nap" & napping=$!; sleep 0.5; }
spin() { echo $1 > /sys/module/hold_task/parameters/spin; }
spins() { grep -lx hold_spin /proc/[0-9]*/comm; }
guard() { pgrep -f '^/proc/self/exe .*hotfix guard'; }
guards() { guard > /dev/null; }
unguarded() { for i in $(seq 30); do guards || return 0; sleep 0.5; done; return 1; }
"#;

/// A guest in which a kernel thread may spin for long without the kernel giving up.
fn patient() -> LabSpec {
    with_modules(LabSpec {
        services: 20,
        destinations: 2,
        kernel_parameters: vec![
            "nosoftlockup".into(),
            "rcupdate.rcu_cpu_stall_suppress=1".into(),
        ],
        ..LabSpec::default()
    })
}

/// `load NAME FILE` tries that, and tells what is left. `hide` and `show` ftrace's files, and `say TEXT FILE` and
/// `unsay FILE` what a file holds: what the checks beforehand do not see, the kernel has to refuse.
const BLIND: &str = r#"
load() { try "$1" "ipvs-latency hotfix load $2"; left "$1"; }
hide() { mount -t tmpfs none /sys/kernel/tracing; mount -t tmpfs none /sys/kernel/debug; }
show() { umount /sys/kernel/tracing /sys/kernel/debug; }
say() { said=$(mktemp); echo "$1" > $said; mount --bind $said $2; }
unsay() { umount $1; }
"#;

/// Whether a load was refused, with these words, and nothing is left of it.
fn refused(sections: &Sections, name: &str, words: &[&str]) {
    ended(sections, name, "2", words);
    let left = sections.text(&format!("left {name}")).unwrap();
    assert_eq!(left, "", "{name}");
}

/// Whether a command that `try` ran ended with that code, and said these words on either output.
pub(crate) fn ended(sections: &Sections, name: &str, code: &str, words: &[&str]) {
    let text = |section: &str| sections.text(section).unwrap();
    let said = format!("{}{}", text(name), text(&format!("{name} err")));
    assert_eq!(text(&format!("{name} code")).trim(), code, "{name}: {said}");
    for word in words {
        assert!(
            said.contains(word),
            "{name}: no {word:?} in: {said}\n{}",
            sections.noise
        );
    }
}

/// The JSON document in a section.
fn document(sections: &Sections, section: &str) -> Value {
    let text = sections.text(section).unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{section}: {error}: {text}"))
}

/// What `inspect_all` prints for one module: exit code and document.
struct Inspected {
    code: u8,
    document: Value,
}

/// A script that inspects files, in sections of their own.
fn inspect(cases: &[(&str, &str)]) -> String {
    let one = |(section, file): &(&str, &str)| {
        format!(
            "echo == {section}; ipvs-latency hotfix inspect --json {file}; echo; echo == {section} code; \
             ipvs-latency hotfix inspect {file} > /tmp/page; echo $?; echo == {section} page; cat /tmp/page\n"
        )
    };
    cases.iter().map(one).collect()
}

impl Inspected {
    fn of(sections: &Sections, section: &str) -> Self {
        let document = sections.text(section).unwrap();
        let document: Value = serde_json::from_str(document)
            .unwrap_or_else(|error| panic!("{section}: {error}: {document}"));
        assert_eq!(document["schema"], 1);
        let code = sections.text(&format!("{section} code")).unwrap();
        Self {
            code: code.trim().parse().unwrap(),
            document,
        }
    }

    /// The names in one of the three lists.
    fn names(&self, list: &str) -> Vec<&str> {
        names(&self.document, list)
    }

    /// The text of a finding.
    fn text(&self, list: &str, name: &str) -> &str {
        finding(&self.document, list, name)
    }
}

/// The names in one of the three lists of a document of `inspect`.
fn names<'a>(document: &'a Value, list: &str) -> Vec<&'a str> {
    let findings = document[list].as_array().unwrap().iter();
    findings
        .map(|finding| finding["name"].as_str().unwrap())
        .collect()
}

/// The text of a finding in a document of `inspect`.
fn finding<'a>(document: &'a Value, list: &str, name: &str) -> &'a str {
    let mut findings = document[list].as_array().unwrap().iter();
    let finding = findings.find(|finding| finding["name"] == name);
    finding.unwrap_or_else(|| panic!("no {name} in {document}"))["text"]
        .as_str()
        .unwrap()
}
