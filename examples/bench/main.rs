//! Times the quantizer on five shapes, a JSON object a line, after checking its answers.
//!
//! ```console
//! $ cargo run --release --example bench
//! $ cargo run --release --example bench --features wgpu -- --backend wgpu
//! ```
//!
//! Each time is a median in milliseconds:
//!
//! - `eval_ms`: `forward(x)` on a backend that does not differentiate, quantized vectors and bits
//! - `decode_ms`: `decode(bits)`
//! - `train_ms`: `forward(x)` and `backward` of `mean((y - x)^2)` and the quantizer's own loss, with
//!   the gradients of `x` and codebook
//! - `gemm_ms`: the backend's product of `x` with `num_bits` directions, alone

mod check;

use std::time::{Duration, Instant};

use bitcodes_core::{Bitcodes, BitcodesConfig};
use burn::backend::Autodiff;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Distribution, Tensor};
use clap::{Parser, ValueEnum};
use serde_json::json;

/// Vectors, features of a vector, bits of its code.
const SHAPES: [[usize; 3]; 5] = [
    [65536, 8, 4],
    [65536, 64, 32],
    [16384, 256, 16],
    [16384, 512, 64],
    [16384, 128, 128],
];

/// Time the quantizer, a JSON object a line
#[derive(Parser)]
struct Args {
    /// Where to compute
    #[arg(long, value_enum, default_value = "flex")]
    backend: Device,
    /// How the quantizer is configured
    #[arg(long, value_enum, default_value = "reference")]
    config: Config,
    /// Threads of the CPU
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Times that each is measured, after three that do not count
    #[arg(long, default_value = "15", value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Device {
    Flex,
    #[cfg(feature = "ndarray")]
    Ndarray,
    #[cfg(feature = "wgpu")]
    Wgpu,
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Device {
    /// How far an element may be off, as a part of the sum of its terms' magnitudes.
    fn tolerance(self) -> f64 {
        match self {
            // It multiplies with the ten bits of TF32.
            #[cfg(feature = "cuda")]
            Self::Cuda => 2e-3,
            _ => 1e-5,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Config {
    /// As bitcodes-pytorch: independent bits
    Reference,
    /// `BitcodesConfig::new`: bits decided together
    New,
}

fn main() -> Result<(), String> {
    let args = Args::parse();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.into());
    pool.build_global().map_err(|error| error.to_string())?;
    match args.backend {
        Device::Flex => bench::<burn::backend::Flex>(&args, "flex", &Default::default()),
        #[cfg(feature = "ndarray")]
        Device::Ndarray => bench::<burn::backend::NdArray>(&args, "ndarray", &Default::default()),
        #[cfg(feature = "wgpu")]
        Device::Wgpu => bench::<burn::backend::Wgpu>(&args, "wgpu", &Default::default()),
        #[cfg(feature = "cuda")]
        Device::Cuda => bench::<burn::backend::Cuda>(&args, "cuda", &Default::default()),
    }
}

fn bench<B: Backend>(args: &Args, backend: &str, device: &B::Device) -> Result<(), String> {
    for [vectors, features, num_bits] in SHAPES {
        let config = match args.config {
            Config::Reference => BitcodesConfig::reference(features, num_bits),
            Config::New => BitcodesConfig::new(features, num_bits),
        };
        B::seed(device, 1);
        let bitcodes = config.init::<B>(device);
        let x = Tensor::<B, 3>::random(
            [1, vectors, features],
            Distribution::Normal(0.0, 1.0),
            device,
        );
        check::against_plain_loops(&bitcodes, x.clone(), args.backend.tolerance())
            .map_err(|error| format!("{vectors} x {features} x {num_bits}: {error}"))?;
        let median = |run: &dyn Fn()| median_ms(args.repeats, || finish::<B>(device, run));

        let eval = median(&|| drop(bitcodes.forward(x.clone())));
        let bits = bitcodes.encode(x.clone());
        let decode = median(&|| drop(bitcodes.decode(bits.clone())));
        let directions =
            Tensor::<B, 2>::random([num_bits, features], Distribution::Default, device);
        let product = || x.clone().matmul(directions.clone().transpose().unsqueeze());
        let gemm = median(&|| drop(product()));
        let train = time_training::<Autodiff<B>>(&config, x.clone(), args.repeats, device);
        let row = json!({
            "vectors": vectors,
            "features": features,
            "num_bits": num_bits,
            "backend": backend,
            "threads": args.threads,
            "config": args.config.to_possible_value().map(|value| value.get_name().to_owned()),
            "eval_ms": eval,
            "decode_ms": decode,
            "train_ms": train,
            "gemm_ms": gemm,
        });
        println!("{row}");
    }
    Ok(())
}

fn time_training<B: AutodiffBackend>(
    config: &BitcodesConfig,
    x: Tensor<B::InnerBackend, 3>,
    repeats: u16,
    device: &B::Device,
) -> f64 {
    B::seed(device, 1);
    let bitcodes: Bitcodes<B> = config.init(device);
    median_ms(repeats, || {
        finish::<B>(device, &|| {
            let x = Tensor::<B, 3>::from_inner(x.clone()).require_grad();
            let out = bitcodes.forward(x.clone());
            let mut loss = (out.quantized - x.clone()).square().mean();
            if let Some(own) = out.loss {
                loss = loss + own;
            }
            let gradients = loss.backward();
            drop((x.grad(&gradients), bitcodes.codebook.val().grad(&gradients)));
        })
    })
}

/// Runs and waits until the device is done.
fn finish<B: Backend>(device: &B::Device, run: &dyn Fn()) {
    run();
    B::sync(device).expect("the device to finish");
}

fn median_ms(repeats: u16, run: impl Fn()) -> f64 {
    for _ in 0..3 {
        run();
    }
    let mut times: Vec<Duration> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    let middle = [times[(times.len() - 1) / 2], times[times.len() / 2]];
    (middle[0] + middle[1]).as_secs_f64() * 500.0
}
