//! Quantizes vectors to bits, and converts the bits to numbers, to bytes and back. It follows the
//! usage example of the reference.
//!
//! ```console
//! $ cargo run --release --example quantize
//! ```

use bitcodes_core::{BitcodesConfig, PackedCodes, to_bits, to_decimal};
use burn::backend::Flex;
use burn::tensor::{Distribution, Int, Tensor, backend::Backend};

fn main() {
    quantize::<Flex>(&Default::default());
}

fn quantize<B: Backend>(device: &B::Device) {
    B::seed(device, 1);
    let bitcodes = BitcodesConfig::new(8, 4).init::<B>(device);

    let x = Tensor::<B, 3>::random([1, 6, 8], Distribution::Normal(0.0, 1.0), device);
    let out = bitcodes.forward(x);
    println!("bits, one row per vector:\n{}", out.bits);

    let indices: Tensor<B, 2, Int> = to_decimal(out.bits.clone()).expect("4 bits fit");
    println!("as numbers:\n{}", indices);
    let bits: Tensor<B, 3, Int> = to_bits(indices, 4).expect("numbers below 16");
    assert_eq!(bits.to_data(), out.bits.to_data());

    let packed = PackedCodes::from_bits(bits).expect("each bit is 0 or 1");
    println!("as bytes: {:02x?}", packed.as_bytes());

    let y = bitcodes.decode(packed.unpack::<B, 3>(device));
    assert_eq!(y.into_data(), out.quantized.into_data());
    println!("The bytes decode to the same vectors, to the last bit.");
}
