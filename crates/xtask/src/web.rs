//! `cargo xtask web`: builds the npm package and the demo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use crate::build::{self, Flavor};
use crate::toolchain::Toolchain;
use crate::{serve, sizes};

/// Build the npm package (target/web/pkg) and the demo (target/web/index.html)
#[derive(Debug, Args)]
pub struct WebArgs {
    /// Serve the demo after the build
    #[arg(long)]
    serve: bool,

    /// Port to serve on
    #[arg(long, default_value_t = 8080, requires = "serve")]
    port: u16,

    /// Test the package and the demo in Chromium after the build
    #[arg(long, conflicts_with = "serve")]
    test: bool,

    /// Measure the package and the demo in Chromium after the build
    #[arg(long, conflicts_with_all = ["serve", "test"])]
    bench: bool,

    /// Do not run wasm-opt, which comes from npm
    #[arg(long)]
    no_optimize: bool,
}

/// Builds the package and the demo, then serves, tests or measures them.
pub fn run(args: &WebArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Bind the port before the build, which takes minutes, because the port may be taken.
    let serving = match args.serve {
        true => Some(runtime.block_on(serve::bind(args.port))?),
        false => None,
    };
    let root = root()?;
    let source = root.join("crates/bitcodes-web");
    let toolchain = Toolchain::find()?;
    println!("compiling with {toolchain}");
    let tools = source.join("node_modules/.bin");
    if !args.no_optimize || args.test || args.bench {
        npm_packages(&source)?;
    }
    let optimizer = (!args.no_optimize).then(|| tools.join("wasm-opt"));

    // The old site stays until the new one is complete.
    let (site, unfinished) = (root.join("target/web"), root.join("target/web.unfinished"));
    remove(&unfinished)?;
    let package = unfinished.join("pkg");
    fs::create_dir_all(&package)?;
    let mut flavors = vec![Flavor::Cpu, Flavor::WebGpu];
    if args.bench {
        flavors.push(Flavor::Scalar);
    }
    for &flavor in &flavors {
        println!("building {}", flavor.name());
        let out = package.join(flavor.name());
        build::build(&root, &toolchain, flavor, optimizer.as_deref(), &out)?;
    }
    assemble(&root, &source, &unfinished)?;
    for flavor in flavors {
        sizes::check(flavor, &package.join(flavor.name()))?;
    }
    remove(&site)?;
    fs::rename(&unfinished, &site)?;
    println!("{} is ready for any static server", site.display());

    runtime.block_on(async {
        if let Some((listener, address)) = serving {
            println!("serving {address} (Ctrl-C ends it)");
            serve::serve(listener, &site).await?;
        }
        if args.test || args.bench {
            let script = if args.test { "test" } else { "bench" };
            in_browser(&root, &source, &site, script).await?;
            // The scalar build is only for measurements, so it is not served.
            remove(&site.join("pkg").join(Flavor::Scalar.name()))?;
        }
        Ok(())
    })
}

/// Runs an npm script while a server serves the site.
///
/// The script gets the codes of the test digits that the program `bitcodes` computes, to compare
/// with.
async fn in_browser(root: &Path, source: &Path, site: &Path, script: &str) -> anyhow::Result<()> {
    let codes = root.join("target/web-digits.npy");
    build::run(
        Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            .current_dir(root)
            .args([
                "run",
                "--locked",
                "--quiet",
                "--release",
                "--package",
                "bitcodes-cli",
                "--",
            ])
            .args([
                "eval",
                "--model",
                "crates/bitcodes-web/demo/model",
                "--codes",
            ])
            .arg(&codes),
    )?;
    let (listener, address) = serve::bind(0).await?;
    let mut npm = tokio::process::Command::new("npm");
    npm.args(["run", "--silent", script])
        .current_dir(source)
        .env("SITE", address)
        .env("DIGIT_CODES", &codes)
        .kill_on_drop(true);
    tokio::select! {
        status = npm.status() => {
            let status = status.context("cannot run npm")?;
            if !status.success() {
                bail!("npm run {script} ended with {status}");
            }
            Ok(())
        }
        end = serve::serve(listener, site) => end,
    }
}

/// Copies the files that are not compiled to the site.
fn assemble(root: &Path, source: &Path, site: &Path) -> anyhow::Result<()> {
    let package = site.join("pkg");
    copy_all(&source.join("npm"), &package)?;
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(root.join(license), package.join(license))?;
    }
    let manifest = package.join("package.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest)?)?;
    json["version"] = env!("CARGO_PKG_VERSION").into();
    fs::write(&manifest, serde_json::to_string_pretty(&json)? + "\n")?;

    copy_all(&source.join("demo"), site)?;
    let digits = root.join("crates/bitcodes-train/data/digits");
    for kind in ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"] {
        fs::copy(digits.join(kind), site.join(kind))?;
    }
    Ok(())
}

/// Installs the packages that `package-lock.json` names, unless they are installed.
fn npm_packages(source: &Path) -> anyhow::Result<()> {
    let modified = |name: &str| fs::metadata(source.join(name))?.modified();
    let installed = modified("node_modules/.package-lock.json");
    if installed
        .is_ok_and(|installed| modified("package-lock.json").is_ok_and(|lock| lock < installed))
    {
        return Ok(());
    }
    let status = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(source)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("npm ci in {} ended with {status}", source.display()),
        Err(error) => bail!(
            "cannot run npm ({error}), which provides wasm-opt: install Node.js, or leave the \
             wasm unoptimized with --no-optimize"
        ),
    }
}

fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the root of the workspace in which cargo runs this program. The workspace may have moved
/// since the program was compiled.
fn root() -> anyhow::Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    let here = here.context("CARGO_MANIFEST_DIR is not set: run this as `cargo xtask`")?;
    let root = Path::new(&here).ancestors().nth(2);
    let root = root.context("this is not in crates/xtask of a workspace")?;
    Ok(root.to_path_buf())
}
