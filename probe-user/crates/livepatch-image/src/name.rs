//! The name of a module: the kernel's bytes, and a printable form of them.
//!
//! The bytes are the identity. The printable form is plain ASCII, shows the bytes, and can be typed. It is made from
//! the bytes and never replaces them, not even in a path.

use std::{
    ffi::{OsStr, OsString},
    fmt::{self, Write as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

use serde::{Serialize, Serializer};

/// The bytes that a name can have: one less than `MODULE_NAME_LEN` of `include/linux/module.h` on 64-bit machines,
/// for the zero byte that ends it.
pub const MOST: usize = 55;

/// The name of a module, as the kernel or sysfs has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(OsString);

impl Name {
    /// Makes one of the kernel's bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(OsStr::from_bytes(bytes).to_owned())
    }

    /// Returns its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns its bytes as an argument of a command.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// Returns what its folder in sysfs is called: `!` stands for `/` there (`kobject_set_name_vargs`).
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let bytes = self.bytes().iter();
        let bytes = bytes.map(|byte| if *byte == b'/' { b'!' } else { *byte });
        OsString::from_vec(bytes.collect()).into()
    }

    /// Returns whether no path of sysfs leads to a folder of this name: `.` and `..` are other folders.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        matches!(self.bytes(), b"" | b"." | b"..")
    }

    /// Says why a module of this name could not be addressed once it is loaded, if that is so.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        let bytes = self.bytes();
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        if bytes.is_empty() {
            Some("is empty")
        } else if bytes.len() > MOST {
            Some("is longer than the 55 bytes that the kernel keeps of a name")
        } else if !bytes.iter().all(fits) {
            Some("has bytes other than letters, digits, `_`, `-` and `.`")
        } else if bytes.starts_with(b".") || bytes.starts_with(b"-") {
            Some("begins with `.` or `-`, as no file and no argument of a command should")
        } else {
            None
        }
    }

    /// Returns whether `typed` means this name: by its bytes, by those of its folder, or by its printable form.
    #[must_use]
    pub fn is_typed_as(&self, typed: &OsStr) -> bool {
        let bytes = Self::of(typed.as_bytes());
        bytes.folder() == self.folder() || *typed == *self.to_string()
    }

    /// Returns it as it can be typed in a shell.
    #[must_use]
    pub fn typed(&self) -> String {
        match self.trouble() {
            None => self.to_string(),
            // No quotation mark is left in the form for people.
            Some(_) => format!("'{self}'"),
        }
    }
}

/// The printable form: a byte that could be misread, or that a terminal would obey, becomes `\x` and two digits.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\'\"`$".contains(&byte);
        for byte in self.bytes() {
            if is_plain(*byte) {
                f.write_char(char::from(*byte))?;
            } else {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<OsString> for Name {
    fn from(bytes: OsString) -> Self {
        Self(bytes)
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_for_people_says_which_bytes_a_name_has_and_can_be_typed() {
        for (bytes, shown, typed) in [
            (&b"est_skip"[..], "est_skip", "est_skip"),
            (b"est-1.x", "est-1.x", "est-1.x"),
            ("est_ü_p".as_bytes(), r"est_\xc3\xbc_p", r"'est_\xc3\xbc_p'"),
            (b"est_\xfc_p", r"est_\xfc_p", r"'est_\xfc_p'"),
            (b"est?_p", "est?_p", "'est?_p'"),
            (b"est!skip", "est!skip", "'est!skip'"),
            (b"a b'c", r"a\x20b\x27c", r"'a\x20b\x27c'"),
            (b"a\\x20b", r"a\x5cx20b", r"'a\x5cx20b'"),
            (b"a\x1b[2J\n", r"a\x1b[2J\x0a", r"'a\x1b[2J\x0a'"),
        ] {
            let name = Name::of(bytes);
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.typed(), typed);
            for written in [OsStr::from_bytes(bytes), OsStr::new(shown)] {
                assert!(name.is_typed_as(written), "{shown} as {written:?}");
            }
        }
        assert!(!Name::from("a b").is_typed_as(OsStr::new("a?b")));
        for (name, typed) in [("a/b", "a!b"), ("a!b", "a/b")] {
            assert!(Name::from(name).is_typed_as(OsStr::new(typed)), "{name}");
        }
    }

    #[test]
    fn a_name_is_equal_to_text_with_the_same_bytes() {
        let text = r"est_\xfc_p".to_owned();
        assert_eq!(Name::from("est_skip"), "est_skip".to_owned());
        assert_ne!(Name::from("est_skip"), text);
        // The form for people is other text.
        assert_ne!(Name::of(b"est_\xfc_p"), text);
        assert_eq!(Name::from(&*text), *text);
    }

    #[test]
    fn only_names_that_stand_for_other_folders_are_hidden() {
        for (name, is_hidden) in [
            ("", true),
            (".", true),
            ("..", true),
            ("...", false),
            ("a", false),
        ] {
            assert_eq!(Name::from(name).is_hidden(), is_hidden, "{name:?}");
        }
    }

    #[test]
    fn different_bytes_have_different_forms() {
        let all = (0..=u8::MAX).flat_map(|first| {
            let seconds = [b"".to_vec(), b"x5c".to_vec(), vec![b'\\'], vec![first]];
            seconds.map(|second| [vec![first], second].concat())
        });
        let mut bytes: Vec<Vec<u8>> = all.collect();
        bytes.sort();
        bytes.dedup();
        let forms = bytes.iter().map(|bytes| Name::of(bytes).to_string());
        let forms: std::collections::BTreeSet<String> = forms.collect();
        assert_eq!(forms.len(), bytes.len());
    }

    #[test]
    fn a_name_that_could_not_be_addressed_says_why() {
        let long = "a".repeat(MOST + 1);
        for (bytes, trouble) in [
            (&b"est_skip"[..], None),
            (&long.as_bytes()[..MOST], None),
            (b"est-5.10", None),
            (b"", Some("is empty")),
            (long.as_bytes(), Some("is longer than the 55 bytes")),
            (b".", Some("begins with")),
            (b"..", Some("begins with")),
            (b"-x", Some("begins with")),
            (b"a/b", Some("has bytes other than")),
            (b"a!b", Some("has bytes other than")),
            (b"a b", Some("has bytes other than")),
            (b"a\nb", Some("has bytes other than")),
            (b"a'b", Some("has bytes other than")),
            ("ü".as_bytes(), Some("has bytes other than")),
            (b"\xff", Some("has bytes other than")),
        ] {
            let told = Name::of(bytes).trouble();
            match trouble {
                None => assert_eq!(told, None, "{bytes:?}"),
                Some(words) => assert!(told.unwrap().starts_with(words), "{bytes:?}: {told:?}"),
            }
        }
    }

    #[test]
    fn a_folder_of_sysfs_is_one_name_whatever_the_module_is_called() {
        assert_eq!(Name::from("a/b/c").folder(), PathBuf::from("a!b!c"));
        assert_eq!(Name::from("est_skip").folder(), PathBuf::from("est_skip"));
    }
}
