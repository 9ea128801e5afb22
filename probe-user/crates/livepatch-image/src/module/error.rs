//! What keeps a file from being read as a module.

use thiserror::Error;

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
    #[error("has more {0} than any kernel module, so it is not read")]
    TooMany(&'static str),
}
