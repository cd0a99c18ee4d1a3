//! 9 · Batches, retries, bisection, journal → outcomes: how the frozen operations of one sync reach a destination.
//!
//! ```text
//!  operations ──► cut ──► intent (durable) ──► send ──► acknowledgement ──► … ──► settle ──► state
//!                          │                    │  ▲ transient: wait, again
//!                          │                    │  ▲ lost: again, or in doubt
//!                          │                    │  ▲ partly: the others again
//!                          └── up to `concurrency` batches   refused: halve until the bad record stands alone
//! ```
//! Whatever ends a delivery (a fault, a signal, too many rejections, a destination that does not work), what succeeded is
//! kept.

mod breaker;
mod cut;
mod feed;
mod flight;
mod ledger;
pub mod mapper;
mod open;
mod quotes;
pub mod retry;
mod settle;
pub mod stop;
mod token;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod fake;
#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::destinations::{Class, Writer};
use crate::diagnostic::{Error, Result};
use crate::manifest::sync::Limit;
use crate::state::journal::SyncRecord;
use crate::state::marks::{Mark, Marks};
use crate::state::runs::SyncRun;
use crate::state::{ActiveRun, ActiveSync, Effort};
use cut::{Air, Cutter, Next, Rules};
use feed::Feed;
use flight::{Terms, Tower};
pub use mapper::Mapper;
pub use open::open;
pub use retry::RetryPolicy;
pub use stop::Stop;

/// How long batches in flight may take once a signal has come.
const LANDING: Duration = Duration::from_secs(4);
/// How long they and the settling may take together.
const DRAIN: Duration = Duration::from_secs(5);

/// Most records in flight where batches are made ready beside them.
const AHEAD: usize = 8 * 1024;

/// One sync to be delivered.
pub struct Job {
    /// What the journal must know of it; its number is given by the run.
    pub record: SyncRecord,
    /// Records per batch, at least 1.
    pub batch_size: u32,
    /// Batches in flight, at least 1.
    pub concurrency: u32,
    /// True when a batch holds only added or only changed rows.
    pub by_state: bool,
    /// True where what a run hands over makes a whole at its end, as files do: settled once and by the same run.
    pub by_run: bool,
    /// The delivery stops when more records than this are rejected; a percentage counts against `total`.
    pub max_rejected: Option<Limit>,
    /// Operations of the plan for this sync that do something at the destination.
    pub total: u64,
    /// Operations that were left out of the plan's copy on purpose; only told.
    pub left_out: u64,
    /// Makes the records.
    pub mapper: Box<dyn Mapper>,
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
    job: Job,
    writer: &dyn Writer,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<SyncRun> {
    let mut sync = run.begin_sync(job.record)?;
    if !job.by_run {
        settle::leftovers(writer, &mut sync, &job.retry, stop).await;
    }
    let most_rejected = job.max_rejected.map(|limit| match limit {
        Limit::Count(count) => count,
        // Rounded down: 5 % of 19 records is none.
        Limit::Percent(percent) => (job.total as f64 * percent / 100.0) as u64,
    });
    let (concurrency, size) = (job.concurrency.max(1) as usize, job.batch_size.max(1) as usize);
    let runway = Runway { sync: &sync, concurrency, size, by_run: job.by_run };
    let terms = Terms { retry: job.retry, most_rejected, lanes: runway.concurrency };
    let tower = Tower::new(run, &sync.record, writer, stop, progress, terms);
    let feed = Feed::new(run.operations(&sync.record.sync)?, job.mapper);
    let lineage = run.lineage();
    let rules = Rules { size, by_state: job.by_state };
    let mut cutter = Cutter::new(feed, writer, &sync, &lineage, rules);
    let ended = loop {
        let sent = send_all(&tower, &runway, &mut cutter, stop).await;
        // Also after a failure: what was handed over is not left half-way.
        let settled = tower.settle(DRAIN, &mut cutter).await;
        match sent.and_then(|waiting| settled.map(|()| waiting)) {
            // Rows that wait for what is now settled.
            Ok(true) if tower.open() => {}
            ended => break ended,
        }
    };
    // And after a failure, too: what was answered is known, whatever failed later.
    let synced = run.journal().sync().await;
    ended.and(synced)?;
    let error = tower.halted();
    let ledger = tower.ledger();
    let (requests, retries) = (ledger.tally.requests, ledger.tally.retries);
    let effort = Effort { requests, retries, left_out: job.left_out, warnings: writer.warnings(), error };
    run.finish_sync(&sync, &ledger.marks, effort)
}

/// What does not change while a sync is sent.
struct Runway<'a> {
    sync: &'a ActiveSync,
    concurrency: usize,
    /// Records of a batch.
    size: usize,
    by_run: bool,
}

