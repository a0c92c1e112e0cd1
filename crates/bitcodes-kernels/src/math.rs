//! Functions of f32 without branches, so that a loop over them becomes vector instructions.

/// The natural logarithm of a normal number above 0, within 2 units in the last place.
///
/// With the number `m 2^e`, `m` around 1, the polynomial of Cephes' `logf` for `ln(m)`.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    // So that m is from sqrt(1/2) to sqrt(2).
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

/// `ln(2)` in two parts, the first with few digits.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x` for x within [-87, 87], and its value there for x beyond, within 2 units in the last place.
///
/// Cephes' `expf`: `x = n ln(2) + r`, a polynomial of `r`, times `2^n`. NaN gives NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Added, it leaves a number of this size no digits after the point, and the whole in its bits.
    const TO_WHOLE: f32 = 12_582_912.0;
    // In this order NaN stays.
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

    /// Units in the last place of `wanted`.
    fn off(found: f32, wanted: f64) -> f64 {
        let unit = f64::from((wanted as f32).abs().next_up() - (wanted as f32).abs());
        (f64::from(found) - wanted).abs() / unit
    }

    #[test]
    fn logarithms_of_what_noise_is_drawn_from() {
        for k in (1..1 << 24).step_by(997).chain((1 << 24) - 3..1 << 24) {
            for x in [k as f32 / (1 << 24) as f32, k as f32] {
                let wanted = libm::log(f64::from(x));
                // ln(1) is 0, whose unit is none.
                if x != 1.0 {
                    assert!(off(ln(x), wanted) < 2.0, "ln({x}) is {}", ln(x));
                }
            }
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn exponentials() {
        for step in -87_000..=87_000 {
            let x = step as f32 / 1000.0;
            let wanted = libm::exp(f64::from(x));
            assert!(off(exp(x), wanted) < 2.0, "e^{x} is {}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!([exp(1e9), exp(-1e9)], [exp(87.0), exp(-87.0)]);
        assert!(exp(f32::NAN).is_nan());
    }
}
