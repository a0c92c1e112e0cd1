//! The backends that the program can be told to use.

#[cfg(feature = "wgpu")]
use std::io::{self, Write};
use std::num::NonZeroUsize;

#[cfg(feature = "wgpu")]
use bitcodes_core::backend::wgpu::{AdapterChoice, adapters, describe, find, open};
use clap::{Args, ValueEnum};

use crate::error::CliError;

/// Options that choose the backend and the GPU.
#[derive(Debug, Clone, Args)]
pub(crate) struct Compute {
    /// Backend to compute with
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    pub backend: Backend,

    /// GPU to use with `--backend wgpu`: its number or a part of its name, as `bitcodes adapters`
    /// lists them [default: the GPU that the system prefers]
    #[arg(long, value_name = "NUMBER|NAME")]
    pub adapter: Option<String>,
}

impl Compute {
    /// Checks that the backend can be used.
    ///
    /// # Errors
    ///
    /// Returns an error if the backend is not compiled in, if an adapter is named for a backend that
    /// has none, or if there is no such adapter.
    pub fn check(&self) -> Result<(), CliError> {
        let backend = self.backend;
        backend.check()?;
        if let Some(adapter) = &self.adapter
            && backend != Backend::Wgpu
        {
            return Err(CliError::NoAdapters {
                adapter: adapter.clone(),
                backend: backend.name(),
            });
        }
        #[cfg(feature = "wgpu")]
        if backend == Backend::Wgpu {
            pollster::block_on(find(&self.choice()))?;
        }
        Ok(())
    }

    #[cfg(feature = "wgpu")]
    fn choice(&self) -> AdapterChoice {
        match &self.adapter {
            Some(adapter) => adapter.parse().unwrap_or_else(|never| match never {}),
            None => AdapterChoice::Preferred,
        }
    }

    /// Opens the GPU and prints which it is.
    #[cfg(feature = "wgpu")]
    pub fn open_gpu(&self) -> Result<burn::backend::wgpu::WgpuDevice, CliError> {
        let opened = pollster::block_on(open(&self.choice()))?;
        // Standard output is for results only.
        writeln!(io::stderr(), "computing on {}", describe(&opened.info))?;
        Ok(opened.device)
    }
}

/// The backends that the program knows, compiled in or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// CPU, the faster of the two
    #[value(alias = "cpu")]
    Flex,
    /// CPU, with the crate ndarray
    Ndarray,
    /// GPU, through Metal on macOS and Vulkan elsewhere
    Wgpu,
    /// NVIDIA GPU
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

    /// Returns the backend of a name, as the file of a run has it.
    pub fn of_name(name: &str) -> Result<Self, CliError> {
        let known = Self::value_variants().iter().copied();
        let mut named = known.filter(|backend| backend.name() == name);
        named
            .next()
            .ok_or_else(|| CliError::UnknownBackend(name.into()))
    }

    fn is_compiled_in(self) -> bool {
        match self {
            Self::Flex => cfg!(feature = "flex"),
            Self::Ndarray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cuda => cfg!(feature = "cuda"),
        }
    }

    fn check(self) -> Result<(), CliError> {
        if self.is_compiled_in() {
            return Ok(());
        }
        let available = Self::value_variants().iter().filter(|b| b.is_compiled_in());
        Err(CliError::NotCompiledIn {
            found: self.name(),
            available: available.map(|b| b.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Returns whether the backend computes in the host's memory.
    pub fn is_cpu(self) -> bool {
        match self {
            Self::Flex | Self::Ndarray => true,
            Self::Wgpu | Self::Cuda => false,
        }
    }

    /// Largest number of images that a thread computes at a time in a training step; `None` on a
    /// GPU, which computes a step fastest as a whole.
    pub fn images_per_thread(self) -> Option<NonZeroUsize> {
        match self.is_cpu() {
            true => NonZeroUsize::new(32),
            false => None,
        }
    }
}

/// Evaluates an expression on the chosen backend. Call [`Compute::check`] first.
///
/// In the expression `$B` is the backend's type and `$device` its device. If the device cannot be
/// opened, the macro returns from the function.
macro_rules! on_backend {
    ($compute:expr, $B:ident, $device:ident => $value:expr) => {
        match $compute.backend {
            #[cfg(feature = "flex")]
            $crate::backend::Backend::Flex => {
                type $B = burn::backend::Flex;
                let $device = Default::default();
                $value
            }
            #[cfg(feature = "ndarray")]
            $crate::backend::Backend::Ndarray => {
                type $B = burn::backend::NdArray;
                let $device = Default::default();
                $value
            }
            #[cfg(feature = "wgpu")]
            $crate::backend::Backend::Wgpu => {
                type $B = burn::backend::Wgpu;
                let $device = $compute.open_gpu()?;
                $value
            }
            #[cfg(feature = "cuda")]
            $crate::backend::Backend::Cuda => {
                type $B = burn::backend::Cuda;
                let $device = Default::default();
                $value
            }
            #[allow(
                unreachable_patterns,
                reason = "with all features no backend is left for this arm"
            )]
            _ => unreachable!("Compute::check refuses what is not compiled in"),
        }
    };
}
pub(crate) use on_backend;

/// `bitcodes adapters`: lists the GPUs that `--adapter` chooses from.
pub(crate) fn list_adapters() -> Result<(), CliError> {
    Backend::Wgpu.check()?;
    #[cfg(feature = "wgpu")]
    {
        // If there is no adapter, this gives the reason as an error.
        pollster::block_on(find(&AdapterChoice::Preferred))?;
        for (number, info) in pollster::block_on(adapters()).iter().enumerate() {
            writeln!(io::stdout(), "{number}: {}", describe(info))?;
        }
    }
    Ok(())
}
