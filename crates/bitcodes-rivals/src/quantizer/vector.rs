//! Vector quantization, VQ, with codebooks that follow their inputs by moving averages ([van den
//! Oord et al. 2017](https://arxiv.org/abs/1711.00937), appendix A.1).
//!
//! With several codebooks it is residual vector quantization, RVQ: each codebook quantizes the
//! residual of the codebooks before it ([Zeghidour et al. 2021](https://arxiv.org/abs/2107.03312)).
//! The inputs are called rows here, and the vectors of a codebook are called vectors.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::straight_through::rotate_to;
use super::{Quantized, mean_squared};

/// Settings of a [`ResidualVector`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResidualVectorConfig {
    /// Number of codebooks.
    pub codebooks: usize,
    /// Number of vectors of a codebook.
    pub size: usize,
    /// Weight of the loss that pulls rows to the vectors that they chose.
    pub commitment: f64,
    /// Whether the codebooks start from k-means of the first batch. If not, they start at random.
    pub k_means: bool,
    /// A vector that is chosen by fewer rows than this, as a moving average, is replaced by a row.
    pub dead_below: f64,
}

/// Weight of the old value in a moving average.
const DECAY: f64 = 0.8;
/// Added to each vector's count, so that no division by zero occurs.
const SMOOTHING: f64 = 1e-5;
/// Number of steps of k-means.
const K_MEANS_STEPS: usize = 10;

/// Codebooks, each of which quantizes the residual of those before it.
#[derive(Module, Debug)]
pub struct ResidualVector<B: Backend> {
    codebooks: Vec<VectorCodebook<B>>,
    commitment: f64,
    k_means: bool,
    dead_below: f64,
}

impl ResidualVectorConfig {
    /// Makes a quantizer of vectors with this number of features.
    pub fn init<B: Backend>(
        &self,
        features: usize,
        random: &mut StdRng,
        device: &B::Device,
    ) -> ResidualVector<B> {
        let shape = [self.size, features];
        let bound = (6.0 / shape[0] as f32 / shape[1] as f32).sqrt();
        let codebook = |_| {
            let draws = (0..shape[0] * shape[1]).map(|_| random.random_range(-bound..bound));
            let data = TensorData::new(draws.collect::<Vec<_>>(), shape);
            Tensor::from_data(data, device)
        };
        ResidualVector::from_codebooks((0..self.codebooks).map(codebook).collect(), self)
    }
}

impl<B: Backend> ResidualVector<B> {
    pub(super) fn forward(&mut self, rows: Tensor<B, 2>, random: &mut StdRng) -> Quantized<B> {
        let mut left = rows;
        let (mut codes, mut sum, mut loss) = (Vec::new(), None, None);
        for codebook in &mut self.codebooks {
            let observed = left.clone().detach();
            if self.k_means && !codebook.started {
                codebook.start(&observed, random);
            }
            let code = codebook.nearest(observed.clone());
            let vectors = codebook.vectors(code.clone());
            codebook.follow(observed, code.clone(), self.dead_below, random);
            let pull = mean_squared(vectors.clone(), left.clone()) * self.commitment;
            let turned = rotate_to(left.clone(), vectors.clone());
            left = left - vectors;
            codes.push(code);
            sum = Some(added(sum, turned));
            loss = Some(added(loss, pull));
        }
        Quantized {
            vectors: sum.expect("there is a codebook"),
            codes: Some(Tensor::cat(codes, 1)),
            loss,
        }
    }

    pub(super) fn quantize(&self, rows: Tensor<B, 2>) -> Quantized<B> {
        let mut left = rows;
        let (mut codes, mut sum) = (Vec::new(), None);
        for codebook in &self.codebooks {
            let code = codebook.nearest(left.clone());
            let vectors = codebook.vectors(code.clone());
            left = left - vectors.clone();
            codes.push(code);
            sum = Some(added(sum, vectors));
        }
        Quantized {
            vectors: sum.expect("there is a codebook"),
            codes: Some(Tensor::cat(codes, 1)),
            loss: None,
        }
    }

