//! What ftrace, by which a livepatch takes a function's place, says of functions
//! (`Documentation/trace/ftrace.rst`: `available_filter_functions`, `enabled_functions`).

use std::{fs, path::Path};

use crate::hotfix::module::{Module, Replaced};

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
    pub fn read(root: &Path, module: &Module) -> Self {
        let read = |file: &str| {
            MOUNTS
                .iter()
                .find_map(|mount| fs::read_to_string(root.join(mount).join(file)).ok())
        };
        let chosen = |file: &str, is: &dyn Fn(&str, &Replaced) -> bool| {
            let text = read(file)?;
            Some(
                module
                    .replaces
                    .iter()
                    .filter(|one| is(&text, one))
                    .cloned()
                    .collect(),
            )
        };
        Self {
            untraceable: chosen("available_filter_functions", &|text, one| {
                !is_listed(text, one)
            }),
            redirected: chosen("enabled_functions", &is_redirected),
        }
    }
}

fn is_listed(functions: &str, wanted: &Replaced) -> bool {
    functions.lines().any(|line| names(line, wanted).is_some())
}

/// Whether the flag I, for a changed instruction pointer, is set:
/// `estimation_timer [ip_vs] (1) R I     ->...` (`t_show`, `kernel/trace/ftrace.c` of Linux 6.1).
fn is_redirected(functions: &str, wanted: &Replaced) -> bool {
    let flags = functions.lines().filter_map(|line| {
        let (_, rest) = names(line, wanted)?.split_once(')')?;
        Some(
            rest.split_ascii_whitespace()
                .take_while(|word| word.len() == 1)
                .any(|flag| flag == "I"),
        )
    });
    flags.into_iter().any(|redirected| redirected)
}

/// What follows the name of the function, if the line is of the wanted one.
fn names<'a>(line: &'a str, wanted: &Replaced) -> Option<&'a str> {
    let rest = line.strip_prefix(wanted.function.as_str())?;
    if wanted.object == "vmlinux" {
        let own = rest.is_empty() || (rest.starts_with(' ') && !rest.starts_with(" ["));
        return own.then_some(rest);
    }
    rest.strip_prefix(" [")?
        .strip_prefix(wanted.object.as_str())?
        .strip_prefix(']')
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
                is_listed(functions, &wanted(object, function)),
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
            assert_eq!(is_redirected(line, &estimator), redirected, "{line}");
        }
    }
}
