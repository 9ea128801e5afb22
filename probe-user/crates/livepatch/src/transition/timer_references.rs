//! Whether a timer of an estimator would still call code of a module that is about to be removed.

use std::{fs, io, ops::Range, path::Path};

use crate::site::Site;

use host::module;
use livepatch_image::Name;

/// What a look at the timers says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimerReferences {
    /// No timer calls it.
    None,
    /// A timer calls it, and removing the module would crash the node: the reason why it has to stay.
    Proven(String),
    /// It is unknown whether one does: the reason why `unload` keeps the module.
    CannotTell(String),
}

/// Looks at every timer.
#[must_use]
pub fn look(site: &Site, module: &Name) -> TimerReferences {
    let unknown = |why: String| {
        TimerReferences::CannotTell(format!(
            "its module stays loaded, because {why}: if you are sure that no timer calls it, remove it with `rmmod {}`",
            module.typed()
        ))
    };
    match module::look(&site.root, &"ip_vs".into()) {
        // No estimator, no timer.
        Ok(None) => return TimerReferences::None,
        Ok(Some(_)) => {}
        Err(error) => {
            return unknown(format!("whether ip_vs is loaded is unknown ({error})"));
        }
    }
    let code = match code_of(&site.root, module) {
        Ok(code) => code,
        Err(error) => {
            return unknown(format!(
                "its place in memory cannot be read (/proc/modules: {error})"
            ));
        }
    };
    let timers = match site.estimators().timers() {
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
        return TimerReferences::None;
    }
    let others = match calling.len().saturating_sub(NAMED) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    TimerReferences::Proven(format!(
        "its module has to stay loaded: the timer of netns {}{others} calls its code, and the node would crash without \
         it. Only loading ip_vs anew ends that",
        calling[..calling.len().min(NAMED)].join(", ")
    ))
}

/// Namespaces named one by one.
const NAMED: usize = 10;

/// Returns where the code of a module lies in memory.
///
/// # Errors
///
/// When `/proc/modules` cannot be read, or does not say.
pub fn code_of(root: &Path, module: &Name) -> io::Result<Range<u64>> {
    let modules = fs::read(root.join("proc/modules"))?;
    place(&modules, module).ok_or_else(|| io::Error::other("it gives no address of the module"))
}

/// Finds where a module lies in memory: `est_skip 16384 1 - Live 0xffffffffc0a00000 (OEK)`. The kernel's own name may
/// be of any bytes.
pub(crate) fn place(modules: &[u8], name: &Name) -> Option<Range<u64>> {
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
    use std::time::Duration;

    use super::*;
    use crate::made_node::{MadeNode, Under};

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
    fn without_ip_vs_there_is_no_timer_and_what_cannot_be_seen_is_not_told_as_gone() {
        let node = MadeNode::new();
        let name = Name::from("est_skip");
        let look = || look(&node.site(), &name);
        let unknown = |word: &str| match look() {
            TimerReferences::CannotTell(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{other:?}"),
        };
        unknown("/proc/modules");
        node.write("proc/modules", "ip_vs 16384 1 - Live 0xffffffffc0900000\n");
        unknown("/proc/modules");
        node.put_in_force("est_skip", "ip_vs");
        assert_eq!(look(), TimerReferences::None);
        node.world().hide_timers();
        unknown("cannot be seen here (no timer can be seen)");
        node.world().remove("sys/module/ip_vs");
        assert_eq!(look(), TimerReferences::None);
        node.world().remove("sys/module");
        unknown("whether ip_vs is loaded");
    }

    #[test]
    fn a_timer_that_calls_the_module_is_named_and_of_many_some() {
        let node = MadeNode::new();
        node.put_in_force("est_skip", "ip_vs");
        for netns in 1..=12 {
            node.world().add_estimator(netns, 1);
        }
        node.world().under(Under {
            keeps_timer: true,
            ..Under::default()
        });
        node.world().pass(Duration::from_secs(3));
        let TimerReferences::Proven(why) = look(&node.site(), &"est_skip".into()) else {
            panic!("the timers call it");
        };
        assert!(
            why.contains("netns 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more calls its code"),
            "{why}"
        );
    }
}
