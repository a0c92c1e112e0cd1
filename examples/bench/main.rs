//! Checks the quantizer's answers, then times both of its methods on five shapes and prints one
//! JSON object for each shape and method.
//!
//! ```console
//! $ cargo run --release --example bench
//! $ cargo run --release --example bench --features wgpu -- --backend wgpu
//! ```
//!
//! Each time is a median in milliseconds:
//!
//! - `eval_ms`: `forward(x)` without autodiff, which gives quantized vectors and bits
//! - `decode_ms`: `decode(bits)`
//! - `train_ms`: `forward(x)`, and `backward` of `mean((y - x)^2)` plus the quantizer's own loss,
//!   with the gradients of `x` and of the codebook
//! - `gemm_ms`: only the backend's matrix product of `x` with `num_bits` directions
//! - `portable_eval_ms`: the same as `eval_ms`, written with the backend's tensor operations
//! - `encode_packed_ms`, `decode_packed_ms`: the quantizer on slices; the first includes normalization
//! - `encode_one_us`, `reconstruct_one_us`: one vector a call, in microseconds a call; both include
//!   normalization
//! - `encode_limit_ms` of independent bits, `joint_limit_ms` of joint ones, `decode_limit_ms`: the
//!   time of the kernels at this machine's best rates of copying, multiplying and adding, which are
//!   measured at the start
//! - `peak_mib`: the most host memory that the process has had since the shape began, if the system
//!   tells it
//!
//! `portable_eval_ms` is of independent bits only. Bits and vectors are compared with plain loops
//! first, and so are the gradients of independent bits.

mod check;
mod limits;
mod packed;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bitcodes_core::{Bitcodes, BitcodesConfig, Joint};
use burn::backend::Autodiff;
use burn::tensor::backend::{AutodiffBackend, Backend, ExecutionError};
use burn::tensor::{Distribution, Tensor};
use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;
use serde_json::json;

use self::limits::Limits;
use self::packed::Packed;

// The program `bitcodes` uses the same allocator. The system's allocator gives the memory of large
// tensors back each time, so each operation of the backend waits for new pages.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Number of vectors, of features and of bits.
const SHAPES: [[usize; 3]; 5] = [
    [65536, 8, 4],
    [65536, 64, 32],
    [16384, 256, 16],
    [16384, 512, 64],
    [16384, 128, 128],
];

/// Number of vectors that are encoded in calls of their own.
const ONE_BY_ONE: usize = 1000;

/// Time the quantizer and print one JSON object per line
#[derive(Parser)]
struct Args {
    /// Backend to compute with
    #[arg(long, value_enum, default_value = "flex")]
    backend: Device,
    /// Configuration of the quantizer; both if it is left out
    #[arg(long, value_enum)]
    config: Option<Config>,
    /// Number of CPU threads
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Folder for vectors, codebooks and codes, which `tests/reference/compare_faiss.py` compares with
    #[arg(long)]
    save: Option<PathBuf>,
    /// Number of measurements of each time, after a warm-up of a tenth of a second
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
    /// Largest error of an element, as a fraction of the sum of the magnitudes of its terms.
    fn tolerance(self) -> f64 {
        match self {
            // CUDA multiplies in TF32, which has ten bits of precision.
            #[cfg(feature = "cuda")]
            Self::Cuda => 2e-3,
            _ => 1e-5,
        }
    }
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Config {
    /// `BitcodesConfig::reference`: independent bits, as in bitcodes-pytorch
    Reference,
    /// `BitcodesConfig::new`: joint bits
    New,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.into());
    pool.build_global()?;
    match args.backend {
        Device::Flex => bench::<burn::backend::Flex>(args, "CPU", &Default::default()),
        #[cfg(feature = "ndarray")]
        Device::Ndarray => bench::<burn::backend::NdArray>(args, "CPU", &Default::default()),
        #[cfg(feature = "wgpu")]
        Device::Wgpu => {
            use bitcodes_core::backend::wgpu::{AdapterChoice, open};

            let opened = pollster::block_on(open(&AdapterChoice::Preferred))?;
            bench::<burn::backend::Wgpu>(args, &opened.info.name, &opened.device)
        }
        #[cfg(feature = "cuda")]
        Device::Cuda => bench::<burn::backend::Cuda>(args, "NVIDIA", &Default::default()),
    }
}

