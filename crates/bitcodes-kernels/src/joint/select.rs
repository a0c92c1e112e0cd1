//! Selection of the best ways, in each lane by itself.

use pulp::Simd;

/// Ways of one register of vectors: what each costs, and its bits.
#[derive(Clone, Copy)]
pub struct Ways<S: Simd, const WAYS: usize> {
    /// Cost of each way.
    pub costs: [S::f32s; WAYS],
    /// Bits of each way.
    pub bits: [S::u32s; WAYS],
}

/// Runs code for each way. If there are few ways, their indices are constants, so that the ways
/// stay in registers.
macro_rules! each_way {
    ($ways:ident, $way:ident => $body:expr) => {
        if $ways <= 8 {
            each_way!(@ $ways, $way => $body; 0, 1, 2, 3, 4, 5, 6, 7);
        } else {
            for $way in 0..$ways {
                $body
            }
        }
    };
    (@ $ways:ident, $way:ident => $body:expr; $($index:literal),*) => {
        $(
            if $index < $ways {
                let $way = $index % $ways;
                $body
            }
        )*
    };
}
pub(super) use each_way;

impl<S: Simd, const WAYS: usize> Ways<S, WAYS> {
    /// Returns the best ways of two times as many, and the lanes in which a way that is left out
    /// costs as much as one that is kept.
    // low and high are sorted; then the least of low[k] and high[WAYS - 1 - k] are the best.
    #[inline(always)]
    pub fn best_of(simd: S, mut low: Self, mut high: Self) -> (Self, S::m32s) {
        low.sort(simd);
        high.sort(simd);
        let mut worst_kept = simd.splat_f32s(f32::NEG_INFINITY);
        let mut best_left = simd.splat_f32s(f32::INFINITY);
        each_way!(WAYS, way => {
            let other = WAYS - 1 - way;
            let (a, b) = (low.costs[way], high.costs[other]);
            let takes_high = simd.greater_than_f32s(a, b);
            low.costs[way] = simd.min_f32s(a, b);
            low.bits[way] = simd.select_u32s(takes_high, high.bits[other], low.bits[way]);
            worst_kept = simd.max_f32s(worst_kept, low.costs[way]);
            best_left = simd.min_f32s(best_left, simd.max_f32s(a, b));
        });
        (low, simd.equal_f32s(worst_kept, best_left))
    }

    /// Sorts the ways by their costs, by a network: the smallest that is known, or Batcher's odd-even
    /// merges for many ways.
    #[inline(always)]
    fn sort(&mut self, simd: S) {
        macro_rules! order {
            ($ways:ident: $($first:literal $second:literal),*) => {{ $(
                $ways.order(simd, $first % WAYS, $second % WAYS);
            )* }};
        }
        match WAYS {
            1 => {}
            2 => order!(self: 0 1),
            4 => order!(self: 0 2, 1 3, 0 1, 2 3, 1 2),
            8 => order!(
                self: 0 2, 1 3, 4 6, 5 7, 0 4, 1 5, 2 6, 3 7, 0 1, 2 3, 4 5, 6 7, 2 4, 3 5, 1 4, 3 6,
                1 2, 3 4, 5 6
            ),
            _ => self.sort_many(simd),
        }
    }

    // for each run 1, 2, 4, ..; for each step run, run / 2, .., 1:
    //     order the ways i and i + step that lie in the same 2 * run ways, for the i from step % run
    //     on, of which every other `step` are left out
    #[inline(always)]
    fn sort_many(&mut self, simd: S) {
        let mut run = 1;
        while run < WAYS {
            let mut step = run;
            while step > 0 {
                for start in (step % run..WAYS - step).step_by(2 * step) {
                    for way in start..(start + step).min(WAYS - step) {
                        if way / (2 * run) == (way + step) / (2 * run) {
                            self.order(simd, way, way + step);
                        }
                    }
                }
                step /= 2;
            }
            run *= 2;
        }
    }

    /// Puts the way of less cost at `first`, and the other at `second`.
    #[inline(always)]
    fn order(&mut self, simd: S, first: usize, second: usize) {
        let (a, b) = (self.costs[first], self.costs[second]);
        let swap = simd.greater_than_f32s(a, b);
        self.costs[first] = simd.min_f32s(a, b);
        self.costs[second] = simd.max_f32s(a, b);
        let (a, b) = (self.bits[first], self.bits[second]);
        self.bits[first] = simd.select_u32s(swap, b, a);
        self.bits[second] = simd.select_u32s(swap, a, b);
    }
}
