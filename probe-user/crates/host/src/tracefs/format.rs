//! The `format` file of an event, as `f_show` writes it (`kernel/trace/trace_events.c` of Linux 3.10 to 6.1).

use std::collections::BTreeMap;

/// Where an event's records keep their fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The number of the event on this kernel, since it booted.
    pub id: u64,
    fields: BTreeMap<String, Field>,
}

/// Where one field is, in bytes from the beginning of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its first byte.
    pub offset: usize,
    /// How many bytes it has.
    pub size: usize,
}

impl Format {
    /// Reads the text of such a file; `None` where it has no number, or a field without a place.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID:"))?;
        Some(Self {
            id: id.trim().parse().ok()?,
            fields: Self::fields(text)?,
        })
    }

    /// Reads the fields of such a text alone, by their names; `None` where one has no place.
    #[must_use]
    pub fn fields(text: &str) -> Option<BTreeMap<String, Field>> {
        let fields = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("field:"));
        fields.map(field).collect()
    }

    /// Returns where a field is; `None` where this kernel's event has none of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields.get(name).copied()
    }
}

impl Field {
    /// Reads the field of a record as a number; `None` where the record ends before it, or it is no number.
    #[must_use]
    pub fn of(self, record: &[u8]) -> Option<u64> {
        let bytes = record.get(self.offset..self.offset.checked_add(self.size)?)?;
        let mut number = [0; 8];
        if !matches!(bytes.len(), 1 | 2 | 4 | 8) {
            return None;
        }
        number[..bytes.len()].copy_from_slice(bytes);
        Some(u64::from_le_bytes(number))
    }
}

/// Reads a field: what it is, then, with semicolons between, where it is: `void * timer; offset:8; size:8; signed:0;`.
fn field(text: &str) -> Option<(String, Field)> {
    let mut parts = text.split(';').map(str::trim);
    let declared = parts.next()?;
    // An array has its length behind its name.
    let name = declared.split('[').next()?.split_whitespace().next_back()?;
    let (mut offset, mut size) = (None, None);
    for part in parts {
        match part.split_once(':') {
            Some(("offset", number)) => offset = number.parse().ok(),
            Some(("size", number)) => size = number.parse().ok(),
            _ => {}
        }
    }
    let place = Field {
        offset: offset?,
        size: size?,
    };
    Some((name.to_owned(), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.1's, cut.
    const TIMER_START: &str = "\
name: timer_start
ID: 133
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:void * timer;\toffset:8;\tsize:8;\tsigned:0;
\tfield:unsigned long expires;\toffset:24;\tsize:8;\tsigned:0;
\tfield:char comm[16];\toffset:40;\tsize:16;\tsigned:0;

print fmt: \"timer=%p function=%ps\", REC->timer, REC->function
";

    #[test]
    fn each_field_is_found_by_its_name_alone() {
        let format = Format::parse(TIMER_START).unwrap();
        assert_eq!(format.id, 133);
        let place = |name| format.field(name).map(|field| (field.offset, field.size));
        assert_eq!(place("common_type"), Some((0, 2)));
        assert_eq!(place("timer"), Some((8, 8)));
        assert_eq!(place("expires"), Some((24, 8)));
        assert_eq!(place("comm"), Some((40, 16)));
        assert_eq!(place("baseclk"), None);
    }

    #[test]
    fn a_text_without_a_number_or_a_place_is_none() {
        for text in [
            "",
            "name: timer_start\nformat:\n",
            "ID: many\n",
            "ID: 1\n\tfield:int pid;\toffset:4;\n",
            "ID: 1\n\tfield:int pid;\toffset:-4;\tsize:4;\n",
            "ID: 1\n\tfield:;\toffset:4;\tsize:4;\n",
        ] {
            assert_eq!(Format::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_field_is_a_number_of_its_size_within_the_record() {
        let record = [1, 2, 0, 0, 0, 0, 0, 0, 3];
        let at = |offset, size| Field { offset, size }.of(&record);
        assert_eq!(at(0, 1), Some(1));
        assert_eq!(at(0, 2), Some(0x201));
        assert_eq!(at(1, 8), Some(0x0300_0000_0000_0002));
        assert_eq!(at(2, 8), None);
        assert_eq!(at(0, 3), None);
        assert_eq!(at(usize::MAX, 8), None);
    }
}
