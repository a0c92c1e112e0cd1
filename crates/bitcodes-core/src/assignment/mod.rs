//! How the bits of a vector are decided.

use serde::{Deserialize, Serialize};

/// How the bits of a vector are decided, and what gradient training takes through them.
///
/// With `mid` the sum of the pairs' means and `h_p = delta_p / 2`, a vector is quantized to
/// `y = mid + sum_p s_p h_p`, each sign `s_p` -1 for a 0 and 1 for a 1. Which signs come nearest to
/// a vector is a hard question for many bits; these are two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Assignment {
    /// Each bit for itself, as the reference does: `logit_p = x . delta_p`.
    ///
    /// In training bit `p` is 1 with probability `sigmoid(logit_p)`, and the gradient is that of
    /// `sigmoid((logit_p + noise_p) / temperature)`, for vectors (but for their mean where they are
    /// [normalized](crate::Normalization)) and codebook.
    Independent,
    /// Together, so that as little as possible is left of the vector, `r = x - y`.
    ///
    /// A beam search takes one bit after another, and keeps the `beam` ways to decide those so far
    /// that leave the least; then each bit is decided once more on what all others leave,
    /// `logit_p = r . h_p / |h_p|^2`. That is how additive quantization encodes
    /// ([Babenko and Lempitsky 2014](https://doi.org/10.1109/CVPR.2014.124)); with a beam of 1 it is
    /// residual quantization and one step of coordinate descent. The search takes time in proportion
    /// to the beam, for one much wider than 8 to its square.
    ///
    /// The gradient of training is the identity, from the output to the vectors, but for their mean
    /// where they are [normalized](crate::Normalization); the codebook learns from its loss alone,
    /// which the model's has to include
    /// ([`codebook_weight`](crate::BitcodesConfig::codebook_weight)). The temperature has no part
    /// in it. Noise is added to these logits, which are -1 and 1 at the two vectors of a pair.
    Residual {
        /// Ways that are kept, at least 1.
        beam: usize,
    },
}

impl Default for Assignment {
    /// [`Residual`](Self::Residual) with a beam of 8.
    fn default() -> Self {
        Self::Residual { beam: 8 }
    }
}

impl Assignment {
    /// The widest beam that a configuration may ask for: more than make a difference.
    pub const MAX_BEAM: usize = 256;

    /// What a configuration of before there was a choice means.
    pub(crate) fn of_the_reference() -> Self {
        Self::Independent
    }
}
