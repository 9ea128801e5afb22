//! Where a field lies in a structure of the running kernel, read from BTF.
//!
//! Only that, in one pass and without building anything: the kernel's BTF holds more than a hundred
//! thousand types, and a tool that is started while a node suffers should not parse them all. A module's
//! BTF is split: its strings and types go on where the kernel's end, so that both are read the same way.
//!
//! Format: <https://docs.kernel.org/bpf/btf.html>, `include/uapi/linux/btf.h` of Linux 6.1.

use std::collections::HashMap;

use thiserror::Error;

const MAGIC: u16 = 0xeb9f;
const TYPE_HEADER: usize = 12;
const MEMBER: usize = 12;

/// No name is longer (`KSYM_NAME_LEN`, `include/linux/kallsyms.h`).
const LONGEST_NAME: usize = 512;

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

/// Why BTF could not be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    /// The bytes are not BTF of this machine's byte order.
    #[error("it does not begin with BTF's magic number")]
    Magic,
    /// A section or a type reaches beyond the end.
    #[error("it ends in the middle of a section")]
    Truncated,
    /// A kind of type that this reader cannot step over.
    #[error("it holds a type of the unknown kind {0}")]
    Kind(u32),
}

/// Byte offsets of the fields of some structures, by structure and field name.
#[derive(Debug, Default, Clone)]
pub struct Fields {
    offsets: HashMap<(String, String), u32>,
    sizes: HashMap<String, u32>,
}

impl Fields {
    /// The offset of `field` in `structure`, in bytes; `None` if there is no such field, or if it is a
    /// bit field.
    #[must_use]
    pub fn offset(&self, structure: &str, field: &str) -> Option<u32> {
        self.offsets
            .get(&(structure.to_owned(), field.to_owned()))
            .copied()
    }

    /// The size of `structure` in bytes; `None` if it was not found.
    #[must_use]
    pub fn size(&self, structure: &str) -> Option<u32> {
        self.sizes.get(structure).copied()
    }

    /// Returns made ones: structure, field and offset; structure and size.
    #[cfg(any(test, fuzzing, feature = "testing"))]
    #[must_use]
    pub fn made(offsets: &[(&str, &str, u32)], sizes: &[(&str, u32)]) -> Self {
        let offsets = offsets.iter().map(|(structure, field, at)| {
            let name = ((*structure).to_owned(), (*field).to_owned());
            (name, *at)
        });
        let sizes = sizes.iter();
        Self {
            offsets: offsets.collect(),
            sizes: sizes
                .map(|(name, size)| ((*name).to_owned(), *size))
                .collect(),
        }
    }

    /// Whether the structure was found at all.
    #[must_use]
    pub fn has(&self, structure: &str) -> bool {
        self.sizes.contains_key(structure)
    }
}

/// Returns the fields of the structures named in `wanted`, from the kernel's BTF and, where there is one, the split BTF
/// of a module. Of two structures of one name, the kernel's is taken before the module's.
///
/// # Errors
///
/// When either is not BTF.
pub fn fields(kernel: &[u8], module: Option<&[u8]>, wanted: &[&str]) -> Result<Fields, BtfError> {
    let kernel = Section::parse(kernel)?;
    let mut found = Fields::default();
    collect(&kernel, &|offset| kernel.string(offset), wanted, &mut found)?;
    if let Some(module) = module {
        let module = Section::parse(module)?;
        let string = |offset| module.string_after(&kernel, offset);
        collect(&module, &string, wanted, &mut found)?;
    }
    Ok(found)
}

/// Returns those functions of `wanted` that a module has, by its split BTF.
///
/// # Errors
///
/// When the module's or the kernel's is not BTF.
pub fn functions<'a>(
    kernel: &[u8],
    module: &[u8],
    wanted: &[&'a str],
) -> Result<Vec<&'a str>, BtfError> {
    let (kernel, module) = (Section::parse(kernel)?, Section::parse(module)?);
    let mut found = Vec::new();
    for one in module.types() {
        let one = one?;
        if one.kind == KIND_FUNC {
            let name = module.string_after(&kernel, one.name);
            found.extend(named(name, wanted));
        }
    }
    Ok(found)
}

