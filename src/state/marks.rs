//! What is known of every operation of a sync: the journal in memory, one byte a row.

use std::collections::HashMap;

use indexmap::IndexSet;

use super::journal::{OpenBatches, Record, SyncRecord, Unsettled};
use crate::destinations::Outcome;

/// What is known of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    /// It was not sent, or for certain not executed.
    #[default]
    Pending,
    /// It was sent, or was about to be, and no answer is known.
    InDoubt,
    /// The destination confirmed it.
    Succeeded,
    /// The destination took it without an answer per record.
    Unverified,
    /// Update-only, and not there.
    NoMatch,
    /// The destination refused it.
    Rejected,
}

/// The marks of a sync's operations by position.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    marks: Vec<Mark>,
    reasons: IndexSet<(String, String)>,
    rejected: HashMap<u64, usize>,
    /// Mark of operations nothing else is known of.
    rest: Mark,
}

impl Marks {
    /// The mark of an operation.
    pub fn get(&self, ordinal: u64) -> Mark {
        usize::try_from(ordinal).ok().and_then(|i| self.marks.get(i)).copied().unwrap_or(self.rest)
    }

    /// Code and message of a rejected operation.
    pub fn reason(&self, ordinal: u64) -> Option<&(String, String)> {
        self.rejected.get(&ordinal).and_then(|i| self.reasons.get_index(*i))
    }

    /// Marks that say the same of every operation.
    pub fn all(mark: Mark) -> Self {
        Self { rest: mark, ..Self::default() }
    }

    /// Sets a mark that has no reason.
    pub fn set(&mut self, ordinal: u64, mark: Mark) {
        // A position beyond memory cannot come from an operations file that was read.
        let Ok(index) = usize::try_from(ordinal) else { return };
        if index >= self.marks.len() {
            self.marks.resize(index + 1, self.rest);
        }
        if let Some(slot) = self.marks.get_mut(index) {
            if *slot == Mark::Rejected {
                self.rejected.remove(&ordinal);
            }
            *slot = mark;
        }
    }

    /// Notes an answer.
    pub fn answer(&mut self, ordinal: u64, answer: &Outcome) {
        let mark = match answer {
            Outcome::Succeeded => Mark::Succeeded,
            Outcome::Unverified => Mark::Unverified,
            Outcome::NoMatch => Mark::NoMatch,
            Outcome::Rejected { .. } => Mark::Rejected,
        };
        self.set(ordinal, mark);
        if let Outcome::Rejected { code, message } = answer {
            let (reason, _) = self.reasons.insert_full((code.clone(), message.clone()));
            self.rejected.insert(ordinal, reason);
        }
    }

    /// Turns every `from` into `to`; neither may be [`Mark::Rejected`], which has a reason.
    pub fn replace(&mut self, from: Mark, to: Mark) {
        self.marks.iter_mut().filter(|mark| **mark == from).for_each(|mark| *mark = to);
    }

    /// True when the destination has confirmed the operation, or taken it without an answer per record.
    pub fn acknowledged(&self, ordinal: u64) -> bool {
        matches!(self.get(ordinal), Mark::Succeeded | Mark::Unverified)
    }

    /// Puts what a later run knows over what an earlier one knew.
    pub fn overlay(&mut self, later: &Marks) {
        for (ordinal, mark) in (0u64..).zip(&later.marks) {
            match (mark, later.reason(ordinal)) {
                (Mark::Pending, _) => {}
                (Mark::Rejected, Some((code, message))) => {
                    self.answer(ordinal, &Outcome::Rejected { code: code.clone(), message: message.clone() });
                }
                _ => self.set(ordinal, *mark),
            }
        }
    }
}

/// What a journal proves of one sync.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The sync.
    pub record: SyncRecord,
    /// Its operations.
    pub marks: Marks,
    /// Batches that were sent.
    pub batches: u64,
    /// Batches that were taken and never settled.
    pub unsettled: Vec<Unsettled>,
}

/// Ranges of positions, both ends included.
type Ranges = [(u64, u64)];

/// What a journal proves: every intent without an answer is in doubt, every answer counts.
pub fn replay(records: &[Record]) -> Vec<Proof> {
    let mut proofs: Vec<Proof> = Vec::new();
    let mut open: HashMap<u64, (usize, &Ranges)> = HashMap::new();
    let mut batches = OpenBatches::default();
    for record in records {
        batches.see(record);
        match record {
            Record::Run { .. } | Record::Deferred { .. } => {}
            Record::Sync(sync) => {
                proofs.push(Proof {
                    record: (**sync).clone(),
                    marks: Marks::default(),
                    batches: 0,
                    unsettled: Vec::new(),
                });
            }
            Record::Intent { sync, batch, rows, .. } => {
                let Some(index) = proofs.iter().position(|p| p.record.number == *sync) else { continue };
                let Some(proof) = proofs.get_mut(index) else { continue };
                positions(rows).for_each(|ordinal| proof.marks.set(ordinal, Mark::InDoubt));
                proof.batches += 1;
                open.insert(*batch, (index, rows));
            }
            Record::Ack { batch, outcomes } => {
                let Some((index, rows)) = open.remove(batch) else { continue };
                let Some(proof) = proofs.get_mut(index) else { continue };
                let answers =
                    outcomes.iter().flat_map(|(n, a)| std::iter::repeat_n(a, usize::try_from(*n).unwrap_or(0)));
                positions(rows).zip(answers).for_each(|(ordinal, answer)| proof.marks.answer(ordinal, answer));
            }
            Record::Void { batch } => {
                let Some((index, rows)) = open.remove(batch) else { continue };
                let Some(proof) = proofs.get_mut(index) else { continue };
                positions(rows).for_each(|ordinal| proof.marks.set(ordinal, Mark::Pending));
            }
        }
    }
    for proof in &mut proofs {
        proof.unsettled = batches.unsettled(proof.record.number);
    }
    proofs
}

fn positions(ranges: &Ranges) -> impl Iterator<Item = u64> + '_ {
    ranges.iter().flat_map(|(from, to)| *from..=*to)
}
