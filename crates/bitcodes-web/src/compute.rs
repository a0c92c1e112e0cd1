//! The backend of this build and its device.

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

/// The type of the backend's device.
pub type Device = <Compute as BackendTypes>::Device;

thread_local! {
    static FAILED: OnceCell<Function> = const { OnceCell::new() };
}

/// Opens the device and returns a line that describes it. It has to be called once, before any
/// model is loaded.
///
/// `failed` is called with a message if the module panics, for instance because the GPU is lost.
/// After that no pending promise is settled, and the module cannot be used any more.
///
/// # Errors
///
/// Returns an error if the build is for WebGPU and the browser offers no GPU.
#[wasm_bindgen]
pub async fn open(failed: Function) -> Result<String, JsError> {
    // The callback of the first call stays, as the device of the first call does.
    let _ = FAILED.with(|cell| cell.set(failed));
    std::panic::set_hook(Box::new(|panic| {
        let message = format!("bitcodes failed: {panic}");
        if let Some(failed) = FAILED.with(|failed| failed.get().cloned()) {
            // An exception of the callback is ignored, because the next line throws in any case.
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
    // The device of the first call stays, because models may be on it.
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

/// The CPU.
#[cfg(not(feature = "webgpu"))]
pub fn device() -> Result<Device, JsError> {
    Ok(Device::default())
}