/// The two halves of one BTF blob.
struct Section<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Section<'a> {
    fn parse(blob: &'a [u8]) -> Result<Self, BtfError> {
        let magic = blob.get(..2).ok_or(BtfError::Truncated)?;
        if magic != MAGIC.to_ne_bytes() {
            return Err(BtfError::Magic);
        }
        let header = number(blob, 4)?;
        let part = |offset: usize, length: usize| {
            let start = header + number(blob, offset)?;
            let end = start + number(blob, length)?;
            blob.get(start..end).ok_or(BtfError::Truncated)
        };
        Ok(Self {
            types: part(8, 12)?,
            strings: part(16, 20)?,
        })
    }

    fn types(&self) -> Types<'a> {
        Types { rest: self.types }
    }

    /// Returns the string at `offset` of a module's BTF, whose strings continue where the kernel's end.
    fn string_after(&self, kernel: &Self, offset: usize) -> &'a [u8] {
        match offset.checked_sub(kernel.strings.len()) {
            Some(own) => self.string(own),
            None => kernel.string(offset),
        }
    }

    /// Returns the string at `offset`, without its closing zero; empty if there is none, or if it is longer than a name
    /// of C: a file whose strings do not end would be read as often as it has types.
    fn string(&self, offset: usize) -> &'a [u8] {
        let rest = self.strings.get(offset..).unwrap_or_default();
        let name = rest.get(..LONGEST_NAME).unwrap_or(rest);
        let end = name.iter().position(|byte| *byte == 0);
        end.and_then(|end| name.get(..end)).unwrap_or_default()
    }
}

/// A type.
struct Type<'a> {
    /// Where its name begins among the strings.
    name: usize,
    kind: u32,
    /// With it, a member's offset shares its word with a bit field's width.
    flag: bool,
    /// In bytes, of a structure.
    size: usize,
    /// What follows the header: the members of a structure.
    body: &'a [u8],
}

/// Steps over types.
struct Types<'a> {
    rest: &'a [u8],
}

impl<'a> Types<'a> {
    fn step(&mut self) -> Result<Type<'a>, BtfError> {
        let info = u32::try_from(number(self.rest, 4)?).map_err(|_| BtfError::Truncated)?;
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let length = TYPE_HEADER + trailer(kind, count)?;
        let one = Type {
            name: number(self.rest, 0)?,
            kind,
            flag: info >> 31 != 0,
            size: number(self.rest, 8)?,
            body: self
                .rest
                .get(TYPE_HEADER..length)
                .ok_or(BtfError::Truncated)?,
        };
        self.rest = &self.rest[length..];
        Ok(one)
    }
}

impl<'a> Iterator for Types<'a> {
    type Item = Result<Type<'a>, BtfError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let one = self.step();
        if one.is_err() {
            self.rest = &[];
        }
        Some(one)
    }
}

/// Goes over the types of `section` once and notes the fields of those that are wanted.
fn collect<'a>(
    section: &Section<'a>,
    string: &dyn Fn(usize) -> &'a [u8],
    wanted: &[&str],
    found: &mut Fields,
) -> Result<(), BtfError> {
    for one in section.types() {
        let one = one?;
        if one.kind != KIND_STRUCT {
            continue;
        }
        if let Some(name) = named(string(one.name), wanted) {
            let size = u32::try_from(one.size).map_err(|_| BtfError::Truncated)?;
            found.sizes.entry(name.to_owned()).or_insert(size);
            note_members(name, &one, string, found)?;
        }
    }
    Ok(())
}

/// Returns the one of `wanted` that is this name.
fn named<'a>(name: &[u8], wanted: &[&'a str]) -> Option<&'a str> {
    let mut wanted = wanted.iter().copied();
    wanted.find(|wanted| wanted.as_bytes() == name)
}

