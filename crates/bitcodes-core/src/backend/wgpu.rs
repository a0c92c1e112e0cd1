//! The choice of a GPU for Burn's WGPU backend.
//!
//! Burn itself panics at the first tensor if there is no GPU; these functions return an error.

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

/// The reason why no adapter can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// There is no adapter that Burn's WGPU backend can use.
    #[error("no {api} adapter: {reason}")]
    None {
        /// The graphics interface that was asked.
        api: String,
        /// The answer of the graphics interface.
        reason: String,
    },
    /// The choice matches no adapter, or more than one.
    #[error(
        "{matching} adapters match {wanted}, expected one of {}",
        numbered(found)
    )]
    Choice {
        /// The number or the part of a name that was asked for.
        wanted: String,
        /// Number of adapters that match.
        matching: usize,
        /// Descriptions of all adapters.
        found: Vec<String>,
    },
    /// The adapter does not give a device.
    #[error("{adapter} gives no device: {reason}")]
    NoDevice {
        /// Description of the adapter.
        adapter: String,
        /// The adapter's answer.
        reason: String,
    },
}

/// Lists the adapters in one line, each with its number.
fn numbered(found: &[String]) -> String {
    if found.is_empty() {
        return "none: there is no adapter".into();
    }
    let lines = found.iter().enumerate();
    let lines = lines.map(|(index, adapter)| format!("{index}: {adapter}"));
    lines.collect::<Vec<_>>().join(", ")
}

/// The choice of an adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The adapter that the system prefers for high performance.
    #[default]
    Preferred,
    /// The adapter with this index in [`adapters`]; if there are fewer adapters, the one whose name
    /// contains this number.
    Index(usize),
    /// The adapter whose name contains this text, in upper or lower case.
    Named(String),
}

/// Reads a whole number as an index, any other text as a part of a name.
impl FromStr for AdapterChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(index) => Self::Index(index),
            Err(_) => Self::Named(text.into()),
        })
    }
}

/// An adapter with a device that Burn can use.
#[derive(Debug, Clone)]
pub struct OpenAdapter {
    /// The device to make tensors on.
    pub device: WgpuDevice,
    /// The adapter's description of itself.
    pub info: AdapterInfo,
}

/// Describes an adapter in one line: its name, its kind and its graphics interface.
pub fn describe(info: &AdapterInfo) -> String {
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software on the CPU",
        DeviceType::Other => "GPU",
    };
    // Browsers do not tell the name.
    let name = match (info.name.trim(), info.driver.trim()) {
        ("", "") => "unnamed",
        ("", driver) => driver,
        (name, _) => name,
    };
    format!("{name} ({kind}, {})", info.backend)
}

/// Lists the adapters that Burn's WGPU backend can use.
///
/// These are Metal's adapters on macOS, WebGPU's in a browser, and Vulkan's elsewhere.
pub async fn adapters() -> Vec<AdapterInfo> {
    let found = instance().enumerate_adapters(backend().into()).await;
    found.iter().map(Adapter::get_info).collect()
}

/// Opens an adapter and makes a device of it.
///
/// Each call makes a new device. Tensors of one device cannot be used on another.
///
/// # Errors
///
/// Returns [`AdapterError`] if there is no such adapter, or if it does not give a device.
pub async fn open(choice: &AdapterChoice) -> Result<OpenAdapter, AdapterError> {
    let instance = instance();
    let adapter = chosen(&instance, choice).await?;
    let info = adapter.get_info();
    let descriptor = DeviceDescriptor {
        label: None,
        // Burn chooses its kernels by the features of the device, so the device gets all of them.
        required_features: adapter
            .features()
            .difference(Features::MAPPABLE_PRIMARY_BUFFERS | Features::all_experimental_mask()),
        required_limits: adapter.limits(),
        experimental_features: ExperimentalFeatures::disabled(),
        // Burn's own allocator already makes large blocks.
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

/// Finds an adapter, without making a device of it.
///
/// With [`AdapterChoice::Preferred`] this is the adapter of Burn's default device, unless the
/// environment variable `CUBECL_WGPU_DEFAULT_DEVICE` names another one.
///
/// # Errors
///
/// Returns [`AdapterError`] if there is no such adapter.
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
    let matches_choice = |(index, info): &(usize, &AdapterInfo)| match choice {
        AdapterChoice::Preferred => true,
        AdapterChoice::Index(wanted) if *wanted < infos.len() => index == wanted,
        // A number that is no index may be part of a model's name.
        AdapterChoice::Index(number) => info.name.contains(&number.to_string()),
        AdapterChoice::Named(part) => info.name.to_lowercase().contains(&part.to_lowercase()),
    };
    let matching: Vec<usize> = infos
        .iter()
        .enumerate()
        .filter(matches_choice)
        .map(|(index, _)| index)
        .collect();
    match matching[..] {
        [index] => Ok(all.swap_remove(index)),
        _ => Err(AdapterError::Choice {
            wanted,
            matching: matching.len(),
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
