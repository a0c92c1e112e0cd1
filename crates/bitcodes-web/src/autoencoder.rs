//! The class `Autoencoder` for JavaScript.

use bitcodes_core::PackedCodes;
use bitcodes_train::{AutoencoderConfig, read_config, read_model};
use burn::tensor::{Int, Tensor};
use js_sys::Promise;
use wasm_bindgen::prelude::*;

use crate::arrays::{bits, bits_of_words, code_words, float_array, floats, is_empty};
use crate::compute::{Compute, device};

/// The toy autoencoder, as the program `bitcodes train` saves it.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Autoencoder {
    model: bitcodes_train::Autoencoder<Compute>,
    config: AutoencoderConfig,
}

#[wasm_bindgen]
impl Autoencoder {
    /// Loads an autoencoder from the bytes of the files `config.json` and `model.mpk` of a run.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file and what is wrong with it; see
    /// [`bitcodes_train::LoadCause`].
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

    /// Number of tokens of an image.
    #[wasm_bindgen(getter)]
    pub fn tokens(&self) -> usize {
        self.config.tokens()
    }

    /// Number of bits of a token.
    #[wasm_bindgen(getter, js_name = numBits)]
    pub fn num_bits(&self) -> usize {
        self.config.quantizer.num_bits
    }

    /// Encodes images `[n, height, width]` with pixels in [0, 1] and returns the words of their
    /// tokens' codes.
    ///
    /// # Errors
    ///
    /// Returns an error if the last image is not whole.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint32Array>")]
    pub fn encode(&self, images: Vec<f32>) -> Result<Promise, JsError> {
        let images = self.images(images)?;
        let (model, dims) = (self.model.clone(), [0, self.tokens()]);
        Ok(code_words(async move {
            match is_empty(&images) {
                true => PackedCodes::from_bytes(dims, model.quantizer.num_bits(), [].into()),
                false => model.encode_packed_async(images).await,
            }
        }))
    }

    /// Returns the logits of the images' bits, `[n, tokens, num_bits]`.
    ///
    /// # Errors
    ///
    /// Returns an error if the last image is not whole.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn logits(&self, images: Vec<f32>) -> Result<Promise, JsError> {
        let images = self.images(images)?;
        Ok(float_array(match is_empty(&images) {
            true => images,
            false => self.model.logits(images),
        }))
    }

    /// Encodes images and decodes their codes.
    ///
    /// # Errors
    ///
    /// Returns an error if the last image is not whole.
    #[wasm_bindgen(js_name = roundTrip, unchecked_return_type = "Promise<Float32Array>")]
    pub fn round_trip(&self, images: Vec<f32>) -> Result<Promise, JsError> {
        let images = self.images(images)?;
        Ok(match is_empty(&images) {
            true => float_array(images),
            false => self.pictures(self.model.encode(images)),
        })
    }

    /// Decodes codes, given as one number per bit, to images.
    ///
    /// # Errors
    ///
    /// Returns an error if the last code is not whole, or if a bit is neither 0 nor 1.
    #[wasm_bindgen(js_name = decodeBits, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_bits(&self, codes: Vec<u8>) -> Result<Promise, JsError> {
        let codes = bits::<3>(codes, &[self.tokens(), self.num_bits()])?;
        Ok(self.pictures(codes))
    }

    /// Decodes codes, given as words, to images.
    ///
    /// # Errors
    ///
    /// Returns an error if the last code is not whole, or if a bit after the code's last bit is set.
    #[wasm_bindgen(js_name = decodeWords, unchecked_return_type = "Promise<Float32Array>")]
    pub fn decode_words(&self, codes: &[u32]) -> Result<Promise, JsError> {
        let rest = [self.tokens(), self.num_bits()];
        let codes = bits_of_words::<3>(codes, self.num_bits(), &rest)?;
        Ok(self.pictures(codes))
    }

    fn images(&self, images: Vec<f32>) -> Result<Tensor<Compute, 3>, JsError> {
        floats(images, "pixels", &[self.height(), self.width()])
    }

    fn pictures(&self, codes: Tensor<Compute, 3, Int>) -> Promise {
        float_array(match is_empty(&codes) {
            true => codes.float(),
            false => self.model.decode(codes),
        })
    }
}
