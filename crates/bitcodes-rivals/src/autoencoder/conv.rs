//! The convolutional autoencoder: it encodes images to maps of a quarter of their height and width, and
//! decodes the maps.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Tensor, backend::Backend};

use super::FEATURES;

/// The encoder: three convolutions, the last two of which halve height and width, and a linear
/// layer.
#[derive(Module, Debug)]
pub struct ConvEncoder<B: Backend> {
    convs: Vec<Conv2d<B>>,
    project: Conv2d<B>,
}

impl<B: Backend> ConvEncoder<B> {
    pub fn new(device: &B::Device) -> Self {
        let down = |channels| {
            Conv2dConfig::new(channels, [4, 4])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        Self {
            convs: vec![same_size([1, 32], device), down([32, 64]), down([64, 64])],
            project: Conv2dConfig::new([64, FEATURES], [1, 1]).init(device),
        }
    }

    /// Encodes images `[batch, 1, side, side]` to maps `[batch, FEATURES, side / 4, side / 4]`.
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        let hidden = self
            .convs
            .iter()
            .fold(images, |x, conv| gelu(conv.forward(x)));
        self.project.forward(hidden)
    }
}

/// The decoder: a linear layer, two transposed convolutions that each double height and width, and
/// a convolution.
#[derive(Module, Debug)]
pub struct ConvDecoder<B: Backend> {
    expand: Conv2d<B>,
    up: Vec<ConvTranspose2d<B>>,
    last: Conv2d<B>,
}

impl<B: Backend> ConvDecoder<B> {
    pub fn new(device: &B::Device) -> Self {
        let up = |channels| {
            ConvTranspose2dConfig::new(channels, [4, 4])
                .with_stride([2, 2])
                .with_padding([1, 1])
                .init(device)
        };
        Self {
            expand: Conv2dConfig::new([FEATURES, 64], [1, 1]).init(device),
            up: vec![up([64, 64]), up([64, 32])],
            last: same_size([32, 1], device),
        }
    }

    /// Decodes maps `[batch, FEATURES, along, along]` to images `[batch, 1, 4 * along, 4 * along]` before
    /// the sigmoid.
    pub fn forward(&self, map: Tensor<B, 4>) -> Tensor<B, 4> {
        let hidden = gelu(self.expand.forward(map));
        let hidden = self.up.iter().fold(hidden, |x, up| gelu(up.forward(x)));
        self.last.forward(hidden)
    }
}

/// Makes a 3x3 convolution, padded so that height and width stay the same.
fn same_size<B: Backend>(channels: [usize; 2], device: &B::Device) -> Conv2d<B> {
    Conv2dConfig::new(channels, [3, 3])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(device)
}
