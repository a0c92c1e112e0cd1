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
    /// `sigmoid((logit_p + noise_p) / temperature)`, for vectors and codebook.
    Independent,
    /// One bit after another, each on what the others leave of the vector `r`:
    /// `logit_p = r . h_p / |h_p|^2`, then `r -= s_p h_p`; and then `sweeps` times over all bits
    /// again, each put back and decided anew. That is residual quantization followed by coordinate
    /// descent on `|x - y|^2`, known from additive quantization as iterated conditional modes
    /// ([Martinez et al. 2016](https://doi.org/10.1007/978-3-319-46475-6_9)).
    ///
    /// The gradient of training is the identity, from the output to the vectors; the codebook
    /// learns from its loss alone, which the model's has to include
    /// ([`codebook_weight`](crate::BitcodesConfig::codebook_weight)). The temperature has no part
    /// in it. Noise is added to these logits, which are -1 and 1 at the two vectors of a pair.
    Residual {
        /// How often the bits are decided again. With none this is residual quantization.
        sweeps: usize,
    },
}

impl Default for Assignment {
    /// [`Residual`](Self::Residual) with 3 sweeps, after which hardly a bit changes.
    fn default() -> Self {
        Self::Residual { sweeps: 3 }
    }
}

impl Assignment {
    /// The most sweeps that a configuration may ask for: more than change a bit.
    pub const MAX_SWEEPS: usize = 64;

    /// What a configuration of before there was a choice means.
    pub(crate) fn of_the_reference() -> Self {
        Self::Independent
    }
}
