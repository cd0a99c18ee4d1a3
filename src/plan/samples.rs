//! A few of the changes, chosen the same way every time: the lowest keys of each state, and among changed rows first
//! one for each set of fields that differ, so that a rare change is not hidden behind a common one.

use std::collections::BTreeMap;

use super::Sample;
use crate::diff::RowState;

/// Sets of differing fields that are told apart; more are not, the first by name stay.
const SETS: usize = 64;

/// Gathers samples while changes stream by.
pub(super) struct Samples {
    /// Samples kept per state.
    most: usize,
    added: Vec<Sample>,
    removed: Vec<Sample>,
    /// By the names of the fields that differ.
    changed: BTreeMap<Vec<String>, Vec<Sample>>,
}

impl Samples {
    /// Keeps up to `most` samples of each state.
    pub(super) fn new(most: usize) -> Self {
        Self { most, added: Vec::new(), removed: Vec::new(), changed: BTreeMap::new() }
    }

    /// Whether a change would be kept; only then a sample needs to be made of it.
    pub(super) fn wants<'a>(&self, state: RowState, key: &str, fields: impl Iterator<Item = &'a str>) -> bool {
        let kept = match state {
            RowState::Added => &self.added,
            RowState::Removed => &self.removed,
            RowState::Changed => {
                let set: Vec<String> = fields.map(str::to_owned).collect();
                match self.changed.get(&set) {
                    Some(kept) => kept,
                    None => return self.most > 0,
                }
            }
        };
        kept.len() < self.most || kept.last().is_some_and(|last| key < last.key.as_str())
    }

    /// Keeps a sample in its place by key.
    pub(super) fn keep(&mut self, state: RowState, sample: Sample) {
        let kept = match state {
            RowState::Added => &mut self.added,
            RowState::Removed => &mut self.removed,
            RowState::Changed => {
                let set = sample.fields.iter().map(|field| field.name.clone()).collect();
                self.changed.entry(set).or_default()
            }
        };
        let place = kept.partition_point(|other| other.key <= sample.key);
        kept.insert(place, sample);
        kept.truncate(self.most);
        while self.changed.len() > SETS {
            self.changed.pop_last();
        }
    }

    /// The samples: added, changed, removed; each by key.
    pub(super) fn finish(self) -> Vec<Sample> {
        let mut sets: Vec<_> = self.changed.into_values().map(Vec::into_iter).collect();
        let mut changed: Vec<Sample> = Vec::new();
        while changed.len() < self.most {
            let mut round: Vec<Sample> = sets.iter_mut().filter_map(Iterator::next).collect();
            if round.is_empty() {
                break;
            }
            round.sort_by(|a, b| a.key.cmp(&b.key));
            round.truncate(self.most - changed.len());
            changed.extend(round);
        }
        changed.sort_by(|a, b| a.key.cmp(&b.key));
        self.added.into_iter().chain(changed).chain(self.removed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FieldChange;

    /// Takes changes as `key: fields`, gives the keys kept.
    fn kept(most: usize, changes: &[(&str, &str)]) -> Vec<String> {
        let mut samples = Samples::new(most);
        for (key, fields) in changes {
            if samples.wants(RowState::Changed, key, fields.split(' ')) {
                let field = |name: &str| FieldChange { name: name.into(), ..FieldChange::default() };
                let fields = fields.split(' ').map(field).collect();
                samples.keep(
                    RowState::Changed,
                    Sample { state: "changed".into(), key: (*key).into(), key_unknown: false, fields },
                );
            }
        }
        samples.finish().into_iter().map(|sample| sample.key).collect()
    }

    #[test]
    fn the_lowest_keys_are_kept_whatever_the_order() {
        let changes = [("e", "plan"), ("a", "plan"), ("d", "plan"), ("b", "plan"), ("c", "plan")];
        assert_eq!(kept(3, &changes), ["a", "b", "c"]);
        let turned: Vec<_> = changes.into_iter().rev().collect();
        assert_eq!(kept(3, &turned), ["a", "b", "c"]);
        assert!(kept(0, &changes).is_empty());
    }

    #[test]
    fn a_rare_set_of_fields_is_seen_before_a_second_of_a_common_one() {
        let changes = [("a", "origin"), ("b", "origin"), ("c", "origin"), ("x", "plan seats"), ("y", "email")];
        assert_eq!(kept(3, &changes), ["a", "x", "y"]);
        assert_eq!(kept(4, &changes), ["a", "b", "x", "y"]);
    }
}
