//! The backends that the program can be told to use.

use std::num::NonZeroUsize;

use clap::ValueEnum;

use crate::error::CliError;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// CPU, fast
    Flex,
    /// CPU, on the ndarray crate
    Ndarray,
    /// GPU, through Vulkan, Metal or DirectX
    Wgpu,
    /// GPU of NVIDIA's
    Cuda,
}

impl Backend {
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    fn is_compiled_in(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::Ndarray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    /// Says whether the backend can be used: it is compiled in, and there is a device.
    pub fn check(self) -> Result<(), CliError> {
        if !self.is_compiled_in() {
            let available = Self::value_variants().iter().filter(|b| b.is_compiled_in());
            return Err(CliError::NotCompiledIn {
                found: self.name(),
                available: available.map(|b| b.name()).collect::<Vec<_>>().join(", "),
            });
        }
        #[cfg(feature = "wgpu")]
        if self == Self::Wgpu {
            use bitcodes_core::backend::wgpu::default_adapter;
            pollster::block_on(default_adapter())?;
        }
        Ok(())
    }

    /// The most images that a thread is to work on in a step of training; `None` on a GPU, which
    /// wants the whole step at once.
    pub fn images_per_thread(self) -> Option<NonZeroUsize> {
        match self {
            Self::Flex | Self::Ndarray => NonZeroUsize::new(32),
            Self::Wgpu | Self::Cuda => None,
        }
    }
}

/// Computes an expression on a backend that [`Backend::check`] has let pass, as the type that is
/// named first.
macro_rules! on_backend {
    ($backend:expr, $B:ident => $value:expr) => {
        match $backend {
            #[cfg(feature = "flex")]
            $crate::backend::Backend::Flex => {
                type $B = burn::backend::Flex;
                $value
            }
            #[cfg(feature = "ndarray")]
            $crate::backend::Backend::Ndarray => {
                type $B = burn::backend::NdArray;
                $value
            }
            #[cfg(feature = "wgpu")]
            $crate::backend::Backend::Wgpu => {
                type $B = burn::backend::Wgpu;
                $value
            }
            #[cfg(feature = "cuda")]
            $crate::backend::Backend::Cuda => {
                type $B = burn::backend::Cuda;
                $value
            }
            #[allow(unreachable_patterns, reason = "with every backend there is no other")]
            _ => unreachable!("Backend::check refuses what is not compiled in"),
        }
    };
}
pub(crate) use on_backend;
