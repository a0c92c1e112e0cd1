//! Choosing a GPU, and asking for it before the first tensor does: Burn itself panics where there
//! is none.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::str::FromStr;

use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use burn_wgpu::{RuntimeOptions, WgpuDevice, WgpuSetup, init_device};
use wgpu::{
    Adapter, DeviceDescriptor, DeviceType, ExperimentalFeatures, Features, Instance,
    InstanceDescriptor, MemoryHints, PowerPreference, RequestAdapterOptions,
};

pub use wgpu::AdapterInfo;

/// An adapter that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// There is none that Burn's WGPU backend could use.
    #[error("no {api} adapter: {reason}")]
    None {
        /// The graphics interface that was asked.
        api: String,
        /// What it answered.
        reason: String,
    },
    /// There is none, or more than one, that is meant.
    #[error(
        "{matching} adapters are meant by {wanted}, expected one of {}",
        numbered(found)
    )]
    Choice {
        /// What was asked for.
        wanted: String,
        /// How many it fits.
        matching: usize,
        /// What there is.
        found: Vec<String>,
    },
    /// The adapter gives no device.
    #[error("{adapter} gives no device: {reason}")]
    NoDevice {
        /// The adapter.
        adapter: String,
        /// What it answered.
        reason: String,
    },
}

fn numbered(found: &[String]) -> String {
    if found.is_empty() {
        return "none: there is no adapter".into();
    }
    let lines = found.iter().enumerate();
    let lines = lines.map(|(index, adapter)| format!("{index}: {adapter}"));
    lines.collect::<Vec<_>>().join(", ")
}

/// Which adapter to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The one that the system prefers for high performance.
    #[default]
    Preferred,
    /// The one at this place of [`adapters`]; past the last, the one whose name has this number.
    Index(usize),
    /// The one whose name contains this, in any case.
    Named(String),
}

/// A whole number is an index, anything else a part of a name.
impl FromStr for AdapterChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(index) => Self::Index(index),
            Err(_) => Self::Named(text.into()),
        })
    }
}

/// An adapter that is ready.
#[derive(Debug, Clone)]
pub struct OpenAdapter {
    /// The device of Burn's to make tensors on.
    pub device: WgpuDevice,
    /// What the adapter says of itself.
    pub info: AdapterInfo,
}

/// An adapter in a line: its name, its kind, the graphics interface.
pub fn describe(info: &AdapterInfo) -> String {
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software on the CPU",
        DeviceType::Other => "GPU",
    };
    // Browsers keep names to themselves.
    let name = match (info.name.trim(), info.driver.trim()) {
        ("", "") => "unnamed",
        ("", driver) => driver,
        (name, _) => name,
    };
    format!("{name} ({kind}, {})", info.backend)
}

/// The adapters that Burn's WGPU backend could use: Metal's on Apple's machines, else Vulkan's, in
/// a browser WebGPU's.
pub async fn adapters() -> Vec<AdapterInfo> {
    let found = instance().enumerate_adapters(backend().into()).await;
    found.iter().map(Adapter::get_info).collect()
}

/// Makes a device of an adapter; each call makes a new one, whose tensors are its own.
///
/// # Errors
///
/// [`AdapterError`] where there is no such adapter, or it cannot be used.
pub async fn open(choice: &AdapterChoice) -> Result<OpenAdapter, AdapterError> {
    let instance = instance();
    let adapter = chosen(&instance, choice).await?;
    let info = adapter.get_info();
    let descriptor = DeviceDescriptor {
        label: None,
        // All that there are, by which Burn decides what it can do.
        required_features: adapter
            .features()
            .difference(Features::MAPPABLE_PRIMARY_BUFFERS | Features::all_experimental_mask()),
        required_limits: adapter.limits(),
        experimental_features: ExperimentalFeatures::disabled(),
        // Burn allocates in large blocks itself.
        memory_hints: MemoryHints::MemoryUsage,
        trace: wgpu::Trace::Off,
    };
    let device = adapter.request_device(&descriptor).await;
    let (device, queue) = device.map_err(|error| AdapterError::NoDevice {
        adapter: describe(&info),
        reason: error.to_string(),
    })?;
    let setup = WgpuSetup {
        instance,
        adapter,
        device,
        queue,
        backend: backend(),
    };
    Ok(OpenAdapter {
        device: init_device(setup, RuntimeOptions::default()),
        info,
    })
}

/// Looks for an adapter, without making a device of it.
///
/// With [`AdapterChoice::Preferred`] it is the one that Burn takes for its default device, unless
/// the environment variable `CUBECL_WGPU_DEFAULT_DEVICE` tells it to take another.
///
/// # Errors
///
/// [`AdapterError`] where there is no such adapter.
pub async fn find(choice: &AdapterChoice) -> Result<AdapterInfo, AdapterError> {
    Ok(chosen(&instance(), choice).await?.get_info())
}

async fn chosen(instance: &Instance, choice: &AdapterChoice) -> Result<Adapter, AdapterError> {
    let wanted = match choice {
        AdapterChoice::Preferred => return preferred(instance).await,
        AdapterChoice::Index(index) => index.to_string(),
        AdapterChoice::Named(part) => format!("{part:?}"),
    };
    let mut all = instance.enumerate_adapters(backend().into()).await;
    let infos: Vec<AdapterInfo> = all.iter().map(Adapter::get_info).collect();
    let is_meant = |(index, info): &(usize, &AdapterInfo)| match choice {
        AdapterChoice::Preferred => true,
        AdapterChoice::Index(wanted) if *wanted < infos.len() => index == wanted,
        // No such place: it may be the number of a model.
        AdapterChoice::Index(number) => info.name.contains(&number.to_string()),
        AdapterChoice::Named(part) => info.name.to_lowercase().contains(&part.to_lowercase()),
    };
    let meant: Vec<usize> = infos
        .iter()
        .enumerate()
        .filter(is_meant)
        .map(|(index, _)| index)
        .collect();
    match meant[..] {
        [index] => Ok(all.swap_remove(index)),
        _ => Err(AdapterError::Choice {
            wanted,
            matching: meant.len(),
            found: infos.iter().map(describe).collect(),
        }),
    }
}

async fn preferred(instance: &Instance) -> Result<Adapter, AdapterError> {
    let options = RequestAdapterOptions {
        power_preference: PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = instance.request_adapter(&options).await;
    adapter.map_err(|error| AdapterError::None {
        api: backend().to_string(),
        reason: error.to_string(),
    })
}

fn instance() -> Instance {
    Instance::new(InstanceDescriptor {
        backends: backend().into(),
        ..InstanceDescriptor::new_without_display_handle()
    })
}

fn backend() -> wgpu::Backend {
    AutoGraphicsApi::backend()
}
