//! Modules made by hand: the same parts as a build leaves behind, without a compiler.

use std::collections::BTreeMap;

use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
    elf::{R_X86_64_32S, R_X86_64_64, R_X86_64_PC32, R_X86_64_PLT32},
    write::{Object, Relocation, SectionId, StandardSegment, Symbol, SymbolId, SymbolSection},
};

/// A field to be relocated: where, how, against what, and what to add.
type Field = (u64, u32, String, i64);

/// Instructions, or data, of one piece.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Distances inside a section, which the assembler fills in itself.
    near: Vec<(u64, String)>,
}

impl Piece {
    /// Begins as the kernel's functions do.
    #[must_use]
    pub fn function() -> Self {
        Self::default().call("__fentry__")
    }

    /// Data of so many zeros.
    #[must_use]
    pub fn zeros(length: usize) -> Self {
        Self {
            bytes: vec![0; length],
            ..Self::default()
        }
    }

    /// Adds bytes.
    #[must_use]
    pub fn then(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// Adds an opcode whose last four bytes are a distance to `symbol`.
    #[must_use]
    pub fn relative(self, opcode: &[u8], symbol: &str) -> Self {
        self.field(opcode, R_X86_64_PC32, symbol, -4)
    }

    /// Adds an opcode whose last four bytes are the address of `symbol`.
    #[must_use]
    pub fn absolute(self, opcode: &[u8], symbol: &str) -> Self {
        self.field(opcode, R_X86_64_32S, symbol, 0)
    }

    /// Calls a function.
    #[must_use]
    pub fn call(self, symbol: &str) -> Self {
        self.field(&[0xe8], R_X86_64_PLT32, symbol, -4)
    }

    /// Calls between `push %rdi` and `pop %rdi`.
    #[must_use]
    pub fn call_between(self, symbol: &str) -> Self {
        self.then(&[0x57]).call(symbol).then(&[0x5f])
    }

    /// Jumps to a function, as the last call of another.
    #[must_use]
    pub fn jump(self, symbol: &str) -> Self {
        self.field(&[0xe9], R_X86_64_PLT32, symbol, -4)
    }

    /// Adds an opcode with a distance to a function of the same section.
    #[must_use]
    pub fn near(mut self, opcode: &[u8], function: &str) -> Self {
        self.bytes.extend(opcode);
        self.near
            .push((self.bytes.len() as u64, function.to_owned()));
        self.then(&[0; 4])
    }

    /// Returns to the caller.
    #[must_use]
    pub fn back(self) -> Self {
        self.jump("__x86_return_thunk")
    }

    /// `rsi = jiffies + so many`.
    #[must_use]
    pub fn when(self, jiffies: u32) -> Self {
        self.relative(&[0x48, 0x8b, 0x35], "jiffies")
            .then(&[0x48, 0x81, 0xc6])
            .then(&jiffies.to_le_bytes())
    }

    fn field(mut self, opcode: &[u8], kind: u32, symbol: &str, addend: i64) -> Self {
        self.bytes.extend(opcode);
        self.fields
            .push((self.bytes.len() as u64, kind, symbol.to_owned(), addend));
        self.then(&[0; 4])
    }

    /// Makes the last field refer to so many bytes further on.
    pub fn shift_last_field(&mut self, bytes: i64) {
        self.fields.last_mut().unwrap().3 += bytes;
    }

    /// Makes each field refer to so many bytes further on.
    pub fn shift_fields(&mut self, bytes: &[i64]) {
        for (field, bytes) in self.fields.iter_mut().zip(bytes) {
            field.3 += bytes;
        }
    }

    /// Puts a byte at an offset of data.
    pub fn set(&mut self, offset: usize, byte: u8) {
        self.bytes[offset] = byte;
    }

    /// Puts the address of `symbol` at an offset of data.
    #[must_use]
    pub fn pointer(mut self, offset: u64, symbol: &str) -> Self {
        self.fields
            .push((offset, R_X86_64_64, symbol.to_owned(), 0));
        self
    }
}

/// A module in the making: sections of named pieces.
#[derive(Debug, Clone, Default)]
pub struct Made {
    pieces: Vec<(&'static str, String, Piece)>,
}

impl Made {
    /// A livepatch whose new function is `code`, and is called `new`.
    #[must_use]
    pub fn livepatch(code: Piece) -> Self {
        Self::plain()
            .with(".text", "new", code)
            .with(
                ".data",
                "patch",
                Piece::zeros(200)
                    .pointer(0, "__this_module")
                    .pointer(8, "objects"),
            )
            .with(
                ".data",
                "objects",
                Piece::zeros(336)
                    .pointer(0, "name:ip_vs")
                    .pointer(8, "functions"),
            )
            .with(
                ".data",
                "functions",
                Piece::zeros(304)
                    .pointer(0, "name:estimation_timer")
                    .pointer(8, "new"),
            )
            .named("ip_vs")
            .named("estimation_timer")
    }

