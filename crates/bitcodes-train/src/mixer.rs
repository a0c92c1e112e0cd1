//! The MLP-Mixer ([Tolstikhin et al. 2021](https://arxiv.org/abs/2105.01601)), the network of the
//! autoencoder's encoder and decoder.

use std::f64::consts::FRAC_1_SQRT_2;

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Tensor, backend::Backend};

/// Two linear layers with a GELU between them.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    expand: Linear<B>,
    contract: Linear<B>,
}

impl<B: Backend> Mlp<B> {
    fn new(size: usize, hidden: usize, device: &B::Device) -> Self {
        Self {
            expand: LinearConfig::new(size, hidden).init(device),
            contract: LinearConfig::new(hidden, size).init(device),
        }
    }

    /// Applies the MLP to each row of `x`.
    fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.contract.forward(gelu(self.expand.forward(x)))
    }

    /// Applies the MLP to each column of `x`.
    fn forward_columns(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let apply = |map: &Linear<B>, x: Tensor<B, 2>| {
            let y = map.weight.val().transpose().matmul(x);
            match &map.bias {
                Some(bias) => y + bias.val().unsqueeze_dim(1),
                None => y,
            }
        };
        apply(&self.contract, gelu(apply(&self.expand, x)))
    }
}

/// Computes the exact GELU, `x * (1 + erf(x / sqrt(2))) / 2`.
///
/// It is composed of smaller operations because autodiff then keeps `erf(..)` for the backward
/// pass, while Burn's own GELU computes it a second time. On Flex `erf` is the slowest operation of
/// training, and computing it again takes a quarter of the time of a training step.
fn gelu<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let cdf = ((x.clone() * FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
    x * cdf
}

/// One mixer block: an MLP over the axis of the tokens, then an MLP over the width, each with a
/// skip connection.
#[derive(Module, Debug)]
pub struct MixerBlock<B: Backend> {
    norm_tokens: LayerNorm<B>,
    over_tokens: Mlp<B>,
    norm_width: LayerNorm<B>,
    over_width: Mlp<B>,
}

impl<B: Backend> MixerBlock<B> {
    fn new(tokens: usize, width: usize, device: &B::Device) -> Self {
        Self {
            norm_tokens: LayerNormConfig::new(width).init(device),
            over_tokens: Mlp::new(tokens, 4 * tokens, device),
            norm_width: LayerNormConfig::new(width).init(device),
            over_width: Mlp::new(width, 2 * width, device),
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    ///
    /// - x: `[tokens, batch, width]`
    /// - output: `[tokens, batch, width]`
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [tokens, batch, width] = x.dims();
        let columns = self
            .norm_tokens
            .forward(x.clone())
            .reshape([tokens, batch * width]);
        let x = x + self
            .over_tokens
            .forward_columns(columns)
            .reshape([tokens, batch, width]);

        let rows = self
            .norm_width
            .forward(x.clone())
            .reshape([tokens * batch, width]);
        x + self
            .over_width
            .forward(rows)
            .reshape([tokens, batch, width])
    }
}

/// An MLP-Mixer: a linear embedding with a learned position for each token, mixer blocks, and a
/// linear output layer.
#[derive(Module, Debug)]
pub struct Mixer<B: Backend> {
    embed: Linear<B>,
    position: Param<Tensor<B, 2>>,
    blocks: Vec<MixerBlock<B>>,
    norm: LayerNorm<B>,
    project: Linear<B>,
}

impl<B: Backend> Mixer<B> {
    /// Number of mixer blocks.
    const BLOCKS: usize = 2;
    /// Size of a token between the linear layers.
    pub const WIDTH: usize = 128;

    /// Makes a mixer with random weights from tokens of size `input` to tokens of size `output`.
    ///
    /// # Shapes
    ///
    /// - position: `[tokens, WIDTH]`, the first values of the learned position of each token
    ///
    /// # Panics
    ///
    /// Panics if the position is not [`WIDTH`](Self::WIDTH) wide.
    pub fn new(input: usize, output: usize, position: Tensor<B, 2>) -> Self {
        let ([tokens, width], device) = (position.dims(), &position.device());
        assert_eq!(width, Self::WIDTH, "Mixer: width of the position");
        Self {
            embed: LinearConfig::new(input, Self::WIDTH).init(device),
            position: Param::from_tensor(position),
            blocks: (0..Self::BLOCKS)
                .map(|_| MixerBlock::new(tokens, Self::WIDTH, device))
                .collect(),
            norm: LayerNormConfig::new(Self::WIDTH).init(device),
            project: LinearConfig::new(Self::WIDTH, output).init(device),
        }
    }

    /// Applies the mixer.
    ///
    /// The axis of the tokens is the first, so that both MLPs of a block are plain matrix products
    /// without a copy.
    ///
    /// # Shapes
    ///
    /// - x: `[tokens, batch, input]`
    /// - output: `[tokens, batch, output]`
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [tokens, batch, input] = x.dims();
        let embedded = self.embed.forward(x.reshape([tokens * batch, input]));
        let embedded =
            embedded.reshape([tokens, batch, Self::WIDTH]) + self.position.val().unsqueeze_dim(1);
        let mixed = self
            .blocks
            .iter()
            .fold(embedded, |x, block| block.forward(x));
        let mixed = self
            .norm
            .forward(mixed)
            .reshape([tokens * batch, Self::WIDTH]);
        let projected = self.project.forward(mixed);
        let [_, output] = projected.dims();
        projected.reshape([tokens, batch, output])
    }
}
