//! 9 · Batches, retries, bisection, journal → outcomes: how the frozen operations of one sync reach a destination.
//!
//! ```text
//!  operations ──► cut ──► intent (durable) ──► send ──► acknowledgement ──► … ──► settle ──► state
//!                          │                    │  ▲ transient: wait, again
//!                          │                    │  ▲ lost: again, or in doubt
//!                          └── up to `concurrency` batches   refused: halve until the bad record stands alone
//! ```
//! Whatever ends a delivery (a fault, a signal, too many rejections), what succeeded is kept.

mod cut;
mod flight;
pub mod mapper;
pub mod retry;
pub mod stop;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod fake;
#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::destinations::Writer;
use crate::diagnostic::{Error, Result};
use crate::diff::Hash;
use crate::manifest::sync::Limit;
use crate::state::journal::SyncRecord;
use crate::state::runs::SyncRun;
use crate::state::{ActiveRun, ActiveSync, Effort};
use cut::{Cut, Cutter};
use flight::Tower;
pub use mapper::Mapper;
pub use retry::RetryPolicy;
pub use stop::Stop;

/// How long batches in flight may take once a signal has come.
const LANDING: Duration = Duration::from_secs(4);
/// How long they and the settling may take together.
const DRAIN: Duration = Duration::from_secs(5);

/// One sync to be delivered.
pub struct Job<'a> {
    /// What the journal must know of it; its number is given by the run.
    pub record: SyncRecord,
    /// Records per batch, at least 1.
    pub batch_size: u32,
    /// Batches in flight, at least 1.
    pub concurrency: u32,
    /// The delivery stops when more records than this are rejected; a percentage counts against `total`.
    pub max_rejected: Option<Limit>,
    /// Operations of the plan for this sync that do something at the destination.
    pub total: u64,
    /// Makes the records.
    pub mapper: &'a mut dyn Mapper,
    /// How often and how long it is tried again.
    pub retry: RetryPolicy,
}

/// Is told how a delivery goes.
pub trait Progress: Send + Sync {
    /// Called after every batch with the counts so far.
    fn advance(&self, tally: &Tally);
}

impl Progress for () {
    fn advance(&self, _: &Tally) {}
}

/// Records by what became of them so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records answered for, in whatever way, or in doubt.
    pub done: u64,
    /// Confirmed.
    pub succeeded: u64,
    /// Refused.
    pub rejected: u64,
    /// Not there.
    pub no_match: u64,
    /// Taken without an answer per record.
    pub unverified: u64,
    /// Sent, answer lost.
    pub in_doubt: u64,
    /// Requests made.
    pub requests: u64,
    /// Requests that repeated an earlier one.
    pub retries: u64,
}

/// Delivers one sync and folds what became of its rows into the state. What a destination refuses or fails at is part
/// of the result; an error means that journal or state could not be written, or that the plan's copy cannot be read.
/// Then the run stays open and the next one picks up its journal.
pub async fn deliver(
    run: &ActiveRun<'_>,
    job: Job<'_>,
    writer: &dyn Writer,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<SyncRun> {
    let sync = run.begin_sync(job.record)?;
    let most_rejected = job.max_rejected.map(|limit| match limit {
        Limit::Count(count) => count,
        // Rounded down: 5 % of 19 records is none.
        Limit::Percent(percent) => (job.total as f64 * percent / 100.0) as u64,
    });
    let tower = Tower::new(run, &sync.record, writer, stop, progress, job.retry, most_rejected);
    let operations = run.operations(&sync.record.sync)?;
    let lineage = run.lineage();
    let cutter = Cutter::new(operations, job.mapper, &sync, &lineage, job.batch_size.max(1) as usize);
    let sent = send_all(&tower, &sync, cutter, job.concurrency.max(1) as usize, stop).await;
    // Also after a failure: what was handed over is not left half-way.
    let settled = tower.settle(DRAIN).await;
    // And after a failure, too: what was answered is known, whatever failed later.
    let synced = run.journal().sync().await;
    sent.and(settled).and(synced)?;
    let error = tower.halted();
    let ledger = tower.ledger();
    let effort = Effort { requests: ledger.tally.requests, retries: ledger.tally.retries, error };
    run.finish_sync(&sync, &ledger.marks, effort)
}

/// Sends everything that may be sent. Returns when nothing is in flight any more.
async fn send_all(
    tower: &Tower<'_>,
    sync: &ActiveSync,
    mut cutter: Cutter<'_>,
    concurrency: usize,
    stop: &Stop,
) -> Result<()> {
    let mut flights = FuturesUnordered::new();
    let mut flying: HashSet<Hash> = HashSet::new();
    let mut next: Option<Cut> = None;
    let mut broken: Option<Error> = None;
    let mut sending = true;
    loop {
        while flights.len() < concurrency && tower.open() {
            if next.is_none() {
                next = match cutter.cut() {
                    Ok(cut) => cut,
                    Err(e) => {
                        tower.halt(e.to_string());
                        broken.get_or_insert(e);
                        None
                    }
                };
            }
            // One in flight per key; and removals go last, when all else has come to its end.
            let waits = |cut: &Cut| (cut.last_wave() && sending) || cut.keys.iter().any(|key| flying.contains(key));
            if next.as_ref().is_some_and(|cut| !flights.is_empty() && waits(cut)) {
                break;
            }
            let Some(mut cut) = next.take() else { break };
            sending = !cut.last_wave();
            for (ordinal, message) in std::mem::take(&mut cut.unmappable) {
                tower.unmappable(ordinal, cut.action, message)?;
            }
            if cut.last_wave() {
                cut.withhold(|after| sync.may_go(after, &tower.ledger().marks));
            }
            if !cut.operations.is_empty() {
                flying.extend(&cut.keys);
                flights.push(tower.fly(cut));
            }
        }
        let landed = tokio::select! {
            biased;
            landed = flights.next() => landed,
            // What has not landed by then stays in doubt.
            () = stop.past(LANDING) => None,
        };
        match landed {
            None => break,
            Some(Ok(keys)) => keys.iter().for_each(|key| {
                flying.remove(key);
            }),
            // The journal cannot be written: nothing more may be sent.
            Some(Err(e)) => {
                tower.halt(e.to_string());
                broken.get_or_insert(e);
            }
        }
    }
    broken.map_or(Ok(()), Err)
}
