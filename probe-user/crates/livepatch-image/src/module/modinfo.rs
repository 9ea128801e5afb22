//! What a module says of itself in its section `.modinfo`: `KEY=VALUE`, each closed by a zero byte.

use crate::{LONGEST_NAME, Name};

/// The value of a key; the first, where it is given more than once.
pub fn value<'a>(section: &'a [u8], key: &str) -> Option<&'a str> {
    let mut values = values(section, key);
    values.find_map(|value| std::str::from_utf8(value).ok())
}

/// Returns the name that the module gives itself, whatever its bytes are; `None` before Linux 4.14, whose build does
/// not write it there.
pub fn name(section: &[u8]) -> Option<Name> {
    values(section, "name").next().map(Name::of)
}

fn values<'a>(section: &'a [u8], key: &str) -> impl Iterator<Item = &'a [u8]> {
    let entries = section.split(|byte| *byte == 0);
    entries.filter_map(move |entry| entry.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

/// Where the name lies in `struct module` (`include/linux/module.h` of Linux 6.1 on x86-64: after the state and the node
/// of a list), with the zero byte that ends it.
const NAME: std::ops::Range<usize> = 24..24 + LONGEST_NAME + 1;

/// Returns the name that the kernel gives the module: this one counts. Empty where the section is too short for one,
/// and too long where no zero byte ends it.
pub fn kept_name(this_module: &[u8]) -> Name {
    let bytes = this_module.get(NAME).unwrap_or_default();
    let name = bytes.split(|byte| *byte == 0).next();
    Name::of(name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_the_kernel_takes_lies_in_its_own_structure() {
        let mut section = [0; 200];
        section[24..32].copy_from_slice(b"est_skip");
        assert_eq!(kept_name(&section), Name::from("est_skip"));
        section[26] = 0xfc;
        assert_eq!(kept_name(&section), Name::of(b"es\xfc_skip"));
        section[24..].fill(b'a');
        assert_eq!(kept_name(&section).bytes().len(), LONGEST_NAME + 1);
        assert!(kept_name(&section[..79]).bytes().is_empty());
        assert!(kept_name(&[0; 200]).bytes().is_empty());
    }

    #[test]
    fn a_key_is_found_whole_and_only_with_its_value() {
        let section =
            b"license=GPL\0livepatch=Y\0\0names=no\0name=est_skip\0vermagic=6.1.0 SMP \0\xff=1";
        assert_eq!(value(section, "name"), Some("est_skip"));
        assert_eq!(value(section, "livepatch"), Some("Y"));
        assert_eq!(value(section, "vermagic"), Some("6.1.0 SMP "));
        assert_eq!(value(section, "depends"), None);
        assert_eq!(name(section), Some(Name::from("est_skip")));
        assert_eq!(name(b"name=\xfc/\0name=b\0"), Some(Name::of(b"\xfc/")));
        assert_eq!(name(b"names=b\0"), None);
    }
}
