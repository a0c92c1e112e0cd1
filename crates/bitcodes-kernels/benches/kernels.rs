//! Times every kernel on five shapes, and encoding and decoding as vectors and bits grow.
//!
//! Run with all threads: `cargo bench -p bitcodes-kernels --features threads`.

use bitcodes_kernels::integers::Integer;
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{
    Backward, Codebook, Decoder, Encoder, JointEncoder, JointPass, Noise, Quantizer, Rows, distance,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// Shapes: `[vectors, features, num_bits]`.
const SHAPES: [[usize; 3]; 5] = [
    [65536, 8, 4],
    [65536, 64, 32],
    [16384, 256, 16],
    [16384, 512, 64],
    [16384, 128, 128],
];

fn kernels(criterion: &mut Criterion) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut numbers =
        |count: usize| -> Vec<f32> { (0..count).map(|_| random.random_range(-1.0..1.0)).collect() };
    for [vectors, features, num_bits] in SHAPES {
        let mut group = criterion.benchmark_group(format!("{vectors}x{features}x{num_bits}"));
        group.throughput(Throughput::Elements(vectors as u64));
        let codebook = numbers(2 * num_bits * features);
        let codebook = Codebook::new(&codebook, features);
        let x = numbers(vectors * features);
        let x = Rows::new(&x, features);
        let encoder = Encoder::new(codebook);
        let decoder = Decoder::new(codebook);
        let mut packed = vec![0; vectors * row_bytes(num_bits)];
        let mut decoded = vec![0.0; vectors * features];

        group.bench_function("encode", |b| b.iter(|| encoder.encode(x, &mut packed)));
        // A beam of 3 takes the plain loops.
        for beam in [1, 2, 3, 4, 8, 16, 32] {
            let encoder = JointEncoder::new(codebook, None, beam);
            group.bench_function(BenchmarkId::new("encode_jointly", beam), |b| {
                b.iter(|| encoder.encode(x, Noise::None, &mut packed))
            });
        }
        let mut quantizer = Quantizer::joint(codebook, None, 8);
        let one = x.split_at(1).0;
        let mut code = vec![0; row_bytes(num_bits)];
        group.bench_function("encode_one_jointly", |b| {
            b.iter(|| quantizer.encode(one, &mut code))
        });
        let joint = JointEncoder::new(codebook, None, 8);
        let pass = JointPass {
            encoder: &joint,
            decoder: &decoder,
            normalization: None,
            x,
            noise: Noise::Logistic {
                seed: 1,
                scale: 0.02,
            },
            valid: None,
        };
        group.bench_function("train_jointly", |b| b.iter(|| pass.run()));
        group.bench_function("decode", |b| {
            b.iter(|| decoder.decode(&packed, &mut decoded))
        });
        for (kind, noise) in [
            ("none", Noise::None),
            (
                "logistic",
                Noise::Logistic {
                    seed: 1,
                    scale: 1.0,
                },
            ),
        ] {
            let id = BenchmarkId::new("encode_with_noise", kind);
            group.bench_function(id, |b| b.iter(|| encoder.encode_with_noise(x, noise, 1.0)));
        }
        let encoded = encoder.encode_with_noise(x, Noise::None, 1.0);
        let backward = Backward {
            codebook,
            x,
            packed: &encoded.packed,
            slopes: &encoded.slopes,
            output: x,
        };
        group.bench_function("gradients", |b| b.iter(|| backward.gradients()));
        let bits = i32::unpack(&packed, num_bits);
        group.bench_function("unpack", |b| b.iter(|| i32::unpack(&packed, num_bits)));
        group.bench_function("pack", |b| {
            b.iter(|| i32::pack(&bits, num_bits, &mut packed))
        });
        group.bench_function("hamming", |b| {
            b.iter(|| {
                let rows = packed.chunks_exact(row_bytes(num_bits));
                let pairs = rows.clone().zip(rows.skip(1));
                pairs.map(|(a, b)| distance::hamming(a, b)).sum::<u32>()
            })
        });
        group.finish();
    }
}

/// Times growing numbers of vectors and bits; the time per bit should stay the same.
fn growth(criterion: &mut Criterion) {
    const FEATURES: usize = 16;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let by_vectors = (3..=7).map(|power| ("vectors", 10usize.pow(power), 32));
    let by_bits = (3..=9).map(|power| ("bits", 1 << 16, 1 << power));
    for (growing, vectors, num_bits) in by_vectors.chain(by_bits) {
        let mut numbers = |count: usize| -> Vec<f32> {
            (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
        };
        let codebook = numbers(2 * num_bits * FEATURES);
        let codebook = Codebook::new(&codebook, FEATURES);
        let x = numbers(vectors * FEATURES);
        let x = Rows::new(&x, FEATURES);
        let encoder = Encoder::new(codebook);
        let decoder = Decoder::new(codebook);
        let mut packed = vec![0; vectors * row_bytes(num_bits)];
        let mut decoded = vec![0.0; vectors * FEATURES];

        let mut group = criterion.benchmark_group(format!("growth/{growing}"));
        group.sample_size(10);
        group.throughput(Throughput::Elements((vectors * num_bits) as u64));
        let of = match growing {
            "bits" => num_bits,
            _ => vectors,
        };
        group.bench_function(BenchmarkId::new("encode", of), |b| {
            b.iter(|| encoder.encode(x, &mut packed))
        });
        let joint = JointEncoder::new(codebook, None, 8);
        group.bench_function(BenchmarkId::new("encode_jointly", of), |b| {
            b.iter(|| joint.encode(x, Noise::None, &mut packed))
        });
        group.bench_function(BenchmarkId::new("decode", of), |b| {
            b.iter(|| decoder.decode(&packed, &mut decoded))
        });
        group.finish();
    }
}

criterion_group!(benches, kernels, growth);
criterion_main!(benches);
