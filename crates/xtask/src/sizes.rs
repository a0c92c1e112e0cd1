//! What a visitor has to load.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::build::{Flavour, module};

/// Prints the size of a flavour, as it is and compressed as a server would.
pub fn print(flavour: Flavour, out: &Path) -> anyhow::Result<()> {
    let module = fs::read(module(out))?;
    let script = fs::read(out.join("bitcodes.js"))?;
    println!(
        "{:<7} wasm {:>9} bytes, {:>7} by brotli; js {:>6} bytes, {:>6} by brotli",
        flavour.name(),
        module.len(),
        compressed(&module)?,
        script.len(),
        compressed(&script)?,
    );
    Ok(())
}

/// Length by brotli at its best, with the largest window that browsers take.
fn compressed(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut compressor = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 11, 24);
    compressor.write_all(bytes)?;
    Ok(compressor.into_inner().len())
}
