//! The two autoencoders in which every quantizer is trained. They turn an image of 8x8 pixels into
//! 4 tokens of 16 features.

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

/// Height and width of the images in pixels.
pub const SIDE: usize = 8;
/// Number of tokens of an image.
pub const TOKENS: usize = 4;
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
}

impl<B: Backend> Autoencoder<B> {
    /// Makes an autoencoder with random weights.
    pub fn new(architecture: Architecture, quantizer: Quantizer<B>, device: &B::Device) -> Self {
        let position = || {
            let shape = [TOKENS, Mixer::<B>::WIDTH];
            Tensor::random(shape, Distribution::Normal(0.0, 0.02), device)
        };
        let pixels = SIDE * SIDE / TOKENS;
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
        }
    }

    /// Encodes images `[batch, SIDE, SIDE]` to tokens `[TOKENS * batch, FEATURES]`. The first
    /// tokens of all images come first.
    pub fn encode(&self, images: Tensor<B, 3>) -> Tensor<B, 2> {
        let [batch, _, _] = images.dims();
        let tokens = match &self.encoder {
            Encoder::Mixer(mixer) => mixer.forward(patches(images)),
            Encoder::Conv(conv) => {
                let map: Tensor<B, 4> = conv.forward(images.unsqueeze_dim(1));
                map.reshape([batch, FEATURES, TOKENS]).permute([2, 0, 1])
            }
        };
        tokens.reshape([TOKENS * batch, FEATURES])
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

    /// Decodes tokens `[TOKENS * batch, FEATURES]` to images `[batch, SIDE, SIDE]` with pixels in
    /// [0, 1].
    pub fn decode(&self, tokens: Tensor<B, 2>) -> Tensor<B, 3> {
        let [rows, _] = tokens.dims();
        let batch = rows / TOKENS;
        let tokens = tokens.reshape([TOKENS, batch, FEATURES]);
        let images = match &self.decoder {
            Decoder::Mixer(mixer) => image(mixer.forward(tokens)),
            Decoder::Conv(conv) => {
                let map = tokens.permute([1, 2, 0]).reshape([batch, FEATURES, 2, 2]);
                conv.forward(map).reshape([batch, SIDE, SIDE])
            }
        };
        sigmoid(images)
    }
}

/// Cuts images `[batch, SIDE, SIDE]` into patches `[TOKENS, batch, pixels of a patch]`.
fn patches<B: Backend>(images: Tensor<B, 3>) -> Tensor<B, 3> {
    let [batch, _, _] = images.dims();
    let patch = SIDE / 2;
    images
        .reshape([batch, 2, patch, 2, patch])
        .permute([1, 3, 0, 2, 4])
        .reshape([TOKENS, batch, patch * patch])
}

/// Joins patches to images, the inverse of [`patches`].
fn image<B: Backend>(patches: Tensor<B, 3>) -> Tensor<B, 3> {
    let [_, batch, _] = patches.dims();
    let patch = SIDE / 2;
    patches
        .reshape([2, 2, batch, patch, patch])
        .permute([2, 0, 3, 1, 4])
        .reshape([batch, SIDE, SIDE])
}
