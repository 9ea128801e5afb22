//! Rows of cells, laid out in columns.

use std::io::{self, Write};

/// Writes the rows, each column as wide as its widest cell. The first `words` columns hold words, which go to the left;
/// numbers go to the right.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write<const N: usize>(
    out: &mut impl Write,
    rows: &[[String; N]],
    words: usize,
) -> io::Result<()> {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| {
            if column < words {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  "))?;
    }
    Ok(())
}
