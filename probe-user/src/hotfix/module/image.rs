//! A relocatable ELF file as the other readers want it: sections, what each relocation points at, and
//! where functions and variables begin and end.
//!
//! Sections that the kernel does not keep (debug information, 99 % of a module) are left out.

use std::collections::BTreeMap;

use object::{
    Architecture, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _, RelocationFlags,
    RelocationTarget, SectionFlags, SymbolKind, elf,
};
use thiserror::Error;

/// More than any module has: the file then lies about itself.
const MOST_RELOCATIONS: usize = 1 << 20;

/// Why a file is not a module that can be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum ImageError {
    #[error("is no kernel module: it is not an ELF file, or it is cut off or damaged ({0})")]
    Elf(String),
    #[error(
        "is a {0} ELF file and no kernel module, which is a relocatable one: name a file that ends in .ko"
    )]
    Kind(&'static str),
    #[error(
        "is built for another architecture ({0}), and modules for x86-64 alone can be read: build it for this machine"
    )]
    Architecture(String),
    #[error("is no kernel module: it has no section {0}, which every module has")]
    Section(&'static str),
    #[error(
        "gives itself two names, {0} in .modinfo and {1} where the kernel takes it from, so it could not be taken back \
         by its name: build it again"
    )]
    Names(String, String),
    #[error("is damaged: its sections overlap, or there are too many of them")]
    Overlap,
}

/// A place in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Image::sections`].
    pub section: usize,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// What a relocation refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Something in the module itself.
    Own(Place),
    /// A symbol that the kernel or another module provides.
    Foreign(String),
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
#[derive(Debug, Clone)]
pub struct Relocation {
    /// Where in its section the field lies.
    pub offset: u64,
    /// How it refers to its target.
    pub reference: Reference,
    /// What it refers to, before `addend`.
    pub target: Target,
    /// Bytes to add.
    pub addend: i64,
}

impl Relocation {
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
    pub name: String,
    /// Whether it holds code.
    pub code: bool,
    /// Its bytes; none where it begins as zeros.
    pub bytes: &'a [u8],
    /// Its relocations, by offset.
    pub relocations: Vec<Relocation>,
}

impl Section<'_> {
    /// The relocations of fields that begin in `range`.
    pub fn relocations_in(&self, range: std::ops::Range<u64>) -> &[Relocation] {
        let first = self
            .relocations
            .partition_point(|field| field.offset < range.start);
        let after = self
            .relocations
            .partition_point(|field| field.offset < range.end);
        self.relocations.get(first..after).unwrap_or_default()
    }

    /// The relocation of the field at `offset`.
    pub fn relocation(&self, offset: u64) -> Option<&Relocation> {
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
    functions: BTreeMap<Place, Extent>,
    variables: BTreeMap<Place, Extent>,
}

