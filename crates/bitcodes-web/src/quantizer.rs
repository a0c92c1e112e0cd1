//! A quantizer, for JavaScript.

use bitcodes_core::{Bitcodes, Checkpoint};
use js_sys::Promise;
use wasm_bindgen::prelude::*;

use crate::arrays::{bits, bits_of_words, code_words, float_array, floats};
use crate::compute::{Compute, device};

/// A quantizer.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Quantizer {
    quantizer: Bitcodes<Compute>,
}

#[wasm_bindgen]
impl Quantizer {
    /// Reads one from the bytes of a `.safetensors` file; `prefix` names one of several.
    ///
    /// # Errors
    ///
    /// See [`bitcodes_core::CheckpointError`].
    pub fn load(bytes: &[u8], prefix: Option<String>) -> Result<Quantizer, JsError> {
        let checkpoint = Checkpoint::from_bytes(bytes)?;
        let quantizer = checkpoint.quantizer(prefix.as_deref(), &device()?)?;
        Ok(Self { quantizer })
    }

    /// Length of a vector.
    #[wasm_bindgen(getter)]
    pub fn features(&self) -> usize {
        self.quantizer.features()
    }

    /// Bits that a vector is quantized to.
    #[wasm_bindgen(getter, js_name = numBits)]
    pub fn num_bits(&self) -> usize {
        self.quantizer.num_bits()
    }

    /// The codes of vectors, `[n, features]`, as words.
    ///
    /// # Errors
    ///
    /// Where there are not whole vectors.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint32Array>")]
    pub fn encode(&self, x: Vec<f32>) -> Result<Promise, JsError> {
        let x = floats::<2>(x, "numbers", &[self.features()])?;
        let quantizer = self.quantizer.clone();
        Ok(code_words(
            async move { quantizer.encode_packed_async(x).await },
        ))
    }

    /// How decided the bits of vectors are, `[n, num_bits]`.
    ///
    /// # Errors
    ///
    /// Where there are not whole vectors.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn logits(&self, x: Vec<f32>) -> Result<Promise, JsError> {
        let x = floats::<2>(x, "numbers", &[self.features()])?;
        Ok(float_array(self.quantizer.logits(x)))
    }

    /// The vectors that those given are quantized to, `[n, features]`.
    ///
    /// # Errors
    ///
    /// Where there are not whole vectors.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn quantize(&self, x: Vec<f32>) -> Result<Promise, JsError> {
        let x = floats::<2>(x, "numbers", &[self.features()])?;
        Ok(float_array(self.quantizer.quantize(x)))
    }

    /// The vectors that bits stand for.
    ///
    /// # Errors
    ///
    /// Where there are not whole codes, or a bit is neither 0 nor 1.
    #[wasm_bindgen(js_name = decodeBits, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_bits(&self, codes: Vec<u8>) -> Result<Promise, JsError> {
        let bits = bits::<2>(codes, &[self.num_bits()])?;
        Ok(float_array(self.quantizer.decode(bits)))
    }

    /// The vectors that words stand for.
    ///
    /// # Errors
    ///
    /// Where there are not whole codes, or a bit past the last is set.
    #[wasm_bindgen(js_name = decodeWords, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_words(&self, codes: &[u32]) -> Result<Promise, JsError> {
        let bits = bits_of_words::<2>(codes, self.num_bits(), &[self.num_bits()])?;
        Ok(float_array(self.quantizer.decode(bits)))
    }
}
