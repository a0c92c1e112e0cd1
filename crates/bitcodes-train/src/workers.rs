//! The parts of a batch at once.
//!
//! Not on rayon's threads: Burn's autodiff holds locks all through `backward`. A thread of rayon's
//! that holds one, and waits for its share of a matrix product, takes up another part meanwhile,
//! which waits for the lock: for ever. Nor on new threads each step: mimalloc gives the pages of a
//! thread back when it ends, which takes a fifth longer.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

/// As many threads as rayon has, for as long as the program runs.
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

/// What `compute` makes of each part, in their order; a single part, as on a GPU, on this thread.
///
/// `compute` must not call this function.
///
/// # Panics
///
/// Where `compute` does.
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
            // What it holds is the caller's alone again, to be changed in place.
            drop(compute);
            // Nobody waits any more where another part panicked.
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
