//! The functions of a loaded module, from the table that the kernel keeps of it.
//!
//! `/proc/kallsyms` has them too, but the kernel takes longer to print it than all else at start-up takes.

use std::{collections::HashMap, fs, io, path::Path};

use crate::{
    btf::Fields,
    kernel_memory::{KernelMemory, is_address, number, pointer, word},
    symbols,
};

/// The structures that tell where the table is: `include/linux/module.h`.
pub const STRUCTURES: &[&str] = &["module", "mod_kallsyms"];

/// Bytes of one entry, and where its fields are: `Elf64_Sym`, `include/uapi/linux/elf.h`.
const ENTRY: usize = 24;
const VALUE: usize = 8;

/// No module has more.
const MAX_ENTRIES: u32 = 1 << 16;
const MAX_STRINGS: u32 = 1 << 20;

/// Returns the addresses of those of `names` that the module has; 0 where the kernel hides it.
///
/// Reads the module's own table, or `/proc/kallsyms` where sysfs hides the table's address.
///
/// # Errors
///
/// When neither can be read.
pub fn addresses(
    root: &Path,
    module: &str,
    names: &[&str],
    fields: &Fields,
    memory: &mut dyn KernelMemory,
) -> io::Result<HashMap<String, u64>> {
    match table(root, module, fields, memory) {
        Some(table) => Ok(named(&table, names)),
        None => symbols::addresses(root, module, names),
    }
}

/// A module's symbols: entries, and the strings that hold their names.
struct Table {
    entries: Vec<u8>,
    strings: Vec<u8>,
}

fn table(
    root: &Path,
    module: &str,
    fields: &Fields,
    memory: &mut dyn KernelMemory,
) -> Option<Table> {
    let section = format!("sys/module/{module}/sections/.gnu.linkonce.this_module");
    let text = fs::read_to_string(root.join(section)).ok()?;
    let module = u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()?;
    let module = Some(module).filter(|module| is_address(*module))?;
    let at = |structure, field| fields.offset(structure, field).map(u64::from);
    let kallsyms = pointer(memory, module + at("module", "kallsyms")?)?;
    let entries = pointer(memory, kallsyms + at("mod_kallsyms", "symtab")?)?;
    let count = number(memory, kallsyms + at("mod_kallsyms", "num_symtab")?)?;
    let strings = word(memory, kallsyms + at("mod_kallsyms", "strtab")?)?;
    let strings = Some(strings).filter(|strings| is_address(*strings))?;
    if count > MAX_ENTRIES {
        return None;
    }
    let mut table = Table {
        entries: vec![0; count as usize * ENTRY],
        strings: Vec::new(),
    };
    if !memory.read(entries, &mut table.entries) {
        return None;
    }
    // The strings of a module lie in the order of its symbols: the last one begins behind all others.
    let names = table.entries.chunks_exact(ENTRY).map(name_offset);
    let last = names.max().filter(|last| *last < MAX_STRINGS)?;
    table.strings = vec![0; last as usize];
    memory.read(strings, &mut table.strings).then_some(())?;
    let mut end = [0];
    while table.strings.len() < MAX_STRINGS as usize {
        let next = strings + table.strings.len() as u64;
        memory.read(next, &mut end).then_some(())?;
        table.strings.push(end[0]);
        if end[0] == 0 {
            return Some(table);
        }
    }
    None
}

fn name_offset(entry: &[u8]) -> u32 {
    entry
        .first_chunk::<4>()
        .map_or(0, |four| u32::from_ne_bytes(*four))
}

