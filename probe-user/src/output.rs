//! Standard output of every command: a reader that has enough ends nothing, and what cannot be written is an error.

use std::io::{self, Write};

use anyhow::Context as _;

/// Writes to standard output, and succeeds where nothing reads it any more.
///
/// # Errors
///
/// When standard output cannot be written for another reason.
pub fn print(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> anyhow::Result<()> {
    print_to(&mut io::stdout().lock(), write)
}

fn print_to(
    out: &mut impl Write,
    write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut text = Vec::new();
    write(&mut text)?;
    // What a buffer holds back is lost without a word at the end of the process.
    let written = out.write_all(&text).and_then(|()| out.flush());
    forgiven(written.context("standard output cannot be written"))
}

/// Returns success in place of an error that says that nothing reads the output any more.
///
/// # Errors
///
/// Every other error.
pub fn forgiven(done: anyhow::Result<()>) -> anyhow::Result<()> {
    done.or_else(|error| {
        let mut causes = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>());
        let is_closed = causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
        if is_closed { Ok(()) } else { Err(error) }
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::BufWriter};

    use super::*;

    #[test]
    fn a_closed_pipe_is_success_and_a_full_disk_an_error_also_behind_a_buffer() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        print_to(&mut BufWriter::new(writer), |out| writeln!(out, "text")).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = print_to(&mut BufWriter::new(full), |out| writeln!(out, "text"));
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.starts_with("standard output cannot be written"),
            "{error}"
        );
    }
}