fn note_members<'a>(
    structure: &str,
    one: &Type<'_>,
    string: &dyn Fn(usize) -> &'a [u8],
    found: &mut Fields,
) -> Result<(), BtfError> {
    for member in one.body.chunks_exact(MEMBER) {
        let place = number(member, 8)?;
        let (bits, width) = if one.flag {
            (place & 0x00ff_ffff, place >> 24)
        } else {
            (place, 0)
        };
        let Ok(bytes) = u32::try_from(bits / 8) else {
            continue;
        };
        if width == 0 && bits % 8 == 0 {
            let field = String::from_utf8_lossy(string(number(member, 0)?)).into_owned();
            found
                .offsets
                .entry((structure.to_owned(), field))
                .or_insert(bytes);
        }
    }
    Ok(())
}

/// Bytes that follow the header of a type of `kind` with `count` parts.
fn trailer(kind: u32, count: usize) -> Result<usize, BtfError> {
    Ok(match kind {
        KIND_STRUCT | KIND_UNION => count * MEMBER,
        KIND_ENUM | KIND_FUNC_PROTO => count * 8,
        KIND_DATASEC | KIND_ENUM64 => count * 12,
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats and type tags.
        2 | 7..=KIND_FUNC | 16 | 18 => 0,
        unknown => return Err(BtfError::Kind(unknown)),
    })
}

