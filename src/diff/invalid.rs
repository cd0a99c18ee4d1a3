//! Rows that are never sent: counted by reason, with a few keys to look for.

use std::collections::{BTreeMap, BTreeSet};

use super::{DiffError, Invalid};
use crate::mapping::{Reason, Unmappable};

/// Keys named per reason: of more invalid rows than this, only the first ones can be told by name.
pub const NAMED: usize = 10;

/// Invalid rows by reason. The order is fixed: by reason, field and message.
#[derive(Debug, Default)]
pub(super) struct Tally {
    groups: BTreeMap<(Why, Option<String>, String), Group>,
    /// Places of rows of which nothing is known to name them by.
    nameless: BTreeSet<Place>,
    /// Fields whose template cannot work as it is written, and why.
    broken: BTreeSet<(String, String)>,
}

/// Where the model has a row: its part, and the position in it.
pub(super) type Place = (usize, u64);

/// How many rows, and the keys named.
type Group = (u64, BTreeSet<String>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    NullKey,
    DuplicateKey,
    NullMatch,
    Unmappable,
}

impl Tally {
    /// Counts rows with a null in their key.
    pub(super) fn null_keys(&mut self, rows: u64) {
        self.null_key(rows, None);
    }

    /// Names one of them by what there is of its key.
    pub(super) fn null_key_sample(&mut self, key: String) {
        self.null_key(0, Some(key));
    }

    /// Names some of them by where they are, as there is nothing of their key.
    pub(super) fn null_key_places(&mut self, places: impl Iterator<Item = Place>) {
        self.nameless.extend(places);
        while self.nameless.len() > NAMED {
            self.nameless.pop_last();
        }
    }

    fn null_key(&mut self, rows: u64, key: Option<String>) {
        self.add(Why::NullKey, None, "a column of the primary key is null", rows, key);
    }

    /// Counts rows whose key another row has, too.
    pub(super) fn duplicates(&mut self, rows: u64) {
        self.add(Why::DuplicateKey, None, DUPLICATE, rows, None);
    }

    /// Names a key that occurs more than once.
    pub(super) fn duplicate_sample(&mut self, key: String) {
        self.add(Why::DuplicateKey, None, DUPLICATE, 0, Some(key));
    }

    /// Counts and names a row that has no record.
    pub(super) fn unmappable(&mut self, fault: Unmappable, key: String) {
        let why = match fault.reason {
            Reason::NullMatch => Why::NullMatch,
            Reason::Unmappable => Why::Unmappable,
            Reason::Template => {
                self.broken.insert((fault.field, fault.message));
                return;
            }
        };
        self.add(why, Some(fault.field), &fault.message, 1, Some(key));
    }

    fn add(&mut self, why: Why, field: Option<String>, message: &str, rows: u64, key: Option<String>) {
        if rows == 0 && key.is_none() {
            return;
        }
        let (count, keys) = self.groups.entry((why, field, message.to_owned())).or_default();
        *count += rows;
        // The lowest keys, not the first ones found: the choice must not depend on threads or on the hash key.
        keys.extend(key);
        while keys.len() > NAMED {
            keys.pop_last();
        }
    }

    /// Adds what another has counted.
    pub(super) fn merge(&mut self, other: Tally) {
        self.null_key_places(other.nameless.into_iter());
        self.broken.extend(other.broken);
        for ((why, field, message), (count, keys)) in other.groups {
            self.add(why, field.clone(), &message, count, None);
            keys.into_iter().for_each(|key| self.add(why, field.clone(), &message, 0, Some(key)));
        }
    }

    /// The result. `lengths` are the rows of each part of the model: with them, places become row numbers, from 1.
    ///
    /// # Errors
    /// A template cannot work: no row is to blame for it.
    pub(super) fn finish(self, lengths: &BTreeMap<usize, u64>) -> Result<Vec<Invalid>, DiffError> {
        if let Some((field, message)) = self.broken.into_iter().next() {
            return Err(DiffError::Template { field, message });
        }
        let before = |part: usize| lengths.range(..part).map(|(_, rows)| rows).sum::<u64>();
        let nameless = self.nameless.iter().map(|(part, at)| format!("row {}", before(*part) + at + 1));
        let mut nameless = Some(nameless.collect::<Vec<_>>());
        let entries = self.groups.into_iter();
        let invalid = entries.map(|((why, field, message), (count, keys))| {
            let reason = match why {
                Why::NullKey => "null_key",
                Why::DuplicateKey => "duplicate_key",
                Why::NullMatch => Reason::NullMatch.word(),
                Why::Unmappable => Reason::Unmappable.word(),
            };
            let mut keys: Vec<String> = keys.into_iter().collect();
            if why == Why::NullKey {
                keys.extend(nameless.take().unwrap_or_default());
            }
            Invalid { reason: reason.to_owned(), field, message: Some(message), count, keys }
        });
        Ok(invalid.collect())
    }
}

const DUPLICATE: &str = "several rows have the same primary key";
