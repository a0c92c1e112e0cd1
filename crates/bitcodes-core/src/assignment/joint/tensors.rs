//! The beam search by tensor operations, for backends whose tensors do not lie in host memory.

use alloc::vec::Vec;

use burn::tensor::{FloatDType, Int, Tensor, backend::Backend};

use super::squares;
use crate::vectors::along;

/// Decides bits as [`bitcodes_kernels::joint::decide`] does.
///
/// Takes `products [vectors, num_bits]` of the vectors with the halves `half [num_bits, features]`,
/// and the halves' products with one another, `gram [num_bits, num_bits]`. Returns the logits of
/// the last decision of each bit, noise included.
pub(super) fn decide<B: Backend>(
    products: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    half: Tensor<B, 2>,
    gram: Tensor<B, 2>,
    beam: usize,
) -> Tensor<B, 2> {
    let squares = squares(half);
    decide_in_parts(
        products / along(squares.clone()),
        noise,
        squares.clone(),
        gram / along(squares),
        beam,
        MOST_ELEMENTS,
    )
}

/// Largest number of elements in one tensor of the search; the search holds a few. A WebGPU binding
/// can hold twice as many.
const MOST_ELEMENTS: usize = 1 << 24;

/// Decides the vectors in groups small enough that no tensor has more than `most` elements.
///
/// Takes the logit of each bit alone, `logits [vectors, num_bits]`, `squares [num_bits]`, and
/// `coupling [num_bits, num_bits]`. `coupling[p][q]` is how much half the difference of pair `p`
/// changes the logit of bit `q`.
fn decide_in_parts<B: Backend>(
    logits: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    squares: Tensor<B, 1>,
    coupling: Tensor<B, 2>,
    beam: usize,
    most: usize,
) -> Tensor<B, 2> {
    let [vectors, num_bits] = logits.dims();
    let elements_of_a_vector = beam * num_bits.max(4 * beam);
    let part = (most / elements_of_a_vector).max(1);
    let part_from = |start: usize| {
        let count = part.min(vectors - start);
        let cut = |tensor: &Tensor<B, 2>| tensor.clone().narrow(0, start, count);
        let noise = noise.as_ref().map(cut);
        decide_part(cut(&logits), noise, &squares, &coupling, beam)
    };
    match vectors <= part {
        true => part_from(0),
        false => Tensor::cat((0..vectors).step_by(part).map(part_from).collect(), 0),
    }
}

fn decide_part<B: Backend>(
    logits: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    squares: &Tensor<B, 1>,
    coupling: &Tensor<B, 2>,
    beam: usize,
) -> Tensor<B, 2> {
    let signs = search(
        logits.clone(),
        noise.clone(),
        squares,
        coupling.clone(),
        beam,
    );
    let mut left = logits - signs.clone().matmul(coupling.clone());
    let num_bits = left.dims()[1];
    let column = |tensor: &Tensor<B, 2>, p| tensor.clone().narrow(1, p, 1);
    let mut decided = Vec::with_capacity(num_bits);
    for p in 0..num_bits {
        let before = column(&signs, p);
        let mut logit = column(&left, p) + before.clone();
        if let Some(noise) = &noise {
            logit = logit + column(noise, p);
        }
        let change = sign(logit.clone()) - before;
        left = left - change * coupling.clone().narrow(0, p, 1);
        decided.push(logit);
    }
    Tensor::cat(decided, 1)
}

/// Finds the signs `[vectors, num_bits]` by a beam search.
fn search<B: Backend>(
    logits: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    squares: &Tensor<B, 1>,
    coupling: Tensor<B, 2>,
    beam: usize,
) -> Tensor<B, 2> {
    let [vectors, num_bits] = logits.dims();
    let dtype = FloatDType::from(logits.dtype());
    let one_hot = Tensor::<B, 2, Int>::eye(num_bits, &logits.device()).equal_elem(1);
    // Each bit changes the logits of the bits after it.
    let later = coupling.triu(1);
    // A candidate is the signs of the bits that are decided, then the logits of the others.
    let mut candidates: Tensor<B, 3> = logits.unsqueeze_dim(1);
    let mut costs: Tensor<B, 2> = candidates
        .clone()
        .narrow(2, 0, 1)
        .squeeze_dim(2)
        .zeros_like();
    for p in 0..num_bits {
        let kept = costs.dims()[1];
        let mut logit: Tensor<B, 2> = candidates.clone().narrow(2, p, 1).squeeze_dim(2);
        if let Some(noise) = &noise {
            logit = logit + noise.clone().narrow(1, p, 1);
        }
        let gain = logit * squares.clone().narrow(0, p, 1).unsqueeze();
        let tried = Tensor::stack::<3>(alloc::vec![costs.clone() + gain.clone(), costs - gain], 2);
        let tried = tried.reshape([vectors, 2 * kept]);
        let best = places_of_least(tried.clone(), beam.min(2 * kept));
        costs = tried.gather(1, best.clone());
        // The index is computed in floats, as not every backend divides integers.
        let half = best.unsqueeze_dim::<3>(2).cast(dtype) * 0.5;
        let parent = half.clone().floor();
        let sign = (half - parent.clone()) * 4.0 - 1.0;
        let shape = [vectors, costs.dims()[1], num_bits];
        let place = one_hot
            .clone()
            .narrow(0, p, 1)
            .unsqueeze::<3>()
            .expand(shape);
        let vector = later.clone().narrow(0, p, 1).unsqueeze::<3>();
        let left = candidates.gather(1, parent.int().expand(shape)) - sign.clone() * vector;
        candidates = left.mask_where(place, sign.expand(shape));
    }
    candidates.narrow(1, 0, 1).squeeze_dim(1)
}

