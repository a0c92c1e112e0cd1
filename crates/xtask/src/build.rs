//! Building one wasm module of `bitcodes-web` with its JavaScript.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::toolchain::{TARGET, Toolchain};

/// A variant of the build of `bitcodes-web`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// Flex on the CPU, with vector instructions, which every browser has had since 2023.
    Cpu,
    /// WebGPU.
    WebGpu,
    /// Flex on the CPU without vector instructions, as a baseline for measurements.
    Scalar,
}

impl Flavor {
    /// Name of the flavor's folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::WebGpu => "webgpu",
            Self::Scalar => "scalar",
        }
    }

    /// Largest size of the wasm in bytes: compressed by brotli, and uncompressed.
    pub fn limits(self) -> (usize, usize) {
        match self {
            Self::Cpu | Self::Scalar => (300_000, 5_000_000),
            Self::WebGpu => (600_000, 5_000_000),
        }
    }

    fn features(self) -> &'static str {
        match self {
            Self::Cpu => "cpu,simd",
            Self::WebGpu => "webgpu",
            Self::Scalar => "cpu",
        }
    }

    fn rustflags(self) -> &'static [&'static str] {
        match self {
            Self::Cpu | Self::WebGpu => &["-Ctarget-feature=+simd128"],
            Self::Scalar => &[],
        }
    }
}

/// Compiles a flavor to the folder `out`. `optimizer` is the path of `wasm-opt`, or `None` to leave
/// it out.
pub fn build(
    root: &Path,
    toolchain: &Toolchain,
    flavor: Flavor,
    optimizer: Option<&Path>,
    out: &Path,
) -> anyhow::Result<()> {
    // Each flavor has a target folder of its own. In one folder cargo would build everything anew
    // each time, because the flags differ.
    let target = root.join("target/wasm").join(flavor.name());
    let flags = flavor.rustflags().iter().map(|&flag| flag.into());
    let flags: Vec<String> = flags.chain(short_paths(root)).collect();
    let mut cargo = toolchain.build(&flags);
    cargo
        .current_dir(root)
        .env("CARGO_TARGET_DIR", &target)
        .args(["--profile", "web", "--package", "bitcodes-web"])
        .args(["--no-default-features", "--features", flavor.features()]);
    run(&mut cargo)?;

    let compiled = target.join(TARGET).join("web/bitcodes_web.wasm");
    Bindgen::new()
        .input_path(&compiled)
        .out_name("bitcodes")
        .web(true)?
        .typescript(true)
        .omit_default_module_path(false)
        .remove_producers_section(true)
        .generate(out)
        .with_context(|| format!("wasm-bindgen on {}", compiled.display()))?;
    if let Some(optimizer) = optimizer {
        let module = module(out);
        run(Command::new(optimizer)
            .args(OPTIMIZE)
            .arg(&module)
            .arg("-o")
            .arg(&module))?;
    }
    Ok(())
}

/// Returns flags that remove this machine's folders from source paths.
///
/// The wasm holds the path of the source of each panic. Without the folders the wasm is smaller,
/// and the same on every machine.
fn short_paths(root: &Path) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.map(|home| home.join("registry/src"));
    let folders = sources
        .iter()
        .filter_map(|sources| fs::read_dir(sources).ok())
        .flatten()
        .flatten()
        .map(|registry| registry.path())
        .chain([root.to_path_buf()]);
    folders
        .map(|folder| format!("--remap-path-prefix={}/=", folder.display()))
        .collect()
}

/// Returns the path of the wasm of a flavor that was built to `out`.
pub fn module(out: &Path) -> PathBuf {
    out.join("bitcodes_bg.wasm")
}

/// Arguments of `wasm-opt`. The features are the defaults of rustc's target, and vector
/// instructions.
const OPTIMIZE: &[&str] = &[
    "-Oz",
    "--strip-debug",
    "--strip-producers",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Runs a program to its end.
///
/// # Errors
///
/// Returns an error if the program cannot be started or fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}
