//! Batches a destination took and has not settled: what a later run needs to ask for their outcomes.
//!
//! Their rows are in doubt until then. A batch is remembered as long as one of its rows still is.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal::Unsettled;
use crate::destinations::{Action, Outcome};
use crate::diagnostic::{Error, Result};
use crate::diff::{Hash, RowState};
use crate::plan::operations::Head;

/// A batch of an earlier run that was never settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// A number no batch of this run has.
    pub id: u64,
    /// What the destination needs to find it again.
    pub handle: String,
    /// What was done to its rows.
    pub action: Action,
    /// Its rows, in the order of the batch.
    pub rows: Vec<LeftoverRow>,
    /// Digest of the mapping that made its records.
    pub mapping: u64,
}

/// One row of such a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftoverRow {
    /// Hash of the key.
    pub key_hash: Hash,
    /// Hash of the row that was sent; 0 for a removed row.
    pub row_hash: Hash,
    /// What the row was then.
    pub state: RowState,
}

/// Such a batch as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    run_id: String,
    batch: u64,
    handle: String,
    action: Action,
    mapping: u64,
    /// Key hash, row hash, state.
    rows: Vec<(String, String, String)>,
}

impl Kept {
    /// The batch, under a number of the present run.
    pub(super) fn leftover(&self, id: u64) -> Option<Leftover> {
        let hash = |text: &str| Hash::from_str_radix(text, 16).ok();
        let rows = self.rows.iter().map(|(key, row, state)| {
            Some(LeftoverRow { key_hash: hash(key)?, row_hash: hash(row)?, state: state_of(state)? })
        });
        let rows = rows.collect::<Option<_>>()?;
        Some(Leftover { id, handle: self.handle.clone(), action: self.action, rows, mapping: self.mapping })
    }

    /// True while one of its rows is in doubt.
    pub(super) fn is_open(&self, in_doubt: &HashMap<Hash, Hash>) -> bool {
        self.leftover(0)
            .is_some_and(|kept| kept.rows.iter().any(|row| in_doubt.get(&row.key_hash) == Some(&row.row_hash)))
    }
}

fn state_of(word: &str) -> Option<RowState> {
    let states = [RowState::Added, RowState::Changed, RowState::Removed];
    states.into_iter().find(|state| crate::plan::operations::state_word(*state) == word)
}

/// Reads a file of such batches.
pub(super) fn read(path: &Path) -> Result<Vec<Kept>> {
    let wrong = |e: &dyn std::fmt::Display| {
        Error::failed_help(
            format!("the deferred batches in `{}` cannot be read: {e}", path.display()),
            "restore the state folder from a copy",
        )
    };
    let bytes = std::fs::read(path).map_err(|e| wrong(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| wrong(&e))
}

/// Writes a file of such batches.
pub(super) fn write(batches: &[Kept], path: &Path) -> Result<()> {
    let bytes = serde_json::to_vec(batches).map_err(|e| Error::failed(e.to_string()))?;
    std::fs::write(path, bytes).map_err(|e| super::local::failed("write", path, &e))
}

/// Gathers the rows of unsettled batches while the operations of a run pass by.
pub(super) struct Gatherer {
    batches: Vec<Kept>,
    /// Operation → batch, and place in it.
    places: HashMap<u64, (usize, usize)>,
}

impl Gatherer {
    /// For the batches one run left behind.
    pub(super) fn new(run_id: &str, mapping: u64, unsettled: &[Unsettled]) -> Self {
        let mut places = HashMap::new();
        let batches = unsettled.iter().enumerate().map(|(index, batch)| {
            let ordinals = batch.rows.iter().flat_map(|(from, to)| *from..=*to);
            let mut length = 0;
            for ordinal in ordinals {
                places.insert(ordinal, (index, length));
                length += 1;
            }
            let rows = vec![(String::new(), String::new(), String::new()); length];
            let (handle, action) = (batch.handle.clone(), batch.action);
            Kept { run_id: run_id.into(), batch: batch.batch, handle, action, mapping, rows }
        });
        let batches = batches.collect();
        Self { batches, places }
    }

    /// Takes note of an operation.
    pub(super) fn see(&mut self, head: &Head) {
        let Some((batch, at)) = self.places.get(&head.ordinal) else { return };
        if let Some(row) = self.batches.get_mut(*batch).and_then(|batch| batch.rows.get_mut(*at)) {
            let state = crate::plan::operations::state_word(head.state).to_owned();
            *row = (format!("{:x}", head.key_hash), format!("{:x}", head.row_hash), state);
        }
    }

    /// What is to be kept, of before and of now: batches with a row in doubt.
    pub(super) fn finish(self, before: Vec<Kept>, in_doubt: &HashMap<Hash, Hash>) -> Vec<Kept> {
        before.into_iter().chain(self.batches).filter(|batch| batch.is_open(in_doubt)).collect()
    }
}

/// What leftover batches have turned out to have done, by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(HashMap<Hash, (LeftoverRow, Action, u64, Outcome)>);

impl Answers {
    /// Takes the outcomes of a batch; false when they are not one per row.
    pub(super) fn take(&mut self, batch: &Leftover, outcomes: &[Outcome]) -> bool {
        if outcomes.len() != batch.rows.len() {
            return false;
        }
        for (row, outcome) in batch.rows.iter().zip(outcomes) {
            self.0.insert(row.key_hash, (*row, batch.action, batch.mapping, outcome.clone()));
        }
        true
    }

    /// The outcome of an operation with the same key, payload and action.
    pub(super) fn of(&self, head: &Head, mapping: u64) -> Option<&Outcome> {
        let (row, action, made_by, outcome) = self.0.get(&head.key_hash)?;
        let same = row.row_hash == head.row_hash && Some(*action) == head.action && *made_by == mapping;
        (same && !head.former()).then_some(outcome)
    }
}

#[cfg(test)]
mod tests;
