//! What a module says of itself in its section `.modinfo`: `KEY=VALUE`, each closed by a zero byte.

/// The value of a key; the first, where it is given more than once.
pub fn value<'a>(section: &'a [u8], key: &str) -> Option<&'a str> {
    let entries = section.split(|byte| *byte == 0);
    entries
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .find_map(|entry| entry.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_whole_and_only_with_its_value() {
        let section =
            b"license=GPL\0livepatch=Y\0\0names=no\0name=est_skip\0vermagic=6.1.0 SMP \0\xff=1";
        assert_eq!(value(section, "name"), Some("est_skip"));
        assert_eq!(value(section, "livepatch"), Some("Y"));
        assert_eq!(value(section, "vermagic"), Some("6.1.0 SMP "));
        assert_eq!(value(section, "depends"), None);
    }
}
