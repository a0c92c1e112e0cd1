//! One wasm module of `bitcodes-web`, with its JavaScript.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::toolchain::{TARGET, Toolchain};

/// A way to build `bitcodes-web`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Flex, with the vector instructions that every browser has had since 2023.
    Cpu,
    /// WebGPU.
    WebGpu,
    /// Flex without vector instructions, to compare with.
    Scalar,
}

impl Flavour {
    /// Name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::WebGpu => "webgpu",
            Self::Scalar => "scalar",
        }
    }

    /// Bytes that a visitor loads at most: by brotli, and as they are in memory.
    pub fn limits(self) -> (usize, usize) {
        match self {
            Self::Cpu | Self::Scalar => (250_000, 5_000_000),
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

/// Compiles a flavour to the folder `out`; `optimiser` is `wasm-opt`, where it is to be run.
pub fn build(
    root: &Path,
    toolchain: &Toolchain,
    flavour: Flavour,
    optimiser: Option<&Path>,
    out: &Path,
) -> anyhow::Result<()> {
    // Each in a folder of its own: their flags differ, and cargo would build all anew each time.
    let target = root.join("target/wasm").join(flavour.name());
    let flags = flavour.rustflags().iter().map(|&flag| flag.into());
    let flags: Vec<String> = flags.chain(short_paths(root)).collect();
    let mut cargo = toolchain.build(&flags);
    cargo
        .current_dir(root)
        .env("CARGO_TARGET_DIR", &target)
        .args(["--profile", "web", "--package", "bitcodes-web"])
        .args(["--no-default-features", "--features", flavour.features()]);
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
    if let Some(optimiser) = optimiser {
        let module = module(out);
        run(Command::new(optimiser)
            .args(OPTIMISE)
            .arg(&module)
            .arg("-o")
            .arg(&module))?;
    }
    Ok(())
}

/// Where something panics is told by the path of its source: without where that lies on this machine
/// it is shorter, and the same on every one.
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

/// The wasm of a flavour that was built to `out`.
pub fn module(out: &Path) -> PathBuf {
    out.join("bitcodes_bg.wasm")
}

/// Of `wasm-opt`; the features are those that rustc's target has by default, and vectors.
const OPTIMISE: &[&str] = &[
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

/// Runs a program to its end; an error where it fails.
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
