//! `lab-init refuse ERRNO NUMBER,... COMMAND ARGUMENT...`: runs a command to which the kernel refuses these system calls, as
//! under a container's seccomp filter or on an older kernel. A call is given by its number, and `FIRST-LAST` are several.

use std::{
    collections::BTreeMap, env::consts::ARCH, os::unix::process::CommandExt as _, process::Command,
};

use anyhow::{Context, Result, bail};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Runs the command in place of this process: returns only where that fails.
pub fn refuse(arguments: &[String]) -> Result<()> {
    let [errno, calls, command @ ..] = arguments else {
        bail!("refuse takes an errno, numbers of system calls, and a command");
    };
    let [program, arguments @ ..] = command else {
        bail!("refuse takes a command");
    };
    let errno = errno.parse().context("an errno is a number")?;
    let rules: BTreeMap<i64, Vec<_>> = numbers(calls)?
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        ARCH.try_into()?,
    )?;
    let filter: BpfProgram = filter.try_into()?;
    apply_filter(&filter)?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {program}"))
}

/// Reads `298,321,424-450`.
fn numbers(text: &str) -> Result<Vec<i64>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            let number: Result<i64, _> = text.parse();
            number.with_context(|| format!("{text} is no number of a system call"))
        };
        numbers.extend(number(first)?..=number(last)?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_numbers_and_ranges_are_read() {
        assert_eq!(numbers("298").unwrap(), [298]);
        assert_eq!(numbers("298,424-426").unwrap(), [298, 424, 425, 426]);
        for text in ["", "a", "1,", "1-"] {
            assert!(numbers(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_whole_command_is_an_error() {
        let refuse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            refuse(&words).unwrap_err().to_string()
        };
        assert!(refuse(&[]).contains("takes an errno"));
        assert!(refuse(&["1", "298"]).contains("takes a command"));
        assert!(refuse(&["EPERM", "298", "true"]).contains("a number"));
    }
}
