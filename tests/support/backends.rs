//! Every backend, each a module of tests that run the same checks.

use bitcodes_core::backend::wgpu::{AdapterChoice, find};
use std::io::Write;
use std::sync::{OnceLock, PoisonError, RwLock};

use burn::backend::wgpu::WgpuDevice;

/// Makes each generic function `check::<B>(&device)` a test on every backend.
///
/// WGPU's are skipped, and say so, where there is no adapter; with `BITCODES_REQUIRE_WGPU=1` they
/// fail instead.
#[macro_export]
macro_rules! on_every_backend {
    ($($check:ident),* $(,)?) => { $crate::on_every_backend_with!(any_seed; $($check),*); };
}

/// [`on_every_backend`] for tests that seed, while no other runs: a backend's seed is the
/// process's.
#[macro_export]
macro_rules! on_every_backend_alone {
    ($($check:ident),* $(,)?) => { $crate::on_every_backend_with!(own_seed; $($check),*); };
}

#[doc(hidden)]
#[macro_export]
macro_rules! on_every_backend_with {
    ($seed:ident; $($check:ident),*) => {
        mod flex {
            $(#[test] fn $check() {
                let _seed = $crate::backends::$seed();
                super::$check::<burn::backend::Flex>(&Default::default());
            })*
        }
        mod ndarray {
            $(#[test] fn $check() {
                let _seed = $crate::backends::$seed();
                super::$check::<burn::backend::NdArray>(&Default::default());
            })*
        }
        mod wgpu {
            $(#[test] fn $check() {
                let _seed = $crate::backends::$seed();
                if let Some(device) = $crate::backends::wgpu_device() {
                    super::$check::<burn::backend::Wgpu>(&device);
                }
            })*
        }
    };
}

static SEED: RwLock<()> = RwLock::new(());

/// Held by tests that may draw.
pub fn any_seed() -> impl Sized {
    SEED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by tests that seed.
pub fn own_seed() -> impl Sized {
    SEED.write().unwrap_or_else(PoisonError::into_inner)
}

/// Says what a test leaves out, and why, past the harness, which keeps what passing tests print.
pub fn skipped(why: std::fmt::Arguments) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// The GPU, or none where there is none to be had.
///
/// # Panics
///
/// Where there is none and `BITCODES_REQUIRE_WGPU=1`.
pub fn wgpu_device() -> Option<WgpuDevice> {
    static ADAPTER: OnceLock<Result<String, String>> = OnceLock::new();
    let adapter = ADAPTER.get_or_init(|| {
        let adapter = pollster::block_on(find(&AdapterChoice::Preferred));
        let adapter = adapter
            .map(|info| info.name)
            .map_err(|error| error.to_string());
        // Past the harness, which keeps what passing tests print.
        let _ = match &adapter {
            Ok(name) => writeln!(std::io::stderr(), "wgpu runs on {name}"),
            Err(error) => {
                skipped(format_args!("no adapter ({error})"));
                Ok(())
            }
        };
        adapter
    });
    match adapter {
        Ok(_) => Some(WgpuDevice::default()),
        Err(error) => {
            let required = std::env::var("BITCODES_REQUIRE_WGPU").is_ok_and(|value| value == "1");
            assert!(!required, "BITCODES_REQUIRE_WGPU=1, but {error}");
            None
        }
    }
}
