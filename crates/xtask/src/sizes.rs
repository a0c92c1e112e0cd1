//! The sizes of the files that a visitor of a page loads.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::bail;

use crate::build::{Flavor, module};

/// Prints the sizes of a flavor's files, uncompressed and compressed as a server would.
///
/// # Errors
///
/// Returns an error if a file cannot be read, or if the wasm is above the flavor's limits.
pub fn check(flavor: Flavor, out: &Path) -> anyhow::Result<()> {
    let module = fs::read(module(out))?;
    let script = fs::read(out.join("bitcodes.js"))?;
    let small = compressed(&module)?;
    println!(
        "{:<7} wasm {:>9} bytes, {:>7} by brotli; js {:>6} bytes, {:>6} by brotli",
        flavor.name(),
        module.len(),
        small,
        script.len(),
        compressed(&script)?,
    );
    let (most_small, most) = flavor.limits();
    if small > most_small || module.len() > most {
        let name = flavor.name();
        bail!(
            "the wasm of {name} has {} bytes, {small} by brotli, expected at most {most} and {most_small}",
            module.len()
        );
    }
    Ok(())
}

/// Returns the length of brotli's output at its best level, with the largest window that browsers
/// accept.
fn compressed(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut compressor = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 11, 24);
    compressor.write_all(bytes)?;
    Ok(compressor.into_inner().len())
}
