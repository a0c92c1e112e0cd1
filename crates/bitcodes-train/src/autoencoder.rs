//! The toy VQ autoencoder: it quantizes images to bits and decodes them.

use bitcodes_core::{Bitcodes, BitcodesConfig, CodesError, ConfigError, PackedCodes};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Distribution, Int, Tensor, activation::sigmoid, backend::Backend, read_sync};

use crate::mixer::Mixer;

/// Configuration of an [`Autoencoder`].
#[derive(Config, Debug, PartialEq)]
pub struct AutoencoderConfig {
    /// Height of the images in pixels, a multiple of [`PATCH`](Self::PATCH).
    pub height: usize,
    /// Width of the images in pixels, a multiple of [`PATCH`](Self::PATCH).
    pub width: usize,
    /// Configuration of the quantizer. Its `features` are the size of a token.
    pub quantizer: BitcodesConfig,
}

/// Error of an [`AutoencoderConfig`] that is not valid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AutoencoderConfigError {
    /// The height or the width is not a multiple of the patch, or is too large.
    #[error(
        "images of {height} x {width} pixels, expected multiples of {} up to {}",
        AutoencoderConfig::PATCH,
        AutoencoderConfig::MAX_SIDE
    )]
    Size {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// There are more features or bits than [`MAX_DIM`](AutoencoderConfig::MAX_DIM).
    #[error("{name} is {found}, expected at most {}", AutoencoderConfig::MAX_DIM)]
    TooLarge {
        /// Name of the field.
        name: &'static str,
        /// Value of the field.
        found: usize,
    },
    /// The quantizer's configuration is not valid.
    #[error(transparent)]
    Quantizer(#[from] ConfigError),
}

impl AutoencoderConfig {
    /// Height and width in pixels of a patch. Each patch becomes one token.
    pub const PATCH: usize = 4;
    /// Largest height and width of an image in pixels. There is a limit because the mixer has
    /// weights for each pair of tokens.
    pub const MAX_SIDE: usize = 128;
    /// Features of a token in the program and in the examples.
    pub const FEATURES: usize = 16;
    /// Largest number of features and of bits of a token, more than a toy has use for.
    pub const MAX_DIM: usize = 4096;

    /// Returns the number of tokens of an image.
    pub fn tokens(&self) -> usize {
        (self.height / Self::PATCH) * (self.width / Self::PATCH)
    }

    /// Returns the number of bits of an image's code: the bits of all its tokens.
    pub fn bits_per_image(&self) -> usize {
        self.tokens() * self.quantizer.num_bits
    }

    /// Checks that an autoencoder can have this configuration.
    ///
    /// # Errors
    ///
    /// Returns the first [`AutoencoderConfigError`] that applies.
    pub fn validate(&self) -> Result<(), AutoencoderConfigError> {
        let (height, width) = (self.height, self.width);
        let fits = |side: usize| {
            (Self::PATCH..=Self::MAX_SIDE).contains(&side) && side.is_multiple_of(Self::PATCH)
        };
        if !(fits(height) && fits(width)) {
            return Err(AutoencoderConfigError::Size { height, width });
        }
        let BitcodesConfig {
            features, num_bits, ..
        } = self.quantizer;
        for (name, found) in [("features", features), ("num_bits", num_bits)] {
            if found > Self::MAX_DIM {
                return Err(AutoencoderConfigError::TooLarge { name, found });
            }
        }
        Ok(self.quantizer.validate()?)
    }

    /// Makes the autoencoder with random weights.
    ///
    /// # Panics
    ///
    /// Panics if [`validate`](Self::validate) gives an error.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Autoencoder<B> {
        self.validate()
            .unwrap_or_else(|error| panic!("AutoencoderConfig: {error}"));
        let position = || {
            let shape = [self.tokens(), Mixer::<B>::WIDTH];
            Tensor::random(shape, Distribution::Normal(0.0, 0.02), device)
        };
        let encoder = position();
        let quantizer = self.quantizer.init(device);
        let autoencoder = self.assemble([encoder, position()], quantizer);
        // Burn draws weights at their first use, so a clone that is made earlier would draw other
        // weights. A fork draws them all now.
        autoencoder.fork(device)
    }

    /// Makes the autoencoder with random weights and a quantizer that starts from the tokens of the
    /// images.
    ///
    /// The tokens are the sample of [`BitcodesConfig::try_init_from_sample`].
    ///
    /// # Shapes
    ///
    /// - images: `[batch, height, width]` in [0, 1]; a few hundred images are enough
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] if the quantizer cannot start from the tokens.
    ///
    /// # Panics
    ///
    /// Panics if [`validate`](Self::validate) gives an error, or if the images have another size
    /// than the configuration's.
    pub fn try_init_from_images<B: Backend>(
        &self,
        images: Tensor<B, 3>,
    ) -> Result<Autoencoder<B>, ConfigError> {
        let autoencoder = self.init(&images.device());
        let tokens = autoencoder.encoder.forward(autoencoder.patches(images));
        Ok(Autoencoder {
            quantizer: self.quantizer.try_init_from_sample(tokens)?,
            ..autoencoder
        })
    }

    /// Makes an autoencoder for a record to be loaded into. Nothing is drawn at random.
    ///
    /// # Errors
    ///
    /// Returns [`AutoencoderConfigError`] if [`validate`](Self::validate) gives one.
    pub(crate) fn to_be_loaded<B: Backend>(
        &self,
        device: &B::Device,
    ) -> Result<Autoencoder<B>, AutoencoderConfigError> {
        self.validate()?;
        let BitcodesConfig {
            features, num_bits, ..
        } = self.quantizer;
        let codebook = Tensor::zeros([2 * num_bits, features], device);
        let quantizer = self.quantizer.try_init_from_codebook(codebook)?;
        let position = || Tensor::zeros([self.tokens(), Mixer::<B>::WIDTH], device);
        Ok(self.assemble([position(), position()], quantizer))
    }

    fn assemble<B: Backend>(
        &self,
        [encoder, decoder]: [Tensor<B, 2>; 2],
        quantizer: Bitcodes<B>,
    ) -> Autoencoder<B> {
        let pixels = Self::PATCH * Self::PATCH;
        let features = self.quantizer.features;
        Autoencoder {
            encoder: Mixer::new(pixels, features, encoder),
            quantizer,
            decoder: Mixer::new(features, pixels, decoder),
            height: self.height,
            width: self.width,
        }
    }
}

