//! A relocatable ELF file as the other readers want it: sections, what each relocation points at, and
//! where functions and variables begin and end.
//!
//! Sections that the kernel does not keep (debug information, 99 % of a module) are left out.

use object::elf;

use super::{
    budget::Budget,
    elf::{Elf, Rela},
    error::ImageError,
    lists::is_list,
};

/// The section of `THIS_MODULE`.
pub const THIS_MODULE: &str = ".gnu.linkonce.this_module";

/// A place in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index into [`Image::sections`].
    pub section: usize,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// What a relocation refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Something in the module itself.
    Own(Place),
    /// A symbol that the kernel or another module provides.
    Foreign(&'a str),
}

/// How a relocated field refers to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// It holds the address.
    Absolute,
    /// It holds the distance from the field itself.
    Relative,
    /// In a way that modules do not use.
    Unknown,
}

/// A field that is filled in when the module is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Relocation<'a> {
    /// Where in its section the field lies.
    pub offset: u64,
    /// How it refers to its target.
    pub reference: Reference,
    /// What it refers to, before `addend`.
    pub target: Target<'a>,
    /// Bytes to add.
    pub addend: i64,
}

impl Relocation<'_> {
    /// The place in the module that is meant by a field outside of code; `None` for another's symbol.
    pub fn place(&self) -> Option<Place> {
        match &self.target {
            Target::Own(place) => Some(Place {
                section: place.section,
                offset: place.offset.wrapping_add_signed(self.addend),
            }),
            Target::Foreign(_) => None,
        }
    }
}

/// A section that stays in memory.
#[derive(Debug)]
pub struct Section<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it holds code.
    pub code: bool,
    /// Whether it lists places in code for the loader.
    pub list: bool,
    /// Whether it holds variables that may lead to code: no texts, for one.
    pub variables: bool,
    /// Its bytes; none where it begins as zeros.
    pub bytes: &'a [u8],
    /// Its relocations, by offset.
    pub relocations: Vec<Relocation<'a>>,
}

impl<'a> Section<'a> {
    /// The relocations of fields that begin in `range`.
    pub fn relocations_in(&self, range: std::ops::Range<u64>) -> &[Relocation<'a>] {
        let first = self
            .relocations
            .partition_point(|field| field.offset < range.start);
        let after = self
            .relocations
            .partition_point(|field| field.offset < range.end);
        self.relocations.get(first..after).unwrap_or_default()
    }

    /// The relocation of the field at `offset`.
    pub fn relocation(&self, offset: u64) -> Option<&Relocation<'a>> {
        self.relocations_in(offset..offset.checked_add(1)?).first()
    }
}

/// A function or variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub place: Place,
    /// Its length in bytes.
    pub size: u64,
}

impl Extent {
    /// Its offsets in its section.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.place.offset..self.place.offset.saturating_add(self.size)
    }
}

/// A module's parts.
#[derive(Debug)]
pub struct Image<'a> {
    /// What stays in memory.
    pub sections: Vec<Section<'a>>,
    /// By where they begin; of several that begin at one place, the last.
    functions: Vec<Extent>,
    variables: Vec<Extent>,
    /// What is left of the work that this file may make.
    pub budget: Budget,
}

