//! Asking for a GPU before the first tensor does.

use alloc::string::{String, ToString};

use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use wgpu::{Instance, InstanceDescriptor, PowerPreference, RequestAdapterOptions};

pub use wgpu::AdapterInfo;

/// There is no adapter that Burn's WGPU backend could use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {api} adapter: {reason}")]
pub struct NoAdapter {
    /// The graphics interface that was asked.
    pub api: String,
    /// What it answered.
    pub reason: String,
}

/// The adapter that Burn's WGPU backend takes for its default device, unless the environment
/// variable `CUBECL_WGPU_DEFAULT_DEVICE` tells it to take another.
///
/// Burn itself panics at the first tensor where there is none.
///
/// # Errors
///
/// [`NoAdapter`] where there is none.
pub async fn default_adapter() -> Result<AdapterInfo, NoAdapter> {
    let api = AutoGraphicsApi::backend();
    let instance = Instance::new(InstanceDescriptor {
        backends: api.into(),
        ..InstanceDescriptor::new_without_display_handle()
    });
    let options = RequestAdapterOptions {
        power_preference: PowerPreference::HighPerformance,
        ..Default::default()
    };
    match instance.request_adapter(&options).await {
        Ok(adapter) => Ok(adapter.get_info()),
        Err(error) => Err(NoAdapter {
            api: api.to_string(),
            reason: error.to_string(),
        }),
    }
}
