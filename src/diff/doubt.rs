//! Rows whose answer was lost: few, held in memory, always sent again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;

use super::index::Index;
use super::snapshot::{self, Snapshot};
use super::{DiffError, Hash};

/// The rows of a doubt file.
pub(super) struct Doubt<'a> {
    /// The file.
    pub snapshot: &'a Snapshot,
    /// Its batches.
    pub batches: Vec<RecordBatch>,
    places: HashMap<Hash, usize>,
    rows: Vec<Doubted>,
}

/// One row in doubt.
pub(super) struct Doubted {
    /// Hash of its key.
    pub key: Hash,
    /// Number of the mapping it was sent with.
    pub number: u32,
    /// Which batch of the file it is in, and where.
    pub place: (usize, usize),
    /// True when what was lost is the answer to its removal.
    pub removal: bool,
    seen: AtomicBool,
}

impl<'a> Doubt<'a> {
    /// Reads the whole file.
    pub(super) fn read(snapshot: &'a Snapshot) -> Result<Doubt<'a>, DiffError> {
        let batches = snapshot.batches()?.collect::<crate::diagnostic::Result<Vec<_>>>()?;
        let broken = || snapshot.unreadable(&"a hash or mapping column has another type");
        let mut rows = Vec::new();
        for (b, batch) in batches.iter().enumerate() {
            let keys = snapshot::hashes(batch.column(0)).ok_or_else(broken)?;
            let hashes = snapshot::hashes(batch.column(1)).ok_or_else(broken)?;
            let numbers = snapshot::numbers(batch.column(2)).ok_or_else(broken)?;
            rows.extend(keys.zip(hashes).zip(numbers).enumerate().map(|(r, ((key, hash), number))| Doubted {
                key,
                number: *number,
                place: (b, r),
                removal: hash == 0,
                seen: AtomicBool::new(false),
            }));
        }
        rows.sort_by_key(|row| row.key);
        let places = rows.iter().enumerate().map(|(i, row)| (row.key, i)).collect();
        Ok(Doubt { snapshot, batches, places, rows })
    }

    /// True when the key is in doubt.
    pub(super) fn contains(&self, key: Hash) -> bool {
        self.places.contains_key(&key)
    }

    /// Takes note that the model has the key.
    pub(super) fn saw(&self, key: Hash) {
        if let Some(row) = self.places.get(&key).and_then(|i| self.rows.get(*i)) {
            row.seen.store(true, Ordering::Relaxed);
        }
    }

    /// Rows the model does not have, in the order of their keys.
    pub(super) fn unseen(&self) -> Vec<&Doubted> {
        self.rows.iter().filter(|row| !row.seen.load(Ordering::Relaxed)).collect()
    }

    /// Makes the index take every row in doubt for different, so that it is looked at.
    pub(super) fn distrust(&self, index: &mut Index) {
        for row in &self.rows {
            if let Some(at) = index.find(row.key) {
                index.distrust(at);
            }
        }
    }
}
