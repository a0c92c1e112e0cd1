//! A beam search in double precision that knows where rounding in single precision could turn it.

use bitcodes_kernels::Codebook;

/// Unit of rounding in single precision.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Halves of the pairs' differences, and the sum of the pairs' means.
pub struct Halves {
    halves: Vec<Vec<f64>>,
    mid: Vec<f64>,
}

impl Halves {
    /// Takes the differences as an encoder rounds them.
    pub fn new(codebook: Codebook<'_>) -> Self {
        let halves = codebook.differences();
        let halves = halves.map(|each| each.map(|element| f64::from(element) / 2.0).collect());
        let mut mid = vec![0.0; codebook.features()];
        for [zero, one] in codebook.pairs() {
            for ((sum, &zero), &one) in mid.iter_mut().zip(zero).zip(one) {
                *sum += (f64::from(zero) + f64::from(one)) / 2.0;
            }
        }
        Self {
            halves: halves.collect(),
            mid,
        }
    }

    /// Returns the number of bits.
    pub fn len(&self) -> usize {
        self.halves.len()
    }

    fn centered(&self, x: &[f32]) -> Vec<f64> {
        let each = x.iter().zip(&self.mid);
        each.map(|(&x, mid)| f64::from(x) - mid).collect()
    }

    /// Returns the products of a vector with the halves.
    pub fn products(&self, x: &[f32]) -> Vec<f64> {
        let z = self.centered(x);
        self.halves.iter().map(|half| dot(half, &z)).collect()
    }

    /// Returns the squared error of a vector and its code.
    pub fn error(&self, x: &[f32], bits: &[bool]) -> f64 {
        let mut rest = self.centered(x);
        for (half, &bit) in self.halves.iter().zip(bits) {
            let sign = if bit { 1.0 } else { -1.0 };
            rest.iter_mut()
                .zip(half)
                .for_each(|(rest, half)| *rest -= sign * half);
        }
        dot(&rest, &rest)
    }

