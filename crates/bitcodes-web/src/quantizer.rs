//! The class `Quantizer` for JavaScript.

use bitcodes_core::{Bitcodes, Checkpoint};
use js_sys::Promise;
use wasm_bindgen::prelude::*;

use crate::arrays::{bits, bits_of_words, code_words, float_array, floats};
use crate::compute::{Compute, device};

/// A vector quantizer with binary codes.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Quantizer {
    quantizer: Bitcodes<Compute>,
}

#[wasm_bindgen]
impl Quantizer {
    /// Loads a quantizer from the bytes of a `.safetensors` file. `prefix` chooses one if the file
    /// holds several.
    ///
    /// # Errors
    ///
    /// Returns an error with the text of a [`bitcodes_core::CheckpointError`] if no quantizer can be
    /// made from the file.
    pub fn load(bytes: &[u8], prefix: Option<String>) -> Result<Quantizer, JsError> {
        let checkpoint = Checkpoint::from_bytes(bytes)?;
        let quantizer = checkpoint.quantizer(prefix.as_deref(), &device()?)?;
        Ok(Self { quantizer })
    }

    /// Number of features of a vector.
    #[wasm_bindgen(getter)]
    pub fn features(&self) -> usize {
        self.quantizer.features()
    }

    /// Number of bits of a code.
    #[wasm_bindgen(getter, js_name = numBits)]
    pub fn num_bits(&self) -> usize {
        self.quantizer.num_bits()
    }

    /// Encodes vectors `[n, features]` and returns the words of their codes.
    ///
    /// # Errors
    ///
    /// Returns an error if the last vector is not whole.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint32Array>")]
    pub fn encode(&self, x: Vec<f32>) -> Result<Promise, JsError> {
        let x = floats::<2>(x, "numbers", &[self.features()])?;
        let quantizer = self.quantizer.clone();
        Ok(code_words(
            async move { quantizer.encode_packed_async(x).await },
        ))
    }

    /// Returns the logits of the vectors' bits, `[n, num_bits]`.
    ///
    /// # Errors
    ///
    /// Returns an error if the last vector is not whole.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn logits(&self, x: Vec<f32>) -> Result<Promise, JsError> {
        let x = floats::<2>(x, "numbers", &[self.features()])?;
        Ok(float_array(self.quantizer.logits(x)))
    }

    /// Quantizes vectors and returns the outputs, `[n, features]`.
    ///
    /// # Errors
    ///
    /// Returns an error if the last vector is not whole.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn quantize(&self, x: Vec<f32>) -> Result<Promise, JsError> {
        let x = floats::<2>(x, "numbers", &[self.features()])?;
        Ok(float_array(self.quantizer.quantize(x)))
    }

    /// Decodes codes, given as one number per bit, to vectors in normalized units.
    ///
    /// # Errors
    ///
    /// Returns an error if the last code is not whole, or if a bit is neither 0 nor 1.
    #[wasm_bindgen(js_name = decodeBits, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_bits(&self, codes: Vec<u8>) -> Result<Promise, JsError> {
        let bits = bits::<2>(codes, &[self.num_bits()])?;
        Ok(float_array(self.quantizer.decode(bits)))
    }

    /// Decodes codes, given as words, to vectors in normalized units.
    ///
    /// # Errors
    ///
    /// Returns an error if the last code is not whole, or if a bit after the code's last bit is set.
    #[wasm_bindgen(js_name = decodeWords, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_words(&self, codes: &[u32]) -> Result<Promise, JsError> {
        let bits = bits_of_words::<2>(codes, self.num_bits(), &[self.num_bits()])?;
        Ok(float_array(self.quantizer.decode(bits)))
    }

    /// Reconstructs vectors in their own units from codes, given as one number per bit.
    ///
    /// # Errors
    ///
    /// Returns an error if the last code is not whole, or if a bit is neither 0 nor 1.
    #[wasm_bindgen(js_name = reconstructBits, unchecked_return_type = "Promise<Float32Array>")]
    pub fn reconstruct_bits(&self, codes: Vec<u8>) -> Result<Promise, JsError> {
        let bits = bits::<2>(codes, &[self.num_bits()])?;
        Ok(float_array(self.quantizer.reconstruct(bits)))
    }

    /// Reconstructs vectors in their own units from codes, given as words.
    ///
    /// # Errors
    ///
    /// Returns an error if the last code is not whole, or if a bit after the code's last bit is set.
    #[wasm_bindgen(js_name = reconstructWords, unchecked_return_type = "Promise<Float32Array>")]
    pub fn reconstruct_words(&self, codes: &[u32]) -> Result<Promise, JsError> {
        let bits = bits_of_words::<2>(codes, self.num_bits(), &[self.num_bits()])?;
        Ok(float_array(self.quantizer.reconstruct(bits)))
    }
}
