//! Deciding what each candidate is: its record now against its record when it was last acknowledged.

use std::collections::{BTreeMap, HashSet};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

use super::doubt::Doubt;
use super::flaws::Flaws;
use super::invalid::Tally;
use super::mappings::{Sent, Sents, same_positions};
use super::runs::{Merged, sort_numbers};
use super::scan::{HEAD, NOWHERE};
use super::snapshot::{self, Layout, Snapshot};
use super::{
    Before, Cause, Change, ChangeBatch, DiffError, Hash, Held, HeldCounts, HeldFor, HeldReason, Options, RowState,
    Summary,
};
use crate::mapping::{Bound, Mapping, Named, Record, named};

/// All that is needed to decide.
pub(super) struct Settle<'a> {
    pub layout: &'a Layout,
    pub mapping: &'a Mapping,
    pub flaws: &'a Flaws<'a>,
    pub snapshot: Option<&'a Snapshot>,
    pub sents: &'a Sents,
    pub doubt: Option<&'a Doubt<'a>>,
    pub held: &'a Held,
    /// Digest of the mapping in force.
    pub digest: u64,
    pub duplicates: &'a HashSet<Hash>,
    pub options: &'a Options,
}

/// Candidates with the old values of those that have some.
pub(super) struct Unit {
    candidates: RecordBatch,
    old: Option<RecordBatch>,
    /// Row in `old` by row of `candidates`.
    old_row: Vec<Option<usize>>,
}

/// What a unit turned out to be.
#[derive(Default)]
pub(super) struct Settled {
    pub changes: Option<ChangeBatch>,
    pub added: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub held: HeldCounts,
    pub invalid: Tally,
}

/// Candidates and old values, both in the order of the rows, brought together.
pub(super) struct Units {
    candidates: Merged,
    old: Merged,
    rest: Option<RecordBatch>,
}

impl Units {
    /// Starts with the first candidate.
    pub(super) fn new(candidates: Merged, old: Merged) -> Units {
        Units { candidates, old, rest: None }
    }

    /// What is left when all candidates have been taken: the rows that were removed.
    pub(super) fn into_removed(self) -> impl Iterator<Item = Result<RecordBatch, DiffError>> {
        self.rest.into_iter().map(Ok).chain(self.old)
    }

    fn unit(&mut self) -> Result<Option<Unit>, DiffError> {
        let Some(candidates) = self.candidates.next().transpose()? else { return Ok(None) };
        let order = sort_numbers(&candidates)?;
        let last = order.last().copied().unwrap_or_default();
        let mut parts = Vec::new();
        while let Some(batch) = self.rest.take().map(Ok).or_else(|| self.old.next()).transpose()? {
            let within = sort_numbers(&batch)?.partition_point(|number| *number <= last);
            parts.push(batch.slice(0, within));
            if within < batch.num_rows() {
                self.rest = Some(batch.slice(within, batch.num_rows() - within));
                break;
            }
        }
        let old = parts.first().map(|first| concat_batches(&first.schema(), &parts)).transpose()?;
        let mut known =
            old.as_ref().map(sort_numbers).transpose()?.unwrap_or_default().into_iter().enumerate().peekable();
        let old_row = order.iter().map(|n| known.next_if(|(_, known)| known == n).map(|(row, _)| row)).collect();
        Ok(Some(Unit { candidates, old, old_row }))
    }
}

impl Iterator for Units {
    type Item = Result<Unit, DiffError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.unit().transpose()
    }
}

/// The rows of one unit, bound to all mappings concerned.
struct Bounds<'a> {
    now: Bound<'a>,
    /// By number: the mapping a row was sent with, for its old values and for its new ones.
    then: BTreeMap<u32, Then<'a>>,
}

struct Then<'a> {
    sent: &'a Sent,
    old: Option<(Bound<'a>, &'a Mapping)>,
    new: Option<(Bound<'a>, &'a Mapping)>,
}

/// One candidate.
struct Row {
    row: usize,
    old_row: Option<usize>,
    key: Hash,
    hash: Hash,
    there: bool,
    number: u32,
    same: bool,
}

/// What is to be done with a row.
enum Verdict {
    Emit(RowState, Cause, Before, Record),
    Unchanged,
    Held(HeldReason),
    Nothing,
}