impl<'a> Image<'a> {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it is not a whole relocatable ELF file for x86-64.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let elf = |error: object::Error| ImageError::Elf(error.to_string());
        let file = object::File::parse(bytes).map_err(elf)?;
        match file.kind() {
            ObjectKind::Relocatable => {}
            ObjectKind::Executable | ObjectKind::Dynamic => return Err(ImageError::Kind("linked")),
            _ => return Err(ImageError::Kind("strange")),
        }
        if file.architecture() != Architecture::X86_64 {
            return Err(ImageError::Architecture(format!(
                "{:?}",
                file.architecture()
            )));
        }
        let mut image = Self {
            sections: Vec::new(),
            functions: BTreeMap::new(),
            variables: BTreeMap::new(),
        };
        let kept = image.keep_sections(&file, bytes.len())?;
        image.keep_relocations(&file, &kept)?;
        image.keep_symbols(&file, &kept);
        Ok(image)
    }

    /// Notes the sections that stay; returns their new numbers by the file's.
    fn keep_sections(
        &mut self,
        file: &object::File<'a>,
        length: usize,
    ) -> Result<BTreeMap<usize, usize>, ImageError> {
        let mut kept = BTreeMap::new();
        let mut sum = 0;
        for section in file.sections() {
            let damaged = |error: object::Error| ImageError::Elf(error.to_string());
            // Of all sections: a table of relocations that cannot be read would pass for an empty one.
            let bytes = section.data().map_err(damaged)?;
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            if sh_flags & u64::from(elf::SHF_ALLOC) == 0 {
                continue;
            }
            sum += bytes.len();
            if sum > length {
                return Err(ImageError::Overlap);
            }
            kept.insert(section.index().0, self.sections.len());
            self.sections.push(Section {
                name: section.name().map_err(damaged)?.to_owned(),
                code: sh_flags & u64::from(elf::SHF_EXECINSTR) != 0,
                bytes,
                relocations: Vec::new(),
            });
        }
        Ok(kept)
    }

    fn keep_relocations(
        &mut self,
        file: &object::File<'a>,
        kept: &BTreeMap<usize, usize>,
    ) -> Result<(), ImageError> {
        let mut count = 0;
        for section in file.sections() {
            let Some(&own) = kept.get(&section.index().0) else {
                continue;
            };
            let mut relocations = Vec::new();
            for (offset, field) in section.relocations() {
                count += 1;
                if count > MOST_RELOCATIONS {
                    return Err(ImageError::Overlap);
                }
                relocations.push(Relocation {
                    offset,
                    reference: reference(field.flags()),
                    target: target(file, field.target(), kept),
                    addend: field.addend(),
                });
            }
            relocations.sort_by_key(|field| field.offset);
            if let Some(section) = self.sections.get_mut(own) {
                section.relocations = relocations;
            }
        }
        Ok(())
    }

    fn keep_symbols(&mut self, file: &object::File<'a>, kept: &BTreeMap<usize, usize>) {
        for symbol in file.symbols() {
            let Some(&section) = symbol.section_index().and_then(|index| kept.get(&index.0)) else {
                continue;
            };
            let place = Place {
                section,
                offset: symbol.address(),
            };
            let extent = Extent {
                place,
                size: symbol.size(),
            };
            match symbol.kind() {
                SymbolKind::Text if extent.size > 0 => drop(self.functions.insert(place, extent)),
                SymbolKind::Data if extent.size > 0 => drop(self.variables.insert(place, extent)),
                _ => {}
            }
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

    /// The function that a place lies in.
    pub fn function(&self, place: Place) -> Option<Extent> {
        let (_, extent) = self.functions.range(..=place).next_back()?;
        let inside =
            extent.place.section == place.section && extent.range().contains(&place.offset);
        inside.then_some(*extent)
    }

    /// The function that begins at a place.
    pub fn function_at(&self, place: Place) -> Option<Extent> {
        self.functions.get(&place).copied()
    }

    /// The functions of a section, in order.
    pub fn functions_in(&self, section: usize) -> impl Iterator<Item = Extent> + use<'_> {
        let first = Place { section, offset: 0 };
        let last = Place {
            section,
            offset: u64::MAX,
        };
        self.functions
            .range(first..=last)
            .map(|(_, extent)| *extent)
    }

    /// The variable that begins at a place.
    pub fn variable_at(&self, place: Place) -> Option<Extent> {
        self.variables.get(&place).copied()
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

fn reference(flags: RelocationFlags) -> Reference {
    match flags {
        RelocationFlags::Elf {
            r_type: elf::R_X86_64_64 | elf::R_X86_64_32 | elf::R_X86_64_32S,
        } => Reference::Absolute,
        RelocationFlags::Elf {
            r_type: elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 | elf::R_X86_64_PC64,
        } => Reference::Relative,
        _ => Reference::Unknown,
    }
}

fn target(
    file: &object::File<'_>,
    target: RelocationTarget,
    kept: &BTreeMap<usize, usize>,
) -> Target {
    let foreign = |name: &str| Target::Foreign(name.to_owned());
    let RelocationTarget::Symbol(index) = target else {
        return foreign("");
    };
    let Ok(symbol) = file.symbol_by_index(index) else {
        return foreign("");
    };
    match symbol.section_index().and_then(|index| kept.get(&index.0)) {
        Some(&section) => Target::Own(Place {
            section,
            offset: symbol.address(),
        }),
        None => foreign(symbol.name().unwrap_or_default()),
    }
}
