//! f32 functions without branches, which the compiler turns into vector instructions in a loop.

/// Computes the natural logarithm of a normal number above 0, within 2 units in the last place.
///
/// With `x = m 2^e` and `m` around 1, `ln(x) = ln(m) + e ln(2)`; the polynomial for `ln(m)` is that
/// of `logf` in the Cephes library.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    // The shift puts m between sqrt(1/2) and sqrt(2).
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = shifted as i32 >> 23;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    let e = exponent as f32;
    let square = m * m;
    let mut y = 7.037_683_6e-2;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        y = y * m + coefficient;
    }
    y = y * m * square + e * LN_2_LOW - 0.5 * square;
    m + y + e * LN_2_HIGH
}

/// High part of `ln(2)`, with so few digits that its products with exponents are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
/// Low part of `ln(2)`.
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Computes `e^x` within 2 units in the last place, with `x` clamped to [-87, 87]; NaN gives NaN.
///
/// With `x = n ln(2) + r` and whole `n`, `e^x = 2^n e^r`; the polynomial for `e^r` is that of
/// `expf` in the Cephes library.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// `1.5 * 2^23`: adding it rounds a small number to a whole one, which the sum's low bits hold.
    const TO_WHOLE: f32 = 12_582_912.0;
    // These comparisons are false for NaN, so that NaN stays.
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * core::f32::consts::LOG2_E + TO_WHOLE;
    let n = shifted - TO_WHOLE;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut y = 1.987_569_1e-4;
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        y = y * r + coefficient;
    }
    let y = y * r * r + r + 1.0;
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    y * two_to_n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the error of `found` in units in the last place of `wanted`.
    fn error_in_units(found: f32, wanted: f64) -> f64 {
        let unit = f64::from((wanted as f32).abs().next_up() - (wanted as f32).abs());
        (f64::from(found) - wanted).abs() / unit
    }

    #[test]
    fn logarithms_are_within_2_units() {
        for k in (1..1 << 24).step_by(997).chain((1 << 24) - 3..1 << 24) {
            for x in [k as f32 / (1 << 24) as f32, k as f32] {
                let wanted = libm::log(f64::from(x));
                // ln(1) is 0, which has no last place.
                if x != 1.0 {
                    assert!(error_in_units(ln(x), wanted) < 2.0, "ln({x}) is {}", ln(x));
                }
            }
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn exponentials_are_within_2_units() {
        for step in -87_000..=87_000 {
            let x = step as f32 / 1000.0;
            let wanted = libm::exp(f64::from(x));
            assert!(error_in_units(exp(x), wanted) < 2.0, "e^{x} is {}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!([exp(1e9), exp(-1e9)], [exp(87.0), exp(-87.0)]);
        assert!(exp(f32::NAN).is_nan());
    }
}