    /// A module that does nothing.
    #[must_use]
    pub fn plain() -> Self {
        let info =
            b"license=GPL\0livepatch=Y\0name=made\0vermagic=6.1.0-56-amd64 SMP mod_unload \0";
        Self::default()
            .with(".modinfo", "info", Piece::default().then(info))
            .with(
                ".gnu.linkonce.this_module",
                "__this_module",
                Piece::zeros(24).then(b"made").then(&[0; 868]),
            )
    }

    /// Adds a piece to a section, under a name; with an empty one, no symbol says what it is.
    #[must_use]
    pub fn with(mut self, section: &'static str, name: &str, piece: Piece) -> Self {
        self.pieces.push((section, name.to_owned(), piece));
        self
    }

    /// Makes a function the one that runs when the module goes.
    #[must_use]
    pub fn leaving(mut self, function: &str) -> Self {
        for (_, name, piece) in &mut self.pieces {
            if name == "__this_module" {
                *piece = piece.clone().pointer(832, function);
            }
        }
        self
    }

    /// Adds a string, to be pointed at as `name:TEXT`.
    #[must_use]
    pub fn named(self, text: &str) -> Self {
        let piece = Piece::default().then(text.as_bytes()).then(&[0]);
        self.with(".rodata.str1.1", &format!("name:{text}"), piece)
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let mut sections: BTreeMap<&str, SectionId> = BTreeMap::new();
        let mut places: BTreeMap<&str, (SectionId, u64)> = BTreeMap::new();
        for (section, name, piece) in &self.pieces {
            let kind = if section.contains(".text") {
                SectionKind::Text
            } else if [".data", ".bss"].contains(section) {
                SectionKind::Data
            } else {
                SectionKind::ReadOnlyData
            };
            let segment = file.segment_name(StandardSegment::Data).to_vec();
            let id = *sections
                .entry(section)
                .or_insert_with(|| file.add_section(segment, section.as_bytes().to_vec(), kind));
            let is_text = section.contains("modinfo") || section.contains("str");
            let align = if is_text { 1 } else { 16 };
            let offset = file.append_section_data(id, &piece.bytes, align);
            places.insert(name, (id, offset));
            if name.is_empty() {
                continue;
            }
            let kind = if kind == SectionKind::Text {
                SymbolKind::Text
            } else {
                SymbolKind::Data
            };
            file.add_symbol(symbol(
                name,
                offset,
                piece.bytes.len() as u64,
                kind,
                SymbolSection::Section(id),
            ));
        }
        let mut foreign: BTreeMap<String, SymbolId> = BTreeMap::new();
        for (_, name, piece) in &self.pieces {
            let (section, start) = places[name.as_str()];
            for (offset, kind, target, addend) in &piece.fields {
                // As the assembler does: local symbols by their section.
                let (symbol, own) = match places.get(target.as_str()) {
                    Some((section, offset)) => {
                        (file.section_symbol(*section), offset.cast_signed())
                    }
                    None => (undefined(&mut file, &mut foreign, target), 0),
                };
                let flags = RelocationFlags::Elf { r_type: *kind };
                let relocation = Relocation {
                    offset: start + offset,
                    symbol,
                    addend: own + addend,
                    flags,
                };
                file.add_relocation(section, relocation).unwrap();
            }
        }
        let mut bytes = file.write().unwrap();
        self.fill_in_distances(&places, &mut bytes);
        bytes
    }

    /// The writer has no way to change what was appended, so that the bytes are looked up in the file.
    fn fill_in_distances(&self, places: &BTreeMap<&str, (SectionId, u64)>, bytes: &mut [u8]) {
        for (_, name, piece) in self
            .pieces
            .iter()
            .filter(|(.., piece)| !piece.near.is_empty())
        {
            let start = bytes
                .windows(piece.bytes.len())
                .position(|window| window == piece.bytes)
                .unwrap();
            for (offset, function) in &piece.near {
                let from = places[name.as_str()].1 + offset + 4;
                let distance = places[function.as_str()].1.wrapping_sub(from);
                let at = start + usize::try_from(*offset).unwrap();
                bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes()[..4]);
            }
        }
    }
}

fn undefined(
    file: &mut Object<'_>,
    known: &mut BTreeMap<String, SymbolId>,
    name: &str,
) -> SymbolId {
    *known.entry(name.to_owned()).or_insert_with(|| {
        file.add_symbol(symbol(
            name,
            0,
            0,
            SymbolKind::Unknown,
            SymbolSection::Undefined,
        ))
    })
}

fn symbol(name: &str, value: u64, size: u64, kind: SymbolKind, section: SymbolSection) -> Symbol {
    let scope = if section == SymbolSection::Undefined {
        SymbolScope::Unknown
    } else {
        SymbolScope::Compilation
    };
    Symbol {
        name: name.into(),
        value,
        size,
        kind,
        scope,
        weak: false,
        section,
        flags: SymbolFlags::None,
    }
}
