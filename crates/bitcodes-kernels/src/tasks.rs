//! What is done for many vectors, in parts that threads share.

/// Work on vectors that can be done in parts.
pub trait Task: Sized + Send {
    /// What it gives.
    type Output: Send;

    /// Vectors of the work.
    fn vectors(&self) -> usize;

    /// Vectors of a part.
    fn part(&self) -> usize {
        VECTORS
    }

    /// The work on the first vectors, and that on the others.
    fn split_at(self, vectors: usize) -> (Self, Self);

    /// Does it.
    fn run(self) -> Self::Output;

    /// What two parts give together.
    fn join(first: Self::Output, second: Self::Output) -> Self::Output;
}

/// Vectors of a part: few enough that their codes stay in the cache between two steps.
pub const VECTORS: usize = 512;

/// Vectors of a part, of `operations` each: more of what is done with little, as to hand over a part
/// costs thousands.
pub fn part_of(operations: usize) -> usize {
    const WORTH: usize = 1 << 19;
    (WORTH / operations).next_power_of_two().max(VECTORS)
}

/// Does the work, on all threads where there are some.
pub fn run_in_parts<T: Task>(task: T) -> T::Output {
    let part = task.part();
    let parts = task.vectors().div_ceil(part);
    if parts <= 1 {
        return task.run();
    }
    let (first, second) = task.split_at(parts / 2 * part);
    #[cfg(feature = "threads")]
    let (first, second) = rayon::join(|| run_in_parts(first), || run_in_parts(second));
    #[cfg(not(feature = "threads"))]
    let (first, second) = (run_in_parts(first), run_in_parts(second));
    T::join(first, second)
}
