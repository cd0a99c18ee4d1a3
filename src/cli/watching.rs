//! A model's rows on their way to the diff: what they are matched by is noted, and which held rows are still there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use crate::diff::Hash;
use crate::mapping::column::Column;
use crate::mapping::{self, Value};
use crate::plan::identities::{Namer, Observed};
use crate::sources::{Batch, BatchReader, BatchStream};

/// Held rows by key.
type Waiting = Arc<HashMap<String, Hash>>;

/// What is looked for in the rows.
#[derive(Clone, Default)]
pub(super) struct Watch {
    /// The columns rows are matched by, where these are not their key.
    pub identifiers: Option<(Vec<String>, Namer, Observed)>,
    /// Held rows of which nothing is at the destination: by key, with the columns of it.
    pub held: Option<(Vec<String>, Waiting)>,
    /// Those of them that were seen.
    pub seen: Arc<Mutex<HashSet<Hash>>>,
}

impl Watch {
    /// The streams, watched.
    pub(super) fn over(&self, streams: Vec<BatchStream>) -> Vec<BatchStream> {
        if self.identifiers.is_none() && self.held.is_none() {
            return streams;
        }
        let watched = |inner| Box::new(Watched { inner, watch: self.clone(), hashes: Vec::new() }) as BatchStream;
        streams.into_iter().map(watched).collect()
    }

    /// Held rows that were not seen, by key. To be asked after the last row.
    pub(super) fn left(&self) -> Vec<(Hash, String)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, held)) = &self.held else { return Vec::new() };
        let mut left: Vec<_> =
            held.iter().filter(|(_, hash)| !seen.contains(hash)).map(|(key, hash)| (*hash, key.clone())).collect();
        left.sort_unstable();
        left
    }
}

struct Watched {
    inner: BatchStream,
    watch: Watch,
    hashes: Vec<u64>,
}

impl Watched {
    fn see(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        if let Some((columns, namer, _)) = &self.watch.identifiers {
            each(batch, columns, |values| self.hashes.extend(namer.hash(values)))?;
        }
        if let Some((columns, held)) = &self.watch.held {
            let mut here: Vec<Hash> = Vec::new();
            each(batch, columns, |values| here.extend(held.get(&mapping::key_text(values))))?;
            if !here.is_empty() {
                self.watch.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(here);
            }
        }
        Ok(())
    }
}

/// Every row's values of these columns.
fn each(batch: &RecordBatch, columns: &[String], mut take: impl FnMut(&[Value])) -> Result<(), ArrowError> {
    let schema = batch.schema_ref();
    let column = |name: &String| {
        let index = schema.index_of(name)?;
        Column::new(batch.column(index), Some(schema.field(index))).map_err(ArrowError::SchemaError)
    };
    let columns = columns.iter().map(column).collect::<Result<Vec<_>, ArrowError>>()?;
    let mut values = Vec::with_capacity(columns.len());
    for row in 0..batch.num_rows() {
        values.clear();
        // A value that cannot be read makes the row invalid, which the diff will say.
        values.extend(columns.iter().map(|column| column.at(row).unwrap_or(Value::Null)));
        take(&values);
    }
    Ok(())
}

impl Iterator for Watched {
    type Item = Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.inner.next()?;
        Some(batch.and_then(|batch| self.see(&batch.rows).map(|()| batch)))
    }
}

impl BatchReader for Watched {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((_, _, observed)) = &self.watch.identifiers {
            observed.put(std::mem::take(&mut self.hashes));
        }
    }
}