/// A VQ autoencoder for images.
///
/// It cuts an image into patches of 4x4 pixels, makes one token (a vector) of each patch with a
/// [`Mixer`], quantizes the tokens with [`Bitcodes`], and makes patches of pixels again with a
/// second mixer.
#[derive(Module, Debug)]
pub struct Autoencoder<B: Backend> {
    encoder: Mixer<B>,
    /// The quantizer between the encoder and the decoder.
    pub quantizer: Bitcodes<B>,
    decoder: Mixer<B>,
    height: usize,
    width: usize,
}

/// Output of [`Autoencoder::forward_with_draws`].
#[derive(Debug, Clone)]
pub struct AutoencoderOutput<B: Backend> {
    /// The reconstructed images, `[batch, height, width]` in [0, 1].
    pub images: Tensor<B, 3>,
    /// The bits that the images are decoded from, `[batch, tokens, num_bits]`.
    pub bits: Tensor<B, 3, Int>,
    /// The quantizer's loss `[1]`, if its configuration gives a loss a weight.
    pub loss: Option<Tensor<B, 1>>,
}

impl<B: Backend> Autoencoder<B> {
    /// Quantizes images with the random numbers given
    /// ([`Bitcodes::forward_with_draws`](bitcodes_core::Bitcodes::forward_with_draws)) and decodes them, as in
    /// training.
    ///
    /// # Shapes
    ///
    /// - images: `[batch, height, width]` in [0, 1]
    /// - noise: `[batch, tokens, num_bits]`
    /// - draws: `[batch, tokens, 1]`
    ///
    /// # Panics
    ///
    /// Panics if the images have another height or width than the configuration's, or if the noise
    /// or the draws have another shape.
    pub fn forward_with_draws(
        &self,
        images: Tensor<B, 3>,
        noise: Tensor<B, 3>,
        draws: Tensor<B, 3>,
    ) -> AutoencoderOutput<B> {
        let tokens = self.encoder.forward(self.patches(images));
        let [noise, draws] = [noise, draws].map(|of_images| of_images.swap_dims(0, 1));
        let quantized = self.quantizer.forward_with_draws(tokens, noise, draws);
        AutoencoderOutput {
            images: self.picture(self.decoder.forward(quantized.quantized)),
            bits: quantized.bits.swap_dims(0, 1),
            loss: quantized.loss,
        }
    }

    /// Returns the codes of images.
    ///
    /// # Shapes
    ///
    /// - images: `[batch, height, width]` in [0, 1]
    /// - output: `[batch, tokens, num_bits]`, each 0 or 1
    ///
    /// # Panics
    ///
    /// Panics if the images have another height or width than the configuration's.
    pub fn encode(&self, images: Tensor<B, 3>) -> Tensor<B, 3, Int> {
        let tokens = self.encoder.forward(self.patches(images));
        self.quantizer.encode(tokens).swap_dims(0, 1)
    }

