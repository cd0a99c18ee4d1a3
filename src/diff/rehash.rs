//! Row hashes over other columns than those in the file: where a sync uses fewer columns than its rows were sent with,
//! what is left of them is compared.

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_select::take::take;

use super::hash::{Folded, Hasher};
use super::snapshot::{self, Snapshot};
use super::{DiffError, Hash};

/// For some numbers of mappings, how their rows are hashed anew.
pub(super) struct Rehash<'a> {
    hasher: &'a Hasher,
    /// Number → names in the file of the columns of the layout, in its order.
    numbers: Vec<(u32, Vec<String>)>,
}

/// Hashing anew, batch by batch.
pub(super) struct Rehashing<'a> {
    rehash: &'a Rehash<'a>,
    folded: Folded,
}

impl<'a> Rehash<'a> {
    /// For rows with these numbers, whose columns in the file are named in the order of the hasher's layout.
    pub(super) fn new(hasher: &'a Hasher, numbers: Vec<(u32, Vec<String>)>) -> Rehash<'a> {
        Rehash { hasher, numbers }
    }

    /// Names of the columns of the file that are needed.
    pub(super) fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = self.numbers.iter().flat_map(|(_, names)| names).map(String::as_str).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Starts on one thread.
    pub(super) fn start(&'a self) -> Rehashing<'a> {
        Rehashing { rehash: self, folded: Folded::default() }
    }
}

impl Rehashing<'_> {
    /// Hands the rows of a batch of the file that are concerned to `set`, with their new hashes.
    pub(super) fn apply(
        &mut self,
        snapshot: &Snapshot,
        batch: &RecordBatch,
        mut set: impl FnMut(usize, Hash),
    ) -> Result<(), DiffError> {
        for (number, names) in &self.rehash.numbers {
            let broken = || snapshot.unreadable(&"a hash or mapping column has another type");
            let numbers = snapshot::numbers(batch.column(2)).ok_or_else(broken)?;
            let rows: Vec<u32> = (0u32..).zip(numbers).filter(|(_, n)| *n == number).map(|(row, _)| row).collect();
            if rows.is_empty() {
                continue;
            }
            let missing = || snapshot.unreadable(&"a column that was kept is not there");
            let columns = names.iter().map(|name| batch.column_by_name(name).cloned().ok_or_else(missing));
            let mut columns = columns.collect::<crate::diagnostic::Result<Vec<ArrayRef>>>()?;
            if rows.len() < batch.num_rows() {
                let rows = UInt32Array::from(rows.clone());
                columns = columns.iter().map(|c| take(c.as_ref(), &rows, None)).collect::<Result<_, _>>()?;
            }
            let hashes = self.rehash.hasher.rows(&columns, rows.len(), &mut self.folded)?;
            rows.iter().zip(hashes).for_each(|(row, hash)| set(*row as usize, hash));
        }
        Ok(())
    }
}