/// Finds the places of the `count` least values of each row `[rows, n]`, in ascending order; of
/// equal values the first comes first. Some backends read back to sort, so this does not sort.
fn places_of_least<B: Backend>(values: Tensor<B, 2>, count: usize) -> Tensor<B, 2, Int> {
    let [rows, n] = values.dims();
    let device = values.device();
    let shape = [rows, n, n];
    let one: Tensor<B, 3> = values.clone().unsqueeze_dim::<3>(2).expand(shape);
    let other: Tensor<B, 3> = values.unsqueeze_dim::<3>(1).expand(shape);
    let before = Tensor::<B, 2, Int>::ones([n, n], &device).tril(-1);
    let smaller = other.clone().lower(one.clone()).int();
    let earlier = other.equal(one).int() * before.unsqueeze();
    let rank = (smaller + earlier).sum_dim(2);
    let ranks = Tensor::<B, 1, Int>::arange(0..count as i64, &device);
    let places = Tensor::<B, 1, Int>::arange(0..n as i64, &device);
    let has = rank.equal(ranks.unsqueeze::<3>()).int();
    let place = (has * places.reshape([1, n as i32, 1])).sum_dim(1);
    // A NaN has no rank, so that its place may lie past the end.
    place.squeeze_dim::<2>(1).clamp_max(n as i64 - 1)
}

/// Returns the sign of each logit, -1 or 1. A tie and a NaN give -1.
fn sign<B: Backend>(logits: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = FloatDType::from(logits.dtype());
    logits.greater_elem(0.0).int().cast(dtype) * 2.0 - 1.0
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::{DType, Distribution};

    use super::super::host;

    #[test]
    fn the_host_and_tensors_decide_alike() {
        let device = Default::default();
        let mut later = 0;
        // The search takes all vectors at once, or parts of them, of which the last is smaller.
        for (vectors, num_bits, most) in [
            (1, 1, 1 << 24),
            (40, 2, 1 << 24),
            (40, 9, 5000),
            (40, 33, 1 << 24),
        ] {
            for dtype in [DType::F32, DType::F64] {
                let random = |shape| {
                    let normal = Distribution::Normal(0.0, 1.0);
                    Tensor::<Flex, 2>::random(shape, normal, &device).cast(dtype)
                };
                let h = random([num_bits, 6]);
                let gram = h.clone().matmul(h.clone().transpose());
                let squares = squares(h.clone());
                let beside: Tensor<Flex, 2> = along(squares.clone());
                let x = random([vectors, 6]) * 2.0;
                let products = x.clone().matmul(h.clone().transpose());
                let alone = products.clone() / beside.clone();
                let coupling = gram.clone() / beside;
                for noise in [None, Some(random([vectors, num_bits]))] {
                    for beam in [1, 2, 8] {
                        let [x, h] = [&x, &h].map(|it| it.clone().cast(DType::F64));
                        let given = noise.clone().map(|noise| noise.cast(DType::F64));
                        let host = host::decide_in_f64(x, given, h, beam).cast(dtype);
                        let (squares, coupling) = (squares.clone(), coupling.clone());
                        let noise = noise.clone();
                        let tensors =
                            decide_in_parts(alone.clone(), noise, squares, coupling, beam, most);
                        // Rounding may turn a bit, which turns others.
                        let apart = (host.clone() - tensors).abs().lower_elem(1e-4).bool_not();
                        let apart = apart.int().sum_dim(1).greater_elem(0).int().sum();
                        let apart: i32 = apart.into_scalar();
                        assert!(
                            apart <= i32::from(vectors > 1),
                            "{apart} vectors of {num_bits} bits, a beam of {beam}"
                        );
                        let changed = host
                            .greater_elem(0.0)
                            .not_equal(alone.clone().greater_elem(0.0));
                        later += changed.int().sum().into_scalar();
                    }
                }
            }
        }
        assert!(
            later > 1000,
            "{later} bits were decided by what others left"
        );
    }

    #[test]
    fn the_least_are_found_in_order_and_of_equal_ones_the_first() {
        let values = [
            [3.0, 1.0, 2.0, 1.0],
            [0.0, 0.0, 0.0, 0.0],
            [f32::INFINITY, 5.0, f32::NEG_INFINITY, 5.0],
            [f32::NAN; 4],
        ];
        let values = Tensor::<Flex, 2>::from_data(values, &Default::default());
        let found: Vec<i64> = places_of_least(values, 3).into_data().iter().collect();
        assert_eq!(found[..9], [1, 3, 2, 0, 1, 2, 2, 1, 3]);
        assert!(
            found[9..].iter().all(|place| (0..4).contains(place)),
            "{found:?}"
        );
    }
}
