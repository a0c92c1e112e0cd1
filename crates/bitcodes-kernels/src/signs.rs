//! Logits to packed bits.

use crate::layout::row_bytes;

/// Packs the signs of logits: a bit is 1 where its logit is above 0, so that a tie and NaN give 0.
///
/// `logits` are rows of `num_bits`, `packed` is as many rows of [`row_bytes`] each, in the
/// [layout](crate::layout) of [`pack_row`](crate::layout::pack_row).
///
/// # Panics
///
/// Where `num_bits` is 0, or the rows are not whole or not as many.
pub fn pack_signs(logits: &[f32], num_bits: usize, packed: &mut [u8]) {
    let bytes = row_bytes(num_bits);
    assert!(num_bits > 0, "pack_signs: rows of 0 bits");
    assert!(
        logits.len().is_multiple_of(num_bits) && packed.len() == logits.len() / num_bits * bytes,
        "pack_signs: {} logits and {} bytes, expected rows of {num_bits} and {bytes}",
        logits.len(),
        packed.len()
    );
    let sign = |position: usize, logit: f32| u8::from(logit > 0.0) << position;
    for (row, packed) in logits
        .chunks_exact(num_bits)
        .zip(packed.chunks_exact_mut(bytes))
    {
        let (eights, rest) = row.as_chunks::<8>();
        for (logits, byte) in eights.iter().zip(packed.iter_mut()) {
            *byte = (0..8).fold(0, |byte, position| byte | sign(position, logits[position]));
        }
        if !rest.is_empty() {
            let signs = rest.iter().enumerate();
            packed[bytes - 1] =
                signs.fold(0, |byte, (position, &logit)| byte | sign(position, logit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::pack_row;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn packs_what_pack_row_packs_at_every_length() {
        let special = [
            0.0,
            -0.0,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e-45,
            -1e-45,
        ];
        for num_bits in 1..70 {
            for rows in 0..4 {
                let logits: Vec<f32> = (0..rows * num_bits)
                    .map(|index| match index % 3 {
                        0 => special[index / 3 % special.len()],
                        1 => index as f32,
                        _ => -(index as f32),
                    })
                    .collect();
                let mut packed = vec![0xff; rows * row_bytes(num_bits)];
                pack_signs(&logits, num_bits, &mut packed);
                let wanted = logits.chunks(num_bits).flat_map(|row| {
                    let bits: Vec<u8> = row.iter().map(|&logit| u8::from(logit > 0.0)).collect();
                    let mut packed = vec![0; row_bytes(num_bits)];
                    pack_row(&bits, &mut packed).unwrap();
                    packed
                });
                assert_eq!(packed, wanted.collect::<Vec<u8>>(), "{rows} x {num_bits}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "pack_signs: 5 logits and 1 bytes, expected rows of 2 and 1")]
    fn rows_that_are_not_whole_are_refused() {
        pack_signs(&[0.0; 5], 2, &mut [0]);
    }
}