fn bench<B: Backend>(args: &Args, name: &str, device: &B::Device) -> Result<(), Box<dyn Error>> {
    let limits = Limits::measure();
    let configs = match args.config {
        Some(config) => vec![config],
        None => vec![Config::New, Config::Reference],
    };
    let shapes = SHAPES.iter();
    let runs = shapes.flat_map(|shape| configs.iter().map(move |&config| (*shape, config)));
    for (shape, method) in runs {
        let [vectors, features, num_bits] = shape;
        forget_peak();
        let config = match method {
            Config::Reference => BitcodesConfig::reference(features, num_bits),
            Config::New => BitcodesConfig::new(features, num_bits),
        };
        B::seed(device, 1);
        let bitcodes = config.init::<B>(device);
        let trained = config.init::<Autodiff<B>>(device);
        let normal = Distribution::Normal(0.0, 1.0);
        let x = Tensor::<B, 3>::random([1, vectors, features], normal, device);
        let tolerance = args.backend.tolerance();
        check::forward(&bitcodes, method, x.clone(), tolerance)
            .and_then(|()| match method {
                Config::Reference => check::gradients(&trained, x.clone(), tolerance),
                Config::New => Ok(()),
            })
            .map_err(|error| format!("{vectors} x {features} x {num_bits}: {error}"))?;

        let timer = Timer::<B> {
            device,
            repeats: args.repeats,
        };
        let bits = bitcodes.encode(x.clone());
        let directions = Tensor::<B, 2>::random([num_bits, features], normal, device);
        let directions = directions.transpose().unsqueeze::<3>();
        let mut row = json!({
            "vectors": vectors,
            "features": features,
            "num_bits": num_bits,
            "backend": value_name(args.backend),
            "device": name,
            "threads": args.threads,
            "config": value_name(method),
            "eval_ms": timer.median_ms(|| bitcodes.forward(x.clone()))?,
            "decode_ms": timer.median_ms(|| bitcodes.decode(bits.clone()))?,
            "train_ms": timer.median_ms(|| train(&trained, &x))?,
            "gemm_ms": timer.median_ms(|| x.clone().matmul(directions.clone()))?,
        });
        let mut packed = Packed::new(&bitcodes, x.clone())?;
        packed.check(&bitcodes, x.clone())?;
        if let Some(folder) = &args.save {
            let name = format!("{vectors}x{features}x{num_bits}-{}", value_name(method));
            let saved = packed.save(&bitcodes, &folder.join(name));
            saved.map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let mut add = |key: &str, value: f64| row[key] = json!(value);
        add("encode_packed_ms", timer.median_ms(|| packed.encode())?);
        add("decode_packed_ms", timer.median_ms(|| packed.decode())?);
        let us_a_call = 1e3 / ONE_BY_ONE as f64;
        let one = timer.median_ms(|| packed.encode_each(ONE_BY_ONE))?;
        add("encode_one_us", one * us_a_call);
        let one = timer.median_ms(|| packed.reconstruct_each(ONE_BY_ONE))?;
        add("reconstruct_one_us", one * us_a_call);
        add("decode_limit_ms", limits.decode_ms(shape));
        match method {
            Config::New => add("joint_limit_ms", limits.joint_ms(shape, Joint::new().beam)),
            Config::Reference => {
                add("encode_limit_ms", limits.encode_ms(shape));
                add(
                    "portable_eval_ms",
                    timer.median_ms(|| portable(&bitcodes, x.clone()))?,
                );
            }
        }
        row["peak_mib"] = json!(peak_mib());
        println!("{row}");
    }
    Ok(())
}

/// Computes quantized vectors and independent bits with the backend's tensor operations.
fn portable<B: Backend>(bitcodes: &Bitcodes<B>, x: Tensor<B, 3>) -> impl Sized + use<B> {
    let (num_bits, features) = (bitcodes.num_bits(), bitcodes.features());
    let pairs = bitcodes.codebook.val().reshape([num_bits, 2, features]);
    let [zeros, ones]: [Tensor<B, 2>; 2] =
        [0, 1].map(|bit| pairs.clone().narrow(1, bit, 1).squeeze_dim(1));
    let (delta, base) = (ones - zeros.clone(), zeros.sum_dim(0));
    let bits = x
        .matmul(delta.clone().transpose().unsqueeze())
        .greater_elem(0.0);
    let quantized = bits.clone().float().matmul(delta.unsqueeze()) + base.unsqueeze();
    (quantized, bits.int())
}

/// Returns the peak memory of the process in MiB. Only Linux tells it.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Resets the peak memory of the process. This works on Linux only.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn value_name(value: impl ValueEnum) -> String {
    let value = value.to_possible_value().expect("no value is hidden");
    value.get_name().into()
}

/// Computes a training step and returns the gradients of `x` and of the codebook.
fn train<B: AutodiffBackend>(
    bitcodes: &Bitcodes<B>,
    x: &Tensor<B::InnerBackend, 3>,
) -> impl Sized + use<B> {
    let x = Tensor::<B, 3>::from_inner(x.clone()).require_grad();
    let out = bitcodes.forward(x.clone());
    let mut loss = (out.quantized - x.clone()).square().mean();
    if let Some(own) = out.loss {
        loss = loss + own;
    }
    let gradients = loss.backward();
    (x.grad(&gradients), bitcodes.codebook.val().grad(&gradients))
}

const WARM_UP: Duration = Duration::from_millis(100);

struct Timer<'a, B: Backend> {
    device: &'a B::Device,
    repeats: u16,
}

impl<B: Backend> Timer<'_, B> {
    /// Returns the median time in milliseconds until the device is done.
    ///
    /// The device is warmed up first, because threads that slept may share a core at the beginning.
    fn median_ms<R>(&self, mut run: impl FnMut() -> R) -> Result<f64, ExecutionError> {
        let mut time = || {
            let start = Instant::now();
            // The result is dropped after it is computed, because fusion skips results that nobody
            // holds.
            let given = run();
            B::sync(self.device)?;
            let time = start.elapsed();
            drop(given);
            Ok(time)
        };
        let start = Instant::now();
        for warm_up in 0.. {
            if warm_up >= 3 && start.elapsed() >= WARM_UP {
                break;
            }
            time()?;
        }
        let times = (0..self.repeats).map(|_| time());
        let mut times = times.collect::<Result<Vec<_>, ExecutionError>>()?;
        times.sort();
        let middle = times[(times.len() - 1) / 2] + times[times.len() / 2];
        Ok(middle.as_secs_f64() * 500.0)
    }
}
