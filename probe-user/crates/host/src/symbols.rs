//! Addresses of functions, from `/proc/kallsyms`.
//!
//! Its hundred thousand lines cost more to make than all else at start-up, so that it is read only where
//! a name is refused.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

/// The address of `function` of `module`.
///
/// # Errors
///
/// When the file cannot be read. `None` when there is no such line, or when the kernel hides addresses.
pub fn address(root: &Path, module: &str, function: &str) -> io::Result<Option<u64>> {
    let file = File::open(root.join("proc/kallsyms"))?;
    find(BufReader::new(file), module, function)
}

/// Returns the addresses of those functions of `module` that are there; 0 where the kernel hides it.
///
/// # Errors
///
/// When the file cannot be read.
pub fn addresses(
    root: &Path,
    module: &str,
    functions: &[&str],
) -> io::Result<HashMap<String, u64>> {
    let file = File::open(root.join("proc/kallsyms"))?;
    all(BufReader::new(file), module, functions)
}

fn find(lines: impl BufRead, module: &str, function: &str) -> io::Result<Option<u64>> {
    let found = all(lines, module, &[function])?;
    Ok(found.get(function).copied().filter(|address| *address != 0))
}

fn all(lines: impl BufRead, module: &str, functions: &[&str]) -> io::Result<HashMap<String, u64>> {
    let module = format!("[{module}]");
    let mut found = HashMap::new();
    // A module may name its functions in bytes that are no text.
    for line in lines.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split_ascii_whitespace();
        let (address, _kind, name) = (words.next(), words.next(), words.next());
        let name = name.filter(|name| functions.contains(name));
        if let Some(name) = name
            && words.next() == Some(module.as_str())
        {
            let address = address.and_then(|hex| u64::from_str_radix(hex, 16).ok());
            found.entry(name.to_owned()).or_insert(address.unwrap_or(0));
            if found.len() == functions.len() {
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "\
ffffffff81000000 T _stext
ffffffffc0a00000 t estimation_timer\t[livepatch_estimation]
ffffffffc09f1230 t estimation_timer\t[ip_vs]
ffffffffc09f1500 T ip_vs_start_estimator\t[ip_vs]
";

    #[test]
    fn a_livepatch_with_a_function_of_the_same_name_is_not_taken_for_ip_vs() {
        let found = find(KALLSYMS.as_bytes(), "ip_vs", "estimation_timer").unwrap();
        assert_eq!(found, Some(0xffff_ffff_c09f_1230));
    }

    #[test]
    fn a_name_that_is_no_text_hides_none_of_the_others() {
        let lines = [
            b"ffffffffc0a00000 t est\xff\t[est_\xfc]\n",
            KALLSYMS.as_bytes(),
        ]
        .concat();
        let found = find(lines.as_slice(), "ip_vs", "estimation_timer").unwrap();
        assert_eq!(found, Some(0xffff_ffff_c09f_1230));
    }

    #[test]
    fn several_are_found_in_one_reading_and_a_hidden_one_is_there_without_its_address() {
        let functions = ["ip_vs_start_estimator", "estimation_timer", "nothing"];
        let found = all(KALLSYMS.as_bytes(), "ip_vs", &functions).unwrap();
        let expected = [
            ("estimation_timer".to_owned(), 0xffff_ffff_c09f_1230),
            ("ip_vs_start_estimator".to_owned(), 0xffff_ffff_c09f_1500),
        ];
        assert_eq!(found, expected.into());
        let hidden = "0000000000000000 t estimation_timer\t[ip_vs]\n";
        let found = all(hidden.as_bytes(), "ip_vs", &functions).unwrap();
        assert_eq!(found, [("estimation_timer".to_owned(), 0)].into());
    }

    #[test]
    fn hidden_and_missing_addresses_are_none() {
        let hidden = "0000000000000000 t estimation_timer\t[ip_vs]\n";
        assert_eq!(
            find(hidden.as_bytes(), "ip_vs", "estimation_timer").unwrap(),
            None
        );
        assert_eq!(find(KALLSYMS.as_bytes(), "ip_vs", "nothing").unwrap(), None);
    }
}
