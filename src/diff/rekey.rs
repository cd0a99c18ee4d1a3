//! A snapshot carried over to another primary key: nothing that was acknowledged is forgotten, nothing is sent again.

use std::path::Path;

use arrow_array::UInt32Array;
use arrow_select::take::take_record_batch;

use super::hash::{Folded, Hasher};
use super::merge::{Acknowledged, Entry, Kind, merge};
use super::snapshot::{self, Meta, Snapshot};
use super::{DiffError, HashKey, Layout};
use crate::diagnostic::{Error, Result};

/// Writes the rows of `old` under the key columns `primary_key` to `out` and returns how many they are.
///
/// # Errors
/// When values were not kept, a row has no such column, a null in it, or two rows have the same new key: then the old
/// state cannot be told apart by the new key.
pub fn rekey(
    old: &Snapshot,
    primary_key: &[String],
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
        let layout = Layout::new(&schema, &names, primary_key)?;
        let fresh = || Meta {
            columns: Default::default(),
            mappings: Default::default(),
            key: layout.key_types(),
            ..old.meta().clone()
        };
        let mut spec = spec.clone();
        spec.primary_key = primary_key.to_vec();
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
                    let sent = old.as_sent(&part, *number).ok_or_else(unreadable)?;
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
