//! One batch from its intent to its end, and what all batches in flight share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use super::breaker::Breaker;
use super::cut::Cut;
use super::ledger::Ledger;
use super::retry::{Budget, RetryPolicy};
use super::token::Token;
use super::{Progress, Stop, quotes};
use crate::destinations::{Batch, Class, Operation, Outcome, SendError, Sent, Writer};
use crate::diagnostic::Result;
use crate::state::ActiveRun;
use crate::state::journal::{Policy, SyncRecord};

/// All batches in flight see the same tower: it knows what is known of every row, and whether more may be sent.
pub struct Tower<'a> {
    pub(super) run: &'a ActiveRun<'a>,
    pub(super) record: &'a SyncRecord,
    pub(super) writer: &'a dyn Writer,
    pub(super) stop: &'a Stop,
    pub(super) retry: RetryPolicy,
    pub(super) most_rejected: Option<u64>,
    progress: &'a dyn Progress,
    ledger: Mutex<Ledger>,
    breaker: Mutex<Breaker>,
    /// Why nothing more is sent.
    halt: watch::Sender<Option<String>>,
    /// Nothing is sent before: the destination asked for a pause.
    not_before: Mutex<Option<Instant>>,
    /// One for each batch that may be in flight.
    lanes: Semaphore,
}

/// How far a delivery goes.
pub struct Terms {
    /// How often and how long it is tried again.
    pub retry: RetryPolicy,
    /// It stops when more records than this are rejected.
    pub most_rejected: Option<u64>,
    /// Batches in flight.
    pub lanes: usize,
}

/// Records on their way, and what has happened to them so far.
struct Load {
    operations: Vec<Operation>,
    /// Some attempt may have been executed.
    arrived: bool,
    /// What is left of their tries; a fresh one where there is none.
    budget: Option<Budget>,
    /// They are part of a batch that was refused as a whole.
    halved: bool,
}

impl Load {
    fn fresh(operations: Vec<Operation>, arrived: bool) -> Self {
        Self { operations, arrived, budget: None, halved: false }
    }
}

/// How an attempt ended.
enum End {
    Answered(Vec<Outcome>),
    /// Some have no outcome and were not executed; after the pause they are sent again, if there is one.
    Partly(Vec<Option<Outcome>>, Option<Duration>),
    /// Only so many fit into a request.
    Oversize(usize),
    Deferred(String),
    Refused {
        code: String,
        message: String,
    },
    /// It was not executed, unless an earlier attempt was.
    NotSent,
    InDoubt,
}

impl<'a> Tower<'a> {
    /// A tower for one sync.
    pub fn new(
        run: &'a ActiveRun<'a>,
        record: &'a SyncRecord,
        writer: &'a dyn Writer,
        stop: &'a Stop,
        progress: &'a dyn Progress,
        terms: Terms,
    ) -> Self {
        let Terms { retry, most_rejected, lanes } = terms;
        let lanes = Semaphore::new(lanes);
        let breaker = Mutex::new(Breaker::new(&retry));
        let (ledger, not_before) = (Mutex::default(), Mutex::new(None));
        let halt = watch::Sender::new(None);
        Self { run, record, writer, stop, retry, most_rejected, progress, ledger, breaker, halt, not_before, lanes }
    }

    /// What is known now.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all batches have seen of the destination.
    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while more may be sent.
    pub fn open(&self) -> bool {
        !self.stop.is_raised() && self.halt.borrow().is_none()
    }

    /// Sends nothing more; the first reason counts.
    pub fn halt(&self, why: String) {
        self.halt.send_if_modified(|reason| reason.is_none() && reason.replace(why).is_none());
    }

    /// Why nothing more was sent, if so.
    pub fn halted(&self) -> Option<String> {
        let reason = self.halt.borrow().clone();
        reason.or_else(|| self.stop.is_raised().then(|| "interrupted by a signal".into()))
    }

    /// Shows how far it is. A writer that counts its requests itself knows better than we do.
    pub fn show(&self) {
        let tally = {
            let tally = &mut self.ledger().tally;
            if let Some(requests) = self.writer.requests() {
                tally.requests = requests;
            }
            *tally
        };
        self.progress.advance(&tally);
    }

    async fn closed(&self) {
        let mut halt = self.halt.subscribe();
        tokio::select! {
            _ = halt.wait_for(Option::is_some) => {}
            _ = self.stop.raised() => {}
        }
    }

