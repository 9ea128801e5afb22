//! Files that make as much work of reading as they can: for each, what `inspect` takes is bounded, in instructions and in
//! memory. The files are made here, and what repeats in them is repeated in the guest.

use std::fs;
use std::path::Path;

use xtask::lab::Copy;
use xtask::lab::LabSpec;
use xtask::scenario;

/// What one file may take: instructions, and kibibytes of address space, which memory is a part of.
const INSTRUCTIONS: u64 = 5_000_000_000;
const KIBIBYTES: u64 = 256 << 10;

const MIB: usize = 1 << 20;

/// `elf.h`: kinds and flags of sections, and kinds of symbols.
const BITS: u32 = 1;
const SYMBOLS: u32 = 2;
const STRINGS: u32 = 3;
const RELOCATIONS: u32 = 4;
const KEPT: u64 = 2;
const CODE: u64 = 6;
const FUNCTION: u8 = 2;
const ADDRESS: u64 = 1;
const CALL: u64 = 4;

/// Bytes, and how often.
type Part = (Vec<u8>, usize);

struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    /// For which section, of relocations.
    of: usize,
    parts: Vec<Part>,
}

impl Section {
    fn length(&self) -> usize {
        let lengths = self.parts.iter().map(|(bytes, times)| bytes.len() * times);
        lengths.sum()
    }
}

/// A module in the making, as kpatch-build lays it out.
struct Hostile {
    sections: Vec<Section>,
    symbols: Vec<Part>,
    count: u64,
    names: Vec<Part>,
}

impl Hostile {
    /// Returns one with this code, in which a function is so long.
    fn new(code: Vec<Part>, length: usize) -> Self {
        let info = b"license=GPL\0livepatch=Y\0name=made\0vermagic=6.1.0-56-amd64 SMP \0".to_vec();
        let mut made = Self {
            sections: Vec::new(),
            symbols: vec![(vec![0; 24], 1)],
            count: 1,
            names: vec![(vec![0], 1), (b"somewhere\0".to_vec(), 1)],
        };
        made.section("", 0, 0, Vec::new());
        made.section(".modinfo", BITS, KEPT, vec![(info, 1)]);
        made.section(
            ".gnu.linkonce.this_module",
            BITS,
            KEPT,
            vec![([&[0; 24][..], b"made", &[0; 868]].concat(), 1)],
        );
        made.section(".text", BITS, CODE, code);
        let strings = b"ip_vs\0estimation_timer\0".to_vec();
        made.section(".kpatch.strings", BITS, KEPT, vec![(strings, 1)]);
        // 1: the function; 2: the strings; 3: a function of the kernel's.
        made.symbol(0, FUNCTION, 3, 0, length);
        made.symbol(0, 3, 4, 0, 0);
        made.symbol(1, 0, 0, 0, 0);
        made
    }

    fn section(&mut self, name: &'static str, kind: u32, flags: u64, parts: Vec<Part>) -> usize {
        self.sections.push(Section {
            name,
            kind,
            flags,
            of: 0,
            parts,
        });
        self.sections.len() - 1
    }

    fn symbol(&mut self, name: u32, kind: u8, section: u16, value: usize, size: usize) -> u64 {
        let mut bytes = name.to_le_bytes().to_vec();
        bytes.extend([kind, 0]);
        bytes.extend(section.to_le_bytes());
        bytes.extend((value as u64).to_le_bytes());
        bytes.extend((size as u64).to_le_bytes());
        self.symbols.push((bytes, 1));
        self.count += 1;
        self.count - 1
    }

    fn relocate(&mut self, section: usize, parts: Vec<Part>) {
        let number = self.section(".rela", RELOCATIONS, 0, parts);
        self.sections[number].of = section;
    }

    /// Replaces functions by those that begin at these symbols.
    fn replacing(mut self, symbols: &[u64]) -> Self {
        let entry = [vec![0; 32], 1_u64.to_le_bytes().to_vec(), vec![0; 16]].concat();
        let list = vec![(entry, symbols.len())];
        let section = self.section(".kpatch.funcs", BITS, KEPT, list);
        let mut fields = Vec::new();
        for (number, symbol) in symbols.iter().enumerate() {
            let start = number as u64 * 56;
            fields.extend(field(start, ADDRESS, *symbol, 0));
            fields.extend(field(start + 40, ADDRESS, 2, 6));
            fields.extend(field(start + 48, ADDRESS, 2, 0));
        }
        self.relocate(section, vec![(fields, 1)]);
        self
    }

