//! Packs integers, one for each bit, and unpacks them again.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use crate::layout::row_bytes;
use crate::level::Level;
use crate::memory::filled_by;
use crate::tasks::{Task, run_in_parts};

/// Integer type that holds one bit, 0 or 1: `i32` or `i64`.
pub trait Integer: Sized {
    /// Unpacks packed codes to one integer for each bit.
    ///
    /// # Shapes
    ///
    /// - `packed`: `[rows, row_bytes(num_bits)]`
    /// - output: `[rows, num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if `num_bits` is 0, or if `packed` is not whole rows.
    fn unpack(packed: &[u8], num_bits: usize) -> Vec<Self>;

    /// Packs the lowest bits of integers in the order of [`layout`](crate::layout).
    ///
    /// Returns whether all integers are 0 or 1.
    ///
    /// # Shapes
    ///
    /// - `integers`: `[rows, num_bits]`
    /// - `packed`: `[rows, row_bytes(num_bits)]`
    ///
    /// # Panics
    ///
    /// Panics if `num_bits` is 0, if the rows are not whole, or if the numbers of rows differ.
    fn pack(integers: &[Self], num_bits: usize, packed: &mut [u8]) -> bool;
}

/// Operations of an integer type that the loops below use.
trait Bits: Copy + Send + Sync {
    const ZERO: Self;

    fn lowest(self) -> u8;

    fn is_bit(self) -> bool;

    fn or(self, other: Self) -> Self;

    fn of_bit(bit: u8) -> Self;
}

// Generic code is compiled in the crate that uses it. These functions are instantiated here, so
// that they are compiled with this crate's optimizations.
macro_rules! integers {
    ($($Integer:ident),*) => { $(
        impl Integer for $Integer {
            fn unpack(packed: &[u8], num_bits: usize) -> Vec<Self> {
                unpack(packed, num_bits)
            }

            fn pack(integers: &[Self], num_bits: usize, packed: &mut [u8]) -> bool {
                pack(integers, num_bits, packed)
            }
        }

        impl Bits for $Integer {
            const ZERO: Self = 0;

            #[inline(always)]
            fn lowest(self) -> u8 {
                (self & 1) as u8
            }

            #[inline(always)]
            fn is_bit(self) -> bool {
                self & !1 == 0
            }

            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline(always)]
            fn of_bit(bit: u8) -> Self {
                bit as $Integer
            }
        }
    )* };
}
integers!(i32, i64);

fn unpack<I: Bits>(packed: &[u8], num_bits: usize) -> Vec<I> {
    let count = packed.len() / row_bytes(num_bits).max(1) * num_bits;
    assert_rows(packed.len(), num_bits, count);
    let write = |integers: &mut [MaybeUninit<I>]| {
        run_in_parts(UnpackTask {
            packed,
            num_bits,
            integers,
        });
    };
    // SAFETY: the task writes every bit of every row, which is `count` integers.
    #[expect(unsafe_code, reason = "measured to pay")]
    unsafe {
        filled_by(count, write)
    }
}

fn pack<I: Bits>(integers: &[I], num_bits: usize, packed: &mut [u8]) -> bool {
    assert_rows(packed.len(), num_bits, integers.len());
    run_in_parts(PackTask {
        integers,
        num_bits,
        packed,
    })
}

fn assert_rows(bytes: usize, num_bits: usize, integers: usize) {
    assert!(num_bits > 0, "rows of 0 bits");
    let each = row_bytes(num_bits);
    assert!(
        integers.is_multiple_of(num_bits) && bytes == integers / num_bits * each,
        "{integers} integers and {bytes} bytes, expected rows of {num_bits} and {each}"
    );
}

/// Packed codes to unpack.
struct UnpackTask<'a, I> {
    packed: &'a [u8],
    num_bits: usize,
    integers: &'a mut [MaybeUninit<I>],
}

impl<I: Bits> Task for UnpackTask<'_, I> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.packed.len() / row_bytes(self.num_bits)
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let num_bits = self.num_bits;
        let (packed, packed_after) = self.packed.split_at(vectors * row_bytes(num_bits));
        let (integers, integers_after) = self.integers.split_at_mut(vectors * num_bits);
        let part = |packed, integers| UnpackTask {
            packed,
            num_bits,
            integers,
        };
        (part(packed, integers), part(packed_after, integers_after))
    }

    // for each row:
    //     for each byte k of the row:
    //         for each position in 0..8, or up to the last bit:
    //             integers[8 * k + position] = byte >> position & 1
    //
    // The bit order is that of `layout`, repeated here to write the wider integers in one pass.
    fn run(self) {
        // The compiler turns these plain loops into vector instructions of the level.
        Level::best().run(
            #[inline(always)]
            move || {
                let rows = self.packed.chunks_exact(row_bytes(self.num_bits));
                for (row, integers) in rows.zip(self.integers.chunks_exact_mut(self.num_bits)) {
                    let (eights, rest) = integers.as_chunks_mut::<8>();
                    for (integers, &byte) in eights.iter_mut().zip(row) {
                        for (bit, integer) in integers.iter_mut().enumerate() {
                            integer.write(I::of_bit(byte >> bit & 1));
                        }
                    }
                    for (bit, integer) in rest.iter_mut().enumerate() {
                        integer.write(I::of_bit(row[row.len() - 1] >> bit & 1));
                    }
                }
            },
        );
    }

    fn join((): (), (): ()) {}
}

