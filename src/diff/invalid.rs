//! Rows that are never sent: counted by reason, with a few keys to look for.

use std::collections::{BTreeMap, BTreeSet};

use super::flaws::Told;
use super::{DiffError, Invalid};
use crate::mapping::{Reason, Unmappable};

/// Keys named per reason: of more invalid rows than this, only the first ones can be told by name.
pub const NAMED: usize = 10;

/// Invalid rows by reason. The order is fixed: by reason, field and message.
#[derive(Debug, Default)]
pub(super) struct Tally {
    groups: BTreeMap<(Why, Option<String>, String), Group>,
    /// Fields whose template cannot work as it is written, and why.
    broken: BTreeSet<(String, String)>,
}

/// Where the model has a row: its part, and the position in it.
pub(super) type Place = (usize, u64);

/// The rows of one reason.
#[derive(Debug, Default)]
struct Group {
    count: u64,
    /// Keys of some.
    keys: BTreeSet<String>,
    /// Places of some of which nothing is known to name them by.
    places: BTreeSet<Place>,
}

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
        self.add(Why::NullKey, None, NULL_KEY, Group { count: rows, ..Group::default() });
    }

    /// Names one of them by what there is of its key.
    pub(super) fn null_key_sample(&mut self, key: String) {
        self.add(Why::NullKey, None, NULL_KEY, Group { keys: [key].into(), ..Group::default() });
    }

    /// Names some of them by where they are, as there is nothing of their key.
    pub(super) fn null_key_places(&mut self, places: impl Iterator<Item = Place>) {
        self.add(Why::NullKey, None, NULL_KEY, Group { places: places.collect(), ..Group::default() });
    }

    /// Counts a row whose key has a value that cannot be read, and names it by where it is: it is one without a key.
    pub(super) fn unreadable_key(&mut self, told: &Told, place: Place) {
        let group = Group { count: 1, places: [place].into(), ..Group::default() };
        self.add(Why::NullKey, None, &told.message, group);
    }

    /// Counts and names a row with a value that cannot be read.
    pub(super) fn unreadable(&mut self, told: Told, key: String) {
        self.add(
            Why::Unmappable,
            told.field,
            &told.message,
            Group { count: 1, keys: [key].into(), ..Group::default() },
        );
    }

    /// Counts rows whose key another row has, too.
    pub(super) fn duplicates(&mut self, rows: u64) {
        self.add(Why::DuplicateKey, None, DUPLICATE, Group { count: rows, ..Group::default() });
    }

    /// Names a key that occurs more than once.
    pub(super) fn duplicate_sample(&mut self, key: String) {
        self.add(Why::DuplicateKey, None, DUPLICATE, Group { keys: [key].into(), ..Group::default() });
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
        let group = Group { count: 1, keys: [key].into(), ..Group::default() };
        self.add(why, Some(fault.field), &fault.message, group);
    }

    fn add(&mut self, why: Why, field: Option<String>, message: &str, more: Group) {
        if more.count == 0 && more.keys.is_empty() && more.places.is_empty() {
            return;
        }
        let group = self.groups.entry((why, field, message.to_owned())).or_default();
        group.count += more.count;
        // The lowest keys, not the first ones found: the choice must not depend on threads or on the hash key.
        group.keys.extend(more.keys);
        group.places.extend(more.places);
        while group.keys.len() > NAMED {
            group.keys.pop_last();
        }
        while group.places.len() > NAMED {
            group.places.pop_last();
        }
    }

    /// Adds what another has counted.
    pub(super) fn merge(&mut self, other: Tally) {
        self.broken.extend(other.broken);
        for ((why, field, message), group) in other.groups {
            self.add(why, field, &message, group);
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
        let entries = self.groups.into_iter();
        let invalid = entries.map(|((why, field, message), group)| {
            let reason = match why {
                Why::NullKey => "null_key",
                Why::DuplicateKey => "duplicate_key",
                Why::NullMatch => Reason::NullMatch.word(),
                Why::Unmappable => Reason::Unmappable.word(),
            };
            let places = group.places.into_iter().map(|(part, at)| format!("row {}", before(part) + at + 1));
            let keys = group.keys.into_iter().chain(places).collect();
            Invalid { reason: reason.to_owned(), field, message: Some(message), count: group.count, keys }
        });
        Ok(invalid.collect())
    }
}

const NULL_KEY: &str = "a column of the primary key is null";
const DUPLICATE: &str = "several rows have the same primary key";
