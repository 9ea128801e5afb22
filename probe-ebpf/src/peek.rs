//! How user space reads the kernel's memory through the program `peek`.

/// Bytes of the map that `peek` reads into.
pub const PEEK_BYTES: usize = 256;

/// The most that one reading may ask for: the program masks the length with 255, which the verifier understands.
pub const PEEK_AT_ONCE: usize = 248;

/// The arguments of `peek`, by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Argument {
    /// What to read from; 0 asks for the address of the caller's `task_struct` instead.
    Address = 0,
    /// How many bytes, at most [`PEEK_AT_ONCE`].
    Length = 1,
}
