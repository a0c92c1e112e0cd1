//! Finding a Rust compiler for WebAssembly: rustup's, or Debian's with the source of the standard
//! library.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The target of all builds for browsers.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A toolchain that compiles for [`TARGET`].
#[derive(Debug)]
pub enum Toolchain {
    /// The toolchain that runs this program, if the target is installed in it.
    Installed {
        /// Output of `rustc --version`.
        version: String,
    },
    /// Debian's `rustc-web`, `cargo-web` and `rust-web-src`, with the linker of the toolchain that
    /// runs this program. It compiles the standard library too.
    Debian {
        /// Output of `rustc --version`.
        version: String,
        /// Path of LLVM's linker.
        linker: PathBuf,
    },
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

impl Toolchain {
    /// Finds a toolchain that is installed on this machine.
    pub fn find() -> anyhow::Result<Self> {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
        let version = output(&rustc, &["--version"])?;
        let libraries = output(&rustc, &["--print", "target-libdir", "--target", TARGET])?;
        if Path::new(&libraries).is_dir() {
            return Ok(Self::Installed { version });
        }
        if let Ok(debian) = output(DEBIAN_RUSTC, &["--version"]) {
            let sysroot = PathBuf::from(output(DEBIAN_RUSTC, &["--print", "sysroot"])?);
            let source = sysroot.join("lib/rustlib/src/rust/library/std");
            let linker = linker(&rustc)?;
            if source.is_dir() && Path::new(DEBIAN_CARGO).exists() && linker.exists() {
                return Ok(Self::Debian {
                    version: debian,
                    linker,
                });
            }
        }
        bail!(
            "{version} has no target {TARGET}. Install it with `rustup target add {TARGET}`; \
             without rustup's downloads, Debian's packages rustc-web, cargo-web and rust-web-src \
             do as well"
        )
    }

    /// Makes a cargo command that builds for [`TARGET`] with these flags of rustc.
    pub fn build(&self, rustflags: &[String]) -> Command {
        // This tells the crate `getrandom` to take random numbers from the browser.
        let getrandom = ["--cfg", "getrandom_backend=\"wasm_js\""].map(String::from);
        let rustflags = [&getrandom[..], rustflags].concat();
        let mut command = match self {
            Self::Installed { .. } => {
                Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            }
            Self::Debian { linker, .. } => {
                let mut command = Command::new(DEBIAN_CARGO);
                command
                    .env("RUSTC", DEBIAN_RUSTC)
                    // Building the standard library is an unstable feature of cargo.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        };
        command
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\x1f"))
            .arg("build")
            .args(["--locked", "--target", TARGET]);
        if let Self::Debian { .. } = self {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Installed { version } => write!(f, "{version}, with its target {TARGET}"),
            Self::Debian { version, .. } => {
                write!(
                    f,
                    "Debian's {version}, with the standard library from source"
                )
            }
        }
    }
}

/// Returns the path of a toolchain's `rust-lld`.
fn linker(rustc: &str) -> anyhow::Result<PathBuf> {
    let verbose = output(rustc, &["-vV"])?;
    let host = verbose
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV names no host")?;
    let sysroot = PathBuf::from(output(rustc, &["--print", "sysroot"])?);
    Ok(sysroot.join("lib/rustlib").join(host).join("bin/rust-lld"))
}

/// Runs a program and returns its trimmed output.
fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let run = Command::new(program).args(args).output();
    let output = run.with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", args.join(" "), error.trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}
