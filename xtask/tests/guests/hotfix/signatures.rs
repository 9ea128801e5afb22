//! Modules without a signature, and with one that the kernel cannot believe.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use xtask::hotfix_modules;
use xtask::kernel::{self, under_test};
use xtask::lab::Copy;
use xtask::lab::LabSpec;
use xtask::scenario;

use super::blockers::inspected;
use super::{BLIND, FOLDER, with_modules};
use crate::steps::{Step, Steps};

/// What ends a signed module.
const MARK: &[u8] = b"~Module signature appended~\n";

/// Files for a guest: `garbage.ko`; `foreign.ko` with the signature that belongs to a module of the kernel's own;
/// `crypto.ko` with one of another kind; and `unknown.ko` signed by a key that no kernel knows, where this machine can
/// make one.
struct Signed {
    folder: TempDir,
    unknown: bool,
}

impl Signed {
    fn make() -> Self {
        let hotfixes = hotfix_modules::folder(under_test::line()).unwrap();
        let module = hotfixes.join("est_copy.ko");
        let bytes = fs::read(&module).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let with = |signature: &[u8]| [bytes.as_slice(), signature].concat();
        let garbage = [[0x55; 300].as_slice(), MARK].concat();
        fs::write(folder.path().join("garbage.ko"), with(&garbage)).unwrap();
        // Its kind is 0, PGP, where Linux knows 2, PKCS#7; then its length.
        let kind = [[0; 8].as_slice(), &300_u32.to_be_bytes()].concat();
        let other = [[0x55; 300].as_slice(), &kind, MARK].concat();
        fs::write(folder.path().join("crypto.ko"), with(&other)).unwrap();
        let modules = kernel::fetch(&under_test::line()).unwrap().modules;
        let other = fs::read(modules.join("kernel/net/netfilter/ipvs/ip_vs_rr.ko")).unwrap();
        fs::write(folder.path().join("foreign.ko"), with(signature_of(&other))).unwrap();
        let made = sign(&module, folder.path());
        if let Err(why) = &made {
            scenario::skip(&format!("a module signed by an unknown key: {why}"));
        }
        let unknown = made.is_ok();
        Self { folder, unknown }
    }

    fn guest(&self, parameter: Option<&str>) -> Steps {
        let mut spec = with_modules(LabSpec {
            kernel_parameters: parameter.map(str::to_owned).into_iter().collect(),
            ..LabSpec::deterministic()
        });
        spec.copies.push(Copy {
            source: self.folder.path().to_owned(),
            destination: Some("/root/signed".into()),
        });
        Steps::on(spec)
    }
}

/// The signature's length is in the four bytes before the mark (`struct module_signature`,
/// `include/linux/module_signature.h`).
fn signature_of(module: &[u8]) -> &[u8] {
    let unmarked = module.strip_suffix(MARK).expect("a signed module");
    let (_, length) = unmarked.split_last_chunk::<4>().unwrap();
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
    &module[module.len() - MARK.len() - 12 - length..]
}

/// Makes `unknown.ko` in a folder, with the program that kernels are signed with.
fn sign(module: &Path, folder: &Path) -> Result<(), String> {
    let headers = kernel::headers(&under_test::line()).unwrap();
    let in_folder = |name: &str| folder.join(name).into_os_string();
    let mut make_key = Command::new("openssl");
    make_key
        .args(
            "req -new -x509 -newkey rsa:2048 -nodes -batch -subj /CN=nobody -days 3650".split(' '),
        )
        .arg("-keyout")
        .arg(in_folder("key.pem"))
        .arg("-out")
        .arg(in_folder("certificate.pem"));
    let mut sign = Command::new(headers.join("scripts/sign-file"));
    sign.arg("sha256")
        .args([in_folder("key.pem"), in_folder("certificate.pem")])
        .arg(module)
        .arg(in_folder("unknown.ko"));
    for command in [&mut make_key, &mut sign] {
        let program = command.get_program().display().to_string();
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{program} cannot be run ({error})"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{program}: {}", said.trim()));
        }
    }
    Ok(())
}

