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
    #[cfg(not(feature = "threads"))]
    return run_on_this_thread(task);
    #[cfg(feature = "threads")]
    match halves(task) {
        Ok([first, second]) => {
            let (first, second) = rayon::join(|| run_in_parts(first), || run_in_parts(second));
            T::join(first, second)
        }
        Err(part) => part.run(),
    }
}

/// Runs a task as [`run_in_parts`] does, but never waits for a thread that may run other code of the
/// program.
///
/// Burn holds a lock while it runs a backward pass. A thread of rayon that waits for a part takes up
/// any other work, which may be the backward pass of another model that waits for the lock. So on
/// a thread of rayon the task runs on that thread alone, and elsewhere on threads that do nothing
/// else.
pub fn run_apart<T: Task>(task: T) -> T::Output {
    #[cfg(feature = "threads")]
    if rayon::current_thread_index().is_none()
        && task.vectors() > task.part_vectors()
        && let Some(threads) = threads_of_kernels()
    {
        return threads.install(|| run_in_parts(task));
    }
    run_on_this_thread(task)
}

/// Runs the parts of a task one after the other and joins them as [`run_in_parts`] does.
fn run_on_this_thread<T: Task>(task: T) -> T::Output {
    match halves(task) {
        Ok([first, second]) => T::join(run_on_this_thread(first), run_on_this_thread(second)),
        Err(part) => part.run(),
    }
}

/// Splits a task, or returns it as it is if it has no more than one part.
fn halves<T: Task>(task: T) -> Result<[T; 2], T> {
    let part = task.part_vectors();
    let parts = task.vectors().div_ceil(part);
    match parts {
        ..2 => Err(task),
        _ => Ok(task.split_at(parts / 2 * part).into()),
    }
}

/// Returns threads that run kernels and nothing else, as many as rayon's; `None` if the system gives
/// none.
#[cfg(feature = "threads")]
fn threads_of_kernels() -> Option<&'static rayon::ThreadPool> {
    extern crate std;
    static THREADS: std::sync::OnceLock<Option<rayon::ThreadPool>> = std::sync::OnceLock::new();

    let build = || {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(rayon::current_num_threads());
        threads.build().ok()
    };
    THREADS.get_or_init(build).as_ref()
}

/// Adds elements to their sums.
#[inline(always)]
pub fn add_elements(sums: &mut [f32], parts: &[f32]) {
    sums.iter_mut()
        .zip(parts)
        .for_each(|(sum, part)| *sum += part);
}
