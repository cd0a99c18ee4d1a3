//! The same work on several threads.

use super::DiffError;

/// Runs `work` on so many threads, each with its number, and returns what they made in the order of these. The first
/// error counts.
pub(super) fn all<T: Send>(
    threads: usize,
    work: impl Fn(usize) -> Result<T, DiffError> + Sync,
) -> Result<Vec<T>, DiffError> {
    if threads <= 1 {
        return Ok(vec![work(0)?]);
    }
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads).map(|i| scope.spawn(move || work(i))).collect();
        let results: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
        results.into_iter().map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Works on all items, each on a thread of its own, while `beside` runs on this one; returns what was made of the items
/// in their order. With one thread, one is done after the other.
pub(super) fn beside<I: Sync, T: Send>(
    beside: impl FnOnce() -> Result<(), DiffError>,
    threads: usize,
    items: &[I],
    work: impl Fn(&I) -> Result<T, DiffError> + Sync,
) -> Result<Vec<T>, DiffError> {
    if threads <= 1 {
        beside()?;
        return items.iter().map(work).collect();
    }
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
        let done = beside();
        let results: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
        done?;
        results.into_iter().map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}
