//! What ftrace, by which a livepatch takes a function's place, says of functions
//! (`Documentation/trace/ftrace.rst`: `available_filter_functions`, `enabled_functions`).

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use livepatch_image::{Module, Replaced};

/// Where tracefs is mounted, by kernel and by habit.
const MOUNTS: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];

/// The functions that a module replaces, as ftrace sees them. `None` where it cannot be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traced {
    /// Those that it cannot redirect.
    pub untraceable: Option<Vec<Replaced>>,
    /// Those that somebody redirects already.
    pub redirected: Option<Vec<Replaced>>,
}

impl Traced {
    /// Asks ftrace.
    #[must_use]
    pub fn read(root: &Path, module: &Module) -> Self {
        let read = |file: &str| {
            MOUNTS
                .iter()
                .find_map(|mount| fs::read_to_string(root.join(mount).join(file)).ok())
        };
        let chosen = |file: &str, is: &dyn Fn(Option<bool>) -> bool| {
            let text = read(file)?;
            let said = said(&text, &module.replaces);
            let wanted = module.replaces.iter();
            let chosen = wanted.filter(|one| is(said.get(&key(one)).copied()));
            Some(chosen.cloned().collect())
        };
        Self {
            untraceable: chosen("available_filter_functions", &|said| said.is_none()),
            redirected: chosen("enabled_functions", &|said| said == Some(true)),
        }
    }
}

/// Object and name of a function.
type Key<'a> = (&'a str, &'a str);

fn key(one: &Replaced) -> Key<'_> {
    (&one.object, &one.function)
}

/// Returns which of the wanted functions ftrace lists, and whether the flag I, for a changed instruction pointer, is
/// set: `estimation_timer [ip_vs] (1) R I     ->...` (`t_show`, `kernel/trace/ftrace.c` of Linux 6.1). In one pass,
/// however many are wanted.
fn said<'a>(functions: &'a str, wanted: &'a [Replaced]) -> HashMap<Key<'a>, bool> {
    let wanted: HashSet<Key<'_>> = wanted.iter().map(key).collect();
    let mut said = HashMap::new();
    for line in functions.lines() {
        let (function, rest) = line.split_once(' ').unwrap_or((line, ""));
        let module = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (object, rest) = module.unwrap_or(("vmlinux", rest));
        if wanted.contains(&(object, function)) {
            *said.entry((object, function)).or_insert(false) |= is_redirected(rest);
        }
    }
    said
}

fn is_redirected(flags: &str) -> bool {
    let flags = flags.split_once(')').map(|(_, rest)| rest);
    let mut flags = flags
        .unwrap_or_default()
        .split_ascii_whitespace()
        .take_while(|word| word.len() == 1);
    flags.any(|flag| flag == "I")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(object: &str, function: &str) -> Replaced {
        Replaced {
            object: object.into(),
            function: function.into(),
            position: 0,
        }
    }

    #[test]
    fn a_function_is_listed_by_its_whole_name_and_object() {
        let functions = "do_one_initcall\nestimation_timer [ip_vs]\n";
        for (object, function, listed) in [
            ("ip_vs", "estimation_timer", true),
            ("vmlinux", "estimation_timer", false),
            ("ip_vs", "estimation", false),
            ("ip_v", "estimation_timer", false),
            ("vmlinux", "do_one_initcall", true),
            ("vmlinux", "do_one", false),
        ] {
            assert_eq!(
                said(functions, &[wanted(object, function)]).len() == 1,
                listed,
                "{object}:{function}"
            );
        }
    }

    #[test]
    fn the_flag_alone_tells_a_redirected_function() {
        let estimator = wanted("ip_vs", "estimation_timer");
        for (line, redirected) in [
            (
                "estimation_timer [ip_vs] (1) R I     \ttramp: 0xffffffffc0a8f000 (klp_ftrace_handler+0x0/0x1c0)",
                true,
            ),
            ("estimation_timer [ip_vs] (2)   I  D", true),
            ("estimation_timer [ip_vs] (1)           \ttramp: I", false),
            ("estimation_timer [ip_vs] (1) R", false),
            ("ip_vs_in [ip_vs] (1) R I", false),
        ] {
            let wanted = [estimator.clone()];
            let told = said(line, &wanted).values().any(|is| *is);
            assert_eq!(told, redirected, "{line}");
        }
    }
}
