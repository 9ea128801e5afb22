//! The kernel's memory, read a few bytes at a time, and what user space finds in it.

/// Reads the kernel's memory.
pub trait KernelMemory {
    /// Fills `into` from `address` on. Returns whether all of it could be read.
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool;
}

/// The lowest address of the kernel's half (`Documentation/x86/x86_64/mm.rst` of Linux 6.1).
const KERNEL_HALF: u64 = 0xff00_0000_0000_0000;

/// So far below the end of memory nothing that is read begins: no address of a field overflows.
const LAST: u64 = u64::MAX - (1 << 24);

/// Returns whether a word can be an address of the kernel.
#[must_use]
pub fn is_address(word: u64) -> bool {
    (KERNEL_HALF..LAST).contains(&word)
}

/// Returns whether a word can be an aligned pointer of the kernel.
#[must_use]
pub fn is_pointer(word: u64) -> bool {
    is_address(word) && word.is_multiple_of(8)
}

/// Returns the word at an address.
pub fn word(memory: &mut dyn KernelMemory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    let is_read = memory.read(address, &mut bytes);
    is_read.then(|| u64::from_ne_bytes(bytes))
}

/// Returns the aligned pointer at an address.
pub fn pointer(memory: &mut dyn KernelMemory, address: u64) -> Option<u64> {
    word(memory, address).filter(|word| is_pointer(*word))
}

/// Returns the number of four bytes at an address.
pub fn number(memory: &mut dyn KernelMemory, address: u64) -> Option<u32> {
    let mut bytes = [0; 4];
    let is_read = memory.read(address, &mut bytes);
    is_read.then(|| u32::from_ne_bytes(bytes))
}

/// Returns whether the string at an address is `text`, to its end.
pub fn says(memory: &mut dyn KernelMemory, address: u64, text: &str) -> bool {
    let mut bytes = vec![0; text.len() + 1];
    memory.read(address, &mut bytes) && bytes.split_last() == Some((&0, text.as_bytes()))
}

/// A made kernel's memory.
#[cfg(test)]
pub mod made {
    use std::collections::BTreeMap;

    use super::KernelMemory;

    /// Pieces of memory by their address.
    #[derive(Default)]
    pub struct MadeMemory {
        pieces: BTreeMap<u64, Vec<u8>>,
        /// From so many readings on, none succeeds.
        pub readings_left: Option<u32>,
    }

    impl MadeMemory {
        /// Adds a piece.
        pub fn add(&mut self, address: u64, bytes: Vec<u8>) {
            self.pieces.insert(address, bytes);
        }

        /// Removes the piece that begins there.
        pub fn remove(&mut self, address: u64) {
            self.pieces.remove(&address);
        }

        /// Writes into the piece that has this address.
        ///
        /// # Panics
        /// When none has it.
        pub fn write(&mut self, address: u64, bytes: &[u8]) {
            let (begin, piece) = self.pieces.range_mut(..=address).next_back().unwrap();
            let at = usize::try_from(address - begin).unwrap();
            piece[at..at + bytes.len()].copy_from_slice(bytes);
        }

        /// Writes a word into the piece that has this address.
        ///
        /// # Panics
        /// When none has it.
        pub fn write_word(&mut self, address: u64, word: u64) {
            self.write(address, &word.to_ne_bytes());
        }
    }

    impl KernelMemory for MadeMemory {
        fn read(&mut self, address: u64, into: &mut [u8]) -> bool {
            if let Some(left) = &mut self.readings_left {
                let Some(fewer) = left.checked_sub(1) else {
                    return false;
                };
                *left = fewer;
            }
            let Some((begin, piece)) = self.pieces.range(..=address).next_back() else {
                return false;
            };
            let at = usize::try_from(address - begin).unwrap();
            let found = at
                .checked_add(into.len())
                .and_then(|end| piece.get(at..end));
            found.is_some_and(|found| {
                into.copy_from_slice(found);
                true
            })
        }
    }
}
