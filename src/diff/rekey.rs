//! A snapshot carried over to another primary key: nothing that was acknowledged is forgotten, nothing is sent again.

use std::path::Path;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use arrow_select::take::take_record_batch;

use super::hash::{Folded, Hasher};
use super::layout::{convert, logical_type};
use super::merge::{Acknowledged, Entry, Kind, merge};
use super::snapshot::{self, Meta, Snapshot};
use super::{DiffError, HashKey, Layout};
use crate::diagnostic::{Error, Result};

/// Writes the rows of `old` under the key columns `key_fields` to `out` and returns how many they are. The columns are
/// given as the model has them now: values of another type are turned into that type.
///
/// # Errors
/// When values were not kept, a row has no such column, a null in it or what cannot be of the new type, or two rows have
/// the same new key: then the old state cannot be told apart by the new key.
pub fn rekey(
    old: &Snapshot,
    key_fields: &[FieldRef],
    key: &HashKey,
    out: &Path,
    memory: usize,
    scratch: &Path,
) -> Result<u64> {
    let refused = |message: String| {
        Err(Error::failed_help(
            message,
            "start anew with `syncline state forget`, or take today's rows as synced with `syncline state adopt`",
        ))
    };
    let primary_key: Vec<String> = key_fields.iter().map(|field| field.name().clone()).collect();
    let mut meta: Option<Meta> = None;
    let mut rows = Vec::new();
    for (&number, spec) in &old.meta().mappings {
        let Some(schema) = old.sent_schema(number) else {
            return refused("the state keeps fingerprints alone, so the new key of its rows is unknown".into());
        };
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        if let Some(missing) = primary_key.iter().find(|column| !names.contains(column)) {
            return refused(format!("the state does not hold the column `{missing}`; the sync did not use it"));
        }
        let layout = Layout::new(&retyped(&schema, key_fields), &names, &primary_key)?;
        let fresh = || Meta {
            columns: Default::default(),
            mappings: Default::default(),
            key: layout.key_types(),
            ..old.meta().clone()
        };
        let mut spec = spec.clone();
        spec.primary_key = primary_key.clone();
        meta.get_or_insert_with(fresh).mappings.insert(number, spec);
        rows.push((number, Hasher::new(&layout, key), layout));
    }
    let Some(meta) = meta else { return refused("the state holds no rows".into()) };
    let acknowledged = old.batches()?.flat_map(|batch| {
        let parts = batch.map_err(DiffError::from).and_then(|batch| {
            let unreadable = || DiffError::from(old.unreadable(&"the mapping column has another type"));
            let numbers = snapshot::numbers(batch.column(2)).ok_or_else(unreadable)?;
            rows.iter()
                .map(|(number, hasher, layout)| {
                    let places = (0u32..).zip(numbers).filter(|(_, n)| *n == number).map(|(row, _)| row);
                    let part = take_record_batch(&batch, &UInt32Array::from_iter_values(places))?;
                    let sent = converted(&old.as_sent(&part, *number).ok_or_else(unreadable)?, layout)?;
                    let hashes = hasher.hash(&layout.columns(&sent)?, sent.num_rows(), &mut Folded::default())?;
                    if !hashes.null_keys.is_empty() {
                        let message =
                            format!("{} rows of the state have no value in the new key", hashes.null_keys.len());
                        return Err(DiffError::from(Error::failed(message)));
                    }
                    let entry = |(key_hash, row_hash)| Entry { key_hash, row_hash, kind: Kind::Put };
                    let entries = hashes.key.into_iter().zip(hashes.row).map(entry).collect();
                    Ok(Acknowledged { rows: sent, entries, mapping: *number })
                })
                .collect::<Result<Vec<_>, DiffError>>()
        });
        match parts {
            Ok(parts) => parts.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    });
    let kept = merge(None, acknowledged, meta, true, out, memory, scratch)?;
    if kept != old.rows() {
        return refused(format!("{} rows of the state share a new key with another row", old.rows() - kept));
    }
    Ok(kept)
}

/// The columns of a state, those of the key with the types they have in the model now. A column that has no value there
/// has no type, and keeps the one it had.
fn retyped(schema: &SchemaRef, key_fields: &[FieldRef]) -> SchemaRef {
    let now = |name: &str| key_fields.iter().find(|field| field.name() == name && *field.data_type() != DataType::Null);
    let fields = schema.fields().iter().map(|field| now(field.name()).unwrap_or(field).clone());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows with the types of a layout.
fn converted(rows: &RecordBatch, layout: &Layout) -> Result<RecordBatch, DiffError> {
    let column = |(column, field): (ArrayRef, &FieldRef)| {
        convert(&column, field.data_type()).map_err(|_| {
            // The value is personal data: it is not shown.
            DiffError::from(Error::failed_help(
                format!(
                    "a key of the state cannot be carried over: `{}` is of type {} now, and a value in it was of type {}",
                    field.name(),
                    logical_type(field.data_type()),
                    logical_type(column.data_type())
                ),
                "give the column the type it had, or start anew with `syncline state forget`",
            ))
        })
    };
    let columns = layout.columns(rows)?.into_iter().zip(layout.schema.fields()).map(column);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(layout.schema.clone(), columns.collect::<Result<_, _>>()?, &options)?)
}
