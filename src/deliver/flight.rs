//! One batch from its intent to its end, and what all batches in flight share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cut::Cut;
use super::retry::{Budget, RetryPolicy};
use super::{Progress, Stop, Tally};
use crate::destinations::{Action, Batch, Class, Operation, Outcome, SendError, Sent, Writer};
use crate::diagnostic::Result;
use crate::diff::Hash;
use crate::state::ActiveRun;
use crate::state::journal::{Policy, Record, SyncRecord, ranges_of, runs_of};
use crate::state::marks::{Mark, Marks};

/// All batches in flight see the same tower: it knows what is known of every row, and whether more may be sent.
pub struct Tower<'a> {
    run: &'a ActiveRun<'a>,
    record: &'a SyncRecord,
    writer: &'a dyn Writer,
    stop: &'a Stop,
    progress: &'a dyn Progress,
    retry: RetryPolicy,
    most_rejected: Option<u64>,
    ledger: Mutex<Ledger>,
    /// Why nothing more is sent.
    halt: watch::Sender<Option<String>>,
    /// Nothing is sent before: the destination asked for a pause.
    not_before: Mutex<Option<Instant>>,
}

/// What the journal says, in memory.
#[derive(Default)]
pub struct Ledger {
    /// The rows.
    pub marks: Marks,
    /// Their counts.
    pub tally: Tally,
    /// Batches taken but not settled: their rows in order, and the handle.
    deferred: BTreeMap<u64, (Vec<u64>, String)>,
}

