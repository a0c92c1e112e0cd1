//! Threads that compute the parts of a batch in parallel.
//!
//! Rayon's threads cannot be used, because they can deadlock. Burn's autodiff holds a lock during
//! `backward`. A thread of rayon that holds the lock and waits for its share of a matrix product
//! takes up another part in the meantime, and that part waits for the lock forever.
//!
//! The threads live as long as the program. With new threads for each step, mimalloc gives the
//! memory pages of a thread back when the thread ends, and a step takes a fifth longer.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

/// The queue of jobs for the threads, of which there are as many as rayon has.
static WORKERS: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..rayon::current_num_threads() {
        let jobs = jobs.clone();
        let next = move || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        thread::spawn(move || {
            while let Ok(job) = next() {
                job();
            }
        });
    }
    sender
});

/// Applies `compute` to each part in parallel and returns the results in the order of the parts.
///
/// A single part, as on a GPU, is computed on the caller's thread. `compute` must not call this
/// function.
///
/// # Panics
///
/// Panics if `compute` panics.
pub(crate) fn in_parallel<P, R>(
    parts: Vec<P>,
    compute: impl Fn(P) -> R + Send + Sync + 'static,
) -> Vec<R>
where
    P: Send + 'static,
    R: Send + 'static,
{
    if parts.len() == 1 {
        return parts.into_iter().map(compute).collect();
    }
    let compute = Arc::new(compute);
    let (sender, results) = mpsc::channel();
    for (index, part) in parts.into_iter().enumerate() {
        let (compute, sender) = (compute.clone(), sender.clone());
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(|| compute(part)));
            // Drop this reference first, so that the caller alone holds the tensors again and they
            // can be changed in place.
            drop(compute);
            // Nobody receives the result if another part panicked.
            let _ = sender.send((index, result));
        };
        WORKERS.send(Box::new(job)).expect("workers never end");
    }
    drop(sender);
    let mut results: Vec<(usize, R)> = results
        .into_iter()
        .map(|(index, result)| (index, result.unwrap_or_else(|panic| resume_unwind(panic))))
        .collect();
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_are_in_the_order_of_their_parts() {
        let results = in_parallel((0..20).collect(), |part: u64| {
            thread::sleep(Duration::from_millis(20 - part));
            part
        });
        assert_eq!(results, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_part_that_waits_for_rayon_under_a_lock_does_not_take_up_another() {
        static LOCK: Mutex<()> = Mutex::new(());
        let wait = || thread::sleep(Duration::from_millis(2));
        in_parallel(vec![(); 50], move |()| {
            let _locked = LOCK.lock().unwrap();
            rayon::join(wait, wait)
        });
    }

    #[test]
    #[should_panic(expected = "part 3")]
    fn a_panic_is_the_callers() {
        in_parallel((0..5).collect(), |part| assert_ne!(part, 3, "part 3"));
    }
}
