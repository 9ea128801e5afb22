//! Large modules made from a few bytes, so that a fuzzer finds what takes a reader too long or too much: each eight
//! bytes of the input are a command, most of which add up to a hundred million of something.
//!
//! ELF: `elf(5)`. Only what every module has is always there.

/// No module is longer.
pub const LARGEST: usize = 64 << 20;

/// A symbol in the table.
const SYMBOL: usize = 24;
/// A relocation.
const RELOCATION: usize = 24;
/// An entry of `.kpatch.funcs`.
const ENTRY: usize = 56;

/// Sections by their number in the file.
const TEXT: usize = 1;
const DATA: usize = 2;
const FUNCTIONS: usize = 3;
const STRINGS: usize = 4;
const INFO: usize = 5;
const THIS_MODULE: usize = 6;
const SYMBOLS: usize = 7;
const NAMES: usize = 8;
const SECTION_NAMES: usize = 9;
/// The relocations of the first three follow, in their order.
const RELOCATED: usize = 3;

const SECTIONS: [(&str, u32, u64); SECTION_NAMES] = [
    // Name, type, flags: allocated, and code or writable.
    (".text", 1, 6),
    (".data", 1, 3),
    (".kpatch.funcs", 1, 2),
    (".rodata.str1.1", 1, 2),
    (".modinfo", 1, 2),
    (".gnu.linkonce.this_module", 1, 3),
    (".symtab", 2, 0),
    (".strtab", 3, 0),
    (".shstrtab", 3, 0),
];

const R_X86_64_64: u32 = 1;
const R_X86_64_PC32: u32 = 2;
const R_X86_64_PLT32: u32 = 4;
const R_X86_64_32S: u32 = 11;

/// Symbols that are always there, by number: those of sections first, then those of others.
const FIRST_FOREIGN: u32 = 7;
const FOREIGN: [&str; 4] = ["mod_timer", "__fentry__", "jiffies", "init_timer_key"];

