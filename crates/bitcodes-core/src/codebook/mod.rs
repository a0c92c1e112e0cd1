//! The codebook: one pair of vectors for each bit, and the products with them.

mod product;

use bitcodes_kernels::Codebook as Slice;
use burn::tensor::{DType, FloatDType, Int, Tensor, backend::Backend};

pub(crate) use self::product::product;
use crate::backend::kernels;
use crate::backend::known::Known;
use crate::backend::lend::{adjacent, with_rows};
use crate::graph::untracked;
use crate::precision::working;
use crate::vectors::{along, along_axis_1, integers_first};

/// A codebook `[2 * num_bits, features]`, in the type in which it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Codebook<B: Backend> {
    /// The matrix, whose rows `2p` and `2p + 1` are the pair of bit `p`.
    pub rows: Tensor<B, 2>,
}

/// The pairs of a codebook as the formulas have them, in the type that is computed in.
#[derive(Debug, Clone)]
pub(crate) struct Pairs<B: Backend> {
    /// The differences of the pairs, `[num_bits, features]`.
    pub delta: Tensor<B, 2>,
    /// The sum of the first vectors of all pairs, `[1, features]`.
    base: Tensor<B, 2>,
}

impl<B: Backend> Codebook<B> {
    /// Returns the type in which the codebook is stored.
    pub fn dtype(&self) -> DType {
        self.rows.dtype()
    }

    /// Returns the number of pairs.
    pub fn num_bits(&self) -> usize {
        self.rows.dims()[0] / 2
    }

    /// Lends the codebook to `read` as f32, a copy if it does not lie so in the host's memory. The graph
    /// does not learn of it.
    pub fn lend<R>(&self, read: impl FnOnce(Slice<'_>) -> R) -> R {
        let rows = untracked(self.rows.clone()).cast(FloatDType::F32);
        with_rows(&rows, |rows| {
            let features = rows.features();
            read(Slice::new(&adjacent(rows), features))
        })
    }

    /// Returns the pairs in `dtype`.
    pub fn pairs(&self, dtype: FloatDType) -> Pairs<B> {
        let [rows, features] = self.rows.dims();
        let pairs = self.rows.clone().cast(dtype);
        let pairs = pairs.reshape([rows / 2, 2 * features]);
        let [zeros, ones] = [0, 1].map(|bit| pairs.clone().narrow(1, bit * features, features));
        Pairs {
            delta: ones - zeros.clone(),
            base: zeros.sum_dim(0),
        }
    }

    /// Decodes bits along axis 1 to vectors along axis 1, in the codebook's type.
    pub fn decode<const N: usize>(&self, bits: Tensor<B, N, Int>) -> Tensor<B, N> {
        let shape = bits.dims();
        if Known::of::<B>().is_some_and(Known::is_in_host_memory)
            && let Some(decoded) = kernels::decode(&integers_first(bits.clone()), &self.rows)
        {
            return along_axis_1(decoded, shape);
        }
        let dtype = working([self.dtype()]);
        let decoded = self.pairs(dtype).decode(bits.cast(dtype));
        decoded.cast(FloatDType::from(self.dtype()))
    }
}

impl<B: Backend> Pairs<B> {
    /// Multiplies `x` with the difference of each pair.
    pub fn logits<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        product(self.delta.clone(), x, None)
    }

    /// Sums the vectors that bits choose.
    pub fn decode<const N: usize>(&self, bits: Tensor<B, N>) -> Tensor<B, N> {
        let base = self.base.clone().flatten::<1>(0, 1);
        product(self.delta.clone().transpose(), bits, Some(base))
    }

    /// Returns half of each pair's difference, `h_p`, `[num_bits, features]`.
    pub fn half(&self) -> Tensor<B, 2> {
        self.delta.clone() * 0.5
    }

    /// Subtracts the sum of the pairs' means, `mid`.
    pub fn centered<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        let mid = self.base.clone() + self.half().sum_dim(0);
        x - along(mid.flatten::<1>(0, 1))
    }

    /// Computes `(x - mid) . h_p` for each bit.
    pub fn centered_products<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        product(self.half(), self.centered(x), None)
    }

    /// Returns the same values, with no gradient.
    pub fn untracked(self) -> Self {
        Self {
            delta: untracked(self.delta),
            base: untracked(self.base),
        }
    }

    /// Returns the same values, with no gradient to `mid`.
    pub fn with_mid_held(self) -> Self {
        let sum = self.half().sum_dim(0);
        Self {
            base: untracked(self.base) + (untracked(sum.clone()) - sum),
            ..self
        }
    }
}
