//! What strangers write into the kernel's log, by their names alone, decides nothing of a trial.

use std::{fs, os::unix::fs::PermissionsExt as _};

use xtask::{lab::Copy, scenario};

use super::{APPLY, Applied, big};
use crate::hotfix::{FOLDER, LEFT};

/// Names that a task may give itself: 15 bytes of anything.
const NAMES: [&str; 6] = [
    "BUG: x",
    "WARNING: CPU: 1",
    "Oops: 0000 [#1]",
    "kernel BUG at x",
    "rcu: INFO: rcu_",
    "livepatch: symb",
];

/// Where the linker would put a program.
const ADDRESS: u64 = 0x40_0000;
const HEADERS: u64 = 64 + 56;

/// Returns a program (x86-64) that takes that name and reads address 0.
fn crashing(name: &str) -> Vec<u8> {
    let mut code = vec![0xbf, 15, 0, 0, 0]; // mov edi, PR_SET_NAME
    code.extend([0x48, 0x8d, 0x35, 11, 0, 0, 0]); // lea rsi, [rip + 11]: the name
    code.extend([0xb8, 157, 0, 0, 0]); // mov eax, prctl
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x31, 0xc0]); // xor eax, eax
    code.extend([0x8a, 0x00]); // mov al, [rax]
    code.extend(name.bytes());
    code.push(0);
    let length = HEADERS + u64::try_from(code.len()).unwrap();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| file.extend(bytes);
    put(&2_u16.to_le_bytes()); // an executable
    put(&62_u16.to_le_bytes()); // for x86-64
    put(&1_u32.to_le_bytes());
    put(&(ADDRESS + HEADERS).to_le_bytes()); // begins here
    put(&64_u64.to_le_bytes()); // program headers
    put(&0_u64.to_le_bytes());
    put(&0_u32.to_le_bytes());
    for size in [64_u16, 56, 1, 64, 0, 0] {
        put(&size.to_le_bytes());
    }
    put(&1_u32.to_le_bytes()); // one part to load
    put(&5_u32.to_le_bytes()); // read and run
    for field in [0, ADDRESS, ADDRESS, length, length, 0x1000] {
        put(&field.to_le_bytes());
    }
    file.extend(code);
    file
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_program_that_crashes_under_a_hostile_name_is_nobodys_complaint() {
    let place = tempfile::tempdir().unwrap();
    for (number, name) in NAMES.iter().enumerate() {
        let file = place.path().join(format!("crash{number}"));
        fs::write(&file, crashing(name)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut spec = big();
    spec.copies.push(Copy {
        source: place.path().to_owned(),
        destination: Some("/crash".into()),
    });
    let say = "/sys/module/hold_task/parameters/say";
    let words = "BUG: unable to handle page fault, in a test";
    // The lab takes such words on the console for the kernel's own, too.
    let script = format!(
        "{APPLY}{LEFT}cd {FOLDER}; insmod hold_task.ko; dmesg -n 1; chmod 755 /crash\n\
         during() {{ name=$1; shift; : > /tmp/said\n\
             (until grep -q 'measuring after' /tmp/err; do sleep 0.1; done; sleep 2; \"$@\") & apply $name est_skip.ko --trial; wait; }}\n\
         crash() {{ for one in /crash/*; do setpriv --reuid 65534 --regid 65534 --clear-groups $one; done; echo '{words}' > /dev/kmsg; }}\n\
         complain() {{ echo '{words}' > {say}; }}\n\
         : > /tmp/err; during strangers crash; left strangers\n\
         echo == log; dmesg | grep segfault; dmesg | grep -c '{words}'; echo == rest\n\
         : > /tmp/err; during kernels complain; left kernels\n"
    );
    let sections = scenario::run(spec, &script).unwrap();
    let log = sections.text("log").unwrap();
    for name in NAMES {
        assert!(log.contains(&format!("{name}[")), "no {name} in {log}");
    }
    Applied::of(&sections, "strangers").is("improved", "given_back", "0");
    let kernels = Applied::of(&sections, "kernels");
    kernels.is("aborted", "given_back", "1");
    let why = kernels.document["why"].as_str().unwrap();
    assert!(why.contains(words), "{why}");
    for name in ["strangers", "kernels"] {
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
    }
}
