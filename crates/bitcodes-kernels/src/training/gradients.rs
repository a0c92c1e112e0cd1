//! Gradients of vectors that pass straight through quantization and normalization.
//!
//! On one of rayon's threads these functions use that thread alone, and elsewhere threads that do nothing
//! else: an autodiff library may hold a lock while it calls them, and a thread of rayon that waits may take
//! up work that needs this lock.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use crate::joint::Normalization;
use crate::memory::filled_by;
use crate::rows::Rows;
use crate::tasks::{PART_VECTORS, Task, add_elements, part_vectors_for, run_apart};

/// Computes the gradient `weight (factor x - center - quantized)` of the commitment loss by normalized
/// vectors; zeros for vectors that do not count.
///
/// # Shapes
///
/// - `x`: `[vectors, features]`, before normalization
/// - `quantized`: the same
/// - `valid`: `[vectors]`; `None` if all vectors count
/// - output: `[vectors, features]`
///
/// # Panics
///
/// Panics if the shapes do not fit one another.
pub fn commitment_gradient(
    x: Rows<'_>,
    quantized: Rows<'_>,
    normalization: Option<Normalization<'_>>,
    valid: Option<&[bool]>,
    weight: f32,
) -> Vec<f32> {
    let zeros = vec![0.0; x.features()];
    let Normalization { factor, center } = normalization.unwrap_or(Normalization {
        factor: 1.0,
        center: &zeros,
    });
    assert!(
        x.len() == quantized.len()
            && x.features() == quantized.features()
            && x.features() == center.len()
            && valid.is_none_or(|valid| valid.len() == x.len()),
        "commitment_gradient: {} vectors of {}, {} quantized vectors of {} and a center of {} do not \
         fit one another, or another number of them counts",
        x.len(),
        x.features(),
        quantized.len(),
        quantized.features(),
        center.len(),
    );
    let write = |gradient: &mut [MaybeUninit<f32>]| {
        let row = |vector: usize, to: &mut [MaybeUninit<f32>]| {
            if valid.is_some_and(|valid| !valid[vector]) {
                to.fill(MaybeUninit::new(0.0));
                return;
            }
            let each = x.row(vector).iter().zip(quantized.row(vector)).zip(center);
            for (to, ((&x, &y), &center)) in to.iter_mut().zip(each) {
                to.write(weight * (factor * x - center - y));
            }
        };
        run_apart(EachRow {
            first: 0,
            features: x.features(),
            to: gradient,
            row: &row,
        });
    };
    // SAFETY: each row is written, as `row` writes all elements of its vector.
    #[expect(unsafe_code, reason = "measured to pay")]
    unsafe {
        filled_by(x.len() * x.features(), write)
    }
}

/// Computes the gradient of vectors from that of the normalized vectors, `factor (gradient - means)`.
///
/// # Shapes
///
/// - `gradient`: `[vectors, features]`
/// - `means`: `[features]`, from [`sum_of_vectors`]
/// - output: `[vectors, features]`
///
/// # Panics
///
/// Panics if `means` has another length than a vector.
pub fn normalization_gradient(gradient: Rows<'_>, means: &[f32], factor: f32) -> Vec<f32> {
    assert_eq!(
        means.len(),
        gradient.features(),
        "normalization_gradient: elements of means (left), of a vector (right)"
    );
    let write = |to: &mut [MaybeUninit<f32>]| {
        let row = |vector: usize, to: &mut [MaybeUninit<f32>]| {
            let each = gradient.row(vector).iter().zip(means);
            for (to, (&gradient, &mean)) in to.iter_mut().zip(each) {
                to.write(factor * (gradient - mean));
            }
        };
        run_apart(EachRow {
            first: 0,
            features: gradient.features(),
            to,
            row: &row,
        });
    };
    // SAFETY: each row is written, as `row` writes all elements of its vector.
    #[expect(unsafe_code, reason = "measured to pay")]
    unsafe {
        filled_by(gradient.len() * gradient.features(), write)
    }
}

/// Returns the sum of vectors, `[features]`, added in an order that does not depend on the number of
/// threads.
pub fn sum_of_vectors(x: Rows<'_>) -> Vec<f32> {
    run_apart(Sum { x })
}

/// Rows to write, each of which depends on its index alone.
struct EachRow<'a, F> {
    /// Index of the first row.
    first: usize,
    features: usize,
    to: &'a mut [MaybeUninit<f32>],
    row: &'a F,
}

impl<F: Fn(usize, &mut [MaybeUninit<f32>]) + Sync> Task for EachRow<'_, F> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.to.len() / self.features
    }

    fn part_vectors(&self) -> usize {
        part_vectors_for(4 * self.features)
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let (to, after) = self.to.split_at_mut(vectors * self.features);
        let part = |first, to| EachRow { first, to, ..self };
        (part(self.first, to), part(self.first + vectors, after))
    }

    fn run(self) {
        let rows = self.to.chunks_exact_mut(self.features);
        for (index, to) in (self.first..).zip(rows) {
            (self.row)(index, to);
        }
    }

    fn join((): (), (): ()) {}
}

/// Vectors to add.
struct Sum<'a> {
    x: Rows<'a>,
}

impl Task for Sum<'_> {
    type Output = Vec<f32>;

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn part_vectors(&self) -> usize {
        part_vectors_for(4 * self.x.features())
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let (x, after) = self.x.split_at(vectors);
        (Self { x }, Self { x: after })
    }

    fn run(self) -> Vec<f32> {
        let mut sums = vec![0.0; self.x.features()];
        let mut part = sums.clone();
        // Sums of few vectors round less.
        for first in (0..self.x.len()).step_by(PART_VECTORS) {
            part.fill(0.0);
            let last = self.x.len().min(first + PART_VECTORS);
            for vector in first..last {
                add_elements(&mut part, self.x.row(vector));
            }
            add_elements(&mut sums, &part);
        }
        sums
    }

    fn join(mut first: Vec<f32>, second: Vec<f32>) -> Vec<f32> {
        add_elements(&mut first, &second);
        first
    }
}
