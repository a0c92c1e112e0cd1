//! Finds the nearest of the codes in a file to its first ones, by their Hamming distances.
//!
//! ```console
//! $ cargo run --release -- encode --model words.pt --input x.npy --output codes.npy
//! $ cargo run --release --example neighbors -- codes.npy 33 --queries 10 --neighbors 5
//! ```
//!
//! Each line has the distances in bits and the rows of the neighbors of a code, the nearest first.

use std::error::Error;
use std::path::PathBuf;

use bitcodes_core::PackedCodes;
use bitcodes_matrix::{Contents, MatrixReader};
use clap::Parser;

/// Find the nearest codes
#[derive(Parser)]
struct Arguments {
    /// Codes as `bitcodes encode` writes them
    codes: PathBuf,
    /// Number of bits of a code
    bits: usize,
    /// Number of codes whose neighbors are printed
    #[arg(long, default_value_t = 10)]
    queries: usize,
    /// Number of neighbors
    #[arg(long, default_value_t = 5)]
    neighbors: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let contents = Contents::Codes {
        bytes: arguments.bits.div_ceil(8),
    };
    let mut reader = MatrixReader::open(&arguments.codes, contents, None)?;
    let (rows, mut bytes) = (reader.rows(), Vec::new());
    reader.read_codes(rows, &mut bytes)?;
    let codes = PackedCodes::from_bytes([rows], arguments.bits, bytes)?;
    for query in codes.rows().take(arguments.queries) {
        let distances = codes.distances_to(query)?;
        let mut nearest: Vec<(u32, usize)> = distances.into_iter().zip(0..).collect();
        nearest.sort_unstable();
        nearest.truncate(arguments.neighbors);
        let shown = nearest
            .iter()
            .map(|(distance, row)| format!("{distance}:{row}"));
        println!("{}", shown.collect::<Vec<_>>().join(" "));
    }
    Ok(())
}
