//! Whether a timer of an estimator would still call code of a module that is about to be removed.

use std::{fs, ops::Range, path::Path};

use super::timers;

/// What a look at the timers says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callers {
    /// No timer calls it.
    None,
    /// One does, and its removal would be a crash: why it has to stay.
    Proven(String),
    /// Whether one does cannot be told: why it stays where a person is there to decide.
    CannotTell(String),
}

/// Looks at every timer.
pub fn of(root: &Path, module: &str) -> Callers {
    let unknown = |why: String| {
        Callers::CannotTell(format!(
            "its module stays loaded, for {why}: remove it with `rmmod {module}` if you know better"
        ))
    };
    match root.join("sys/module/ip_vs").try_exists() {
        // No estimator, no timer.
        Ok(false) => return Callers::None,
        Ok(true) => {}
        Err(error) => {
            return unknown(format!(
                "whether a timer still calls it cannot be seen here (/sys/module/ip_vs: {error})"
            ));
        }
    }
    let modules = fs::read_to_string(root.join("proc/modules")).unwrap_or_default();
    let Some(code) = place(&modules, module) else {
        return unknown("where it lies in memory cannot be read (/proc/modules)".into());
    };
    let timers = match timers::read(root) {
        Ok(timers) => timers,
        Err(error) => {
            return unknown(format!(
                "whether a timer still calls it cannot be seen here ({error:#})"
            ));
        }
    };
    let calling: Vec<String> = timers
        .iter()
        .filter(|timer| code.contains(&timer.function))
        .map(|timer| timer.netns.to_string())
        .collect();
    if calling.is_empty() {
        return Callers::None;
    }
    let others = match calling.len().saturating_sub(NAMED) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Callers::Proven(format!(
        "its module has to stay loaded: the timer of netns {}{others} calls its code, and the node would crash without \
         it. Only loading ip_vs anew ends that",
        calling[..calling.len().min(NAMED)].join(", ")
    ))
}

/// Namespaces named one by one.
const NAMED: usize = 10;

/// Where a module lies in memory: `est_skip 16384 1 - Live 0xffffffffc0a00000 (OEK)`.
pub(super) fn place(modules: &str, name: &str) -> Option<Range<u64>> {
    let line = modules
        .lines()
        .find(|line| line.split(' ').next() == Some(name))?;
    let mut words = line.split(' ');
    let size: u64 = words.nth(1)?.parse().ok()?;
    let start = words.find_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())?;
    // An address of 0 is a hidden one.
    (start != 0).then(|| start..start.saturating_add(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_module_is_read_and_a_hidden_one_is_none() {
        let modules = "ip_vs_rr 16384 0 - Live 0xffffffffc0b00000\n\
                       est_skip 16384 1 - Live 0xffffffffc0a00000 (OEK)\n\
                       hidden 16384 1 - Live 0x0000000000000000\n";
        let start = 0xffff_ffff_c0a0_0000;
        assert_eq!(place(modules, "est_skip"), Some(start..start + 16_384));
        assert_eq!(place(modules, "hidden"), None);
        assert_eq!(place(modules, "est"), None);
    }

    #[test]
    fn without_ip_vs_there_is_no_timer_and_what_cannot_be_seen_is_not_told_as_gone() {
        let root = tempfile::tempdir().unwrap();
        let unknown = |root: &Path, word: &str| match of(root, "est_skip") {
            Callers::CannotTell(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(of(root.path(), "est_skip"), Callers::None);
        fs::create_dir_all(root.path().join("sys/module/ip_vs")).unwrap();
        unknown(root.path(), "/proc/modules");
        fs::create_dir_all(root.path().join("proc")).unwrap();
        let line = "est_skip 16384 1 - Live 0xffffffffc0a00000 (OEK)\n";
        fs::write(root.path().join("proc/modules"), line).unwrap();
        unknown(root.path(), "cannot be seen here");
        // A folder that is none: neither there nor not there.
        let folder = root.path().join("sys/module");
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        unknown(root.path(), "/sys/module/ip_vs");
    }
}
