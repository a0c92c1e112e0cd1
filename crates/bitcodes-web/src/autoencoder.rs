//! A whole autoencoder, for JavaScript.

use bitcodes_core::PackedCodes;
use bitcodes_train::{AutoencoderConfig, read_config, read_model};
use burn::tensor::{Int, Tensor};
use js_sys::Promise;
use wasm_bindgen::prelude::*;

use crate::arrays::{bits, bits_of_words, code_words, float_array, floats, is_empty};
use crate::compute::{Compute, device};

/// An autoencoder as `bitcodes train` saves it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Autoencoder {
    model: bitcodes_train::Autoencoder<Compute>,
    config: AutoencoderConfig,
}

#[wasm_bindgen]
impl Autoencoder {
    /// Reads one from the bytes of a run's `config.json` and `model.mpk`.
    ///
    /// # Errors
    ///
    /// Names the file, and what is wrong with it: see [`bitcodes_train::LoadCause`].
    pub fn load(config: &[u8], model: &[u8]) -> Result<Autoencoder, JsError> {
        let broken = |file: &str, cause: bitcodes_train::LoadCause| {
            JsError::new(&format!("{file}: {cause}"))
        };
        let config = read_config(config);
        let config = config.map_err(|cause| broken(bitcodes_train::files::CONFIG, cause))?;
        let model = read_model(&config, model, &device()?);
        let model = model.map_err(|cause| broken(bitcodes_train::files::MODEL, cause))?;
        Ok(Self { model, config })
    }

    /// Height of the images in pixels.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.config.height
    }

    /// Width of the images in pixels.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.config.width
    }

    /// Tokens of an image.
    #[wasm_bindgen(getter)]
    pub fn tokens(&self) -> usize {
        self.config.tokens()
    }

    /// Bits of a token.
    #[wasm_bindgen(getter, js_name = numBits)]
    pub fn num_bits(&self) -> usize {
        self.config.quantizer.num_bits
    }

    /// The codes of images, `[n, height, width]` in [0, 1], as the words of their tokens.
    ///
    /// # Errors
    ///
    /// Where there are not whole images.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint32Array>")]
    pub fn encode(&self, images: Vec<f32>) -> Result<Promise, JsError> {
        let logits = self.decided(self.images(images)?)?;
        Ok(code_words(PackedCodes::from_logits_async(logits)))
    }

    /// How decided the bits of images are, `[n, tokens, num_bits]`.
    ///
    /// # Errors
    ///
    /// Where there are not whole images.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn logits(&self, images: Vec<f32>) -> Result<Promise, JsError> {
        Ok(float_array(self.decided(self.images(images)?)?))
    }

    /// Images through their codes and back.
    ///
    /// # Errors
    ///
    /// Where there are not whole images.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn reconstruct(&self, images: Vec<f32>) -> Result<Promise, JsError> {
        let images = self.images(images)?;
        Ok(match is_empty(&images) {
            true => float_array(images),
            false => self.pictures(self.model.encode(images)),
        })
    }

    /// The images that bits stand for.
    ///
    /// # Errors
    ///
    /// Where there are not whole codes, or a bit is neither 0 nor 1.
    #[wasm_bindgen(js_name = decodeBits, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_bits(&self, codes: Vec<u8>) -> Result<Promise, JsError> {
        let codes = bits::<3>(codes, &[self.tokens(), self.num_bits()])?;
        Ok(self.pictures(codes))
    }

    /// The images that words stand for.
    ///
    /// # Errors
    ///
    /// Where there are not whole codes, or a bit past the last is set.
    #[wasm_bindgen(js_name = decodeWords, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_words(&self, codes: &[u32]) -> Result<Promise, JsError> {
        let rest = [self.tokens(), self.num_bits()];
        let codes = bits_of_words::<3>(codes, self.num_bits(), &rest)?;
        Ok(self.pictures(codes))
    }

    fn images(&self, images: Vec<f32>) -> Result<Tensor<Compute, 3>, JsError> {
        floats(images, "pixels", &[self.height(), self.width()])
    }

    /// The logits of images, of none too.
    fn decided(&self, images: Tensor<Compute, 3>) -> Result<Tensor<Compute, 3>, JsError> {
        if is_empty(&images) {
            let shape = [0, self.tokens(), self.num_bits()];
            return Ok(Tensor::zeros(shape, &device()?));
        }
        Ok(self.model.logits(images))
    }

    fn pictures(&self, codes: Tensor<Compute, 3, Int>) -> Promise {
        float_array(match is_empty(&codes) {
            true => codes.float(),
            false => self.model.decode(codes),
        })
    }
}