impl<'a> Image<'a> {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it is not a whole relocatable ELF file for x86-64.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let file = Elf::parse(bytes)?;
        let mut image = Self {
            sections: Vec::new(),
            functions: Vec::new(),
            variables: Vec::new(),
            budget: Budget::default(),
        };
        let kept = image.keep_sections(&file, bytes.len())?;
        image.keep_relocations(&file, &kept)?;
        image.keep_symbols(&file, &kept);
        Ok(image)
    }

    /// Notes the sections that stay; returns their new numbers by the file's.
    fn keep_sections(
        &mut self,
        file: &Elf<'a>,
        length: usize,
    ) -> Result<Vec<Option<usize>>, ImageError> {
        let mut kept = Vec::new();
        let mut sum = 0;
        for number in 0..file.count() {
            // Of all sections: what reaches beyond the file was cut off.
            let bytes = file.data(number)?;
            let flags = file.flags(number);
            if flags & u64::from(elf::SHF_ALLOC) == 0 {
                kept.push(None);
                continue;
            }
            sum += bytes.len();
            if sum > length {
                return Err(ImageError::Overlap);
            }
            kept.push(Some(self.sections.len()));
            let name = file.name(number);
            let (code, list) = (flags & u64::from(elf::SHF_EXECINSTR) != 0, is_list(name));
            let written = flags & u64::from(elf::SHF_WRITE) != 0;
            self.sections.push(Section {
                name,
                code,
                list,
                variables: written && !code && !list && name != THIS_MODULE,
                bytes,
                relocations: Vec::new(),
            });
        }
        Ok(kept)
    }

    fn keep_relocations(
        &mut self,
        file: &Elf<'a>,
        kept: &[Option<usize>],
    ) -> Result<(), ImageError> {
        for (number, fields) in file.relocations()? {
            let own = kept.get(number).copied().flatten();
            if let Some(section) = own.and_then(|own| self.sections.get_mut(own)) {
                let fields = fields.map(|field| relocation(file, field, kept));
                section.relocations.extend(fields);
                section.variables |= !section.code && !section.list && section.name != THIS_MODULE;
            }
        }
        for section in &mut self.sections {
            section
                .relocations
                .sort_unstable_by_key(|field| field.offset);
        }
        Ok(())
    }

    fn keep_symbols(&mut self, file: &Elf<'_>, kept: &[Option<usize>]) {
        for symbol in file.symbols() {
            let section = symbol.section().and_then(|number| *kept.get(number)?);
            let Some(section) = section.filter(|_| symbol.size() > 0) else {
                continue;
            };
            let extent = Extent {
                place: Place {
                    section,
                    offset: symbol.value(),
                },
                size: symbol.size(),
            };
            match symbol.kind() {
                elf::STT_FUNC => self.functions.push(extent),
                elf::STT_OBJECT => self.variables.push(extent),
                _ => {}
            }
        }
        for list in [&mut self.functions, &mut self.variables] {
            list.sort_by_key(|extent| extent.place);
            list.reverse();
            list.dedup_by_key(|extent| extent.place);
            list.reverse();
            list.shrink_to_fit();
        }
    }

    /// The section with that name.
    pub fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The section that a place is in.
    pub fn section_of(&self, place: Place) -> Option<&Section<'a>> {
        self.sections.get(place.section)
    }

    /// Whether there is code at a place.
    pub fn is_code(&self, place: Place) -> bool {
        self.section_of(place).is_some_and(|section| section.code)
    }

    /// Whether a variable at a place may lead to code.
    pub fn is_variable(&self, place: Place) -> bool {
        let section = self.section_of(place);
        section.is_some_and(|section| section.variables)
    }

    /// The function that a place lies in.
    pub fn function(&self, place: Place) -> Option<Extent> {
        inside(&self.functions, place)
    }

    /// Returns whether a function begins at a place.
    pub fn is_function(&self, place: Place) -> bool {
        self.is_code(place)
            && self
                .function(place)
                .is_some_and(|extent| extent.place == place)
    }

    /// Returns all functions, in order.
    pub fn functions(&self) -> &[Extent] {
        &self.functions
    }

    /// The functions of a section, in order.
    pub fn functions_in(&self, section: usize) -> &[Extent] {
        let begin = |number| {
            self.functions
                .partition_point(|extent| extent.place.section < number)
        };
        self.functions
            .get(begin(section)..begin(section + 1))
            .unwrap_or_default()
    }

    /// The variable that begins at a place.
    pub fn variable_at(&self, place: Place) -> Option<Extent> {
        self.variable(place).filter(|extent| extent.place == place)
    }

    /// Returns the variable that a place lies in.
    pub fn variable(&self, place: Place) -> Option<Extent> {
        inside(&self.variables, place)
    }

    /// Returns where the variable begins that a place lies in, or else what lies there between two variables.
    pub fn home(&self, place: Place) -> Place {
        let after = self
            .variables
            .partition_point(|extent| extent.place <= place);
        let before = self.variables[..after].last();
        match before.filter(|extent| extent.place.section == place.section) {
            Some(extent) if extent.range().contains(&place.offset) => extent.place,
            Some(extent) => Place {
                offset: extent.range().end,
                ..place
            },
            None => Place { offset: 0, ..place },
        }
    }

    /// Returns the relocation of the field at a place.
    pub fn relocation(&self, place: Place) -> Option<&Relocation<'a>> {
        self.section_of(place)?.relocation(place.offset)
    }

    /// The text at a place, up to its closing zero; `None` where there is none, or none that could be a
    /// symbol's or a module's name (`KSYM_NAME_LEN`, `include/linux/kallsyms.h` of Linux 6.1).
    pub fn text(&self, place: Place) -> Option<&'a str> {
        let section = self.section_of(place)?;
        let rest = section.bytes.get(usize::try_from(place.offset).ok()?..)?;
        let length = rest.iter().take(512).position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(rest.get(..length)?).ok()?;
        let plain = !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic());
        plain.then_some(text)
    }

    /// The eight bytes at a place as a number.
    pub fn word(&self, place: Place) -> Option<u64> {
        let start = usize::try_from(place.offset).ok()?;
        let bytes = self
            .section_of(place)?
            .bytes
            .get(start..start.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// Returns the extent that a place lies in, of a list in order.
fn inside(list: &[Extent], place: Place) -> Option<Extent> {
    let after = list.partition_point(|extent| extent.place <= place);
    let extent = list.get(after.checked_sub(1)?)?;
    let inside = extent.place.section == place.section && extent.range().contains(&place.offset);
    inside.then_some(*extent)
}

fn relocation<'a>(file: &Elf<'a>, field: Rela<'_>, kept: &[Option<usize>]) -> Relocation<'a> {
    let symbol = file.symbol(field);
    let section = symbol.and_then(|symbol| *kept.get(symbol.section()?)?);
    Relocation {
        offset: field.offset(),
        reference: reference(field.kind()),
        target: match (symbol, section) {
            (Some(symbol), Some(section)) => Target::Own(Place {
                section,
                offset: symbol.value(),
            }),
            (Some(symbol), None) => Target::Foreign(file.symbol_name(symbol)),
            (None, _) => Target::Foreign(""),
        },
        addend: field.addend(),
    }
}

fn reference(kind: u32) -> Reference {
    match kind {
        elf::R_X86_64_64 | elf::R_X86_64_32 | elf::R_X86_64_32S => Reference::Absolute,
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 | elf::R_X86_64_PC64 => Reference::Relative,
        _ => Reference::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::made::{Made, Piece};

    #[test]
    fn what_lies_between_two_variables_has_one_home() {
        // Pieces begin at multiples of 16: `first` at 0, `last` at 64.
        let bytes = Made::default()
            .with(".data", "first", Piece::zeros(24))
            .with(".data", "", Piece::zeros(32))
            .with(".data", "last", Piece::zeros(8))
            .with(".bss", "", Piece::zeros(64))
            .bytes();
        let image = Image::parse(&bytes).unwrap();
        for (what, section, offset, home) in [
            ("a variable's beginning", ".data", 0, 0),
            ("a variable's last byte", ".data", 23, 0),
            ("the first byte behind a variable", ".data", 24, 24),
            ("further behind it", ".data", 40, 24),
            ("the next variable", ".data", 71, 64),
            ("behind the last variable", ".data", 80, 72),
            ("a section without a variable", ".bss", 40, 0),
        ] {
            let mut names = image.sections.iter().map(|section| section.name);
            let section = names.position(|name| name == section).unwrap();
            let at = |offset| Place { section, offset };
            assert_eq!(image.home(at(offset)), at(home), "{what}");
        }
    }
}
