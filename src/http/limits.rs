//! When a request may be sent: the limits of an account, by name, shared by all its syncs.
//!
//! | limit | kept how |
//! |---|---|
//! | `requests` per `1s`, `20s`, `1m`, `1h` | no span of that length holds more, by the vendor's clock too; spread evenly after a burst of a tenth |
//! | `concurrent` | so many [`Permit`]s at a time |
//! | `requests` per `day` | counted with what others used; when it is used up, that is an error |
//!
//! A request takes all its limits at once or none, so none waits while it holds what another one needs; requests that
//! share a limit go in the order they came. What a vendor does not document is found by its answers: after a 429 the
//! rate is halved and then recovers slowly.

mod bucket;
mod core;
mod day;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::core::{Core, Now, Turn};
use crate::manifest::connector::api::Bucket;

/// Why a request may not be sent at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// The requests of the day are used up; the run ends.
    #[error("{message}")]
    Exhausted {
        /// Name of the limit.
        bucket: String,
        /// When the next day begins.
        resets: Timestamp,
        /// Which limit, how much of it was used, when it begins anew.
        message: String,
    },
    /// The connector names a limit it does not define.
    #[error("there is no limit `{0}` in `api.limits`")]
    Unknown(String),
    /// A limit of the connector says nothing, or something that cannot be understood.
    #[error("api.limits.{bucket}: {message}")]
    Invalid {
        /// Name of the limit.
        bucket: String,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// The limits of one account. Clones share them.
#[derive(Clone)]
pub struct Limits {
    shared: Arc<Shared>,
}

struct Shared {
    core: Mutex<Core>,
    changed: Notify,
    began: Instant,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now { since: self.began.elapsed(), wall: (self.clock)() }
    }
}

/// The right to send one request. It is held until the answer is there: what it holds counts as in flight until then.
pub struct Permit {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.shared.now();
        self.shared.core().release(self.id, now);
        self.shared.changed.notify_waiters();
    }
}

/// A place in the queue, given up when nobody waits any more.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.core().leave(self.id);
        self.shared.changed.notify_waiters();
    }
}

impl Limits {
    /// The limits of a connector (`api.limits`).
    ///
    /// # Errors
    /// [`LimitError::Invalid`].
    pub fn new(buckets: &IndexMap<String, Bucket>) -> Result<Self, LimitError> {
        Self::with_clock(buckets, Timestamp::now)
    }

    /// The same with another wall clock, which says what day it is. Spans are measured by tokio's clock.
    ///
    /// # Errors
    /// [`LimitError::Invalid`].
    pub fn with_clock(
        buckets: &IndexMap<String, Bucket>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Self, LimitError> {
        let core = Mutex::new(Core::new(buckets, clock())?);
        let (changed, began) = (Notify::new(), Instant::now());
        Ok(Self { shared: Arc::new(Shared { core, changed, began, clock: Box::new(clock) }) })
    }

    /// Waits until a request that counts in these limits may be sent. Cancelling gives the place up.
    ///
    /// # Errors
    /// [`LimitError::Exhausted`] as soon as it is this request's turn and the day has none left, [`LimitError::Unknown`].
    pub async fn acquire(&self, names: &[String]) -> Result<Permit, LimitError> {
        let shared = &self.shared;
        let id = shared.core().join(names)?;
        let place = Place { shared, id };
        loop {
            let mut changed = std::pin::pin!(shared.changed.notified());
            // Registered before looking, so that no change between the two is missed.
            changed.as_mut().enable();
            let now = shared.now();
            let turn = shared.core().turn(id, now)?;
            match turn {
                Turn::Go => break,
                Turn::At(since) => {
                    let until = tokio::time::sleep_until(shared.began + since);
                    tokio::select! { () = until => {}, () = changed => {} }
                }
                Turn::Later => changed.await,
            }
        }
        // No longer in the queue: the place is not given up but used, and who stood behind it may look.
        std::mem::forget(place);
        shared.changed.notify_waiters();
        Ok(Permit { shared: Arc::clone(shared), id })
    }

    /// Lets no request go for so long: an answer said so. A longer pause already begun stays.
    pub fn pause(&self, span: Duration) {
        let until = self.shared.now().since.saturating_add(span);
        self.shared.core().pause(until);
    }

    /// Halves the rate of the limits this request counts in, for the answer was 429. Requests that were already on the
    /// way when it was last halved do not halve it again. Without a limit by time, the rate of late is taken for one.
    pub fn throttled(&self, permit: &Permit) {
        let now = self.shared.now();
        self.shared.core().throttled(permit.id, now);
    }

    /// Takes note of how many requests of the day were used, by whomever. A name without a limit by day is passed over.
    pub fn set_used(&self, name: &str, used: u64) {
        let now = self.shared.now();
        self.shared.core().set_used(name, used, now);
    }

    /// How many requests of the day are left to us; `None` for a name without a limit by day.
    pub fn left(&self, name: &str) -> Option<u64> {
        let now = self.shared.now();
        self.shared.core().left(name, now)
    }

    /// The least seconds that so many requests take under these limits, if nothing else goes on. What does not fit into
    /// a day waits for the next.
    pub fn estimate(&self, names: &[String], requests: u64) -> f64 {
        let now = self.shared.now();
        self.shared.core().estimate(names, requests, now)
    }
}

#[cfg(test)]
mod tests;
