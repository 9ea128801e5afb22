//! Files of other kernels, recorded: `recorded/README.md`.

use std::{env, fs, path::Path};

/// Returns the content of a recorded file. cargo says where this package is when it runs tests.
pub fn file(kernel: &str, name: &str) -> Vec<u8> {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let file = Path::new(&package).join("recorded").join(kernel).join(name);
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Returns a recorded text.
pub fn text(kernel: &str, name: &str) -> String {
    String::from_utf8(file(kernel, name)).expect("it was written as text")
}
