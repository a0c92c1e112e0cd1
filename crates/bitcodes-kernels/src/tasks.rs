//! Splits the work on a batch into parts and shares the parts among threads.

/// Work on a batch of vectors that can be split into parts.
pub trait Task: Sized + Send {
    /// Result of a part.
    type Output: Send;

    /// Returns the number of vectors in the task.
    fn vectors(&self) -> usize;

    /// Returns the number of vectors in a part.
    fn part_vectors(&self) -> usize {
        PART_VECTORS
    }

    /// Splits the task into one for the first `vectors` and one for the others.
    fn split_at(self, vectors: usize) -> (Self, Self);

    /// Runs the task on this thread.
    fn run(self) -> Self::Output;

    /// Combines the results of two adjacent parts.
    fn join(first: Self::Output, second: Self::Output) -> Self::Output;
}

/// Number of vectors in a part: their codes stay in the cache between two steps.
///
/// The draws of a training pass depend on it, because each part has a random stream of its own.
pub const PART_VECTORS: usize = 512;

/// Returns the number of vectors in a part from the number of operations that one vector takes.
///
/// Handing a part to another thread costs thousands of operations, so that cheap vectors form
/// larger parts.
pub fn part_vectors_for(operations: usize) -> usize {
    const OPERATIONS_OF_A_PART: usize = 1 << 19;
    (OPERATIONS_OF_A_PART / operations)
        .next_power_of_two()
        .max(PART_VECTORS)
}

/// Runs a task in parts, on all threads if the feature `threads` is enabled.
pub fn run_in_parts<T: Task>(task: T) -> T::Output {
    let part = task.part_vectors();
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