/// The four bytes at `offset` as a number.
fn number(bytes: &[u8], offset: usize) -> Result<usize, BtfError> {
    let four = bytes
        .get(offset..offset + 4)
        .and_then(|four| <[u8; 4]>::try_from(four).ok())
        .ok_or(BtfError::Truncated)?;
    Ok(u32::from_ne_bytes(four) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(bytes: &[u8]) -> u32 {
        bytes.len().try_into().unwrap()
    }

    /// A blob with the given types and strings.
    fn blob(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut blob = MAGIC.to_ne_bytes().to_vec();
        blob.extend([1, 0]);
        let (types_len, strings_len) = (length(&types), length(strings));
        for word in [24, 0, types_len, types_len, strings_len] {
            blob.extend(word.to_ne_bytes());
        }
        blob.extend(types);
        blob.extend(strings);
        blob
    }

    const STRUCT_OF_TWO: u32 = KIND_STRUCT << 24 | 2;

    #[test]
    fn a_field_is_found_in_the_kernel_and_in_a_module_that_goes_on_from_it() {
        let kernel_strings = b"\0net\0ipvs\0list\0";
        let kernel = blob(
            &[1, STRUCT_OF_TWO, 16, 5, 0, 64, 10, 0, 128],
            kernel_strings,
        );
        let base = length(kernel_strings);
        let module = blob(
            &[base + 1, KIND_STRUCT << 24 | 1, 8, 1, 0, 32],
            b"\0netns_ipvs\0",
        );
        let fields = fields(&kernel, Some(&module), &["net", "netns_ipvs"]).unwrap();
        assert_eq!(fields.offset("net", "ipvs"), Some(8));
        assert_eq!(fields.offset("net", "list"), Some(16));
        assert_eq!(fields.offset("netns_ipvs", "net"), Some(4));
        assert_eq!(fields.offset("net", "nothing"), None);
        assert_eq!(fields.size("net"), Some(16));
        assert_eq!(fields.size("nothing"), None);
        assert!(!fields.has("nothing"));
    }

    #[test]
    fn the_functions_of_a_module_are_found_by_their_names_in_either_half() {
        let kernel = blob(&[], b"\0estimation_timer\0");
        let base = length(b"\0estimation_timer\0");
        let function = |name| [name, KIND_FUNC << 24, 1];
        let types = [function(1), function(base + 1), function(base)].concat();
        let module = blob(&types, b"\0ip_vs_conn_new\0");
        let wanted = ["ip_vs_conn_new", "estimation_timer", "estimation_work"];
        let found = functions(&kernel, &module, &wanted).unwrap();
        assert_eq!(found, ["estimation_timer", "ip_vs_conn_new"]);
        let cut = &module[..module.len() - 1];
        assert!(functions(&kernel, cut, &wanted).is_err());
    }

    #[test]
    fn a_bit_field_has_no_offset_and_its_neighbour_has() {
        let packed = 1 << 31 | STRUCT_OF_TWO;
        let types = [1, packed, 16, 5, 0, 3 << 24 | 64, 10, 0, 96];
        let kernel = blob(&types, b"\0net\0ipvs\0list\0");
        let fields = fields(&kernel, None, &["net"]).unwrap();
        assert_eq!(fields.offset("net", "ipvs"), None);
        assert_eq!(fields.offset("net", "list"), Some(12));
    }

    #[test]
    fn every_other_kind_is_stepped_over() {
        let mut types = vec![
            0,
            KIND_INT << 24,
            4,
            0, // int
            0,
            2 << 24,
            1, // pointer
            0,
            KIND_ARRAY << 24,
            0,
            1,
            1,
            3, // array
            0,
            KIND_ENUM << 24 | 1,
            4,
            0,
            0, // enum
            0,
            KIND_FUNC_PROTO << 24 | 1,
            0,
            0,
            1, // function type
            0,
            KIND_DATASEC << 24 | 1,
            8,
            1,
            0,
            8, // section
            0,
            KIND_ENUM64 << 24 | 1,
            8,
            0,
            0,
            0, // wide enum
        ];
        types.extend([1, KIND_STRUCT << 24 | 1, 8, 5, 0, 8]);
        let kernel = blob(&types, b"\0net\0ipvs\0");
        let fields = fields(&kernel, None, &["net"]).unwrap();
        assert_eq!(fields.offset("net", "ipvs"), Some(1));
    }

    #[test]
    fn a_string_without_an_end_is_no_name_and_is_not_kept() {
        let strings = [b"\0net\0ipvs\0".as_slice(), &[b'x'; 1 << 12]].concat();
        let kernel = blob(&[1, STRUCT_OF_TWO, 16, 5, 0, 64, 10, 0, 128], &strings);
        let fields = fields(&kernel, None, &["net"]).unwrap();
        assert_eq!(fields.offset("net", "ipvs"), Some(8));
        let longest = fields.offsets.keys().map(|(_, field)| field.len()).max();
        assert_eq!(longest, Some("ipvs".len()));
    }

    #[test]
    fn what_is_not_btf_is_refused_and_never_read_beyond_its_end() {
        assert_eq!(fields(b"", None, &[]).unwrap_err(), BtfError::Truncated);
        assert_eq!(fields(b"\x7fELF", None, &[]).unwrap_err(), BtfError::Magic);
        let whole = blob(
            &[1, STRUCT_OF_TWO, 16, 5, 0, 64, 10, 0, 128],
            b"\0net\0ipvs\0list\0",
        );
        for length in 0..whole.len() {
            assert_eq!(
                fields(&whole[..length], None, &["net"]).unwrap_err(),
                BtfError::Truncated
            );
        }
        let unknown = blob(&[0, 31 << 24, 0], b"\0");
        assert_eq!(fields(&unknown, None, &[]).unwrap_err(), BtfError::Kind(31));
    }

    #[test]
    fn no_single_wrong_byte_makes_it_panic() {
        let whole = blob(
            &[1, STRUCT_OF_TWO, 16, 5, 0, 64, 10, 0, 128],
            b"\0net\0ipvs\0list\0",
        );
        for place in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut wrong = whole.clone();
                wrong[place] = byte;
                // Either it is refused, or what is found lies somewhere: both are fine, a panic is not.
                let _ = fields(&wrong, Some(&whole), &["net"]);
                let _ = fields(&whole, Some(&wrong), &["net"]);
            }
        }
    }
}