    /// Writes the parts that do not repeat into files, and says how they are put together as `FOLDER/NAME.ko`.
    fn script(mut self, folder: &Path, name: &str) -> String {
        let symbols = std::mem::take(&mut self.symbols);
        let table = self.section(".symtab", SYMBOLS, 0, symbols);
        let names = std::mem::take(&mut self.names);
        self.section(".strtab", STRINGS, 0, names);
        let last = self.section(".shstrtab", STRINGS, 0, Vec::new());
        let mut names = vec![0];
        let mut headers = Vec::new();
        let mut at = 64;
        let mut starts = Vec::new();
        for section in &self.sections {
            starts.push(names.len());
            names.extend(section.name.bytes().chain([0]));
        }
        self.sections[last].parts = vec![(names, 1)];
        for (section, start) in self.sections.iter().zip(starts) {
            let link = match section.kind {
                RELOCATIONS => table,
                SYMBOLS => table + 1,
                _ => 0,
            };
            let narrow = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
            let wide = |number: usize| (number as u64).to_le_bytes();
            headers.extend(narrow(start));
            headers.extend(section.kind.to_le_bytes());
            headers.extend(section.flags.to_le_bytes());
            headers.extend([wide(0), wide(at), wide(section.length())].concat());
            headers.extend([narrow(link), narrow(section.of)].concat());
            headers.extend([wide(1), wide(24)].concat());
            at += section.length();
        }
        let mut parts = vec![(head(at, self.sections.len(), last), 1)];
        parts.extend(self.sections.into_iter().flat_map(|section| section.parts));
        parts.push((headers, 1));
        let mut lines = vec![format!("rm -f /tmp/{name}.ko\n")];
        for (number, (bytes, times)) in parts.iter().enumerate() {
            fs::write(folder.join(format!("{name}.{number}")), bytes).unwrap();
            lines.push(format!(
                "repeat /root/parts/{name}.{number} {times} >> /tmp/{name}.ko\n"
            ));
        }
        lines.concat()
    }
}

/// Returns an ELF file's head: a relocatable one for x86-64.
fn head(headers: usize, count: usize, names: usize) -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
    head.extend([0; 16]);
    head.extend((headers as u64).to_le_bytes());
    head.extend([0; 4]);
    for number in [64, 0, 0, 64, count, names] {
        head.extend(u16::try_from(number).unwrap().to_le_bytes());
    }
    head
}

fn field(offset: u64, kind: u64, symbol: u64, addend: i64) -> Vec<u8> {
    let info = symbol << 32 | kind;
    [
        offset.to_le_bytes(),
        info.to_le_bytes(),
        addend.to_le_bytes(),
    ]
    .concat()
}