    /// Returns the packed codes of images, whose dimensions are `[batch, tokens]`. In a browser use
    /// [`encode_packed_async`](Self::encode_packed_async).
    ///
    /// # Shapes
    ///
    /// - images: `[batch, height, width]` in [0, 1]
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::Device`] if the device fails.
    ///
    /// # Panics
    ///
    /// Panics if the images have another height or width than the configuration's.
    pub fn encode_packed(&self, images: Tensor<B, 3>) -> Result<PackedCodes, CodesError> {
        read_sync(self.encode_packed_async(images))
    }

    /// Does the same as [`encode_packed`](Self::encode_packed) for devices that are read
    /// asynchronously.
    ///
    /// # Errors
    ///
    /// As [`encode_packed`](Self::encode_packed).
    ///
    /// # Panics
    ///
    /// As [`encode_packed`](Self::encode_packed).
    pub async fn encode_packed_async(
        &self,
        images: Tensor<B, 3>,
    ) -> Result<PackedCodes, CodesError> {
        let tokens = self.encoder.forward(self.patches(images));
        let tokens = tokens.swap_dims(0, 1);
        self.quantizer.encode_packed_async(tokens).await
    }

    /// Returns the logits of the images' bits, see [`Bitcodes::logits`].
    ///
    /// # Shapes
    ///
    /// - images: `[batch, height, width]` in [0, 1]
    /// - output: `[batch, tokens, num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if the images have another height or width than the configuration's.
    pub fn logits(&self, images: Tensor<B, 3>) -> Tensor<B, 3> {
        let tokens = self.encoder.forward(self.patches(images));
        self.quantizer.logits(tokens).swap_dims(0, 1)
    }

    /// Decodes codes to images.
    ///
    /// # Shapes
    ///
    /// - bits: `[batch, tokens, num_bits]`, each 0 or 1
    /// - output: `[batch, height, width]` in [0, 1]
    pub fn decode(&self, bits: Tensor<B, 3, Int>) -> Tensor<B, 3> {
        let tokens = self.quantizer.decode(bits.swap_dims(0, 1));
        self.picture(self.decoder.forward(tokens))
    }

    /// Returns the number of tokens of an image.
    pub fn tokens(&self) -> usize {
        (self.height / AutoencoderConfig::PATCH) * (self.width / AutoencoderConfig::PATCH)
    }

    /// Cuts images `[batch, height, width]` into patches `[tokens, batch, PATCH * PATCH]`.
    fn patches(&self, images: Tensor<B, 3>) -> Tensor<B, 3> {
        const PATCH: usize = AutoencoderConfig::PATCH;
        let [batch, height, width] = images.dims();
        assert_eq!(
            [height, width],
            [self.height, self.width],
            "Autoencoder: height and width of the images (left) differ from the model's (right)"
        );
        let [rows, columns] = [height / PATCH, width / PATCH];
        images
            .reshape([batch, rows, PATCH, columns, PATCH])
            .permute([1, 3, 0, 2, 4])
            .reshape([rows * columns, batch, PATCH * PATCH])
    }

    /// Applies the sigmoid to patches `[tokens, batch, PATCH * PATCH]` and joins them to images
    /// `[batch, height, width]`.
    fn picture(&self, patches: Tensor<B, 3>) -> Tensor<B, 3> {
        const PATCH: usize = AutoencoderConfig::PATCH;
        let [_, batch, _] = patches.dims();
        let [rows, columns] = [self.height / PATCH, self.width / PATCH];
        sigmoid(patches)
            .reshape([rows, columns, batch, PATCH, PATCH])
            .permute([2, 0, 3, 1, 4])
            .reshape([batch, self.height, self.width])
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn patches_are_blocks_of_pixels_and_picture_puts_them_back() {
        let device = Default::default();
        let config = AutoencoderConfig::new(8, 12, BitcodesConfig::new(16, 8));
        let model = config.init::<Flex>(&device);
        let images = Tensor::<Flex, 1, Int>::arange(1..1 + 2 * 8 * 12, &device)
            .float()
            .div_scalar(200)
            .reshape([2, 8, 12]);

        let patches = model.patches(images.clone());
        assert_eq!(patches.dims(), [6, 2, 16]);
        let last_of_first = patches.clone().slice([5..6, 0..1]).flatten::<1>(0, 2);
        let corner = images.clone().slice([0..1, 4..8, 8..12]).flatten::<1>(0, 2);
        assert_eq!(last_of_first.into_data(), corner.into_data());

        let before_sigmoid = (patches.clone() / (-patches + 1.0)).log();
        let difference = model.picture(before_sigmoid) - images;
        // Neighboring pixels differ by 1 / 200, so a difference below half of that is the same
        // pixel.
        assert!(difference.abs().max().into_scalar() < 1.0 / 400.0);
    }
}