/// Loads one of the signed modules, and takes it back if it takes.
fn load(steps: &mut Steps, name: &str, expect: impl FnOnce(&mut Step)) {
    expect(steps.step(
        name,
        format!("ipvs-latency hotfix load /root/signed/{name}.ko"),
    ));
    steps.shell("ipvs-latency hotfix unload est_copy > /dev/null 2>&1 || true");
}

/// Those that no kernel takes, whether it insists on signatures or not.
fn damaged_are_refused(steps: &mut Steps) {
    load(steps, "garbage", |step| {
        step.is_refused(&["EBADMSG", "its signature is damaged"]);
    });
    load(steps, "foreign", |step| {
        step.is_refused(&["EKEYREJECTED", "its signature does not fit its content"]);
    });
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_kernel_that_takes_unsigned_modules_takes_none_whose_signature_is_damaged() {
    let signed = Signed::make();
    let mut steps = signed.guest(None);
    damaged_are_refused(&mut steps);
    let is_loaded = |step: &mut Step| {
        step.exits(0)
            .says(&["note signature-not-checked", "est_copy is in force"]);
    };
    load(&mut steps, "crypto", is_loaded);
    if signed.unknown {
        load(&mut steps, "unknown", is_loaded);
    }
    steps.run();
}

/// A kernel that is strict, and what it says of modules.
struct Strict {
    parameter: &'static str,
    blocker: &'static str,
    /// What the check looks at, and what that says elsewhere.
    file: &'static str,
    off: &'static str,
    unsigned: &'static [&'static str],
    crypto: &'static [&'static str],
    unknown: &'static [&'static str],
}

const ENFORCED: Strict = Strict {
    parameter: "module.sig_enforce=1",
    blocker: "signature-required",
    file: "/sys/module/module/parameters/sig_enforce",
    off: "N",
    unsigned: &[
        "EKEYREJECTED",
        "insists on signatures (module.sig_enforce), and it has none",
        "kernel: Loading of unsigned module is rejected",
    ],
    crypto: &[
        "EKEYREJECTED",
        "cannot read one of this kind",
        "kernel: Loading of module with unsupported crypto is rejected",
    ],
    unknown: &[
        "EKEYREJECTED",
        "does not know the key of this one",
        "kernel: Loading of module with unavailable key is rejected",
    ],
};

/// It says the same whatever there is in place of a signature that it can believe.
const RESTRICTED: &[&str] = &[
    "EPERM",
    "the kernel is locked down (Secure Boot) and takes signed modules alone",
    "kernel: Lockdown: ipvs-latency: unsigned module loading is restricted",
];

const LOCKED: Strict = Strict {
    parameter: "lockdown=integrity",
    blocker: "lockdown",
    file: "/sys/kernel/security/lockdown",
    off: "[none] integrity confidentiality",
    unsigned: RESTRICTED,
    crypto: RESTRICTED,
    unknown: RESTRICTED,
};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn an_unsigned_module_is_refused_by_a_kernel_that_is_locked_down_or_insists_on_signatures() {
    let signed = Signed::make();
    for one in [&ENFORCED, &LOCKED] {
        let mut steps = signed.guest(Some(one.parameter));
        steps.shell(format!("{BLIND}export F={FOLDER}"));
        is_strict(&mut steps, one);
        damaged_are_refused(&mut steps);
        load(&mut steps, "crypto", |step| {
            step.is_refused(one.crypto);
        });
        if signed.unknown {
            load(&mut steps, "unknown", |step| {
                step.is_refused(one.unknown);
            });
        }
        steps.run();
    }
}

/// Whether one without a signature is refused beforehand, and by the kernel where the check is blind.
fn is_strict(steps: &mut Steps, one: &Strict) {
    let skip = "$F/est_skip.ko";
    let load = format!("ipvs-latency hotfix load {skip}");
    inspected(steps, "unsigned", skip, (&[one.blocker], &[])).exits(1);
    inspected(steps, "signed", "/root/signed/garbage.ko", (&[], &[])).exits(0);
    steps
        .step("beforehand", &load)
        .is_refused(&[&format!("blocker {}: ", one.blocker)]);
    steps.shell(format!("say '{}' {}", one.off, one.file));
    steps.step("blind", &load).is_refused(one.unsigned);
    steps.shell(format!("unsay {}", one.file));
}