impl Settle<'_> {
    /// Decides on all rows of a unit.
    pub(super) fn settle(&self, unit: &Unit) -> Result<Settled, DiffError> {
        let Unit { candidates, old, old_row } = unit;
        let broken = || arrow_schema::ArrowError::SchemaError("a candidate column has another type".into());
        let keys: Vec<Hash> = snapshot::hashes(candidates.column(1)).ok_or_else(broken)?.collect();
        let hashes: Vec<Hash> = snapshot::hashes(candidates.column(2)).ok_or_else(broken)?.collect();
        let positions = candidates.column(3).as_primitive_opt::<UInt64Type>().ok_or_else(broken)?.values();
        let numbers = snapshot::numbers(candidates.column(4)).ok_or_else(broken)?;
        let same = candidates.column(5).as_boolean_opt().ok_or_else(broken)?.values();
        let columns: Vec<usize> = (HEAD..candidates.num_columns()).collect();
        let rows = candidates.project(&columns)?.with_schema(self.layout.schema.clone())?;

        // The numbers that occur, with the old rows as a model with that mapping had them.
        let occurring: std::collections::BTreeSet<u32> =
            numbers.iter().zip(positions).filter(|(_, p)| **p != NOWHERE).map(|(n, _)| *n).collect();
        let sent_rows = occurring.iter().filter_map(|n| Some((*n, self.snapshot?.as_sent(old.as_ref()?, *n)?)));
        let sent_rows: BTreeMap<u32, RecordBatch> = sent_rows.collect();
        let mut bounds = Bounds { now: self.mapping.bind(&rows)?, then: BTreeMap::new() };
        for number in occurring {
            let Some(sent) = self.sents.get(number) else { continue };
            let old = match (&sent.then, sent_rows.get(&number)) {
                (Some(mapping), Some(rows)) => Some((mapping.bind(rows)?, mapping)),
                _ => None,
            };
            let new = if sent.same { None } else { sent.now.as_ref() };
            let new = new.map(|mapping| Ok::<_, DiffError>((mapping.bind(&rows)?, mapping))).transpose()?;
            bounds.then.insert(number, Then { sent, old, new });
        }

        let mut settled = Settled::default();
        let mut changes = Vec::new();
        let mut emitted = Vec::new();
        for row in 0..candidates.num_rows() {
            let there = positions[row] != NOWHERE;
            let (old_row, same) = (old_row[row], same.value(row));
            let row = Row { row, old_row, key: keys[row], hash: hashes[row], there, number: numbers[row], same };
            match self.decide(&row, &bounds, &mut settled.invalid) {
                Verdict::Nothing => {}
                Verdict::Unchanged => settled.unchanged += 1,
                Verdict::Held(reason) => {
                    settled.unchanged += 1;
                    count(&mut settled.held, reason);
                }
                Verdict::Emit(state, cause, before, record) => {
                    match state {
                        RowState::Added => settled.added += 1,
                        RowState::Changed | RowState::Removed => settled.changed += 1,
                    }
                    emitted.push(row.row as u32);
                    let (key_hash, row_hash, record) = (row.key, row.hash, Some(record));
                    changes.push(Change { state, cause, key_hash, row_hash, before, record });
                }
            }
        }
        drop(bounds);
        if changes.len() == rows.num_rows() {
            settled.changes = (!changes.is_empty()).then_some(ChangeBatch { rows, changes });
        } else if !changes.is_empty() {
            let rows = take_record_batch(&rows, &UInt32Array::from(emitted))?;
            settled.changes = Some(ChangeBatch { rows, changes });
        }
        Ok(settled)
    }

    fn decide(&self, row: &Row, bounds: &Bounds<'_>, invalid: &mut Tally) -> Verdict {
        if self.duplicates.contains(&row.key) {
            invalid.duplicate_sample(bounds.now.key_text(row.row));
            return Verdict::Nothing;
        }
        if let Some(told) = self.flaws.told(row.hash) {
            invalid.unreadable(told, bounds.now.key_text(row.row));
            return Verdict::Nothing;
        }
        let doubted = self.doubt.is_some_and(|doubt| doubt.contains(row.key));
        let held = self.held.get(&row.key).filter(|held| held.row_hash == row.hash);
        // Another mapping makes another payload, on which the destination has not been heard; nor has it on one that is sent
        // in another way. What may have been done already, and cannot be looked up, is still for a human to decide.
        let mapped = |held: &&HeldFor| {
            let same = !held.other_way && held.mapping.is_none_or(|digest| digest == self.digest);
            held.reason == HeldReason::InDoubt || same
        };
        let other_mapping = held.is_some_and(|held| !mapped(&held));
        let held = held.filter(mapped).map(|held| held.reason);
        let again = self.options.retry || self.options.full_refresh;
        // What is refused was answered after whatever is still in doubt of the row: sending it again settles nothing.
        if let (Some(reason), false) = (held, again)
            && (!doubted || reason == HeldReason::Rejected)
        {
            return Verdict::Held(reason);
        }
        let drift = self.options.drift.as_deref();
        let gone = drift.is_some_and(|drift| drift.is_gone(row.key));
        let there = row.there && !gone;
        let record = match bounds.now.record(row.row, !there) {
            Ok(record) => record,
            Err(fault) => {
                invalid.unmappable(fault, bounds.now.key_text(row.row));
                return Verdict::Nothing;
            }
        };
        let state = if there { RowState::Changed } else { RowState::Added };
        if doubted {
            return Verdict::Emit(state, Cause::Doubt, Before::Unknown, record);
        }
        let retry = |cause| if held.is_some() { Cause::Retry } else { cause };
        if !there {
            let cause = match self.snapshot {
                _ if row.there => Cause::Drift,
                _ if other_mapping => Cause::Configuration,
                None => Cause::FirstRun,
                Some(_) => Cause::Data,
            };
            return Verdict::Emit(state, retry(cause), Before::Nothing, record);
        }
        let (before, cause) = self.compare(row, bounds, &record);
        let fields = &self.mapping.spec().fields;
        let drifted = drift.and_then(|drift| drift.over(row.key, &before, |name| fields.contains_key(name)));
        let (before, cause) = match drifted {
            Some(there) => (there, cause.or(Some(Cause::Drift))),
            None => (before, cause),
        };
        match cause {
            Some(cause) => Verdict::Emit(state, retry(cause), before, record),
            None if self.options.full_refresh => Verdict::Emit(state, Cause::Retry, before, record),
            None => Verdict::Unchanged,
        }
    }

    /// What was last acknowledged for a row, and why it differs now; no cause when it does not.
    fn compare(&self, row: &Row, bounds: &Bounds<'_>, record: &Record) -> (Before, Option<Cause>) {
        let Some(then) = bounds.then.get(&row.number) else { return (Before::Unknown, Some(Cause::Configuration)) };
        let sent = then.sent;
        if sent.then.is_none() {
            // The values were not kept. What the row was is known only by its hash, and only of the same columns.
            let cause = match (sent.same, row.same) {
                (true, true) => None,
                (true, false) => Some(Cause::Data),
                (false, same) if sent.same_columns && !same => Some(Cause::Data),
                (false, _) => Some(Cause::Configuration),
            };
            return (Before::Unknown, cause);
        }
        if sent.same && row.same {
            // The same row and the same mapping: the old record is the new one.
            return (self.known(row, true, || named(record.clone(), self.mapping)), None);
        }
        // With the same hash, the new row is the old one.
        let (old, at) = match &then.new {
            Some(_) if row.same => (&then.new, Some(row.row)),
            _ => (&then.old, row.old_row),
        };
        let old = old.as_ref().zip(at).and_then(|((old, mapping), at)| Some((old.record(at, false).ok()?, *mapping)));
        let Some((old, mapping)) = old else {
            return (Before::Unknown, Some(if sent.same { Cause::Data } else { Cause::Configuration }));
        };
        let cause = if sent.to_current.same(&old, record) {
            None
        } else if sent.same {
            Some(Cause::Data)
        } else if row.same {
            Some(Cause::Configuration)
        } else {
            match &then.new {
                // The columns the old mapping reads are gone.
                None => Some(Cause::Configuration),
                Some((new, _)) => match new.record(row.row, false) {
                    Ok(new) if same_positions(&old, &new) => Some(Cause::Configuration),
                    _ => Some(Cause::Data),
                },
            }
        };
        (self.known(row, cause.is_none(), || named(old, mapping)), cause)
    }

    /// A record as last acknowledged; by name only where someone will look at it.
    fn known(&self, row: &Row, unchanged: bool, named: impl FnOnce() -> Named) -> Before {
        let drifted = || self.options.drift.as_ref().is_some_and(|drift| drift.has(row.key));
        if unchanged && !self.options.full_refresh && !drifted() {
            return Before::Unknown;
        }
        Before::Known(named())
    }
}

/// Counts a held row.
pub(super) fn count(held: &mut HeldCounts, reason: HeldReason) {
    match reason {
        HeldReason::Rejected => held.rejected += 1,
        HeldReason::NoMatch => held.no_match += 1,
        HeldReason::InDoubt => held.in_doubt += 1,
    }
}

impl Settled {
    /// Adds the counts to the summary.
    pub(super) fn add_to(&self, summary: &mut Summary) {
        summary.added += self.added;
        summary.changed += self.changed;
        summary.unchanged += self.unchanged;
        summary.held.rejected += self.held.rejected;
        summary.held.no_match += self.held.no_match;
        summary.held.in_doubt += self.held.in_doubt;
    }
}
