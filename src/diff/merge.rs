//! A new snapshot from an old one and what was acknowledged since.

mod columns;
mod group;
mod takeover;
mod write;

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;

use self::columns::Columns;
use self::takeover::Takeover;
use self::write::Writer;
use super::layout::{convert, same_key, stored_type};
use super::runs::{Batches, Merged, Sorter, sort_numbers};
use super::snapshot::{self, HEAD, KEY_HASH, MAPPING, Meta, ROW_HASH, Snapshot, hash_array, hash_field};
use super::{DiffError, Hash};
use crate::diagnostic::Error;

/// What an acknowledgement means for the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The row is now as acknowledged.
    Put,
    /// The row is gone.
    Remove,
}

/// One acknowledged row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Hash of its key.
    pub key_hash: Hash,
    /// Hash of the row; of no meaning when it is removed.
    pub row_hash: Hash,
    /// What became of it.
    pub kind: Kind,
}

/// Acknowledged rows.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// The rows as they were sent: the used columns of their layout. Of rows that are removed, the values do not matter.
    pub rows: RecordBatch,
    /// One entry per row.
    pub entries: Vec<Entry>,
    /// Number of the mapping they were sent with, as in [`Meta::mappings`].
    pub mapping: u32,
}

/// What rows have in common while they are sorted.
#[derive(Clone, PartialEq)]
struct Tag {
    mapping: u32,
    /// The columns in the types they are kept in; `None` when all rows are removals.
    columns: Option<SchemaRef>,
}

/// Writes the snapshot that follows from `old` and what was `acknowledged` since to `out`, and returns its number of
/// rows. The acknowledgements come in any order and may be more than fits into `memory` bytes; of several for one key
/// the last one counts. The file appears under its name only when it is complete and on disk.
///
/// `meta` names the sync, the key and at least the mappings of the acknowledged rows; which of them are still in use,
/// and where their columns are, is worked out here. With `values` off only fingerprints are kept. A column whose type
/// has changed is kept under a name of its own (`plan@2`), so that old rows stay as they were. Where `meta` says which
/// mapping is in force, rows of older ones whose record is the same under it count as sent with it from now on.
///
/// # Errors
/// When `old`, `acknowledged` or `scratch` cannot be read, the disk is full, the key of `old` is another one, or a row
/// has a mapping that `meta` does not know.
pub fn merge<E: Into<Error>>(
    old: Option<&Snapshot>,
    acknowledged: impl Iterator<Item = Result<Acknowledged, E>>,
    meta: Meta,
    values: bool,
    out: &Path,
    memory: usize,
    scratch: &Path,
) -> Result<u64, Error> {
    if let Some(old) = old.filter(|old| !same_key(&old.meta().key, &meta.key)) {
        return Err(DiffError::KeyChanged { before: old.meta().key.clone(), now: meta.key }.into());
    }
    let mut sorter = Sorter::new(scratch, memory / 2);
    for batch in acknowledged {
        let (tag, batch) = sortable(batch.map_err(Into::into)?, values)?;
        sorter.push(tag, batch)?;
    }
    let runs = sorter.finish()?;
    let unique = match meta.key.as_slice() {
        [(only, _)] => Some(only.clone()),
        _ => None,
    };
    let mut columns = Columns::new(old, runs.iter().map(|(tag, _)| tag), meta, values)?;
    let takeover = old.map(|old| Takeover::new(old, &mut columns)).unwrap_or_default();
    let schema = columns.schema();
    let mut sources: Vec<Batches> = Vec::new();
    if let Some(old) = old {
        let (columns, schema, file) = (columns.clone(), schema.clone(), old.clone());
        sources
            .push(Box::new(old.batches()?.map(move |batch| adapt_old(&columns, &takeover, &schema, &file, &batch?))));
    }
    for (tag, run) in runs {
        let (columns, schema) = (columns.clone(), schema.clone());
        sources.push(Box::new(run.read()?.map(move |batch| adapt_new(&columns, &schema, &tag, &batch?))));
    }
    let mut writer = Writer::create(out, &schema, unique.as_deref())?;
    // The last row of a batch waits: the next batch may have a later one for the same key.
    let mut waiting: Option<RecordBatch> = None;
    let mut merged = Merged::new(sources)?;
    loop {
        let next = merged.next().transpose()?;
        let last = next.is_none();
        let batch = match (waiting.take(), next) {
            (None, None) => break,
            (Some(one), None) => one,
            (None, Some(batch)) => batch,
            (Some(one), Some(batch)) => concat_batches(&batch.schema(), [&one, &batch]).map_err(DiffError::from)?,
        };
        let keys = sort_numbers(&batch).map_err(DiffError::from)?;
        let settled = if last { keys.len() } else { keys.len().saturating_sub(1) };
        waiting = (!last).then(|| batch.slice(settled, 1));
        writer.write(&current(&batch, &keys, settled)?)?;
        if last {
            break;
        }
    }
    writer.finish(columns.meta)
}

