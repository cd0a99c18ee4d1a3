//! What becomes of rows, written down: intents, answers and what was handed over, in the journal and in memory.

use std::collections::BTreeMap;

use super::Tally;
use super::flight::Tower;
use crate::destinations::{Action, Class, Outcome};
use crate::diagnostic::Result;
use crate::state::journal::{Record, ranges_of, runs_of};
use crate::state::marks::{Mark, Marks};

/// What the journal says, in memory.
#[derive(Default)]
pub struct Ledger {
    /// The rows.
    pub marks: Marks,
    /// Their counts.
    pub tally: Tally,
    /// Batches taken but not settled: their rows in order, and the handle.
    pub deferred: BTreeMap<u64, (Vec<u64>, String)>,
}

impl Tower<'_> {
    /// Writes down what is known of rows without sending them; all of the same action.
    pub fn known(&self, rows: &[(u64, Action, Outcome)]) -> Result<()> {
        let Some((_, action, _)) = rows.first() else { return Ok(()) };
        let (ordinals, outcomes): (Vec<u64>, Vec<Outcome>) =
            rows.iter().map(|(ordinal, _, outcome)| (*ordinal, outcome.clone())).unzip();
        self.note(*action, &ordinals, &outcomes)
    }

    /// Writes down what became of rows under a batch of their own.
    pub fn note(&self, action: Action, rows: &[u64], outcomes: &[Outcome]) -> Result<()> {
        let batch = self.run.next_batch();
        self.queue_intent(batch, action, rows)?;
        self.ack(batch, rows, outcomes)
    }

    /// Makes an intent durable. Nothing is sent without.
    pub async fn intent(&self, batch: u64, action: Action, rows: &[u64]) -> Result<()> {
        let (sync, ranges) = (self.record.number, ranges_of(rows.iter().copied()));
        self.run.journal().write(&Record::Intent { sync, batch, action, rows: ranges }).await?;
        let mut ledger = self.ledger();
        rows.iter().for_each(|row| ledger.marks.set(*row, Mark::InDoubt));
        Ok(())
    }

    fn queue_intent(&self, batch: u64, action: Action, rows: &[u64]) -> Result<()> {
        let (sync, ranges) = (self.record.number, ranges_of(rows.iter().copied()));
        self.run.journal().queue(&Record::Intent { sync, batch, action, rows: ranges }).map(|_| ())
    }

    /// Notes an answer. It becomes durable with the next intent, or at the end of the sync: until then a crash leaves
    /// the batch in doubt, which is resolved by the destination's class.
    pub fn ack(&self, batch: u64, rows: &[u64], outcomes: &[Outcome]) -> Result<()> {
        self.run.journal().queue(&Record::Ack { batch, outcomes: runs_of(outcomes) })?;
        if outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Rejected { .. })) {
            self.breaker().took();
        }
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

    /// Notes the answer to a whole batch. Nobody can find out later what an append-only destination has: its answer is
    /// made durable at once.
    pub async fn answered(&self, batch: u64, rows: &[u64], outcomes: &[Outcome]) -> Result<()> {
        self.ack(batch, rows, outcomes)?;
        if self.record.class == Class::D { self.run.journal().sync().await } else { Ok(()) }
    }

    /// Notes an answer for some of a batch's rows, durable at once, and that the others were not executed unless an
    /// earlier attempt of theirs `arrived`. The batch itself stays without an answer: each prefix of what is written says
    /// at worst that a row is in doubt, never that one is pending which was executed.
    pub async fn answered_partly(
        &self,
        action: Action,
        rows: &[u64],
        outcomes: &[Option<Outcome>],
        arrived: bool,
    ) -> Result<()> {
        let known = rows.iter().zip(outcomes).filter_map(|(row, outcome)| Some((*row, outcome.clone()?)));
        let (answered, known): (Vec<u64>, Vec<Outcome>) = known.unzip();
        let open: Vec<u64> = rows.iter().zip(outcomes).filter(|(_, o)| o.is_none()).map(|(row, _)| *row).collect();
        if !answered.is_empty() {
            self.note(action, &answered, &known)?;
        }
        if !open.is_empty() && !arrived {
            let batch = self.run.next_batch();
            self.queue_intent(batch, action, &open)?;
            self.void(batch, &open)?;
        }
        self.run.journal().sync().await
    }

    /// Notes that for certain nothing of a batch was executed.
    pub fn void(&self, batch: u64, rows: &[u64]) -> Result<()> {
        self.run.journal().queue(&Record::Void { batch })?;
        let mut ledger = self.ledger();
        rows.iter().for_each(|row| ledger.marks.set(*row, Mark::Pending));
        Ok(())
    }

    /// Notes that a batch was taken and will be answered later.
    pub fn deferred(&self, batch: u64, rows: Vec<u64>, handle: String) -> Result<()> {
        self.run.journal().queue(&Record::Deferred { batch, handle: handle.clone() })?;
        self.breaker().took();
        self.ledger().deferred.insert(batch, (rows, handle));
        Ok(())
    }

    /// Counts rows nobody knows anything of.
    pub fn doubted(&self, rows: usize) {
        let mut ledger = self.ledger();
        ledger.tally.in_doubt += rows as u64;
        ledger.tally.done += rows as u64;
    }
}
