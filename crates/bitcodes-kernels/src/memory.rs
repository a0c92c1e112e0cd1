//! Uninitialized memory for results, and stores of registers into it.
//!
//! Filling the memory with zeros first would take as long as some kernels do.
#![expect(
    unsafe_code,
    reason = "measured to pay; each function states its contract"
)]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use pulp::Simd;

/// Runs `write` on uninitialized memory for `count` elements and returns the filled vector.
///
/// # Safety
///
/// `write` has to write every element.
pub unsafe fn filled_by<T: Copy>(
    count: usize,
    write: impl FnOnce(&mut [MaybeUninit<T>]),
) -> Vec<T> {
    let mut memory = Box::new_uninit_slice(count);
    advise_large_pages(&mut memory);
    write(&mut memory);
    // SAFETY: the caller promises that `write` writes every element.
    unsafe { memory.assume_init() }.into_vec()
}

/// Views initialized elements as memory to be overwritten.
///
/// # Safety
///
/// The caller may write only initialized values there.
pub unsafe fn as_uninit<T: Copy>(memory: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: `MaybeUninit<T>` has the memory layout of `T`, and the caller promises that the
    // elements stay initialized.
    unsafe { &mut *(core::ptr::from_mut(memory) as *mut [MaybeUninit<T>]) }
}

/// Stores registers one after the other, up to the end of `room`.
#[inline(always)]
pub fn store_registers<S: Simd, const REGISTERS: usize>(
    registers: &[S::f32s; REGISTERS],
    room: &mut [MaybeUninit<f32>],
) {
    let lanes = S::F32_LANES;
    if let Some(room) = room.get_mut(..REGISTERS * lanes) {
        for (index, register) in registers.iter().enumerate() {
            let elements: &[f32] = bytemuck::cast_slice(core::slice::from_ref(register));
            room[index * lanes..][..lanes].write_copy_of_slice(&elements[..lanes]);
        }
        return;
    }
    // The branch above keeps its registers because this one works on a copy of them: storing a part
    // of a register needs that register in memory.
    let registers = *registers;
    for (register, room) in registers.iter().zip(room.chunks_mut(lanes)) {
        store_part(bytemuck::cast_slice(core::slice::from_ref(register)), room);
    }
}

/// Stores the first elements of a register, up to the end of `room`, in copies of constant length.
#[inline(always)]
fn store_part(mut elements: &[f32], mut room: &mut [MaybeUninit<f32>]) {
    macro_rules! store {
        ($($length:literal),*) => { $(
            if room.len() >= $length {
                let (here, after) = room.split_at_mut($length);
                here.write_copy_of_slice(&elements[..$length]);
                (elements, room) = (&elements[$length..], after);
            }
        )* };
    }
    store!(16, 8, 4, 2, 1);
    let _ = (elements, room);
}

/// Asks the system for large pages.
///
/// The first access to a page costs as much as decoding the vectors that fill it. Linux gives large
/// pages on request unless it is set up otherwise.
#[cfg(all(target_os = "linux", not(miri)))]
fn advise_large_pages<T>(memory: &mut [MaybeUninit<T>]) {
    /// Least size for which large pages pay: two large pages on most processors.
    const LARGE_BYTES: usize = 1 << 22;
    const PAGE_BYTES: usize = 1 << 12;

    let bytes = size_of_val(memory);
    if bytes < LARGE_BYTES {
        return;
    }
    let start = memory.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(PAGE_BYTES);
    let length = (bytes - skipped) / PAGE_BYTES * PAGE_BYTES;
    // SAFETY: the range is whole pages inside `memory`, and the advice does not change their
    // content. A refusal leaves the pages as they are, so that the result can be ignored.
    unsafe { libc::madvise(start.add(skipped).cast(), length, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn advise_large_pages<T>(_: &mut [MaybeUninit<T>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_memory_holds_the_elements_that_were_written() {
        for count in [0, 1, 1000, (1 << 20) + 7] {
            let count = if cfg!(miri) { count.min(1000) } else { count };
            // SAFETY: the closure writes all elements.
            let numbers = unsafe {
                filled_by(count, |memory| {
                    for (index, element) in memory.iter_mut().enumerate() {
                        element.write(index as u32);
                    }
                })
            };
            assert!(numbers.iter().copied().eq(0..count as u32));
        }
        let mut numbers = [1, 2];
        // SAFETY: only a number is written there.
        let last = unsafe { &mut as_uninit(&mut numbers)[1] };
        last.write(7);
        assert_eq!(numbers, [1, 7]);
    }
}