    /// Returns the products of the halves with one another.
    pub fn gram(&self) -> Vec<f64> {
        let row = |q: &Vec<f64>| self.halves.iter().map(|p| dot(q, p)).collect::<Vec<f64>>();
        self.halves.iter().flat_map(row).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Bounds the error of a dot product that is summed in order, with one rounding for each term.
fn dot_error(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = 0.0;
    let sums = a.iter().zip(b).map(|(a, b)| {
        sum += a * b;
        f64::abs(sum)
    });
    // The sums that are rounded are not those of f64, by less than this.
    1.01 * UNIT * sums.sum::<f64>()
}

/// The search, with bounds of the errors that single precision makes.
pub struct Plain {
    halves: Halves,
    gram: Vec<f64>,
    /// Bound of the error of each product of two halves.
    gram_errors: Vec<f64>,
    beam: usize,
}

/// A choice of signs of the first bits.
#[derive(Clone)]
struct Way {
    cost: f64,
    signs: Vec<f64>,
    /// The cost after each sign.
    costs: Vec<f64>,
}

/// What rounding may add to numbers of a vector.
struct Errors {
    /// Of each product with a half.
    products: Vec<f64>,
    /// Of each difference of a product and what the signs before take from it.
    sums: Vec<f64>,
    /// Of the costs of the first signs, which are not added in order.
    start: f64,
}

impl Plain {
    /// Prepares searches with a codebook.
    pub fn new(codebook: Codebook<'_>, beam: usize) -> Self {
        let halves = Halves::new(codebook);
        let error = |q: &Vec<f64>| {
            let row = halves.halves.iter().map(|p| dot_error(q, p));
            row.collect::<Vec<f64>>()
        };
        Self {
            gram: halves.gram(),
            gram_errors: halves.halves.iter().flat_map(error).collect(),
            halves,
            beam,
        }
    }

    /// Returns the squared error of a vector and its code.
    pub fn error(&self, x: &[f32], bits: &[bool]) -> f64 {
        self.halves.error(x, bits)
    }

    /// Returns the bits of a vector, and whether rounding in single precision cannot turn them.
    pub fn decide(&self, x: &[f32]) -> (Vec<bool>, bool) {
        let bits = self.halves.len();
        let products = self.halves.products(x);
        let errors = self.errors(x, &products);
        let mut is_sure = true;
        let mut ways = vec![Way {
            cost: 0.0,
            signs: Vec::new(),
            costs: Vec::new(),
        }];
        for (p, product) in products.iter().enumerate() {
            let extend = |way: &Way| {
                let taken = way.signs.iter().enumerate();
                let taken: f64 = taken.map(|(q, sign)| sign * self.gram[q * bits + p]).sum();
                let gain = product - taken;
                [-1.0, 1.0].map(|sign| {
                    let cost = way.cost - sign * gain;
                    Way {
                        cost,
                        signs: [&way.signs[..], &[sign]].concat(),
                        costs: [&way.costs[..], &[cost]].concat(),
                    }
                })
            };
            ways = ways.iter().flat_map(extend).collect();
            ways.sort_by(|a, b| a.cost.total_cmp(&b.cost));
            let keep = if p + 1 == bits { 1 } else { self.beam };
            let left = ways.split_off(keep.min(ways.len()));
            for kept in &ways {
                for left in &left {
                    is_sure &= left.cost - kept.cost > self.bound(&errors, kept, left);
                }
            }
        }
        let mut signs = ways.swap_remove(0).signs;
        for (p, &product) in products.iter().enumerate() {
            let (mut rest, mut error) = (product, errors.products[p]);
            let (mut size, row) = (rest.abs(), p * bits);
            for (q, sign) in signs.iter().enumerate().filter(|&(q, _)| q != p) {
                rest -= sign * self.gram[row + q];
                error += self.gram_errors[row + q];
                size += self.gram[row + q].abs();
            }
            is_sure &= rest.abs() > error + (bits + 8) as f64 * UNIT * size;
            signs[p] = if rest > 0.0 { 1.0 } else { -1.0 };
        }
        (signs.into_iter().map(|sign| sign > 0.0).collect(), is_sure)
    }

    fn errors(&self, x: &[f32], products: &[f64]) -> Errors {
        let bits = self.halves.len();
        // Centering rounds, and so does the sum of the means.
        let z = self.halves.centered(x);
        let centered = |half: &Vec<f64>| -> f64 {
            let each = z.iter().zip(&self.halves.mid).zip(half);
            each.map(|((z, mid), half)| UNIT * (z.abs() + mid.abs()) * half.abs())
                .sum()
        };
        let of_product = |half: &Vec<f64>| dot_error(half, &z) + centered(half);
        // Tables hold the sums of three signs or more, except in browsers.
        let sum = |p: usize| {
            let taken: f64 = self.gram[p * bits..][..p].iter().map(|g| g.abs()).sum();
            (p as f64 / 3.0 + 5.0) * UNIT * (products[p].abs() + taken)
        };
        let first = (0..bits.min(5)).map(|p| {
            let with: f64 = self.gram[p * bits..][..p].iter().map(|g| g.abs()).sum();
            products[p].abs() + with
        });
        Errors {
            start: 6.0 * UNIT * first.sum::<f64>(),
            products: self.halves.halves.iter().map(of_product).collect(),
            sums: (0..bits).map(sum).collect(),
        }
    }

    /// Returns how far rounding may change the difference of the costs of two ways. What they share
    /// is computed alike.
    fn bound(&self, errors: &Errors, a: &Way, b: &Way) -> f64 {
        let bits = self.halves.len();
        let costs = a.costs.iter().zip(&b.costs);
        let costs: Vec<f64> = costs.map(|(a, b)| a.abs() + b.abs()).collect();
        let (a, b) = (&a.signs, &b.signs);
        let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let mut bound = errors.start;
        for p in same..a.len() {
            bound += 2.0 * errors.sums[p] + UNIT * costs[p];
            if a[p] != b[p] {
                bound += 2.0 * errors.products[p];
            }
            for q in 0..p {
                if a[q] * a[p] != b[q] * b[p] {
                    bound += 2.0 * self.gram_errors[q * bits + p];
                }
            }
        }
        bound
    }
}
