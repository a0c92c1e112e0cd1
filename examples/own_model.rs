//! A quantizer inside your own model, trained by your own loop.
//!
//! A linear encoder and a linear decoder learn to quantize points of a circle to 5 bits.
//!
//! ```console
//! $ cargo run --release --example own_model
//! ```

use std::f32::consts::TAU;

use bitcodes_core::{Bitcodes, BitcodesConfig, BitcodesOutput};
use burn::backend::{Autodiff, Flex};
use burn::module::{AutodiffModule, Module};
use burn::nn::loss::{MseLoss, Reduction};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Distribution, Tensor};

#[derive(Module, Debug)]
struct Model<B: Backend> {
    encoder: Linear<B>,
    bitcodes: Bitcodes<B>,
    decoder: Linear<B>,
}

impl<B: Backend> Model<B> {
    fn new(device: &B::Device) -> Self {
        let encoder = LinearConfig::new(2, 16).init(device);
        // The codebook starts from the encoder's output for a batch.
        let sample = encoder.forward(circle(256, device));
        let bitcodes = BitcodesConfig::new(16, 5).try_init_from_sample(sample);
        Self {
            encoder,
            bitcodes: bitcodes.expect("the encoder gives numbers"),
            decoder: LinearConfig::new(16, 2).init(device),
        }
    }

    fn forward(&self, points: Tensor<B, 2>) -> (Tensor<B, 2>, BitcodesOutput<B, 2>) {
        let out = self.bitcodes.forward(self.encoder.forward(points));
        (self.decoder.forward(out.quantized.clone()), out)
    }
}

fn main() {
    train::<Autodiff<Flex>>(&Default::default());
}

fn train<B: AutodiffBackend>(device: &B::Device) {
    B::seed(device, 1);
    let mut model = Model::<B>::new(device);
    let mut optimizer = AdamWConfig::new().init();
    for step in 0..2000 {
        let points = circle::<B>(256, device);
        let (reconstructed, out) = model.forward(points.clone());
        let error = MseLoss::new().forward(reconstructed, points, Reduction::Mean);
        let loss = error + out.loss.expect("there is a loss by default");
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(5e-3, model, gradients);
        if step % 400 == 0 {
            report(&model.valid(), device);
        }
    }
    report(&model.valid(), device);
}

/// Prints the error on new points. The model is without `Autodiff` here, so `forward` is
/// deterministic.
fn report<B: Backend>(model: &Model<B>, device: &B::Device) {
    let points = circle::<B>(1000, device);
    let (reconstructed, out) = model.forward(points.clone());
    let mse = MseLoss::new().forward(reconstructed, points, Reduction::Mean);
    println!(
        "mean squared error {:.4}, bits of the first point {}",
        mse.into_scalar(),
        out.bits.narrow(0, 0, 1).into_data()
    );
}

/// Draws points `[count, 2]` on the unit circle.
fn circle<B: Backend>(count: usize, device: &B::Device) -> Tensor<B, 2> {
    let angle = Tensor::<B, 2>::random([count, 1], Distribution::Default, device) * TAU;
    Tensor::cat(vec![angle.clone().cos(), angle.sin()], 1)
}
