//! What is done for many vectors, in parts that threads share.

/// Work on vectors that can be done in parts.
pub trait Task: Sized + Send {
    /// What it gives.
    type Output: Send;

    /// Vectors of the work.
    fn vectors(&self) -> usize;

    /// The work on the first vectors, and that on the others.
    fn split_at(self, vectors: usize) -> (Self, Self);

    /// Does it.
    fn run(self) -> Self::Output;

    /// What two parts give together.
    fn join(first: Self::Output, second: Self::Output) -> Self::Output;
}

/// Vectors of a part: enough that handing it over costs nothing, few enough that their codes stay
/// in the cache between two steps.
pub const VECTORS: usize = 512;

/// Does the work, on all threads where there are some.
pub fn run_in_parts<T: Task>(task: T) -> T::Output {
    let parts = task.vectors().div_ceil(VECTORS);
    if parts <= 1 {
        return task.run();
    }
    let (first, second) = task.split_at(parts / 2 * VECTORS);
    #[cfg(feature = "threads")]
    let (first, second) = rayon::join(|| run_in_parts(first), || run_in_parts(second));
    #[cfg(not(feature = "threads"))]
    let (first, second) = (run_in_parts(first), run_in_parts(second));
    T::join(first, second)
}