    /// Makes a quantizer with these codebooks, `[size, features]` each, and the other settings of
    /// `config`.
    pub fn from_codebooks(codebooks: Vec<Tensor<B, 2>>, config: &ResidualVectorConfig) -> Self {
        Self {
            codebooks: codebooks.into_iter().map(VectorCodebook::new).collect(),
            commitment: config.commitment,
            k_means: config.k_means,
            dead_below: config.dead_below,
        }
    }

    /// Returns the vectors of each codebook, `[size, features]`.
    pub fn codebooks(&self) -> impl Iterator<Item = Tensor<B, 2>> {
        self.codebooks
            .iter()
            .map(|codebook| codebook.vectors.clone())
    }

    /// Number of values of all codebooks. They are learned, though not by gradients.
    pub fn num_values(&self) -> usize {
        let values = |codebook: &VectorCodebook<B>| codebook.vectors.shape().num_elements();
        self.codebooks.iter().map(values).sum()
    }
}

fn added<B: Backend, const D: usize>(
    sum: Option<Tensor<B, D>>,
    term: Tensor<B, D>,
) -> Tensor<B, D> {
    match sum {
        Some(sum) => sum + term,
        None => term,
    }
}

/// The vectors of a codebook, and the moving averages that they follow.
#[derive(Module, Debug)]
pub struct VectorCodebook<B: Backend> {
    /// The vectors, `[size, features]`.
    pub vectors: Tensor<B, 2>,
    /// Moving averages of the sum of the rows nearest to each vector, `[size, features]`.
    sums: Tensor<B, 2>,
    /// Moving averages of the number of rows nearest to each vector, `[size, 1]`.
    pub counts: Tensor<B, 2>,
    started: bool,
}

impl<B: Backend> VectorCodebook<B> {
    /// Makes a codebook of these vectors, `[size, features]`.
    pub fn new(vectors: Tensor<B, 2>) -> Self {
        let [size, _] = vectors.dims();
        Self {
            sums: vectors.clone(),
            counts: Tensor::ones([size, 1], &vectors.device()),
            vectors,
            started: false,
        }
    }

    /// Returns the index of the vector nearest to each row, `[rows, 1]`.
    fn nearest(&self, rows: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        let squares = self.vectors.clone().powi_scalar(2).sum_dim(1).transpose();
        let products = rows.matmul(self.vectors.clone().transpose());
        (squares - products * 2.0).argmin(1)
    }

    fn vectors(&self, codes: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        self.vectors.clone().select(0, codes.squeeze_dim(1))
    }

    /// Returns `[rows, size]`: 1 at the code of each row, 0 elsewhere.
    fn one_hot(&self, codes: Tensor<B, 2, Int>) -> Tensor<B, 2> {
        let [size, _] = self.vectors.dims();
        let indices = Tensor::<B, 1, Int>::arange(0..size as i64, &codes.device());
        let rows = codes.dims()[0];
        let codes = codes.expand([rows, size]);
        codes.equal(indices.unsqueeze()).float()
    }

    /// Starts the codebook with k-means of the rows. K-means starts from random rows.
    fn start(&mut self, rows: &Tensor<B, 2>, random: &mut StdRng) {
        let [count, _] = rows.dims();
        let [size, _] = self.vectors.dims();
        self.vectors = sampled(rows, size.min(count), size, random);
        self.k_means(rows);
        self.average();
        self.started = true;
    }

    /// Runs k-means: each step replaces each vector by the mean of the rows nearest to it.
    pub fn k_means(&mut self, rows: &Tensor<B, 2>) {
        for _ in 0..K_MEANS_STEPS {
            let nearest = self.one_hot(self.nearest(rows.clone()));
            let counts = nearest.clone().sum_dim(0).transpose();
            let means = nearest.transpose().matmul(rows.clone()) / counts.clone().clamp_min(1.0);
            let none = counts.clone().equal_elem(0.0).expand(means.dims());
            self.vectors = means.mask_where(none, self.vectors.clone());
            self.counts = counts;
        }
        self.sums = self.vectors.clone() * self.counts.clone();
    }