/// Packs the lowest bits of eight integers into a byte, and joins the integers to `all` by "or".
#[inline(always)]
fn byte_of<I: Bits>(eight: &[I; 8], all: &mut I) -> u8 {
    let mut byte = 0;
    for (bit, &integer) in eight.iter().enumerate() {
        *all = all.or(integer);
        byte |= integer.lowest() << bit;
    }
    byte
}

/// Integers to pack.
struct PackTask<'a, I> {
    integers: &'a [I],
    num_bits: usize,
    packed: &'a mut [u8],
}

impl<I: Bits> Task for PackTask<'_, I> {
    type Output = bool;

    fn vectors(&self) -> usize {
        self.packed.len() / row_bytes(self.num_bits)
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let num_bits = self.num_bits;
        let (integers, integers_after) = self.integers.split_at(vectors * num_bits);
        let (packed, packed_after) = self.packed.split_at_mut(vectors * row_bytes(num_bits));
        let part = |integers, packed| PackTask {
            integers,
            num_bits,
            packed,
        };
        (part(integers, packed), part(integers_after, packed_after))
    }

    // all = 0
    // for each row:
    //     for each byte k of the row:
    //         byte = 0
    //         for each position in 0..8, or up to the last bit:
    //             byte |= (integers[8 * k + position] & 1) << position
    //             all  |= integers[8 * k + position]
    // return all is 0 or 1
    //
    // The bit order is that of `layout`, repeated here to read the wider integers in one pass.
    fn run(self) -> bool {
        Level::best().run(
            #[inline(always)]
            move || {
                let (num_bits, bytes) = (self.num_bits, row_bytes(self.num_bits));
                let mut all = I::ZERO;
                for (row, packed) in self.packed.chunks_exact_mut(bytes).enumerate() {
                    let here = &self.integers[row * num_bits..];
                    let (eights, rest) = here[..num_bits].as_chunks::<8>();
                    for (eight, byte) in eights.iter().zip(packed.iter_mut()) {
                        *byte = byte_of(eight, &mut all);
                    }
                    if rest.is_empty() {
                        continue;
                    }
                    packed[bytes - 1] = match here[num_bits - rest.len()..].first_chunk() {
                        // The eight integers reach into the next row, whose bits are masked out.
                        Some(eight) => byte_of(eight, &mut all) & ((1 << rest.len()) - 1),
                        None => {
                            let mut eight = [I::ZERO; 8];
                            eight[..rest.len()].copy_from_slice(rest);
                            byte_of(&eight, &mut all)
                        }
                    };
                }
                all.is_bit()
            },
        )
    }

    fn join(first: bool, second: bool) -> bool {
        first && second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn pack_gives_the_bytes_of_pack_row_and_unpack_reverses_it() {
        for num_bits in [1, 2, 7, 8, 9, 31, 32, 33, 70] {
            for rows in [0, 1, 5, 1200] {
                let bits: Vec<u8> = (0..rows * num_bits)
                    .map(|index| u8::from((index * index + index / 3) % 5 < 2))
                    .collect();
                let mut wanted = vec![0; rows * row_bytes(num_bits)];
                let packed = wanted.chunks_exact_mut(row_bytes(num_bits));
                for (bits, packed) in bits.chunks_exact(num_bits).zip(packed) {
                    crate::layout::pack_row(bits, packed).unwrap();
                }
                let integers: Vec<i32> = bits.iter().map(|&bit| bit.into()).collect();
                let mut packed = vec![0xff; wanted.len()];
                assert!(pack(&integers, num_bits, &mut packed));
                assert_eq!(packed, wanted);
                let back: Vec<i64> = Integer::unpack(&packed, num_bits);
                assert_eq!(back.len(), bits.len());
                assert!(back.iter().zip(&bits).all(|(&i, &bit)| i == i64::from(bit)));
            }
        }
    }

    #[test]
    fn pack_reports_an_integer_that_is_not_a_bit() {
        for wrong in [2, -1, i64::MIN] {
            for place in [0, 8, 17, 999 * 18] {
                let mut integers = vec![1; 1000 * 18];
                integers[place] = wrong;
                assert!(!pack(&integers, 18, &mut vec![0; 1000 * 3]));
            }
        }
    }
}
