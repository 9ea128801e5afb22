//! The parts of a relocatable ELF file, without copies and with bounds of their own: names are cut to a length, and
//! tables are refused where they are longer than any module's.

use std::ffi::CStr;

use object::{
    LittleEndian,
    elf::{self, FileHeader64, Rela64, SectionHeader64, Sym64},
    read::elf::{FileHeader as _, SectionHeader as _},
};

use super::error::ImageError;

/// More than any module has: the file then lies about itself.
const MOST_SECTIONS: usize = 0xff00;
const MOST_SYMBOLS: usize = 1 << 20;
const MOST_RELOCATIONS: usize = 1 << 20;

/// The longest name that is read: a symbol's in the kernel has at most 512 bytes (`KSYM_NAME_LEN`,
/// `include/linux/kallsyms.h` of Linux 6.1), and a section's is made of one.
const LONGEST_NAME: usize = 640;

const END: LittleEndian = LittleEndian;

/// A symbol.
#[derive(Debug, Clone, Copy)]
pub struct Symbol<'a>(&'a Sym64<LittleEndian>);

/// A relocation.
#[derive(Debug, Clone, Copy)]
pub struct Rela<'a>(&'a Rela64<LittleEndian>);

/// A file.
#[derive(Debug)]
pub struct Elf<'a> {
    bytes: &'a [u8],
    sections: &'a [SectionHeader64<LittleEndian>],
    section_names: &'a [u8],
    symbols: &'a [Sym64<LittleEndian>],
    symbol_names: &'a [u8],
    /// The number of the section that holds the symbols.
    symbol_table: usize,
}

fn damaged(error: object::Error) -> ImageError {
    ImageError::Elf(error.to_string())
}

