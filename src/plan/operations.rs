//! The frozen operations of one sync: a Parquet file with the row of every change, in the order it will be sent.
//!
//! Columns: `_state` (`added`, `changed`, `removed`), `_cause`, `_action` (`send`, `clear`, `delete`, null for nothing to
//! do), `_key`, `_key_hash`, `_row_hash`, then the used columns. Removed rows come last.

use arrow_array::RecordBatch;

use crate::destinations::Action;
use crate::diff::{Cause, Hash, RowState};

/// What is to be done with one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Position within the sync's operations, from 0.
    pub ordinal: u64,
    /// Added, changed or removed.
    pub state: RowState,
    /// Why.
    pub cause: Cause,
    /// `None` when nothing is done at the destination; the snapshot still takes note of the row.
    pub action: Option<Action>,
    /// The key as shown to people.
    pub key: String,
    /// Hash of the key columns.
    pub key_hash: Hash,
    /// Hash of all used columns; 0 for removed rows.
    pub row_hash: Hash,
}

/// A run of operations read back.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// One head per row.
    pub heads: Vec<Head>,
    /// The used columns.
    pub rows: RecordBatch,
}