fn named(table: &Table, names: &[&str]) -> HashMap<String, u64> {
    let mut found = HashMap::new();
    for entry in table.entries.chunks_exact(ENTRY) {
        let from = table.strings.get(name_offset(entry) as usize..);
        let name = from.and_then(|bytes| bytes.split(|byte| *byte == 0).next());
        let value = entry.get(VALUE..).and_then(|rest| rest.first_chunk::<8>());
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if let Some(name) = names.iter().find(|wanted| wanted.as_bytes() == name) {
            found.insert((*name).to_owned(), u64::from_ne_bytes(*value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_memory::made::MadeMemory;

    const MODULE: u64 = 0xffff_ffff_c02c_0000;
    const KALLSYMS: u64 = 0xffff_8880_0010_0000;
    const ENTRIES: u64 = 0xffff_8880_0020_0000;
    const STRINGS: u64 = 0xffff_8880_0030_0001;

    fn fields() -> Fields {
        let offsets = [
            ("module", "kallsyms", 320),
            ("mod_kallsyms", "symtab", 0),
            ("mod_kallsyms", "num_symtab", 8),
            ("mod_kallsyms", "strtab", 16),
        ];
        Fields::made(&offsets, &[])
    }

    /// A module with these functions, and where sysfs says that it is.
    fn module(functions: &[(&str, u64)]) -> (MadeMemory, tempfile::TempDir) {
        let (mut entries, mut strings) = (vec![0; ENTRY], vec![0]);
        for (name, address) in functions {
            let at = u32::try_from(strings.len()).unwrap();
            entries.extend(at.to_ne_bytes());
            entries.extend([0; 4]);
            entries.extend(address.to_ne_bytes());
            entries.extend([0; 8]);
            strings.extend(name.bytes());
            strings.push(0);
        }
        let mut memory = MadeMemory::default();
        memory.add(MODULE, vec![0; 1024]);
        memory.write_word(MODULE + 320, KALLSYMS);
        memory.add(KALLSYMS, vec![0; 24]);
        memory.write_word(KALLSYMS, ENTRIES);
        let count = u32::try_from(functions.len() + 1).unwrap();
        memory.write(KALLSYMS + 8, &count.to_ne_bytes());
        memory.write_word(KALLSYMS + 16, STRINGS);
        memory.add(ENTRIES, entries);
        memory.add(STRINGS, strings);
        let root = tempfile::tempdir().unwrap();
        let sections = root.path().join("sys/module/ip_vs/sections");
        fs::create_dir_all(&sections).unwrap();
        let this_module = sections.join(".gnu.linkonce.this_module");
        fs::write(this_module, format!("0x{MODULE:016x}\n")).unwrap();
        fs::create_dir_all(root.path().join("proc")).unwrap();
        (memory, root)
    }

    fn found(memory: &mut MadeMemory, root: &Path) -> io::Result<HashMap<String, u64>> {
        let names = ["estimation_timer", "estimation_work"];
        addresses(root, "ip_vs", &names, &fields(), memory)
    }

    #[test]
    fn the_modules_own_table_tells_the_addresses_of_its_functions() {
        let functions = [
            ("ip_vs_conn_new", 0xffff_ffff_c02b_0000),
            ("estimation_timer", 0xffff_ffff_c02b_3080),
            ("estimation_timer_of_another", 0xffff_ffff_c02b_4000),
        ];
        let (mut memory, root) = module(&functions);
        let found = found(&mut memory, root.path()).unwrap();
        assert_eq!(
            found,
            [("estimation_timer".to_owned(), 0xffff_ffff_c02b_3080)].into()
        );
    }

    #[test]
    fn where_the_table_cannot_be_read_the_kernels_list_is() {
        let (mut memory, root) = module(&[("estimation_timer", 0xffff_ffff_c02b_3080)]);
        let listed = "ffffffffc0000010 t estimation_timer\t[ip_vs]\n";
        fs::write(root.path().join("proc/kallsyms"), listed).unwrap();
        let breaks: [fn(&mut MadeMemory); 5] = [
            |memory| memory.write_word(MODULE + 320, 0),
            |memory| memory.write(KALLSYMS + 8, &u32::MAX.to_ne_bytes()),
            |memory| memory.remove(ENTRIES),
            |memory| memory.remove(STRINGS),
            // A string that never ends.
            |memory| {
                memory.remove(STRINGS);
                memory.add(STRINGS, vec![b'a'; 8]);
            },
        ];
        for (number, make_unreadable) in breaks.iter().enumerate() {
            let (mut memory, _) = module(&[("estimation_timer", 0xffff_ffff_c02b_3080)]);
            make_unreadable(&mut memory);
            let found = found(&mut memory, root.path()).unwrap();
            let expected = [("estimation_timer".to_owned(), 0xffff_ffff_c000_0010)];
            assert_eq!(found, expected.into(), "case {number}");
        }
        fs::remove_file(root.path().join("proc/kallsyms")).unwrap();
        memory.remove(ENTRIES);
        assert!(found(&mut memory, root.path()).is_err());
    }
}
