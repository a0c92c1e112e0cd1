//! Macros that run the same checks as tests on every backend.

use bitcodes_core::backend::wgpu::{AdapterChoice, find};
use std::io::Write;
use std::sync::{OnceLock, PoisonError, RwLock};

use burn::backend::wgpu::WgpuDevice;

/// Makes each generic function `check::<B>(&device)` a test on every backend.
///
/// Without an adapter the tests of WGPU are skipped and say so. With `BITCODES_REQUIRE_WGPU=1` they
/// fail instead.
#[macro_export]
macro_rules! on_every_backend {
    ($($check:ident),* $(,)?) => { $crate::on_every_backend_with!(any_seed; $($check),*); };
}

/// Like [`on_every_backend`], for tests that set the backend's seed. No other test runs at the same
/// time, because all tests of the process share the seed.
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

/// Returns a guard for tests that may draw random numbers. Many tests can hold one.
pub fn any_seed() -> impl Sized {
    SEED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a guard for tests that set the backend's seed. No other test holds a guard at the same
/// time.
pub fn own_seed() -> impl Sized {
    SEED.write().unwrap_or_else(PoisonError::into_inner)
}

/// Prints what a test leaves out and why. It writes to stderr directly, because the test harness
/// hides the output of tests that pass.
pub fn skipped(why: std::fmt::Arguments) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Returns the GPU, or `None` if there is no adapter.
///
/// # Panics
///
/// If there is no adapter and `BITCODES_REQUIRE_WGPU=1` is set.
pub fn wgpu_device() -> Option<WgpuDevice> {
    static ADAPTER: OnceLock<Result<String, String>> = OnceLock::new();
    let adapter = ADAPTER.get_or_init(|| {
        let adapter = pollster::block_on(find(&AdapterChoice::Preferred));
        let adapter = adapter
            .map(|info| info.name)
            .map_err(|error| error.to_string());
        // Write to stderr directly, because the test harness hides the output of tests that pass.
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