    /// Updates the moving averages and the vectors.
    fn follow(
        &mut self,
        rows: Tensor<B, 2>,
        codes: Tensor<B, 2, Int>,
        dead_below: f64,
        random: &mut StdRng,
    ) {
        let nearest = self.one_hot(codes);
        let moved = |old: &Tensor<B, 2>, new| old.clone() * DECAY + new * (1.0 - DECAY);
        self.counts = moved(&self.counts, nearest.clone().sum_dim(0).transpose());
        self.sums = moved(&self.sums, nearest.transpose().matmul(rows.clone()));
        self.average();
        if dead_below > 0.0 {
            self.revive(&rows, dead_below, random);
        }
    }

    fn average(&mut self) {
        let [size, _] = self.vectors.dims();
        let total = self.counts.clone().sum_dim(0);
        let smoothed =
            (self.counts.clone() + SMOOTHING) / (total.clone() + SMOOTHING * size as f64);
        self.vectors = self.sums.clone() / (smoothed * total);
    }

    /// Replaces each vector that too few rows choose by a random row.
    fn revive(&mut self, rows: &Tensor<B, 2>, dead_below: f64, random: &mut StdRng) {
        let [size, features] = self.vectors.dims();
        let [count, _] = rows.dims();
        let dead = self.counts.clone().lower_elem(dead_below);
        let fresh = sampled(rows, count, size, random);
        let wide = dead.clone().expand([size, features]);
        self.vectors = self.vectors.clone().mask_where(wide.clone(), fresh.clone());
        self.sums = self.sums.clone().mask_where(wide, fresh * dead_below);
        self.counts = self.counts.clone().mask_fill(dead, dead_below);
    }
}

/// Returns `size` random rows, of which the first `distinct` are different ones.
fn sampled<B: Backend>(
    rows: &Tensor<B, 2>,
    distinct: usize,
    size: usize,
    random: &mut StdRng,
) -> Tensor<B, 2> {
    let [count, _] = rows.dims();
    let mut order: Vec<i64> = (0..count as i64).collect();
    order.shuffle(random);
    order.truncate(distinct.min(size));
    while order.len() < size {
        order.push(random.random_range(0..count as i64));
    }
    let indices = Tensor::from_data(TensorData::new(order, [size]), &rows.device());
    rows.clone().select(0, indices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use rand::SeedableRng;

    #[test]
    fn a_vector_that_no_row_follows_becomes_a_row() {
        let device = Default::default();
        let vectors = Tensor::<Flex, 2>::from_data([[0.0, 0.0], [90.0, 90.0]], &device);
        let mut codebook = VectorCodebook::new(vectors);
        let rows = Tensor::from_data([[1.0, 2.0], [3.0, 4.0]], &device);
        let codes = codebook.nearest(rows.clone());
        assert_eq!(
            codes.clone().into_data().iter::<i64>().collect::<Vec<_>>(),
            [0, 0]
        );
        // No row chooses the second vector, so its count of 1 falls to 0.8, which is below 0.9.
        codebook.follow(rows, codes, 0.9, &mut StdRng::seed_from_u64(0));
        let second: Vec<f32> = codebook
            .vectors
            .narrow(0, 1, 1)
            .into_data()
            .iter()
            .collect();
        assert!(second == [1.0, 2.0] || second == [3.0, 4.0], "{second:?}");
        let counts: Vec<f32> = codebook.counts.into_data().iter().collect();
        assert_eq!(counts[1], 0.9);
    }

    #[test]
    fn fewer_rows_than_vectors_start_a_codebook_too() {
        let device = Default::default();
        let config = ResidualVectorConfig {
            codebooks: 2,
            size: 8,
            commitment: 0.25,
            k_means: true,
            dead_below: 0.0,
        };
        let mut random = StdRng::seed_from_u64(0);
        let mut vector = config.init::<Flex>(2, &mut random, &device);
        let rows = Tensor::from_data([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &device);
        let found = vector.forward(rows.clone(), &mut random).vectors;
        let difference: f32 = (found - rows).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
    }
}
