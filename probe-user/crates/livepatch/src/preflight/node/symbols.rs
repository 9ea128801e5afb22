//! The functions of the names that a module replaces, from `/proc/kallsyms`.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use livepatch_image::Module;

/// What only kernels have whose estimators run in threads (`net/netfilter/ipvs/ip_vs_est.c`, Linux 6.2).
const THREAD: &str = "ip_vs_estimation_kthread";

/// How often each name is there, by object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbols {
    counts: HashMap<(String, String), u64>,
    /// Whether this kernel's estimators run in threads.
    pub threads: bool,
}

impl Symbols {
    /// Looks for the names that `module` replaces.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(root: &Path, module: &Module) -> io::Result<Self> {
        let wanted: Vec<&str> = module
            .replaces
            .iter()
            .map(|one| one.function.as_str())
            .collect();
        let file = File::open(root.join("proc/kallsyms"))?;
        find(BufReader::new(file), &wanted)
    }

    /// How many functions of that name an object has.
    #[must_use]
    pub fn count(&self, object: &str, function: &str) -> u64 {
        let key = (object.to_owned(), function.to_owned());
        self.counts.get(&key).copied().unwrap_or(0)
    }

    /// The other objects that have one.
    #[must_use]
    pub fn elsewhere(&self, object: &str, function: &str) -> Vec<&str> {
        let others = self
            .counts
            .keys()
            .filter(|(of, name)| of != object && name == function);
        let mut others: Vec<&str> = others.map(|(of, _)| of.as_str()).collect();
        others.sort_unstable();
        others
    }
}

#[cfg(test)]
impl Symbols {
    /// From the text of the file.
    pub(crate) fn parse(kallsyms: &str, wanted: &[&str]) -> Self {
        find(kallsyms.as_bytes(), wanted).unwrap()
    }
}

fn find(lines: impl BufRead, wanted: &[&str]) -> io::Result<Symbols> {
    let wanted: HashSet<&str> = wanted.iter().copied().collect();
    let mut symbols = Symbols::default();
    // A module may name its functions in bytes that are no text.
    for line in lines.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split_ascii_whitespace().skip(2);
        let Some(name) = words.next() else { continue };
        symbols.threads |= name == THREAD;
        if wanted.contains(name) {
            let module = words
                .next()
                .and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
            let object = module.unwrap_or("vmlinux").to_owned();
            *symbols.counts.entry((object, name.to_owned())).or_insert(0) += 1;
        }
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_counted_by_object() {
        let kallsyms = "\
ffffffff81000000 T _stext
ffffffff81000010 t reset
ffffffff81000020 t reset
ffffffffc0a00000 t estimation_timer\t[est_same_name]
ffffffffc09f1230 t estimation_timer\t[ip_vs]
";
        let found = find(kallsyms.as_bytes(), &["estimation_timer", "reset"]).unwrap();
        assert_eq!(found.count("ip_vs", "estimation_timer"), 1);
        assert_eq!(found.count("vmlinux", "estimation_timer"), 0);
        assert_eq!(found.count("vmlinux", "reset"), 2);
        assert_eq!(
            found.elsewhere("vmlinux", "estimation_timer"),
            ["est_same_name", "ip_vs"]
        );
        assert!(!found.threads);
        let threads = b"0000000000000000 t ip_vs_estimation_kthread\t[ip_vs]\n";
        assert!(find(threads.as_slice(), &[]).unwrap().threads);
    }
}
