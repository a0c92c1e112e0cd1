//! The quantizer.

mod build;
mod channel_first;
mod codec;
mod forward;
mod loss;
mod plain_field;
mod reconstruct;
mod slices;

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Tensor, backend::Backend};

#[cfg(feature = "std")]
pub(crate) use self::plain_field::METHOD;
use self::plain_field::PlainField;
use crate::assignment::Assignment;
use crate::codebook::Codebook;
use crate::losses::Weights;
use crate::{BitcodesConfig, Normalization, Schedule};

/// A vector quantizer with binary codes.
///
/// The codebook holds one pair of vectors for each bit, rows `2p` and `2p + 1` being the pair of bit
/// `p`. A bit chooses one vector of its pair, and the sum of the chosen vectors is the output:
///
/// ```text
/// delta_p = codebook[2p + 1] - codebook[2p]        base = sum_p codebook[2p]
/// y       = base + sum_p bit_p delta_p
/// ```
///
/// where
/// - `codebook` is `[2 * num_bits, features]`,
/// - `bit_p` is 0 or 1, decided for each vector `x` by the method of the [`Assignment`]:
///   *jointly*, so that `|x - y|` becomes small, or *independently*, `bit_p = x . delta_p > 0`,
/// - `x` is normalized first if the configuration says so, see [`Normalization`]; `y` is then in
///   the units of normalized vectors, and [`reconstruct`](Self::reconstruct) brings it to the units
///   of `x`.
///
/// Other formulas write the same output with signs. With `h_p = delta_p / 2`, `s_p = 2 bit_p - 1`
/// and `mid = base + sum_p h_p`, the sum of the pairs' means, it is `y = mid + sum_p s_p h_p`, or
/// `y = mid + sum_p (bit_p - 1/2) delta_p`.
///
/// The reference, [bitcodes-pytorch](https://pypi.org/project/bitcodes-pytorch/), multiplies `x` with
/// both rows of a pair and takes the row of the larger product. For independent bits, one product
/// with `delta_p` gives the same bit.
///
/// The quantizer computes in f32, or in f64 if `x` or the codebook is f64. The output of `forward` and
/// `quantize` has the type of `x`.
///
/// A quantizer is made by [`BitcodesConfig`], or loaded by `Checkpoint`. Its record holds the codebook,
/// the normalization if there is one, the method and its beam, and the step of the schedules. Load a
/// record by `record::load`, which compares it first: Burn's own `load_record` takes the method of any
/// record.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::{BitcodesConfig, PackedCodes};
/// use bitcodes_core::burn::{backend::Flex, tensor::{Distribution, Tensor}};
///
/// let device = Default::default();
/// let x = Tensor::<Flex, 2>::random([1000, 16], Distribution::Default, &device);
/// let bitcodes = BitcodesConfig::new(16, 32).try_init_from_sample(x.clone()).unwrap();
///
/// let codes = bitcodes.encode_packed(x.clone()).unwrap(); // 4 bytes a vector
/// let again: Tensor<Flex, 2> = bitcodes.reconstruct_packed(&codes);
/// let error = (again - x).powi_scalar(2).mean().into_scalar();
/// assert!(error < 1.0 / 12.0 / 2.0, "{error}, the variance of x is 1 / 12");
/// # }
/// ```
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Bitcodes<B: Backend> {
    /// The codebook, `[2 * num_bits, features]`; bit `p` chooses row `2p` if it is 0, and row
    /// `2p + 1` if it is 1.
    pub codebook: Param<Tensor<B, 2>>,
    /// The normalization of vectors, if there is one.
    pub normalization: Option<Normalization<B>>,
    step: PlainField<B, usize>,
    assignment: PlainField<B, Assignment>,
    #[module(skip)]
    noise_scale: Schedule,
    #[module(skip)]
    weights: Weights,
}

impl<B: Backend> Bitcodes<B> {
    /// Returns the length of a vector.
    pub fn features(&self) -> usize {
        let [_, features] = self.codebook.lazy_shape().dims();
        features
    }

    /// Returns the number of bits that a vector is quantized to.
    pub fn num_bits(&self) -> usize {
        let [rows, _] = self.codebook.lazy_shape().dims();
        rows / 2
    }

    /// Returns the configuration of the quantizer.
    pub fn config(&self) -> BitcodesConfig {
        BitcodesConfig {
            features: self.features(),
            num_bits: self.num_bits(),
            assignment: self.assignment(),
            normalize: self.normalization.is_some(),
            noise_scale: self.noise_scale,
            commitment_weight: self.weights.commitment,
            codebook_weight: self.weights.codebook,
            entropy_weight: self.weights.entropy,
            diversity: self.weights.diversity,
        }
    }

    /// Returns the method of deciding bits, with its settings.
    pub fn assignment(&self) -> Assignment {
        self.assignment.value
    }

    /// Returns the factor of the noise of training at the present step.
    pub fn noise_scale(&self) -> f64 {
        self.noise_scale.value(self.step.value)
    }

    /// Returns the present step of the schedules. The record keeps it.
    pub fn step(&self) -> usize {
        self.step.value
    }

    /// Moves the schedules of noise scale and temperature on by one step. Call it after each step of
    /// the optimizer; with Burn's learner the place is `TrainStep::optimize`.
    pub fn advance(&mut self) {
        self.step.value = self.step.value.saturating_add(1);
    }

    fn stored_codebook(&self) -> Codebook<B> {
        Codebook {
            rows: self.codebook.val(),
        }
    }

    /// Returns the shape of the bits of `x`; panics unless `x` is `[.., features]`.
    fn shape_of_bits<const D: usize>(&self, x: &Tensor<B, D>) -> [usize; D] {
        let mut shape = x.dims();
        let features = self.features();
        assert_eq!(
            shape[D - 1],
            features,
            "Bitcodes: the last axis of x has {} elements, expected features = {features}",
            shape[D - 1]
        );
        shape[D - 1] = self.num_bits();
        shape
    }

    fn assert_num_bits(&self, found: usize) {
        let num_bits = self.num_bits();
        assert_eq!(
            found, num_bits,
            "Bitcodes: the last axis of bits has {found} elements, expected num_bits = {num_bits}"
        );
    }
}

fn assert_leading(name: &str, vectors: &[usize], valid: &[usize]) {
    assert_eq!(
        valid, vectors,
        "Bitcodes: valid has another shape (left) than the vectors of {name} (right)"
    );
}

impl<B: Backend> ModuleDisplay for Bitcodes<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add("features", &self.features())
            .add("num_bits", &self.num_bits())
            .add_debug_attribute("assignment", &self.assignment())
            .add("normalizes", &self.normalization.is_some())
            .optional()
    }
}
