//! What a visitor has to load.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::bail;

use crate::build::{Flavour, module};

/// Prints the size of a flavour, as it is and compressed as a server would; an error where it is
/// above its limits.
pub fn check(flavour: Flavour, out: &Path) -> anyhow::Result<()> {
    let module = fs::read(module(out))?;
    let script = fs::read(out.join("bitcodes.js"))?;
    let small = compressed(&module)?;
    println!(
        "{:<7} wasm {:>9} bytes, {:>7} by brotli; js {:>6} bytes, {:>6} by brotli",
        flavour.name(),
        module.len(),
        small,
        script.len(),
        compressed(&script)?,
    );
    let (most_small, most) = flavour.limits();
    if small > most_small || module.len() > most {
        let name = flavour.name();
        bail!(
            "the wasm of {name} is too large, expected at most {most_small} bytes by brotli of {most}"
        );
    }
    Ok(())
}

/// Length by brotli at its best, with the largest window that browsers take.
fn compressed(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut compressor = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 11, 24);
    compressor.write_all(bytes)?;
    Ok(compressor.into_inner().len())
}
