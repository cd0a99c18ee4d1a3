//! 6 · Rows against the snapshot → change set. Pure (no tokio, clock or environment), streaming, bounded memory.
//!
//! ```text
//!  model ──► layout ──► cells ──► hash ──┐                        ┌── added, changed ──► settle (old and new records)
//!            (columns)  (values)  (keys, ├──► scan (candidates) ──┤
//!  snapshot ───────────────────► index ──┘    spilled in runs     └── removed
//!     ▲                      (fingerprints)                                                     │
//!     └────────── merge ◄──────────────────────── acknowledged ◄───────────── delivery ◄────────┘
//! ```
//!
//! The model is read once. Rows that are as the snapshot has them are only counted; the others are *candidates*: set
//! aside in the order they came in, joined with their old values, mapped, and only then added, changed, unchanged after
//! all, or invalid.

mod cells;
mod doubt;
mod drift;
mod error;
mod fingerprints;
mod flaws;
mod hash;
mod index;
mod invalid;
mod keys;
pub mod kinds;
mod layout;
mod mappings;
mod memory;
mod merge;
mod old;
mod pages;
mod queried;
mod rehash;
mod rekey;
mod removed;
mod run;
mod runs;
mod scan;
mod settle;
mod sip;
pub mod snapshot;
mod threads;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::mapping::Record;
pub use drift::Drift;
pub use error::DiffError;
pub use invalid::NAMED;
pub use layout::{Layout, logical_type, stored_type};
pub use merge::{Acknowledged, Entry, Kind, merge};
pub use rekey::rekey;
pub use run::diff;

/// A keyed 128-bit hash of a key or of a row. Ordered as a number; stored big-endian, so that bytes sort the same way.
pub type Hash = u128;

/// The secret key of all hashes of one state: without it, a stolen state cannot be searched for known addresses.
#[derive(Clone)]
pub struct HashKey(pub [u8; 16]);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey")
    }
}

/// What a row is against what was last acknowledged. Unchanged and invalid rows are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowState {
    /// Not acknowledged before, or found to be gone.
    Added,
    /// Acknowledged with other values.
    Changed,
    /// Acknowledged before, no longer in the model.
    Removed,
}

/// Why a row is added or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The row itself.
    Data,
    /// The mapping: the old mapping would give the same record as last time.
    Configuration,
    /// The sync never ran.
    FirstRun,
    /// Sent again: `--retry`, `--full-refresh`.
    Retry,
    /// An earlier run was about to send it, or had, and the answer is not known: sent again, or for the first time.
    Doubt,
    /// Somebody else has deleted or changed the record at the destination (`--refresh`).
    Drift,
}

/// What was last acknowledged for a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Before {
    /// Nothing: the row is added.
    Nothing,
    /// Something, but its values were not kept (`fingerprint` state, or an answer was lost).
    Unknown,
    /// This record, made by the mapping it was sent with; fields by name, as that mapping may have had others.
    Known(crate::mapping::Named),
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Added, changed or removed.
    pub state: RowState,
    /// Why.
    pub cause: Cause,
    /// Hash of the key columns.
    pub key_hash: Hash,
    /// Hash of all used columns; 0 for removed rows.
    pub row_hash: Hash,
    /// What was last acknowledged.
    pub before: Before,
    /// The record to send; for removed rows the record as last known. `None` only for removed rows of a `fingerprint`
    /// state, which cannot be named at the destination.
    pub record: Option<Record>,
}

/// Changes together with their rows.
#[derive(Debug, Clone)]
pub struct ChangeBatch {
    /// The used columns (see [`snapshot::Layout`]): the model's row, or for removed rows the row last acknowledged.
    /// A batch holds either added and changed rows or removed rows, never both: their schemas may differ.
    pub rows: RecordBatch,
    /// One change per row.
    pub changes: Vec<Change>,
}

/// Why a row is held: the destination has answered for exactly this payload, and did not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldReason {
    /// Refused.
    Rejected,
    /// Update-only, and not there.
    NoMatch,
    /// The answer was lost and cannot be looked up (`on_doubt: hold`).
    InDoubt,
}

/// What a row is held for, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldFor {
    /// Hash of the row; 0: its removal.
    pub row_hash: Hash,
    /// Digest of the mapping that made the payload (see [`crate::mapping::MappingSpec::digest`]); `None` when unknown.
    pub mapping: Option<u64>,
    /// True when it would be sent in another mode now, to another object, or with other options.
    pub other_way: bool,
    /// What the destination said.
    pub reason: HeldReason,
}

/// Held rows by key hash.
pub type Held = HashMap<Hash, HeldFor>;

/// How a diff is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of memory to stay within; more is spilled to `scratch`.
    pub memory: usize,
    /// Threads to use, at least 1.
    pub threads: usize,
    /// An existing folder for spilled data; what is written there is removed again.
    pub scratch: PathBuf,
    /// Send held rows again (`--retry`).
    pub retry: bool,
    /// Send every row again (`--full-refresh`): unchanged rows count as changed, cause `retry`.
    pub full_refresh: bool,
    /// `run.started_at` for templates: the same on both sides of every comparison, so that it never makes a difference.
    pub started_at: String,
    /// Where the different keys of the model are written: the first eight bytes of each key hash, ascending; nowhere if
    /// nobody counts them.
    pub queried: Option<PathBuf>,
    /// What the destination was found to hold (`--refresh`): rows whose record is gone are added, cause `drift`, and those
    /// whose record is another one changed.
    pub drift: Option<Arc<Drift>>,
}

/// Rows counted by the diff.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Rows of the model.
    pub rows: u64,
    /// Added rows.
    pub added: u64,
    /// Changed rows.
    pub changed: u64,
    /// Removed rows.
    pub removed: u64,
    /// Rows that are the same, held ones included.
    pub unchanged: u64,
    /// Held rows.
    pub held: HeldCounts,
    /// Rows that are never sent, by reason and field; in a fixed order.
    pub invalid: Vec<Invalid>,
    /// Distinct keys seen: the measure of the monthly budget.
    pub keys: u64,
}

/// Held rows by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeldCounts {
    /// Refused by the destination with this payload.
    pub rejected: u64,
    /// Update-only, and not there.
    pub no_match: u64,
    /// Sent, answer lost, not resolvable: `on_doubt: hold`.
    pub in_doubt: u64,
}

impl HeldCounts {
    /// All of them.
    pub fn total(self) -> u64 {
        self.rejected + self.no_match + self.in_doubt
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }
}

/// Rows that are never sent, by reason.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Invalid {
    /// `null_key`, `duplicate_key`, `null_match`, `unmappable`.
    pub reason: String,
    /// For `unmappable`: the destination field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many rows.
    pub count: u64,
    /// A few of their keys.
    pub keys: Vec<String>,
}