/// Files by the kind of work that they make, and whether they are read as a whole.
fn files() -> Vec<(&'static str, Hostile)> {
    let back = || (vec![0xc3], 1);
    let tiny = || Hostile::new(vec![back()], 1);
    let nops = |owned: usize| Hostile::new(vec![(vec![0x90], 60 * MIB), back()], owned);
    let functions = {
        let body = [[0x31, 0xc0].repeat(200), vec![0xc3]].concat();
        let length = body.len();
        let mut made = Hostile::new(vec![(body, 2000)], length);
        let others = (1..2000).map(|number| made.symbol(0, FUNCTION, 3, number * length, length));
        let mut symbols: Vec<u64> = others.collect();
        symbols.insert(0, 1);
        made.replacing(&symbols)
    };
    let relocations = {
        let mut made = tiny();
        let data = made.section(".data", BITS, KEPT, vec![(vec![0; 64], 1)]);
        made.relocate(data, vec![(field(8, ADDRESS, 3, 0), (1 << 20) - 16)]);
        made
    };
    let names = {
        let mut made = tiny();
        let data = made.section(".data", BITS, KEPT, vec![(vec![0; 64], 1)]);
        made.relocate(data, vec![(field(8, ADDRESS, 3, 0), 700_000)]);
        made.names = vec![(vec![0], 1), (vec![b'a'], 44 * MIB)];
        made
    };
    let symbols = {
        let mut made = tiny();
        let other = made.symbols[1].clone().0;
        made.symbols.push((other, (1 << 20) - 16));
        made
    };
    let information = {
        let mut made = tiny();
        made.sections[1].parts.push((vec![b'x'], 60 * MIB));
        made
    };
    // Thirty numbers on the stack, and then nothing but branches.
    let branches = {
        let pushed = (0..30)
            .flat_map(|number| [0x6a, number])
            .collect::<Vec<u8>>();
        let branch = vec![0x85, 0xc9, 0x74, 0x00];
        let length = pushed.len() + 4 * 400_000 + 1;
        Hostile::new(vec![(pushed, 1), (branch, 400_000), back()], length)
    };
    let calls = {
        let (mut code, mut fields) = (Vec::new(), Vec::new());
        for number in 0..100_000_u32 {
            code.push(0xbf);
            code.extend(number.to_le_bytes());
            fields.extend(field(code.len() as u64 + 1, CALL, 3, -4));
            code.extend([0xe8, 0, 0, 0, 0]);
        }
        code.push(0xc3);
        let length = code.len();
        let mut made = Hostile::new(vec![(code, 1)], length);
        made.relocate(3, vec![(fields, 1)]);
        made
    };
    vec![
        ("nops", nops(60 * MIB + 1).replacing(&[1])),
        ("unowned", nops(16).replacing(&[1])),
        ("functions", functions),
        ("relocations", relocations.replacing(&[1])),
        ("names", names.replacing(&[1])),
        ("symbols", symbols.replacing(&[1])),
        ("information", information.replacing(&[1])),
        ("branches", branches.replacing(&[1])),
        ("calls", calls.replacing(&[1])),
    ]
}

const SCRIPT: &str = r#"
repeat() { # file, times
    cp "$1" /tmp/part; n=$2
    while :; do
        [ $((n % 2)) = 0 ] || cat /tmp/part
        n=$((n / 2)); [ $n -gt 0 ] || break
        cat /tmp/part /tmp/part > /tmp/twice; mv /tmp/twice /tmp/part
    done
}
judge() {
    before=$(date +%s%N)
    (ulimit -v KIBIBYTES; ipvs-latency hotfix inspect --json /tmp/$1.ko) > /tmp/out 2> /tmp/err; code=$?
    after=$(date +%s%N)
    echo "== $1 code"; echo $code; echo "== $1 took"; echo $((after - before)); echo "== $1 size"; stat -c %s /tmp/$1.ko
    echo "== $1 said"; head -c 2000 /tmp/out; head -c 2000 /tmp/err; echo; echo == rest; rm /tmp/$1.ko
}
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn no_file_takes_more_than_five_billion_instructions_or_256_mib() {
    let folder = tempfile::tempdir().unwrap();
    let mut script = SCRIPT.replace("KIBIBYTES", &KIBIBYTES.to_string());
    let files = files();
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    for (name, hostile) in files {
        script += &hostile.script(folder.path(), name);
        script.extend(["judge ", name, "\n"]);
    }
    let mut spec = LabSpec::deterministic();
    spec.copies.push(Copy {
        source: folder.path().to_owned(),
        destination: Some("/root/parts".into()),
    });
    let sections = scenario::run(spec, &script).unwrap();
    for name in names {
        let section = |what: &str| sections.text(&format!("{name} {what}")).unwrap().trim();
        let (said, code) = (section("said"), section("code"));
        let took: u64 = section("took").parse().unwrap();
        println!(
            "{name}: {} bytes, {took} instructions, code {code}",
            section("size")
        );
        assert!(took <= INSTRUCTIONS, "{name}: {took}");
        match code {
            // Its kernel is another one, or its function is not there: a blocker in any case.
            "1" => assert!(said.contains("\"schema\": 1"), "{name}: {said}"),
            "2" => assert!(said.contains("than any kernel module"), "{name}: {said}"),
            _ => panic!("{name}: {code}: {said}"),
        }
    }
}
