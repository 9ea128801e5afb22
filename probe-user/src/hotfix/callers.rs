//! Whether a timer of an estimator would still call code of a module that is about to be removed.

use std::{fs, io, ops::Range, path::Path};

use super::timers;
use crate::kernel::module::{self, Name};

/// Why the module has to stay, if it has to: its removal would be a crash, or might be one.
pub fn of(root: &Path, module: &Name) -> Option<String> {
    let stays = |why: String| {
        format!(
            "its module stays loaded, for {why}: remove it with `rmmod {}` if you know better",
            module.typed()
        )
    };
    match module::look(root, &"ip_vs".into()) {
        // No estimator, no timer.
        Ok(None) => return None,
        Ok(Some(_)) => {}
        Err(error) => {
            return Some(stays(format!(
                "whether ip_vs is loaded cannot be seen ({error})"
            )));
        }
    }
    let code = match code_of(root, module) {
        Ok(code) => code,
        Err(error) => {
            return Some(stays(format!(
                "where it lies in memory cannot be read (/proc/modules: {error})"
            )));
        }
    };
    let timers = match timers::read(root) {
        Ok(timers) => timers,
        Err(error) => {
            return Some(stays(format!(
                "whether a timer still calls it cannot be seen here ({error:#})"
            )));
        }
    };
    let calling: Vec<String> = timers
        .iter()
        .filter(|timer| code.contains(&timer.function))
        .map(|timer| timer.netns.to_string())
        .collect();
    if calling.is_empty() {
        return None;
    }
    Some(format!(
        "its module has to stay loaded: the timer of netns {} calls its code, and the node would crash without it. \
         Only loading ip_vs anew ends that",
        calling.join(", ")
    ))
}

/// Returns where the code of a module lies in memory.
///
/// # Errors
///
/// When `/proc/modules` cannot be read, or does not say.
pub fn code_of(root: &Path, module: &Name) -> io::Result<Range<u64>> {
    let modules = fs::read(root.join("proc/modules"))?;
    place(&modules, module).ok_or_else(|| io::Error::other("it gives no address of the module"))
}

/// Where a module lies in memory: `est_skip 16384 1 - Live 0xffffffffc0a00000 (OEK)`. The kernel's own name may be
/// of any bytes.
fn place(modules: &[u8], name: &Name) -> Option<Range<u64>> {
    let mut lines = modules.split(|byte| *byte == b'\n');
    let line = lines.find_map(|line| {
        let (found, rest) = line.split_at_checked(name.bytes().len())?;
        let is_it = Name::of(found).folder() == name.folder();
        rest.strip_prefix(b" ").filter(|_| is_it)
    })?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let size: u64 = words.next()?.parse().ok()?;
    let start = words.find_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())?;
    // An address of 0 is a hidden one.
    (start != 0).then(|| start..start.saturating_add(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_module_is_read_and_a_hidden_one_is_none() {
        let modules = b"ip_vs_rr 16384 0 - Live 0xffffffffc0b00000\n\
                       a/b \xfc 16384 1 - Live 0xffffffffc0a00000 (OEK)\n\
                       est_skip 16384 1 - Live 0xffffffffc0a00000 (OEK)\n\
                       hidden 16384 1 - Live 0x0000000000000000\n";
        let start = 0xffff_ffff_c0a0_0000;
        for name in [&b"est_skip"[..], b"a!b \xfc", b"a/b \xfc"] {
            let code = place(modules, &Name::of(name));
            assert_eq!(code, Some(start..start + 16_384), "{name:?}");
        }
        for name in ["hidden", "est", "a!b"] {
            assert_eq!(place(modules, &name.into()), None, "{name}");
        }
    }

    #[test]
    fn without_ip_vs_there_is_no_timer_and_what_cannot_be_seen_keeps_the_module() {
        let root = tempfile::tempdir().unwrap();
        let name = Name::from("est_skip");
        let why = of(root.path(), &name).unwrap();
        assert!(why.contains("whether ip_vs is loaded"), "no sysfs: {why}");
        fs::create_dir_all(root.path().join("sys/module/kernel")).unwrap();
        assert_eq!(of(root.path(), &name), None);
        fs::create_dir_all(root.path().join("sys/module/ip_vs")).unwrap();
        let why = of(root.path(), &name).unwrap();
        assert!(why.contains("/proc/modules"), "{why}");
        fs::create_dir_all(root.path().join("proc")).unwrap();
        let line = "est_skip 16384 1 - Live 0xffffffffc0a00000 (OEK)\n";
        fs::write(root.path().join("proc/modules"), line).unwrap();
        let why = of(root.path(), &name).unwrap();
        assert!(why.contains("cannot be seen here"), "{why}");
    }
}
