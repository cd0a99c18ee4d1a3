//! Rows that were acknowledged and are no longer in the model.
//!
//! They come in the order of their key hashes, a few thousand at a time, of these those of one mapping together: rows of
//! several mappings stand side by side in a snapshot, and changes of one row each would cost more than the diff.

use std::collections::{BTreeMap, HashSet};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use super::doubt::{Doubt, Doubted};
use super::mappings::Sents;
use super::settle::count;
use super::snapshot::{self, Snapshot};
use super::{Before, Cause, Change, ChangeBatch, DiffError, Hash, Held, Options, RowState, Summary};
use crate::mapping::named;

/// All that is needed to list removed rows.
pub(super) struct Removed<'a> {
    pub snapshot: Option<&'a Snapshot>,
    pub sents: &'a Sents,
    pub doubt: Option<&'a Doubt<'a>>,
    pub doubt_sents: &'a Sents,
    pub held: &'a Held,
    pub options: &'a Options,
}

/// Rows of one batch of a file that are to be removed, with their places in it: by whether they are in doubt, and the
/// mapping they were sent with.
type Gone = BTreeMap<(bool, u32), Vec<(Hash, usize)>>;

type Sink<'s> = dyn FnMut(ChangeBatch) -> Result<(), DiffError> + 's;

impl Removed<'_> {
    /// Emits the rows of the snapshot that were not seen, and the rows in doubt that the model does not have.
    pub(super) fn emit(
        &self,
        unseen: impl Iterator<Item = Result<RecordBatch, DiffError>>,
        duplicates: &HashSet<Hash>,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> Result<(), DiffError> {
        let doubted = self.doubt.map(Doubt::unseen).unwrap_or_default();
        let mut doubted: Vec<&Doubted> = doubted.into_iter().filter(|row| !duplicates.contains(&row.key)).collect();
        if let Some(snapshot) = self.snapshot {
            for batch in unseen {
                self.batch(snapshot, &batch?, &mut doubted, summary, sink)?;
            }
        }
        let Some(doubt) = self.doubt else { return Ok(()) };
        for (b, batch) in doubt.batches.iter().enumerate() {
            let mut gone = Gone::default();
            let here = doubted.iter().filter(|row| row.place.0 == b);
            here.for_each(|row| gone.entry((true, row.number)).or_default().push((row.key, row.place.1)));
            self.flush(doubt.snapshot, batch, gone, self.doubt_sents, summary, sink)?;
        }
        Ok(())
    }

    /// Emits rows of the snapshot; takes those out of `doubted` that the snapshot knows better.
    fn batch(
        &self,
        snapshot: &Snapshot,
        batch: &RecordBatch,
        doubted: &mut Vec<&Doubted>,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> Result<(), DiffError> {
        let broken = || snapshot.unreadable(&"a hash or mapping column has another type");
        let keys = snapshot::hashes(batch.column(1)).ok_or_else(broken)?;
        let numbers = snapshot::numbers(batch.column(2)).ok_or_else(broken)?;
        let again = self.options.retry || self.options.full_refresh;
        let mut gone = Gone::default();
        for (row, (key, number)) in keys.zip(numbers).enumerate() {
            if self.doubt.is_some_and(|doubt| doubt.contains(key)) {
                // Of a removal whose answer was lost, the snapshot still has the row as it is at the destination. Of
                // another lost answer, the row that was sent may be there, and has to go.
                if let Ok(at) = doubted.binary_search_by_key(&key, |row| row.key)
                    && doubted[at].removal
                {
                    doubted.remove(at);
                    gone.entry((true, *number)).or_default().push((key, row));
                }
                continue;
            }
            match self.held.get(&key) {
                Some(held) if held.row_hash == 0 && !again => count(&mut summary.held, held.reason),
                _ => gone.entry((false, *number)).or_default().push((key, row)),
            }
        }
        self.flush(snapshot, batch, gone, self.sents, summary, sink)
    }

    fn flush(
        &self,
        file: &Snapshot,
        batch: &RecordBatch,
        gone: Gone,
        sents: &Sents,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> Result<(), DiffError> {
        for ((in_doubt, number), gone) in gone {
            let indices = arrow_array::UInt32Array::from_iter_values(gone.iter().map(|(_, row)| *row as u32));
            let batch = arrow_select::take::take_record_batch(batch, &indices)?;
            let sent = file.as_sent(&batch, number);
            let mapping = sents.get(number).and_then(|sent| sent.then.as_ref());
            let bound = match (mapping, &sent) {
                (Some(mapping), Some(rows)) => Some((mapping.bind(rows)?, mapping)),
                _ => None,
            };
            let change = |(row, (key_hash, _)): (usize, &(Hash, usize))| {
                let made = bound.as_ref().and_then(|(bound, mapping)| Some((bound.record(row, false).ok()?, *mapping)));
                let before = match &made {
                    Some((record, mapping)) if !in_doubt => Before::Known(named(record.clone(), mapping)),
                    _ => Before::Unknown,
                };
                let cause = if in_doubt { Cause::Doubt } else { Cause::Data };
                let record = made.map(|(record, _)| record);
                Change { state: RowState::Removed, cause, key_hash: *key_hash, row_hash: 0, before, record }
            };
            let changes: Vec<Change> = gone.iter().enumerate().map(change).collect();
            drop(bound);
            summary.removed += changes.len() as u64;
            let rows = match sent {
                Some(rows) => rows,
                None => nothing(gone.len())?,
            };
            sink(ChangeBatch { rows, changes })?;
        }
        Ok(())
    }
}

/// Rows without columns.
fn nothing(rows: usize) -> Result<RecordBatch, DiffError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options)?)
}
