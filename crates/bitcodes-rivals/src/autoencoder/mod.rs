//! The two autoencoders in which every quantizer is trained. They turn each 4x4 pixels of an image into a
//! token of 16 features.

mod conv;

use std::fmt;

use bitcodes_train::Mixer;
use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Distribution, Tensor, backend::Backend};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use self::conv::{ConvDecoder, ConvEncoder};
use crate::quantizer::{Moments, Quantized, Quantizer};

/// Height and width in pixels of the part of an image that becomes a token.
pub const PATCH: usize = 4;
/// Number of features of a token.
pub const FEATURES: usize = 16;

/// The architecture of the encoder and the decoder around the quantizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// The MLP-Mixer of `bitcodes train`.
    Mixer,
    /// Three convolutions in the encoder and three in the decoder.
    Conv,
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Mixer => "mixer",
            Self::Conv => "conv",
        })
    }
}

/// The half that makes tokens of images.
#[expect(clippy::large_enum_variant, reason = "a model has only one encoder")]
#[derive(Module, Debug)]
enum Encoder<B: Backend> {
    Mixer(Mixer<B>),
    Conv(ConvEncoder<B>),
}

/// The half that makes images of tokens.
#[derive(Module, Debug)]
enum Decoder<B: Backend> {
    Mixer(Mixer<B>),
    Conv(ConvDecoder<B>),
}

/// An autoencoder with a quantizer in it.
#[derive(Module, Debug)]
pub struct Autoencoder<B: Backend> {
    encoder: Encoder<B>,
    /// Normalization before the quantizer, if any.
    pub moments: Option<Moments<B>>,
    /// The quantizer that is compared with others.
    pub quantizer: Quantizer<B>,
    decoder: Decoder<B>,
    /// Number of tokens in a row of an image, and in a column.
    along: usize,
}

impl<B: Backend> Autoencoder<B> {
    /// Makes an autoencoder with random weights for images with `along` tokens in each row and each column,
    /// whose height and width are [`PATCH`] times as many pixels.
    pub fn new(
        architecture: Architecture,
        along: usize,
        quantizer: Quantizer<B>,
        device: &B::Device,
    ) -> Self {
        let position = || {
            let shape = [along * along, Mixer::<B>::WIDTH];
            Tensor::random(shape, Distribution::Normal(0.0, 0.02), device)
        };
        let pixels = PATCH * PATCH;
        let (encoder, decoder) = match architecture {
            Architecture::Mixer => (
                Encoder::Mixer(Mixer::new(pixels, FEATURES, position())),
                Decoder::Mixer(Mixer::new(FEATURES, pixels, position())),
            ),
            Architecture::Conv => (
                Encoder::Conv(ConvEncoder::new(device)),
                Decoder::Conv(ConvDecoder::new(device)),
            ),
        };
        Self {
            encoder,
            moments: None,
            quantizer,
            decoder,
            along,
        }
    }

    /// Encodes images `[batch, side, side]` to tokens `[tokens * batch, FEATURES]`. The first
    /// tokens of all images come first.
    pub fn encode(&self, images: Tensor<B, 3>) -> Tensor<B, 2> {
        let ([batch, _, _], tokens) = (images.dims(), self.along * self.along);
        let all = match &self.encoder {
            Encoder::Mixer(mixer) => mixer.forward(patches(images, self.along)),
            Encoder::Conv(conv) => {
                let map: Tensor<B, 4> = conv.forward(images.unsqueeze_dim(1));
                map.reshape([batch, FEATURES, tokens]).permute([2, 0, 1])
            }
        };
        all.reshape([tokens * batch, FEATURES])
    }

    /// Quantizes tokens `[tokens, FEATURES]` as in training.
    pub fn quantize_in_training(
        &mut self,
        tokens: Tensor<B, 2>,
        random: &mut StdRng,
    ) -> Quantized<B> {
        let tokens = match &mut self.moments {
            Some(moments) => moments.normalized_in_training(tokens),
            None => tokens,
        };
        self.quantizer.forward(tokens, random)
    }

    /// Quantizes tokens `[tokens, FEATURES]` as after training.
    pub fn quantize(&self, tokens: Tensor<B, 2>) -> Quantized<B> {
        let tokens = match &self.moments {
            Some(moments) => moments.normalized(tokens),
            None => tokens,
        };
        self.quantizer.quantize(tokens)
    }

    /// Decodes tokens `[tokens * batch, FEATURES]` to images `[batch, side, side]` with pixels in
    /// [0, 1].
    pub fn decode(&self, tokens: Tensor<B, 2>) -> Tensor<B, 3> {
        let ([rows, _], along) = (tokens.dims(), self.along);
        let batch = rows / (along * along);
        let tokens = tokens.reshape([along * along, batch, FEATURES]);
        let images = match &self.decoder {
            Decoder::Mixer(mixer) => image(mixer.forward(tokens), along),
            Decoder::Conv(conv) => {
                let map = tokens.permute([1, 2, 0]);
                conv.forward(map.reshape([batch, FEATURES, along, along]))
                    .squeeze_dim(1)
            }
        };
        sigmoid(images)
    }
}

/// Cuts images `[batch, side, side]` into patches `[along * along, batch, pixels of a patch]`.
fn patches<B: Backend>(images: Tensor<B, 3>, along: usize) -> Tensor<B, 3> {
    let [batch, _, _] = images.dims();
    images
        .reshape([batch, along, PATCH, along, PATCH])
        .permute([1, 3, 0, 2, 4])
        .reshape([along * along, batch, PATCH * PATCH])
}

/// Joins patches to images, the inverse of [`patches`].
fn image<B: Backend>(patches: Tensor<B, 3>, along: usize) -> Tensor<B, 3> {
    let [_, batch, _] = patches.dims();
    patches
        .reshape([along, along, batch, PATCH, PATCH])
        .permute([2, 0, 3, 1, 4])
        .reshape([batch, along * PATCH, along * PATCH])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::TensorData;

    #[test]
    fn patches_are_parts_of_the_image_and_join_to_it() {
        let (along, side) = (3, 3 * PATCH);
        let pixels: Vec<f32> = (0..2 * side * side).map(|index| index as f32).collect();
        let images = TensorData::new(pixels, [2, side, side]);
        let images = Tensor::<Flex, 3>::from_data(images, &Default::default());
        let cut = patches(images.clone(), along);
        let row = |patch: usize, batch: usize| -> Vec<f32> {
            let row = cut.clone().narrow(0, patch, 1).narrow(1, batch, 1);
            row.into_data().iter().collect()
        };
        // The patch in row 2 and column 1 begins at pixel (8, 4).
        let first = (side * side + 8 * side + 4) as f32;
        assert_eq!(
            row(2 * 3 + 1, 1)[..PATCH],
            [0.0, 1.0, 2.0, 3.0].map(|x| first + x)
        );
        assert_eq!(row(2 * 3 + 1, 1)[PATCH], first + side as f32);
        assert_eq!(image(cut, along).into_data(), images.into_data());
    }
}