impl<'a> Elf<'a> {
    /// Reads the head of a file, and its tables of sections and symbols.
    ///
    /// # Errors
    ///
    /// When it is no relocatable ELF file for x86-64, or is damaged.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let header = header(bytes)?;
        let sections = header.section_headers(END, bytes).map_err(damaged)?;
        if sections.len() > MOST_SECTIONS {
            return Err(ImageError::TooMany("sections"));
        }
        let mut elf = Self {
            bytes,
            sections,
            section_names: &[],
            symbols: &[],
            symbol_names: &[],
            symbol_table: 0,
        };
        if !sections.is_empty() {
            let number = header.shstrndx(END, bytes).map_err(damaged)?;
            elf.section_names = elf.data(usize::try_from(number).unwrap_or(usize::MAX))?;
        }
        let mut tables = elf.numbers_of(elf::SHT_SYMTAB);
        if let Some(number) = tables.next() {
            elf.symbol_table = number;
            let section = &sections[number];
            elf.symbols = section.data_as_array(END, bytes).map_err(damaged)?;
            elf.symbol_names = elf.data(section.sh_link(END) as usize)?;
        }
        if elf.symbols.len() > MOST_SYMBOLS {
            return Err(ImageError::TooMany("symbols"));
        }
        let tables = elf.numbers_of(elf::SHT_RELA);
        let most = (MOST_RELOCATIONS * size_of::<Rela64<LittleEndian>>()) as u64;
        let mut sum = 0_u64;
        for number in tables {
            sum = sum.saturating_add(sections[number].sh_size(END));
        }
        if sum > most {
            return Err(ImageError::TooMany("relocations"));
        }
        Ok(elf)
    }

    fn numbers_of(&self, kind: u32) -> impl Iterator<Item = usize> + use<'a> {
        let sections = self.sections.iter().enumerate();
        sections
            .filter(move |(_, section)| section.sh_type(END) == kind)
            .map(|(number, _)| number)
    }

    /// Returns how many sections there are.
    pub fn count(&self) -> usize {
        self.sections.len()
    }

    /// Returns the flags of a section.
    pub fn flags(&self, number: usize) -> u64 {
        let section = self.sections.get(number);
        section.map_or(0, |section| section.sh_flags(END))
    }

    /// Returns the bytes of a section; none where it begins as zeros.
    ///
    /// # Errors
    ///
    /// When there is no such section, or it reaches beyond the file.
    pub fn data(&self, number: usize) -> Result<&'a [u8], ImageError> {
        let section = self.sections.get(number);
        let section = section.ok_or_else(|| ImageError::Elf("a section is missing".into()))?;
        section.data(END, self.bytes).map_err(damaged)
    }

    /// Returns the name of a section.
    pub fn name(&self, number: usize) -> &'a str {
        let section = self.sections.get(number);
        section.map_or("", |section| {
            text(self.section_names, section.sh_name.get(END))
        })
    }

    /// Returns the tables of relocations: for which section, and which.
    ///
    /// # Errors
    ///
    /// When one cannot be read: it would pass for an empty one.
    pub fn relocations(
        &self,
    ) -> Result<Vec<(usize, impl Iterator<Item = Rela<'a>> + use<'a>)>, ImageError> {
        let mut tables = Vec::new();
        for number in self.numbers_of(elf::SHT_RELA) {
            let section = &self.sections[number];
            let fields: &[Rela64<LittleEndian>] =
                section.data_as_array(END, self.bytes).map_err(damaged)?;
            // The kernel takes the one table of symbols, whatever the section names.
            if section.sh_link(END) as usize != self.symbol_table {
                let why = "its relocations name another table of symbols";
                return Err(ImageError::Elf(why.into()));
            }
            tables.push((section.sh_info(END) as usize, fields.iter().map(Rela)));
        }
        Ok(tables)
    }

    /// Returns the symbols, in order.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        self.symbols.iter().map(Symbol)
    }

    /// Returns the symbol that a relocation refers to.
    pub fn symbol(&self, field: Rela<'_>) -> Option<Symbol<'a>> {
        let number = field.0.r_info.get(END) >> 32;
        self.symbols
            .get(usize::try_from(number).ok()?)
            .filter(|_| number != 0)
            .map(Symbol)
    }

    /// Returns a symbol's name.
    pub fn symbol_name(&self, symbol: Symbol<'_>) -> &'a str {
        text(self.symbol_names, symbol.0.st_name.get(END))
    }
}

fn header(bytes: &[u8]) -> Result<&FileHeader64<LittleEndian>, ImageError> {
    let ident = bytes.get(..elf::ELFMAG.len() + 2);
    if let Some([magic @ .., class, order]) = ident
        && magic == elf::ELFMAG
        && (*class, *order) != (elf::ELFCLASS64, elf::ELFDATA2LSB)
    {
        let kind = format!("class {class}, byte order {order}");
        return Err(ImageError::Architecture(kind));
    }
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(damaged)?;
    match header.e_type(END) {
        elf::ET_REL => {}
        elf::ET_EXEC | elf::ET_DYN => return Err(ImageError::Kind("linked")),
        _ => return Err(ImageError::Kind("strange")),
    }
    match header.e_machine(END) {
        elf::EM_X86_64 => Ok(header),
        elf::EM_AARCH64 => Err(ImageError::Architecture("Aarch64".into())),
        other => Err(ImageError::Architecture(format!("machine {other}"))),
    }
}

/// Returns the text at an offset of a table of names; empty where it is too long or is no text.
fn text(names: &[u8], offset: u32) -> &str {
    let rest = names.get(offset as usize..).unwrap_or_default();
    let most = &rest[..rest.len().min(LONGEST_NAME)];
    let name = CStr::from_bytes_until_nul(most).ok();
    name.and_then(|name| name.to_str().ok()).unwrap_or_default()
}

impl Symbol<'_> {
    /// Returns the number of its section; `None` where it is in none.
    pub fn section(self) -> Option<usize> {
        let number = self.0.st_shndx.get(END);
        (number != elf::SHN_UNDEF && number < elf::SHN_LORESERVE).then_some(number.into())
    }

    /// Returns where it begins in its section.
    pub fn value(self) -> u64 {
        self.0.st_value.get(END)
    }

    /// Its length in bytes.
    pub fn size(self) -> u64 {
        self.0.st_size.get(END)
    }

    /// Returns what it is: a function, a variable, or something else.
    pub fn kind(self) -> u8 {
        self.0.st_info & 0xf
    }
}

impl Rela<'_> {
    /// Returns where in its section the field lies.
    pub fn offset(self) -> u64 {
        self.0.r_offset.get(END)
    }

    /// Returns how the field is made.
    pub fn kind(self) -> u32 {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the lower half is the kind"
        )]
        let kind = self.0.r_info.get(END) as u32;
        kind
    }

    /// Bytes to add.
    pub fn addend(self) -> i64 {
        self.0.r_addend.get(END)
    }
}
