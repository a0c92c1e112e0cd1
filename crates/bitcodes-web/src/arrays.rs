//! Conversion of JavaScript's arrays to tensors and back.

use bitcodes_core::{CodesError, PackedCodes};
use burn::tensor::{BasicOps, Int, Tensor, TensorData};
use js_sys::{Float32Array, Promise, Uint32Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::compute::{Compute, device};

/// Makes a tensor `[n, rest..]` of numbers. The length of `numbers` decides `n`.
///
/// `what` names the numbers in the error if their count is not a multiple of the product of `rest`.
pub fn floats<const D: usize>(
    numbers: Vec<f32>,
    what: &str,
    rest: &[usize],
) -> Result<Tensor<Compute, D>, JsError> {
    let shape = shape(numbers.len(), what, rest)?;
    Ok(Tensor::from_data(
        TensorData::new(numbers, shape),
        &device()?,
    ))
}

/// Makes a tensor `[n, rest..]` of bits. The length of `bits` decides `n`.
pub fn bits<const D: usize>(
    bits: Vec<u8>,
    rest: &[usize],
) -> Result<Tensor<Compute, D, Int>, JsError> {
    let shape = shape(bits.len(), "bits", rest)?;
    if let Some(found) = bits.iter().find(|&&bit| bit > 1) {
        return Err(JsError::new(&format!("a bit is {found}, expected 0 or 1")));
    }
    let bits: Vec<i32> = bits.into_iter().map(i32::from).collect();
    Ok(Tensor::from_data(TensorData::new(bits, shape), &device()?))
}

/// Unpacks words to a tensor of bits `[n, rest..]`, where the last of `rest` is `num_bits`.
pub fn bits_of_words<const D: usize>(
    words: &[u32],
    num_bits: usize,
    rest: &[usize],
) -> Result<Tensor<Compute, D, Int>, JsError> {
    let row_words = num_bits.div_ceil(32);
    let rows_each: usize = rest[..rest.len() - 1].iter().product();
    let n = shape(words.len(), "words", &[rows_each, row_words])?[0];
    let mut dims = vec![n];
    dims.extend(&rest[..rest.len() - 1]);
    let codes = PackedCodes::from_words(dims, num_bits, words)?;
    Ok(codes.unpack(&device()?))
}

/// Returns the shape `[n, rest..]` that has this number of elements.
fn shape(elements: usize, what: &str, rest: &[usize]) -> Result<Vec<usize>, JsError> {
    let each: usize = rest.iter().product();
    if !elements.is_multiple_of(each) {
        let rest = rest.iter().map(usize::to_string);
        let rest = rest.collect::<Vec<_>>().join(" x ");
        return Err(JsError::new(&format!(
            "{elements} {what}, expected a multiple of {each} = {rest}"
        )));
    }
    let mut shape = vec![elements / each];
    shape.extend(rest);
    Ok(shape)
}

/// Returns a promise of a tensor's numbers as a `Float32Array`.
pub fn float_array<const D: usize>(tensor: Tensor<Compute, D>) -> Promise {
    future_to_promise(async move {
        let data = tensor.into_data_async().await.map_err(read_error)?;
        let numbers = data.as_slice::<f32>().map_err(|error| {
            let found = format!("{error:?}");
            JsError::new(&format!("the device gave other numbers than f32: {found}"))
        })?;
        Ok(Float32Array::from(numbers).into())
    })
}

/// Returns a promise of the words of codes as a `Uint32Array`.
pub fn code_words(
    codes: impl Future<Output = Result<PackedCodes, CodesError>> + 'static,
) -> Promise {
    future_to_promise(async move {
        let codes = codes.await.map_err(JsError::from)?;
        Ok(Uint32Array::from(&codes.to_words()[..]).into())
    })
}

/// Whether the tensor is empty. Burn's GPU kernels panic on empty tensors.
pub fn is_empty<const D: usize, K: BasicOps<Compute>>(tensor: &Tensor<Compute, D, K>) -> bool {
    tensor.dims()[0] == 0
}

fn read_error(error: impl std::fmt::Display) -> JsError {
    JsError::new(&format!("the device could not be read: {error}"))
}
