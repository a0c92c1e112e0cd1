//! The browser's demo on a desktop's GPU. It shows a digit and its 32 bits, the pictures decoded
//! from
//! the bits and from the bits with one of them flipped, and the test digits with the nearest bits.
//!
//! ```console
//! $ cargo run --release -p bitcodes-train --features wgpu --example desktop -- 7 12
//! ```
//!
//! This command takes test digit 7 and flips bit 12. A third argument chooses a GPU by its number
//! or
//! its name. The command `bitcodes eval --backend wgpu --adapter ..` uses a GPU in the same way.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use bitcodes_train::bitcodes_core::backend::wgpu::{AdapterChoice, adapters, describe, open};
use bitcodes_train::bitcodes_core::{PackedCodes, join_bits, split_bits};
use bitcodes_train::{LoadedRun, data::Images, load_model};
use burn::backend::Wgpu;
use burn::tensor::{Int, Tensor};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let digit: usize = arguments.next().map_or(Ok(7), |digit| digit.parse())?;
    let flipped: usize = arguments.next().map_or(Ok(12), |bit| bit.parse())?;
    let choice = match arguments.next() {
        Some(adapter) => adapter.parse()?,
        None => AdapterChoice::Preferred,
    };

    for (number, info) in pollster::block_on(adapters()).iter().enumerate() {
        println!("GPU {number}: {}", describe(info));
    }
    let gpu = pollster::block_on(open(&choice))?;
    println!("computing on {}\n", describe(&gpu.info));

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bitcodes-web/demo/model");
    let LoadedRun { config, model, .. } = load_model::<Wgpu>(&folder, &gpu.device)?;
    let images = Images::digits();
    let test = images.test();
    let all: Vec<usize> = (0..test.len()).collect();
    if digit >= test.len() || flipped >= config.bits_per_image() {
        let (digits, bits) = (test.len(), config.bits_per_image());
        return Err(
            format!("digit {digit} and bit {flipped}, expected below {digits} and {bits}").into(),
        );
    }

    // One row of bits for each image.
    let encode = |digits: &[usize]| -> Tensor<Wgpu, 2, Int> {
        join_bits(model.encode(test.tensor(digits, &gpu.device)))
    };
    // The first computation also compiles the kernels, so it is not the one that is timed.
    let everyone = PackedCodes::from_bits(encode(&all))?;
    let start = Instant::now();
    let codes = PackedCodes::from_bits(encode(&[digit]))?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    println!("test digit {digit}, its bits in {took:.1} ms:");
    let bits: Tensor<Wgpu, 2, Int> = codes.unpack(&gpu.device);
    println!(
        "{}",
        line(&codes.unpack_on_host(), config.quantizer.num_bits)
    );

    let bit = bits.clone().narrow(1, flipped, 1);
    let other = bits
        .clone()
        .slice_assign([0..1, flipped..flipped + 1], 1 - bit);
    let picture = |bits: Tensor<Wgpu, 2, Int>| -> Result<Vec<f32>, Box<dyn Error>> {
        let image = model.decode(split_bits(bits, config.tokens())?);
        Ok(image.into_data().iter().collect())
    };
    let pictures = [
        test.pixels(digit).collect(),
        picture(bits)?,
        picture(other)?,
    ];
    println!("\nthe digit, the picture decoded from its bits, and with bit {flipped} flipped:");
    for row in 0..config.height {
        let part = |pixels: &Vec<f32>| -> String {
            let pixels = &pixels[row * config.width..][..config.width];
            pixels.iter().map(|&pixel| shade(pixel)).collect()
        };
        println!("  {}", pictures.each_ref().map(part).join("   "));
    }

    let mut nearest: Vec<(u32, usize)> = everyone
        .distances_to(&codes[0])?
        .into_iter()
        .zip(all)
        .collect();
    nearest.sort_unstable();
    println!("\nnearest test digits:");
    for (distance, index) in &nearest[..6] {
        println!(
            "  {index}, a {}: {distance} bits away",
            test.labels()[*index]
        );
    }
    Ok(())
}

/// Returns bits as text, with a space between tokens.
fn line(bits: &[u8], num_bits: usize) -> String {
    let tokens = bits.chunks(num_bits);
    let tokens = tokens.map(|token| token.iter().map(u8::to_string).collect::<String>());
    tokens.collect::<Vec<_>>().join(" ")
}

/// Returns a pixel as two characters, which together are about square.
fn shade(pixel: f32) -> &'static str {
    let shades = ["  ", "░░", "▒▒", "▓▓", "██"];
    shades[((pixel * 5.0) as usize).min(4)]
}
