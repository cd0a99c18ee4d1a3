//! Rows that are never sent: counted by reason, with a few keys to look for.

use std::collections::{BTreeMap, BTreeSet};

use super::Invalid;
use crate::mapping::{Reason, Unmappable};

/// Keys named per reason.
const NAMED: usize = 10;

/// Invalid rows by reason. The order is fixed: by reason, field and message.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(Why, Option<String>, String), Group>);

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
        };
        self.add(why, Some(fault.field), &fault.message, 1, Some(key));
    }

    fn add(&mut self, why: Why, field: Option<String>, message: &str, rows: u64, key: Option<String>) {
        if rows == 0 && key.is_none() {
            return;
        }
        let (count, keys) = self.0.entry((why, field, message.to_owned())).or_default();
        *count += rows;
        // The lowest keys, not the first ones found: the choice must not depend on threads or on the hash key.
        keys.extend(key);
        while keys.len() > NAMED {
            keys.pop_last();
        }
    }

    /// Adds what another has counted.
    pub(super) fn merge(&mut self, other: Tally) {
        for ((why, field, message), (count, keys)) in other.0 {
            self.add(why, field.clone(), &message, count, None);
            keys.into_iter().for_each(|key| self.add(why, field.clone(), &message, 0, Some(key)));
        }
    }

    /// The result.
    pub(super) fn finish(self) -> Vec<Invalid> {
        let entries = self.0.into_iter();
        let invalid = entries.map(|((why, field, message), (count, keys))| {
            let reason = match why {
                Why::NullKey => "null_key",
                Why::DuplicateKey => "duplicate_key",
                Why::NullMatch => Reason::NullMatch.word(),
                Why::Unmappable => Reason::Unmappable.word(),
            };
            let keys = keys.into_iter().collect();
            Invalid { reason: reason.to_owned(), field, message: Some(message), count, keys }
        });
        invalid.collect()
    }
}

const DUPLICATE: &str = "several rows have the same primary key";
