//! What one configuration would do to each row, so that another can be held against it: the difference is what the
//! change of the configuration causes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher};

use crate::destinations::Action;
use crate::diff::{Cause, Change, Hash, RowState};
use crate::mapping::{self, Mapping};

/// Row → what would be done with it. 24 bytes a changed row; rows that do not change take none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint(HashMap<Hash, u64>);

impl Footprint {
    /// Rows that would change.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// True when no row would change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the changes of a plan are held against.
#[derive(Debug, Default)]
pub enum Comparing {
    /// Nothing: causes are what the diff says.
    #[default]
    Alone,
    /// Nothing yet: this is the plan that others are held against.
    Noting(Footprint),
    /// The configuration is the same: whatever changes, it is not the cause.
    Same,
    /// What the configuration before would do. Rows are taken out as they are seen.
    With(Footprint),
}

impl Comparing {
    /// The cause of a change, and a note of it where notes are taken.
    ///
    /// With a configuration to compare with, a change is the configuration's when the one before would do something else
    /// with the row, or nothing. On a first run every row is sent whatever is configured: it is the configuration's only
    /// when the row is there because of it.
    pub fn cause(&mut self, change: &Change, action: Option<Action>, mapping: &Mapping, target: &str) -> Cause {
        match self {
            Comparing::Alone => change.cause,
            Comparing::Noting(footprint) => {
                footprint.0.insert(change.key_hash, effect(change, action, mapping, target));
                change.cause
            }
            Comparing::Same => by_data(change.cause),
            Comparing::With(footprint) => {
                let before = footprint.0.remove(&change.key_hash);
                match (before, change.cause) {
                    (Some(_), Cause::FirstRun) => Cause::FirstRun,
                    (Some(before), cause) if before == effect(change, action, mapping, target) => by_data(cause),
                    (_, cause @ (Cause::Retry | Cause::Doubt)) => cause,
                    _ => Cause::Configuration,
                }
            }
        }
    }

    /// Rows that would change under the configuration before and do not under this one.
    pub fn left(&self) -> u64 {
        if let Comparing::With(footprint) = self { footprint.len() } else { 0 }
    }
}

fn by_data(cause: Cause) -> Cause {
    if cause == Cause::Configuration { Cause::Data } else { cause }
}

/// What is done with a row: which record is sent where, and whether it is sent, emptied or deleted.
fn effect(change: &Change, action: Option<Action>, mapping: &Mapping, target: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    let state = match change.state {
        RowState::Added => 0_u8,
        RowState::Changed => 1,
        RowState::Removed => 2,
    };
    let done = match action {
        None => 0_u8,
        Some(Action::Send) => 1,
        Some(Action::Clear) => 2,
        Some(Action::Delete) => 3,
    };
    (state, done, target).hash(&mut hash);
    // What a removed row last was is no matter of today's configuration.
    if change.state != RowState::Removed {
        for (name, value) in change.record.iter().flat_map(|record| mapping::named(record.clone(), mapping)) {
            (name, format!("{value:?}")).hash(&mut hash);
        }
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// effect before, effect now, cause of the diff → cause of the plan
    type Case = (Option<u64>, bool, Cause, Cause);

    const CASES: &[Case] = &[
        // The same would have been done: the data is the cause, also of what an older change of the mapping left.
        (Some(0), true, Cause::Data, Cause::Data),
        (Some(0), true, Cause::Configuration, Cause::Data),
        (Some(0), true, Cause::FirstRun, Cause::FirstRun),
        (Some(0), true, Cause::Retry, Cause::Retry),
        // Something else would have been done.
        (Some(0), false, Cause::Data, Cause::Configuration),
        (Some(0), false, Cause::Configuration, Cause::Configuration),
        (Some(0), false, Cause::FirstRun, Cause::FirstRun),
        // Nothing would have been done.
        (None, false, Cause::Data, Cause::Configuration),
        (None, false, Cause::FirstRun, Cause::Configuration),
        (None, false, Cause::Retry, Cause::Retry),
    ];

    #[test]
    fn the_configuration_is_the_cause_where_the_one_before_would_do_something_else() {
        for &(before, same, said, expected) in CASES {
            let spec = serde_json::json!({ "primary_key": [], "matching": {}, "fields": {}, "scope": {} });
            let spec = serde_json::from_value(spec).unwrap();
            let mapping = Mapping::new(&spec, &arrow_schema::Schema::empty().into(), "").unwrap();
            let change = Change {
                state: RowState::Added,
                cause: said,
                key_hash: 7,
                row_hash: 1,
                before: crate::diff::Before::Nothing,
                record: None,
            };
            let now = effect(&change, None, &mapping, "crm");
            let known = before.map(|_| (7, if same { now } else { now ^ 1 }));
            let mut comparing = Comparing::With(Footprint(known.into_iter().collect()));
            assert_eq!(comparing.cause(&change, None, &mapping, "crm"), expected, "{before:?} {same} {said:?}");
            assert_eq!(comparing.left(), 0);
        }
    }
}