/// Bytes, and what is relocated in them.
type Piece = (&'static [u8], Option<(usize, u32)>);

/// Instructions, where in them a field is relocated, and how: against a foreign symbol, or a place in `.text`.
const PIECES: [Piece; 12] = [
    (&[0x90], None),
    (&[0xc3], None),
    (&[0xe8, 0, 0, 0, 0], Some((1, R_X86_64_PLT32))),
    (&[0xe9, 0, 0, 0, 0], Some((1, R_X86_64_PLT32))),
    (&[0xeb, 0], None),
    (&[0x74, 0xfc], None),
    (&[0x0f, 0x84, 0, 1, 0, 0], None),
    (&[0x48, 0x8b, 0x05, 0, 0, 0, 0], Some((3, R_X86_64_PC32))),
    (&[0x48, 0xc7, 0xc0, 0, 0, 0, 0], Some((3, R_X86_64_32S))),
    (&[0x48, 0x81, 0xc6, 0xf4, 1, 0, 0], None),
    (&[0x48, 0x89, 0x47, 0x18], None),
    (&[0xff, 0xd0], None),
];

/// What a command says.
struct Command {
    what: u8,
    which: usize,
    count: usize,
    step: usize,
    other: usize,
}

impl Command {
    fn read(bytes: &[u8]) -> Self {
        let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
        Self {
            what: bytes.first().copied().unwrap_or_default() % 7,
            which: byte(1),
            count: (byte(2) | byte(3) << 8) << (byte(4) % 12),
            step: byte(5) | byte(6) << 8,
            other: byte(7),
        }
    }
}

/// A module in the making.
struct Grown {
    sections: [Vec<u8>; SECTION_NAMES],
    relocations: [Vec<u8>; RELOCATED],
    /// Bytes that are still to be had.
    room: usize,
    /// Where the function begins that is being written.
    begin: usize,
}

/// Makes a module of commands.
pub fn module(bytes: &[u8]) -> Vec<u8> {
    let mut grown = Grown::new();
    for command in bytes.chunks(8).map(Command::read) {
        grown.obey(&command);
    }
    grown.file()
}

impl Grown {
    fn new() -> Self {
        let mut new = Self {
            sections: Default::default(),
            relocations: Default::default(),
            room: LARGEST - (64 << 10),
            begin: 0,
        };
        // For a `klp_patch`, its objects and their functions, which command 4 may fill.
        new.sections[DATA - 1] = vec![0; 1024];
        new.sections[STRINGS - 1] = b"estimation_timer\0ip_vs\0".to_vec();
        new.sections[INFO - 1] =
            b"license=GPL\0livepatch=Y\0name=made\0vermagic=6.1.0-56-amd64 SMP mod_unload \0"
                .to_vec();
        new.sections[THIS_MODULE - 1] = vec![0; 896];
        // Where the kernel keeps the name in `struct module`.
        new.sections[THIS_MODULE - 1][24..28].copy_from_slice(b"made");
        new.sections[NAMES - 1] = vec![0];
        new.symbol("", 0, 0, 0, 0);
        for section in [TEXT, DATA, FUNCTIONS, STRINGS, INFO] {
            new.symbol("", 3, section, 0, 0);
        }
        new.symbol("__this_module", 1, THIS_MODULE, 0, 896);
        for name in FOREIGN {
            new.symbol(name, 0x10, 0, 0, 0);
        }
        for (name, at, size) in [
            ("patch", 0, 200),
            ("objects", 256, 336),
            ("functions", 640, 304),
        ] {
            new.symbol(name, 1, DATA, at, size);
        }
        new
    }

    fn obey(&mut self, command: &Command) {
        match command.what {
            0 => self.bytes(command),
            1 => self.code(command),
            2 => self.functions(command),
            3 => self.entries(command),
            4 => self.pointers(command),
            5 => self.names(command),
            _ => self.fields(command),
        }
    }

    /// Returns how many of the wanted ones, each of so many bytes, there is room for.
    fn fits(&mut self, wanted: usize, bytes: usize) -> usize {
        let count = wanted.min(self.room / bytes);
        self.room -= count * bytes;
        count
    }

    /// The same one to three bytes over and over.
    fn bytes(&mut self, command: &Command) {
        let all = [
            command.step.to_le_bytes()[0],
            command.step.to_le_bytes()[1],
            command.other.to_le_bytes()[0],
        ];
        let piece = &all[..=command.which % 3];
        let count = self.fits(command.count, piece.len());
        self.sections[TEXT - 1].extend(piece.repeat(count));
    }

    /// The same instruction over and over.
    fn code(&mut self, command: &Command) {
        let (piece, field) = PIECES[command.which % PIECES.len()];
        let relocation = field.map_or(0, |_| RELOCATION);
        for number in 0..self.fits(command.count, piece.len() + relocation) {
            let at = self.sections[TEXT - 1].len();
            self.sections[TEXT - 1].extend(piece);
            if let Some((offset, kind)) = field {
                let (symbol, addend) = if command.other.is_multiple_of(2) {
                    (FIRST_FOREIGN + foreign(command.other / 2), 0)
                } else {
                    (number_of(TEXT), number * command.step)
                };
                self.relocation(TEXT, at + offset, kind, symbol, addend);
            }
        }
    }

    /// Ends a function, which may have many names; or cuts what was written into many.
    fn functions(&mut self, command: &Command) {
        let whole = self.sections[TEXT - 1].len() - self.begin;
        let size = if command.which.is_multiple_of(2) {
            whole
        } else {
            command.step
        };
        for number in 0..self.fits(command.count.max(1), SYMBOL) {
            let name = if number == 0 { "new" } else { "" };
            self.symbol(name, 2, TEXT, self.begin + number * command.step, size);
        }
        self.begin = self.sections[TEXT - 1].len();
    }

    /// Entries of `.kpatch.funcs`.
    fn entries(&mut self, command: &Command) {
        for number in 0..self.fits(command.count, ENTRY + 3 * RELOCATION) {
            let at = self.sections[FUNCTIONS - 1].len();
            self.sections[FUNCTIONS - 1].extend([0; ENTRY]);
            self.relocation(
                FUNCTIONS,
                at,
                R_X86_64_64,
                number_of(TEXT),
                number * command.step,
            );
            self.relocation(FUNCTIONS, at + 40, R_X86_64_64, number_of(STRINGS), 0);
            self.relocation(FUNCTIONS, at + 48, R_X86_64_64, number_of(STRINGS), 17);
        }
    }

    /// Pointers in data: to code, data, texts, or the module itself.
    fn pointers(&mut self, command: &Command) {
        let symbols = [
            number_of(TEXT),
            number_of(DATA),
            number_of(STRINGS),
            number_of(THIS_MODULE),
        ];
        for number in 0..self.fits(command.count, 8 + RELOCATION) {
            let mut at = command.other * 8 + number * 8;
            if command.which >= 128 {
                at = self.sections[DATA - 1].len();
            }
            let needed = at + 8;
            if self.sections[DATA - 1].len() < needed {
                self.sections[DATA - 1].resize(needed, 0);
            }
            let symbol = symbols[command.which % symbols.len()];
            self.relocation(DATA, at, R_X86_64_64, symbol, (number + 1) * command.step);
        }
    }

    /// Symbols of others, each with a name of its own.
    fn names(&mut self, command: &Command) {
        for number in 0..self.fits(command.count, SYMBOL + 12) {
            self.symbol(&format!("other_{number}"), 0x10, 0, 0, 0);
        }
        // And a text without an end.
        let letters = self.fits(command.step, 1);
        self.sections[STRINGS - 1].extend(b"x".repeat(letters));
    }

    /// Relocations of what is there already.
    fn fields(&mut self, command: &Command) {
        let section = 1 + command.which % RELOCATED;
        for number in 0..self.fits(command.count, RELOCATION) {
            let symbol = FIRST_FOREIGN + foreign(command.other);
            self.relocation(section, number * command.step, R_X86_64_64, symbol, 0);
        }
    }

    fn symbol(&mut self, name: &str, kind: u8, section: usize, value: usize, size: usize) {
        let mut at = 0;
        if !name.is_empty() {
            at = self.sections[NAMES - 1].len();
            self.sections[NAMES - 1].extend(name.bytes().chain([0]));
        }
        let table = &mut self.sections[SYMBOLS - 1];
        table.extend(word(at));
        table.extend([kind, 0]);
        table.extend(&word(section)[..2]);
        table.extend(value.to_le_bytes());
        table.extend(size.to_le_bytes());
    }

    fn relocation(&mut self, section: usize, offset: usize, kind: u32, symbol: u32, addend: usize) {
        let table = &mut self.relocations[section - 1];
        table.extend(offset.to_le_bytes());
        table.extend((u64::from(symbol) << 32 | u64::from(kind)).to_le_bytes());
        table.extend(addend.to_le_bytes());
    }

    /// Returns the file: header, contents, and the table of sections.
    fn file(mut self) -> Vec<u8> {
        let mut headers = vec![0; 64];
        // Without entries it is a module built from headers.
        let is_kpatch = !self.sections[FUNCTIONS - 1].is_empty();
        let names = SECTIONS.map(|(name, ..)| {
            if name == ".kpatch.funcs" && !is_kpatch {
                ".nothing"
            } else {
                name
            }
        });
        self.sections[SECTION_NAMES - 1] = names
            .iter()
            .flat_map(|name| name.bytes().chain([0]))
            .collect();
        let mut file = vec![0; 64];
        let mut name = 0;
        for (index, ((text, kind, flags), content)) in
            SECTIONS.iter().zip(&self.sections).enumerate()
        {
            let entry = if index + 1 == SYMBOLS { SYMBOL } else { 0 };
            header(
                &mut headers,
                name,
                *kind,
                *flags,
                file.len(),
                content.len(),
                [NAMES, 1, entry],
            );
            name += names[index].len() + 1;
            debug_assert!(text.len() >= names[index].len());
            file.extend(content);
        }
        for (index, content) in self.relocations.iter().enumerate() {
            header(
                &mut headers,
                0,
                4,
                0,
                file.len(),
                content.len(),
                [SYMBOLS, index + 1, RELOCATION],
            );
            file.extend(content);
        }
        let start = file.len();
        file.extend(&headers);
        // 64 bits, little-endian; relocatable, for x86-64.
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16..20].copy_from_slice(&[1, 0, 62, 0]);
        file[20] = 1;
        file[40..48].copy_from_slice(&start.to_le_bytes());
        file[52] = 64;
        file[58] = 64;
        file[60..62].copy_from_slice(&word(headers.len() / 64)[..2]);
        file[62..64].copy_from_slice(&word(SECTION_NAMES)[..2]);
        file
    }
}

fn header(
    table: &mut Vec<u8>,
    name: usize,
    kind: u32,
    flags: u64,
    at: usize,
    size: usize,
    rest: [usize; 3],
) {
    let [link, info, entry] = rest;
    table.extend(word(name));
    table.extend(kind.to_le_bytes());
    table.extend(flags.to_le_bytes());
    for number in [0, at, size] {
        table.extend(number.to_le_bytes());
    }
    table.extend(word(link));
    table.extend(word(info));
    table.extend(1_u64.to_le_bytes());
    table.extend(entry.to_le_bytes());
}

/// Returns the symbol of a section.
fn number_of(section: usize) -> u32 {
    u32::try_from(section).unwrap_or_default()
}

/// Returns one of the symbols of others.
fn foreign(number: usize) -> u32 {
    u32::try_from(number % FOREIGN.len()).unwrap_or_default()
}

/// Returns the lower four bytes.
fn word(number: usize) -> [u8; 4] {
    let mut word = [0; 4];
    word.copy_from_slice(&number.to_le_bytes()[..4]);
    word
}