/// How an attempt ended.
enum End {
    Answered(Vec<Outcome>),
    /// Some have no outcome and were not executed.
    Partly(Vec<Option<Outcome>>),
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
        retry: RetryPolicy,
        most_rejected: Option<u64>,
    ) -> Self {
        Self {
            run,
            record,
            writer,
            stop,
            progress,
            retry,
            most_rejected,
            ledger: Mutex::default(),
            halt: watch::Sender::new(None),
            not_before: Mutex::new(None),
        }
    }

    /// What is known now.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
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

    async fn closed(&self) {
        let mut halt = self.halt.subscribe();
        tokio::select! {
            _ = halt.wait_for(Option::is_some) => {}
            _ = self.stop.raised() => {}
        }
    }

    /// A row of which no record can be made although the plan could: final, as a refusal by the destination is.
    pub fn unmappable(&self, ordinal: u64, action: Action, message: String) -> Result<()> {
        self.note(ordinal, action, Outcome::Rejected { code: "unmappable".into(), message })
    }

    /// Writes down what became of a single row.
    fn note(&self, ordinal: u64, action: Action, outcome: Outcome) -> Result<()> {
        let batch = self.run.next_batch();
        let (sync, rows) = (self.record.number, vec![(ordinal, ordinal)]);
        self.run.journal().queue(&Record::Intent { sync, batch, action, rows })?;
        self.ack(batch, &[ordinal], &[outcome])
    }

    /// Brings a batch to its end, in halves where it is refused as a whole. Returns its keys, which are free again.
    pub async fn fly(&self, cut: Cut) -> Result<Vec<Hash>> {
        // The half that comes first is on top: the order of the rows is kept.
        let mut waiting = vec![(cut.operations, false)];
        while let Some((operations, mut arrived)) = waiting.pop() {
            if !self.open() {
                break;
            }
            let mut batch = Batch { id: self.run.next_batch(), operations };
            let rows: Vec<u64> = batch.operations.iter().map(|o| o.ordinal).collect();
            self.intent(batch.id, cut.action, &rows).await?;
            match self.attempt(&mut batch, &mut arrived).await {
                End::Answered(outcomes) => {
                    self.ack(batch.id, &rows, &outcomes)?;
                    // Nobody can find out later what an append-only destination has: its answer is made durable at once.
                    if self.record.class == Class::D {
                        self.run.journal().sync().await?;
                    }
                }
                End::Partly(outcomes) => {
                    // What is known is written down under a batch of its own; the others are sent again.
                    self.void(batch.id, &rows)?;
                    let mut again = Vec::new();
                    for (operation, outcome) in batch.operations.into_iter().zip(outcomes) {
                        match outcome {
                            Some(outcome) => self.note(operation.ordinal, cut.action, outcome)?,
                            None => again.push(operation),
                        }
                    }
                    if !again.is_empty() {
                        waiting.push((again, arrived));
                    }
                }
                End::Oversize(0) => {
                    let message = "the record is larger than one request may be".into();
                    self.void(batch.id, &rows)?;
                    let first = batch.operations.remove(0);
                    self.note(first.ordinal, cut.action, Outcome::Rejected { code: "too_large".into(), message })?;
                    if !batch.operations.is_empty() {
                        waiting.push((batch.operations, arrived));
                    }
                }
                End::Oversize(fits) => {
                    self.void(batch.id, &rows)?;
                    let rest = batch.operations.split_off(fits.min(rows.len()));
                    if !rest.is_empty() {
                        waiting.push((rest, arrived));
                    }
                    waiting.push((batch.operations, arrived));
                }
                End::Deferred(handle) => {
                    self.run.journal().queue(&Record::Deferred { batch: batch.id, handle: handle.clone() })?;
                    self.ledger().deferred.insert(batch.id, (rows, handle));
                }
                End::Refused { code, message } if rows.len() == 1 => {
                    self.ack(batch.id, &rows, &[Outcome::Rejected { code, message }])?;
                }
                End::Refused { .. } => {
                    if !arrived {
                        self.void(batch.id, &rows)?;
                    }
                    let second = batch.operations.split_off(rows.len().div_ceil(2));
                    waiting.push((second, arrived));
                    waiting.push((batch.operations, arrived));
                }
                End::NotSent if !arrived => self.void(batch.id, &rows)?,
                End::NotSent | End::InDoubt => {
                    let mut ledger = self.ledger();
                    ledger.tally.in_doubt += rows.len() as u64;
                    ledger.tally.done += rows.len() as u64;
                }
            }
            self.progress.advance(&self.ledger().tally.clone());
        }
        Ok(cut.keys)
    }

    /// Sends until there is an answer, a final refusal, or no more patience. `arrived` becomes true when some attempt
    /// may have been executed.
    async fn attempt(&self, batch: &mut Batch, arrived: &mut bool) -> End {
        let mut budget = Budget::new(&self.retry, batch.id);
        let mut again = false;
        loop {
            self.pause_for_all().await;
            if !self.open() {
                return End::NotSent;
            }
            {
                let tally = &mut self.ledger().tally;
                tally.requests += 1;
                tally.retries += u64::from(again);
            }
            again = true;
            let (pause, message) = match self.writer.send(batch).await {
                Ok(Sent::Outcomes(outcomes)) if outcomes.len() == batch.operations.len() => {
                    return End::Answered(outcomes);
                }
                Ok(Sent::Outcomes(outcomes)) => {
                    let (got, sent) = (outcomes.len(), batch.operations.len());
                    self.halt(format!("the destination gave {got} answers to a batch of {sent} records"));
                    return End::InDoubt;
                }
                Ok(Sent::Deferred { handle }) => return End::Deferred(handle),
                Ok(Sent::Partly { outcomes, .. }) => return End::Partly(outcomes),
                Err(SendError::Oversize { fits }) => return End::Oversize(fits),
                Err(SendError::Unreachable { message }) => (budget.pause(None), message),
                Err(SendError::Refused { code, message }) => return End::Refused { code, message },
                Err(SendError::Fatal { message, help }) => {
                    self.halt(match help {
                        Some(help) => format!("{message} ({help})"),
                        None => message,
                    });
                    return End::NotSent;
                }
                Err(SendError::Transient { message, retry_after }) => {
                    let pause = budget.pause(retry_after);
                    if let (Some(pause), Some(_)) = (pause, retry_after) {
                        self.hold_all(pause);
                    }
                    (pause, message)
                }
                Err(SendError::Lost { message }) => {
                    *arrived = true;
                    match (self.record.class, self.record.on_doubt) {
                        (Class::D, Policy::Hold) => return End::InDoubt,
                        (Class::D, Policy::Skip) => {
                            return End::Answered(vec![Outcome::Unverified; batch.operations.len()]);
                        }
                        (Class::A | Class::B | Class::C, _) | (Class::D, Policy::Resend) => {}
                    }
                    batch.operations.iter_mut().for_each(|operation: &mut Operation| operation.in_doubt = true);
                    (budget.pause(None), message)
                }
            };
            let Some(pause) = pause else {
                self.halt(format!("the destination did not recover in time: {message}"));
                return End::NotSent;
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.closed() => {}
            }
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

    /// Makes an intent durable. Nothing is sent without.
    async fn intent(&self, batch: u64, action: Action, rows: &[u64]) -> Result<()> {
        let (sync, ranges) = (self.record.number, ranges_of(rows.iter().copied()));
        self.run.journal().write(&Record::Intent { sync, batch, action, rows: ranges }).await?;
        let mut ledger = self.ledger();
        rows.iter().for_each(|row| ledger.marks.set(*row, Mark::InDoubt));
        Ok(())
    }

    /// Notes an answer. It becomes durable with the next intent, or at the end of the sync: until then a crash leaves
    /// the batch in doubt, which is resolved by the destination's class.
    fn ack(&self, batch: u64, rows: &[u64], outcomes: &[Outcome]) -> Result<()> {
        self.run.journal().queue(&Record::Ack { batch, outcomes: runs_of(outcomes) })?;
        let mut ledger = self.ledger();
        for (row, outcome) in rows.iter().zip(outcomes) {
            ledger.marks.answer(*row, outcome);
            let tally = &mut ledger.tally;
            tally.done += 1;
            match outcome {
                Outcome::Succeeded => tally.succeeded += 1,
                Outcome::Rejected { .. } => tally.rejected += 1,
                Outcome::NoMatch => tally.no_match += 1,
                Outcome::Unverified => tally.unverified += 1,
            }
        }
        let rejected = ledger.tally.rejected;
        drop(ledger);
        if let Some(most) = self.most_rejected.filter(|most| rejected > *most) {
            self.halt(format!("more than {most} records were rejected (`delivery.max_rejected`)"));
        }
        Ok(())
    }

    fn void(&self, batch: u64, rows: &[u64]) -> Result<()> {
        self.run.journal().queue(&Record::Void { batch })?;
        let mut ledger = self.ledger();
        rows.iter().for_each(|row| ledger.marks.set(*row, Mark::Pending));
        Ok(())
    }

    /// Asks for the outcomes of all that was deferred; what gets none stays in doubt. Called once, in any case.
    pub async fn settle(&self, limit: Duration) -> Result<()> {
        let deferred = std::mem::take(&mut self.ledger().deferred);
        let asked: Vec<(u64, String)> = deferred.iter().map(|(batch, (_, handle))| (*batch, handle.clone())).collect();
        let answers = tokio::select! {
            biased;
            answers = self.ask(&asked) => answers,
            () = self.stop.past(limit) => Vec::new(),
        };
        let mut open: u64 = deferred.values().map(|(rows, _)| rows.len() as u64).sum();
        for (batch, outcomes) in answers {
            let Some((rows, _)) = deferred.get(&batch).filter(|(rows, _)| rows.len() == outcomes.len()) else {
                self.halt("the destination settled other batches than it was asked for".into());
                continue;
            };
            self.ack(batch, rows, &outcomes)?;
            open = open.saturating_sub(rows.len() as u64);
        }
        let tally = {
            let tally = &mut self.ledger().tally;
            tally.in_doubt += open;
            tally.done += open;
            *tally
        };
        if open > 0 {
            self.halt("the destination did not say what became of all records it had taken".into());
        }
        self.progress.advance(&tally);
        Ok(())
    }

    async fn ask(&self, asked: &[(u64, String)]) -> Vec<(u64, Vec<Outcome>)> {
        let mut budget = Budget::new(&self.retry, u64::MAX);
        loop {
            let (pause, message) = match self.writer.settle(asked).await {
                Ok(answers) => return answers,
                Err(SendError::Transient { message, retry_after }) => (budget.pause(retry_after), message),
                Err(SendError::Fatal { message, help: Some(help) }) => (None, format!("{message} ({help})")),
                Err(e) => (None, e.to_string()),
            };
            let Some(pause) = pause else {
                self.halt(message);
                return Vec::new();
            };
            tokio::time::sleep(pause).await;
        }
    }
}
