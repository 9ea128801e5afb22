//! What a module says of itself in its section `.modinfo`: `KEY=VALUE`, each closed by a zero byte.

use crate::kernel::printable::printable;

/// The value of a key; the first, where it is given more than once.
pub fn value<'a>(section: &'a [u8], key: &str) -> Option<&'a str> {
    let entries = section.split(|byte| *byte == 0);
    entries
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .find_map(|entry| entry.strip_prefix(key)?.strip_prefix('='))
}

/// Where the name lies in `struct module`, and how long it may be (`include/linux/module.h` of Linux 6.1 on x86-64: after
/// the state and the node of a list; `MODULE_NAME_LEN`).
const NAME: std::ops::Range<usize> = 24..24 + 56;

/// The name that the kernel gives the module; `None` where the section has none.
pub fn kept_name(this_module: &[u8]) -> Option<String> {
    let bytes = this_module.get(NAME)?;
    let name = bytes.split(|byte| *byte == 0).next()?;
    (!name.is_empty()).then(|| printable(&String::from_utf8_lossy(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_the_kernel_takes_lies_in_its_own_structure() {
        let mut section = [0; 200];
        section[24..32].copy_from_slice(b"est_skip");
        assert_eq!(kept_name(&section).as_deref(), Some("est_skip"));
        section[26] = 0x1b;
        assert_eq!(kept_name(&section).as_deref(), Some("es?_skip"));
        assert_eq!(kept_name(&section[..79]), None);
        assert_eq!(kept_name(&[0; 200]), None);
    }

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