/// Of the first `settled` rows those that are the last of their key and no removals, without the last column.
fn current(batch: &RecordBatch, keys: &[Hash], settled: usize) -> Result<RecordBatch, DiffError> {
    let last = batch.num_columns() - 1;
    let removed = batch.column(last).as_boolean();
    let keep: BooleanArray = (0..settled).map(|i| Some(keys.get(i + 1) != keys.get(i) && !removed.value(i))).collect();
    let batch = batch.project(&(0..last).collect::<Vec<_>>())?.slice(0, settled);
    Ok(if keep.true_count() == settled { batch } else { filter_record_batch(&batch, &keep)? })
}

/// Acknowledged rows as they are sorted: key hash, row hash, whether removed, then the values.
fn sortable(batch: Acknowledged, values: bool) -> Result<(Tag, RecordBatch), DiffError> {
    let Acknowledged { rows, entries, mapping } = batch;
    if rows.num_rows() != entries.len() {
        return Err(arrow_schema::ArrowError::InvalidArgumentError("a row has no entry".into()).into());
    }
    let mut fields = vec![hash_field(KEY_HASH), hash_field(ROW_HASH), Field::new("_removed", DataType::Boolean, false)];
    let mut arrays = vec![
        hash_array(entries.iter().map(|e| e.key_hash)),
        hash_array(entries.iter().map(|e| e.row_hash)),
        Arc::new(entries.iter().map(|e| Some(e.kind == Kind::Remove)).collect::<BooleanArray>()) as ArrayRef,
    ];
    let mut columns = None;
    if entries.iter().any(|e| e.kind == Kind::Put) {
        let mut kept = Vec::with_capacity(rows.num_columns());
        for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
            let unsupported =
                || DiffError::Unsupported { column: field.name().clone(), data_type: field.data_type().to_string() };
            let stored = stored_type(field.data_type()).ok_or_else(unsupported)?;
            if values {
                arrays.push(convert(array, &stored)?);
            }
            kept.push(field.as_ref().clone().with_data_type(stored).with_nullable(true));
        }
        if values {
            fields.extend(kept.iter().cloned());
        }
        columns = Some(Arc::new(Schema::new(kept)));
    }
    Ok((Tag { mapping, columns }, RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?))
}

/// A batch of the old snapshot in the columns of the new one.
fn adapt_old(
    columns: &Columns,
    takeover: &Takeover,
    schema: &SchemaRef,
    file: &Snapshot,
    batch: &RecordBatch,
) -> Result<RecordBatch, DiffError> {
    let broken = || file.unreadable(&"the mapping column has another type");
    let old = snapshot::numbers(batch.column(2)).ok_or_else(broken)?;
    let mut numbers: Vec<u32> = old.iter().map(|n| columns.renumbered(*n)).collect();
    takeover.apply(file, batch, old, &mut numbers)?;
    let numbers = UInt32Array::from(numbers);
    let removed = BooleanArray::new(arrow_buffer::BooleanBuffer::new_unset(batch.num_rows()), None);
    let head = [batch.column(0).clone(), batch.column(1).clone(), Arc::new(numbers)];
    let value = |name: &str| columns.old_name(name).and_then(|old| batch.column_by_name(old)).cloned();
    assemble(schema, head, value, removed)
}

/// A batch of acknowledged rows in the columns of the new snapshot.
fn adapt_new(columns: &Columns, schema: &SchemaRef, tag: &Tag, batch: &RecordBatch) -> Result<RecordBatch, DiffError> {
    let numbers = UInt32Array::from(vec![columns.number(tag); batch.num_rows()]);
    let removed = batch.column(2).as_boolean().clone();
    let head = [batch.column(0).clone(), batch.column(1).clone(), Arc::new(numbers)];
    let value = |name: &str| {
        let position = columns.position(tag, name)?;
        batch.columns().get(HEAD + position).cloned()
    };
    assemble(schema, head, value, removed)
}

fn assemble(
    schema: &SchemaRef,
    head: [ArrayRef; HEAD],
    value: impl Fn(&str) -> Option<ArrayRef>,
    removed: BooleanArray,
) -> Result<RecordBatch, DiffError> {
    let rows = removed.len();
    let mut arrays: Vec<ArrayRef> = head.into();
    for field in &schema.fields()[HEAD..schema.fields().len() - 1] {
        arrays.push(value(field.name()).unwrap_or_else(|| new_null_array(field.data_type(), rows)));
    }
    arrays.push(Arc::new(removed));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
}

/// The columns of a snapshot in the making: those of the file, then whether a row is a removal.
fn schema_of(values: &[Field]) -> SchemaRef {
    let head = [hash_field(KEY_HASH), hash_field(ROW_HASH), Field::new(MAPPING, DataType::UInt32, false)];
    let last = Field::new("_removed", DataType::Boolean, false);
    Arc::new(Schema::new(head.into_iter().chain(values.iter().cloned()).chain([last]).collect::<Vec<_>>()))
}
