//! Memory of results, which is written once: to fill it with zeros first takes as long as some
//! kernels do.
#![expect(unsafe_code, reason = "measured to pay; each with its contract")]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use pulp::Simd;

/// What `write` writes.
///
/// # Safety
///
/// `write` has to write every element.
pub unsafe fn written<T: Copy>(count: usize, write: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut memory = Box::new_uninit_slice(count);
    in_large_pages(&mut memory);
    write(&mut memory);
    // SAFETY: every element is written, as the caller promises.
    unsafe { memory.assume_init() }.into_vec()
}

/// Elements to be written anew.
///
/// # Safety
///
/// Nothing that is not initialized may be put there.
pub unsafe fn as_unwritten<T: Copy>(memory: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: `MaybeUninit<T>` lies in memory as `T` does, and stays initialized, as the caller
    // promises.
    unsafe { &mut *(core::ptr::from_mut(memory) as *mut [MaybeUninit<T>]) }
}

/// Writes as many elements of registers as there is room for.
#[inline(always)]
pub fn put<S: Simd, const REGISTERS: usize>(
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
    // A copy: what this takes part of has to be in memory, and the others are not.
    let registers = *registers;
    for (register, room) in registers.iter().zip(room.chunks_mut(lanes)) {
        put_part(bytemuck::cast_slice(core::slice::from_ref(register)), room);
    }
}

/// Writes as many elements as there is room for, by lengths that the compiler knows.
#[inline(always)]
fn put_part(mut elements: &[f32], mut room: &mut [MaybeUninit<f32>]) {
    macro_rules! put {
        ($($length:literal),*) => { $(
            if room.len() >= $length {
                let (here, after) = room.split_at_mut($length);
                here.write_copy_of_slice(&elements[..$length]);
                (elements, room) = (&elements[$length..], after);
            }
        )* };
    }
    put!(16, 8, 4, 2, 1);
    let _ = (elements, room);
}

/// Asks the system for large pages, where it gives them to who asks: at first touch each page costs
/// as much as decoding what it holds.
#[cfg(all(target_os = "linux", not(miri)))]
fn in_large_pages<T>(memory: &mut [MaybeUninit<T>]) {
    /// Bytes from which it pays; two large pages of most processors.
    const LARGE: usize = 1 << 22;
    const PAGE: usize = 1 << 12;

    let bytes = size_of_val(memory);
    if bytes < LARGE {
        return;
    }
    let start = memory.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(PAGE);
    let length = (bytes - skipped) / PAGE * PAGE;
    // SAFETY: these are whole pages of memory that is ours, and the advice changes nothing that is
    // read there. Where it is refused, pages are as they were.
    unsafe { libc::madvise(start.add(skipped).cast(), length, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn in_large_pages<T>(_: &mut [MaybeUninit<T>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there() {
        for count in [0, 1, 1000, (1 << 20) + 7] {
            let count = if cfg!(miri) { count.min(1000) } else { count };
            // SAFETY: all elements are written.
            let numbers = unsafe {
                written(count, |memory| {
                    for (index, element) in memory.iter_mut().enumerate() {
                        element.write(index as u32);
                    }
                })
            };
            assert!(numbers.iter().copied().eq(0..count as u32));
        }
        let mut numbers = [1, 2];
        // SAFETY: a number is put there.
        let last = unsafe { &mut as_unwritten(&mut numbers)[1] };
        last.write(7);
        assert_eq!(numbers, [1, 7]);
    }
}
