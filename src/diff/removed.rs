//! Rows that were acknowledged and are no longer in the model, in the order of their key hashes.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use super::doubt::{Doubt, Doubted};
use super::mappings::{Sents, by_name};
use super::settle::count;
use super::snapshot::{self, Snapshot};
use super::{Before, Cause, Change, ChangeBatch, DiffError, Hash, Held, Options, RowState, Summary};

/// All that is needed to list removed rows.
pub(super) struct Removed<'a> {
    pub snapshot: Option<&'a Snapshot>,
    pub sents: &'a Sents,
    pub doubt: Option<&'a Doubt<'a>>,
    pub doubt_sents: &'a Sents,
    pub held: &'a Held,
    pub options: &'a Options,
}

/// One row of a file that is to be removed.
struct Gone {
    key: Hash,
    number: u32,
    row: usize,
}

type Sink<'s> = dyn FnMut(ChangeBatch) -> Result<(), DiffError> + 's;

impl Removed<'_> {
    /// Emits the rows of the snapshot that were not seen, and the rows in doubt that the model does not have.
    pub(super) fn emit(
        &self,
        unseen: impl Iterator<Item = Result<RecordBatch, DiffError>>,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> Result<(), DiffError> {
        let mut doubted = self.doubt.map(Doubt::unseen).unwrap_or_default().into_iter().peekable();
        if let Some(snapshot) = self.snapshot {
            for batch in unseen {
                self.batch(snapshot, &batch?, &mut doubted, summary, sink)?;
            }
        }
        doubted.try_for_each(|row| self.in_doubt(row, summary, sink))
    }

    fn batch<'d>(
        &self,
        snapshot: &Snapshot,
        batch: &RecordBatch,
        doubted: &mut std::iter::Peekable<impl Iterator<Item = &'d Doubted>>,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> Result<(), DiffError> {
        let broken = || snapshot.unreadable(&"a hash or mapping column has another type");
        let keys = snapshot::hashes(batch.column(1)).ok_or_else(broken)?;
        let numbers = snapshot::numbers(batch.column(2)).ok_or_else(broken)?;
        let mut run: Vec<Gone> = Vec::new();
        for (row, (key, number)) in keys.zip(numbers).enumerate() {
            // Rows in doubt stand between the others, in order.
            while let Some(before) = doubted.next_if(|d| d.key < key) {
                self.flush(snapshot, batch, &mut run, self.sents, false, summary, sink)?;
                self.in_doubt(before, summary, sink)?;
            }
            if self.doubt.is_some_and(|doubt| doubt.contains(key)) {
                continue;
            }
            let again = self.options.retry || self.options.full_refresh;
            if let Some((0, reason)) = self.held.get(&key)
                && !again
            {
                count(&mut summary.held, *reason);
                continue;
            }
            if run.first().is_some_and(|first| first.number != *number) {
                self.flush(snapshot, batch, &mut run, self.sents, false, summary, sink)?;
            }
            run.push(Gone { key, number: *number, row });
        }
        self.flush(snapshot, batch, &mut run, self.sents, false, summary, sink)
    }

    fn in_doubt(&self, row: &Doubted, summary: &mut Summary, sink: &mut Sink<'_>) -> Result<(), DiffError> {
        let Some(doubt) = self.doubt else { return Ok(()) };
        let (b, r) = row.place;
        let Some(batch) = doubt.batches.get(b) else { return Ok(()) };
        let mut run = vec![Gone { key: row.key, number: row.number, row: r }];
        self.flush(doubt.snapshot, batch, &mut run, self.doubt_sents, true, summary, sink)
    }

    /// Emits rows of one batch that were sent with the same mapping.
    #[allow(clippy::too_many_arguments)]
    fn flush(
        &self,
        file: &Snapshot,
        batch: &RecordBatch,
        run: &mut Vec<Gone>,
        sents: &Sents,
        in_doubt: bool,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> Result<(), DiffError> {
        let gone = std::mem::take(run);
        let Some(number) = gone.first().map(|g| g.number) else { return Ok(()) };
        let indices = arrow_array::UInt32Array::from_iter_values(gone.iter().map(|g| g.row as u32));
        let batch = arrow_select::take::take_record_batch(batch, &indices)?;
        let empty = || {
            let options = RecordBatchOptions::new().with_row_count(Some(gone.len()));
            RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options)
        };
        let sent = file.as_sent(&batch, number);
        let mapping = sents.get(number).and_then(|sent| sent.then.as_ref());
        let bound = match (mapping, &sent) {
            (Some(mapping), Some(rows)) => Some((mapping.bind(rows)?, mapping)),
            _ => None,
        };
        let change = |(row, gone): (usize, &Gone)| {
            let made = bound.as_ref().and_then(|(bound, mapping)| Some((bound.record(row, false).ok()?, *mapping)));
            let before = match &made {
                Some((record, mapping)) if !in_doubt => Before::Known(by_name(record, mapping)),
                _ => Before::Unknown,
            };
            let cause = if in_doubt { Cause::Retry } else { Cause::Data };
            let record = made.map(|(record, _)| record);
            Change { state: RowState::Removed, cause, key_hash: gone.key, row_hash: 0, before, record }
        };
        let changes: Vec<Change> = gone.iter().enumerate().map(change).collect();
        drop(bound);
        summary.removed += changes.len() as u64;
        let rows = match sent {
            Some(rows) => rows,
            None => empty()?,
        };
        sink(ChangeBatch { rows, changes })
    }
}