impl Runway<'_> {
    /// Batches are cut when no more than the first number are under way, until the second is: in flight, or ready to go
    /// with their intent written down. So many intents share one sync to disk, and nobody waits for it between two
    /// requests. A crash leaves what was ready in doubt like what was in flight, so it is not done where doubt costs a look-up
    /// or waits for a human; nor where batches are so large that a sync for each is nothing.
    fn under_way(&self) -> (usize, usize) {
        let lanes = self.concurrency;
        match self.sync.record.class {
            Class::A | Class::B if lanes.saturating_mul(self.size) <= AHEAD => (2 * lanes, 3 * lanes),
            _ => (lanes - 1, lanes),
        }
    }

    /// Whether what waits for this operation may be done.
    fn clear(&self, marks: &Marks, after: Option<u64>) -> bool {
        // What makes a whole at the end keeps its order, and does not lose what it was handed.
        let handed_over = |ordinal| self.by_run && marks.get(ordinal) == Mark::InDoubt;
        self.sync.may_go(after, marks) || after.is_some_and(handed_over)
    }
}

/// Sends everything that may be sent. Returns when nothing is in flight any more: true when rows are left that wait for a
/// batch that was taken to be answered later.
async fn send_all(tower: &Tower<'_>, runway: &Runway<'_>, cutter: &mut Cutter<'_>, stop: &Stop) -> Result<bool> {
    let mut flights = FuturesUnordered::new();
    cutter.landed_all();
    let mut broken: Option<Error> = None;
    let mut waiting = false;
    let (few, many) = runway.under_way();
    loop {
        let mut unmade = false;
        let cuts = flights.len() <= few;
        while cuts && flights.len() < many && tower.open() {
            let unsettled = !runway.by_run && !tower.ledger().deferred.is_empty();
            let air = Air { busy: !flights.is_empty(), unsettled };
            let mut cut = match cutter.cut(air) {
                Ok(Next::Batch(cut)) => cut,
                Ok(Next::Wait) => {
                    waiting = flights.is_empty();
                    break;
                }
                Ok(Next::Unmade) => {
                    unmade = true;
                    break;
                }
                Ok(Next::End) => break,
                Err(e) => {
                    tower.halt(e.to_string());
                    broken.get_or_insert(e);
                    break;
                }
            };
            for known in cut.known.chunk_by(|one, next| one.1 == next.1) {
                tower.known(known)?;
            }
            cut.withhold(|after| runway.clear(&tower.ledger().marks, after));
            if cut.operations.is_empty() {
                cutter.landed(&cut.tokens);
            } else {
                flights.push(tower.fly(cut));
            }
        }
        let landed = tokio::select! {
            biased;
            landed = flights.next(), if !flights.is_empty() || !unmade => landed,
            () = cutter.fed(), if unmade => continue,
            // What has not landed by then stays in doubt.
            () = stop.past(LANDING) => None,
        };
        match landed {
            None => break,
            Some(Ok(tokens)) => cutter.landed(&tokens),
            // The journal cannot be written: nothing more may be sent.
            Some(Err(e)) => {
                tower.halt(e.to_string());
                broken.get_or_insert(e);
            }
        }
    }
    broken.map_or(Ok(waiting), Err)
}
