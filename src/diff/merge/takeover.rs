//! Rows that were sent with an older mapping, and whose record is the same under the one in force: the next snapshot has
//! them as sent with that, so that no later plan has to find out again.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;

use super::columns::Columns;
use crate::diff::DiffError;
use crate::diff::mappings::Equal;
use crate::diff::snapshot::Snapshot;

/// By number in the old snapshot: how to see that a record is the same, and the number its row then gets.
#[derive(Default)]
pub(super) struct Takeover(BTreeMap<u32, (Equal, u32)>);

impl Takeover {
    /// For the rows of `old`, when they are written in these columns.
    pub(super) fn new(old: &Snapshot, columns: &mut Columns) -> Takeover {
        let mut takeover = Takeover::default();
        let current = columns.meta.current;
        let Some((current, now)) = current.and_then(|n| Some((n, columns.meta.mappings.get(&n)?.clone()))) else {
            return takeover;
        };
        for (number, then) in &old.meta().mappings {
            let Some(schema) = old.sent_schema(*number).filter(|_| *then != now) else { continue };
            // The row hash stays: it must cover just the columns it would cover now.
            let mut used: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
            used.sort_unstable();
            if !uses(&now, &used) {
                continue;
            }
            if let Some(equal) = Equal::new(then, &now, &schema) {
                takeover.0.insert(*number, (equal, columns.number_like(*number, current, &now)));
            }
        }
        takeover
    }

    /// Gives rows of a batch of the old file their new numbers, where they get another one.
    pub(super) fn apply(
        &self,
        file: &Snapshot,
        batch: &RecordBatch,
        before: &[u32],
        numbers: &mut [u32],
    ) -> Result<(), DiffError> {
        for (number, (equal, new)) in &self.0 {
            if !before.contains(number) {
                continue;
            }
            let Some(rows) = file.as_sent(batch, *number) else { continue };
            let bound = equal.bind(&rows)?;
            for (row, _) in before.iter().enumerate().filter(|(_, n)| *n == number) {
                if bound.same(row) {
                    numbers[row] = *new;
                }
            }
        }
        Ok(())
    }
}

/// True when the mapping uses just these columns, given sorted.
fn uses(mapping: &crate::mapping::MappingSpec, columns: &[String]) -> bool {
    match mapping.columns() {
        Ok(crate::mapping::Used::Columns(used)) => used.iter().eq(columns),
        // A template that sees the whole row sees columns that are not known here.
        _ => false,
    }
}
