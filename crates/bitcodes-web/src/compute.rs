//! The backend of this build, and its device.

use std::cell::OnceCell;

use bitcodes_core::burn::tensor::backend::BackendTypes;
use js_sys::Function;
use wasm_bindgen::prelude::*;

/// The backend of this build.
#[cfg(feature = "webgpu")]
pub type Compute = burn::backend::Wgpu;
/// The backend of this build.
#[cfg(not(feature = "webgpu"))]
pub type Compute = burn::backend::Flex;

/// Its device.
pub type Device = <Compute as BackendTypes>::Device;

thread_local! {
    static FAILED: OnceCell<Function> = const { OnceCell::new() };
}

/// Makes the backend ready, and says in a line on what it computes; to be called once, before
/// anything is loaded.
///
/// `failed` is called with a message where the module panics, as it does when the GPU is lost:
/// nothing that it was asked for will be answered then, and nothing else can be asked.
///
/// # Errors
///
/// Where the browser gives no GPU.
#[wasm_bindgen]
pub async fn open(failed: Function) -> Result<String, JsError> {
    // The first one's stays, as the device does.
    let _ = FAILED.with(|cell| cell.set(failed));
    std::panic::set_hook(Box::new(|panic| {
        let message = format!("bitcodes failed: {panic}");
        if let Some(failed) = FAILED.with(|failed| failed.get().cloned()) {
            // What it throws changes nothing: this throws as well.
            let _ = failed.call1(&JsValue::NULL, &(&message).into());
        }
        wasm_bindgen::throw_str(&message)
    }));
    adapter().await
}

#[cfg(feature = "webgpu")]
thread_local! {
    static DEVICE: OnceCell<Device> = const { OnceCell::new() };
}

#[cfg(feature = "webgpu")]
async fn adapter() -> Result<String, JsError> {
    use bitcodes_core::backend::wgpu::{AdapterChoice, describe, open};

    let opened = open(&AdapterChoice::Preferred).await?;
    let description = describe(&opened.info);
    // The device of the first call stays: models may be on it.
    let _ = DEVICE.with(|device| device.set(opened.device));
    Ok(description)
}

/// The device that [`open`] opened.
#[cfg(feature = "webgpu")]
pub fn device() -> Result<Device, JsError> {
    let device = DEVICE.with(|device| device.get().cloned());
    device.ok_or_else(|| JsError::new("no device yet: open() comes first"))
}

#[cfg(not(feature = "webgpu"))]
async fn adapter() -> Result<String, JsError> {
    Ok(match cfg!(target_feature = "simd128") {
        true => "one CPU thread with simd128".into(),
        false => "one CPU thread".into(),
    })
}

/// The device.
#[cfg(not(feature = "webgpu"))]
pub fn device() -> Result<Device, JsError> {
    Ok(Device::default())
}