    /// The right to send, held until the batch has come to its end; `None` when nothing more is sent.
    async fn lane(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            lane = self.lanes.acquire() => lane.ok(),
            () = self.closed() => None,
        }
    }

    /// Brings a batch to its end, in halves where it is refused as a whole. Returns its keys and identities that are free
    /// again.
    pub async fn fly(&self, cut: Cut) -> Result<Vec<Token>> {
        let action = cut.action;
        let mut tokens = cut.tokens;
        // What comes first is on top: the order of the rows is kept.
        let mut waiting = vec![Load::fresh(cut.operations, false)];
        let (mut lane, mut queued) = (None, false);
        while let Some(mut load) = waiting.pop() {
            if !self.open() {
                // An earlier attempt may have arrived.
                if load.arrived {
                    self.doubted(load.operations.len());
                }
                continue;
            }
            let mut batch = Batch { id: self.run.next_batch(), operations: std::mem::take(&mut load.operations) };
            let rows: Vec<u64> = batch.operations.iter().map(|o| o.ordinal).collect();
            let intent = self.intent(batch.id, action, &rows);
            if queued {
                intent.await?;
            } else {
                // Queued before it is written down: batches are sent in the order they were cut.
                let (written, own) = tokio::join!(intent, self.lane());
                written?;
                (lane, queued) = (own, true);
            }
            let mut budget = load.budget.take().unwrap_or_else(|| Budget::new(&self.retry, batch.id));
            let end = self.attempt(&mut batch, &mut load.arrived, &mut budget).await;
            let (arrived, halved) = (load.arrived, load.halved);
            match end {
                End::Answered(outcomes) => {
                    // Some say of a record that stands alone what they said of the whole batch.
                    if let (true, [Outcome::Rejected { code, message }]) = (halved, outcomes.as_slice())
                        && let Some(reason) = self.breaker().refused_alone(code, message)
                    {
                        self.halt(reason);
                    }
                    self.answered(batch.id, &rows, &outcomes).await?;
                }
                End::Partly(outcomes, pause) => {
                    self.answered_partly(action, &rows, &outcomes, arrived).await?;
                    let open = batch.operations.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.is_none());
                    let operations: Vec<_> = open.map(|(operation, _)| operation).collect();
                    if let (Some(pause), false) = (pause, operations.is_empty()) {
                        self.rest(pause).await;
                    }
                    if !operations.is_empty() {
                        waiting.push(Load { operations, arrived, budget: Some(budget), halved });
                    }
                }
                End::Oversize(fits) => {
                    // A request that takes nothing at all, or all and yet not, would be cut for ever.
                    let alone = fits == 0 || rows.len() == 1;
                    let rest = batch.operations.split_off(fits.clamp(1, rows.len()));
                    if !arrived {
                        self.void(batch.id, &rows)?;
                    }
                    let budget = budget.tried().then_some(budget);
                    if !rest.is_empty() {
                        waiting.push(Load { operations: rest, arrived, budget: budget.clone(), halved });
                    }
                    if alone {
                        let message = "the record is larger than one request may be".into();
                        let outcome = Outcome::Rejected { code: "too_large".into(), message };
                        let first: Vec<u64> = batch.operations.iter().map(|o| o.ordinal).collect();
                        self.note(action, &first, &[outcome])?;
                    } else {
                        waiting.push(Load { operations: batch.operations, arrived, budget, halved });
                    }
                }
                End::Deferred(handle) => {
                    // Its records are not written yet: nothing may overtake them. Keys are not there twice anyway.
                    tokens.retain(|token| matches!(token, Token::Key(_)));
                    self.deferred(batch.id, rows, handle)?;
                    // Whoever comes after a crash can ask only with the handle.
                    self.run.journal().sync().await?;
                }
                End::Refused { code, message } if rows.len() == 1 => {
                    if let Some(reason) = self.breaker().refused_alone(&code, &message) {
                        self.halt(reason);
                    }
                    self.ack(batch.id, &rows, &[Outcome::Rejected { code, message }])?;
                }
                End::Refused { .. } => {
                    if !arrived {
                        self.void(batch.id, &rows)?;
                    }
                    let second = batch.operations.split_off(rows.len().div_ceil(2));
                    for operations in [second, batch.operations] {
                        waiting.push(Load { halved: true, ..Load::fresh(operations, arrived) });
                    }
                }
                End::NotSent if !arrived => self.void(batch.id, &rows)?,
                End::NotSent | End::InDoubt => self.doubted(rows.len()),
            }
            self.show();
        }
        drop(lane);
        Ok(tokens)
    }

    /// Sends until there is an answer, a final refusal, or no more patience. `arrived` becomes true when some attempt
    /// may have been executed.
    async fn attempt(&self, batch: &mut Batch, arrived: &mut bool, budget: &mut Budget) -> End {
        loop {
            self.pause_for_all().await;
            if !self.open() {
                return End::NotSent;
            }
            let again = u64::from(budget.tried());
            {
                let tally = &mut self.ledger().tally;
                tally.requests += 1;
                tally.retries += again;
            }
            let mut answer = self.writer.send(batch).await;
            quotes::remove(&mut answer, batch);
            let fault = match answer {
                Ok(sent) => return self.taken(sent, batch.operations.len(), budget),
                Err(fault) => fault,
            };
            let (pause, message) = match fault {
                SendError::Oversize { fits } => {
                    let tally = &mut self.ledger().tally;
                    tally.requests = tally.requests.saturating_sub(1);
                    tally.retries = tally.retries.saturating_sub(again);
                    return End::Oversize(fits);
                }
                SendError::Refused { code, message } => {
                    self.breaker().answered();
                    return End::Refused { code, message };
                }
                SendError::Fatal { message, help } => {
                    self.halt(match help {
                        Some(help) => format!("{message} ({help})"),
                        None => message,
                    });
                    return End::NotSent;
                }
                SendError::Unreachable { message } => {
                    let longest = self.breaker().unreachable(&message);
                    let longest = longest.map_err(|reason| self.halt(reason)).unwrap_or_default();
                    (budget.pause(None).map(|pause| pause.min(longest)), message)
                }
                SendError::Transient { message, retry_after } => {
                    (self.patience(&message, retry_after, budget), message)
                }
                SendError::Lost { message } => {
                    *arrived = true;
                    let class = self.record.class;
                    let pause = self.patience(&message, None, budget);
                    if class == Class::D && self.record.on_doubt != Policy::Resend {
                        // This batch is not tried again; but the next ones would be lost as fast as this one.
                        self.hold_all(self.breaker().pause());
                        return match self.record.on_doubt {
                            Policy::Skip => End::Answered(vec![Outcome::Unverified; batch.operations.len()]),
                            Policy::Hold | Policy::Resend => End::InDoubt,
                        };
                    }
                    batch.operations.iter_mut().for_each(|operation: &mut Operation| operation.in_doubt = true);
                    (pause, message)
                }
            };
            let Some(pause) = pause else {
                self.halt(format!("the destination did not recover in time: {message}"));
                return End::NotSent;
            };
            self.rest(pause).await;
        }
    }

    /// What the destination's answer means.
    fn taken(&self, sent: Sent, records: usize, budget: &mut Budget) -> End {
        let answers = match sent {
            Sent::Deferred { handle } => {
                self.breaker().answered();
                return End::Deferred(handle);
            }
            Sent::Outcomes(outcomes) if outcomes.len() == records => {
                self.breaker().answered();
                return End::Answered(outcomes);
            }
            Sent::Partly { outcomes, message, retry_after } if outcomes.len() == records => {
                let pause = if outcomes.iter().any(Option::is_some) {
                    self.breaker().answered();
                    let pause = budget.pause(retry_after);
                    self.hold_on_request(pause, retry_after);
                    pause
                } else {
                    self.patience(&message, retry_after, budget)
                };
                if pause.is_none() && outcomes.iter().any(Option::is_none) {
                    self.halt(format!("the destination did not answer for all records in time: {message}"));
                }
                return End::Partly(outcomes, pause);
            }
            Sent::Outcomes(outcomes) => outcomes.len(),
            Sent::Partly { outcomes, .. } => outcomes.len(),
        };
        self.halt(format!("the destination gave {answers} answers to a batch of {records} records"));
        End::InDoubt
    }

    /// The pause after a failure, `None` when the budget of the batch is used up. Stops the sync when nothing goes
    /// through any more.
    fn patience(&self, message: &str, retry_after: Option<Duration>, budget: &mut Budget) -> Option<Duration> {
        let reason = {
            let mut breaker = self.breaker();
            match retry_after {
                Some(_) => breaker.paused(message),
                None => breaker.failed(message),
            }
        };
        if let Some(reason) = reason {
            self.halt(reason);
        }
        let pause = budget.pause(retry_after);
        self.hold_on_request(pause, retry_after);
        pause
    }

    fn hold_on_request(&self, pause: Option<Duration>, retry_after: Option<Duration>) {
        if let (Some(pause), Some(_)) = (pause, retry_after) {
            self.hold_all(pause);
        }
    }

    fn hold_all(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = Some(not_before.map_or(until, |earlier| earlier.max(until)));
    }

    async fn pause_for_all(&self) {
        let until = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = until.filter(|until| *until > Instant::now()) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.closed() => {}
        }
    }

    async fn rest(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.closed() => {}
        }
    }
}
