//! What a destination holds of acknowledged rows where that is not what it has acknowledged (`--refresh`): somebody else
//! has deleted or changed their records since.

use std::collections::{HashMap, HashSet};

use smol_str::SmolStr;

use super::{Before, Hash};
use crate::mapping::{Named, Value};

/// Bytes of values that are kept at most; of rows beyond, it is only known that they differ.
const MOST_BYTES: usize = 64 << 20;

/// Rows whose records are not as they were acknowledged, by key hash. A row takes about 20 bytes, and its values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drift {
    gone: HashSet<Hash>,
    /// Field and what is there; `None` where that was too much to keep.
    other: HashMap<Hash, Option<Named>>,
    bytes: usize,
}

impl Drift {
    /// There is no record of this row: it is as good as new.
    pub fn gone(&mut self, key: Hash) {
        self.gone.insert(key);
    }

    /// The record of this row has something else in these fields.
    pub fn differs(&mut self, key: Hash, there: Named) {
        let bytes: usize = there.iter().map(|(name, value)| 64 + name.len() + value.text().len()).sum();
        let keep = self.bytes.saturating_add(bytes) <= MOST_BYTES;
        self.bytes += if keep { bytes } else { 0 };
        self.other.insert(key, keep.then_some(there));
    }

    /// True when no row has drifted.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.other.is_empty()
    }

    pub(super) fn has(&self, key: Hash) -> bool {
        self.gone.contains(&key) || self.other.contains_key(&key)
    }

    pub(super) fn is_gone(&self, key: Hash) -> bool {
        self.gone.contains(&key)
    }

    /// What was acknowledged, with what is there in its place; `None` when nothing of it is among these fields, or the
    /// row has not drifted.
    pub(super) fn over(&self, key: Hash, acknowledged: &Before, current: impl Fn(&str) -> bool) -> Option<Before> {
        let Some(there) = self.other.get(&key)? else { return Some(Before::Unknown) };
        let there: Vec<&(SmolStr, Value)> = there.iter().filter(|(name, _)| current(name)).collect();
        if there.is_empty() {
            return None;
        }
        let Before::Known(named) = acknowledged else { return Some(Before::Unknown) };
        let mut named = named.clone();
        for (name, value) in there {
            // Of a name that is there twice, the last is the field.
            match named.iter_mut().rfind(|(known, _)| known == name) {
                Some((_, known)) => *known = value.clone(),
                None => named.push((name.clone(), value.clone())),
            }
        }
        Some(Before::Known(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pairs: &[(&str, i64)]) -> Named {
        pairs.iter().map(|(name, value)| ((*name).into(), Value::Int(*value))).collect()
    }

    #[test]
    fn what_is_there_takes_the_place_of_what_was_acknowledged() {
        let acknowledged = Before::Known(named(&[("id", 1), ("id", 2), ("seats", 3)]));
        for (there, expected) in [
            (named(&[("seats", 9)]), Some(Before::Known(named(&[("id", 1), ("id", 2), ("seats", 9)])))),
            (named(&[("id", 9)]), Some(Before::Known(named(&[("id", 1), ("id", 9), ("seats", 3)])))),
            (named(&[("new", 9)]), Some(Before::Known(named(&[("id", 1), ("id", 2), ("seats", 3), ("new", 9)])))),
            // The field is not sent any more: what is there is nobody's business.
            (named(&[("dropped", 9)]), None),
        ] {
            let mut drift = Drift::default();
            drift.differs(7, there.clone());
            assert_eq!(drift.over(7, &acknowledged, |name| name != "dropped"), expected, "{there:?}");
            assert_eq!(drift.over(8, &acknowledged, |_| true), None);
        }
    }

    #[test]
    fn values_beyond_the_memory_are_unknown_and_not_none() {
        let mut drift = Drift::default();
        let large = Value::Text("x".repeat(MOST_BYTES / 2).into());
        for key in 1..=3 {
            drift.differs(key, vec![("note".into(), large.clone())]);
        }
        let acknowledged = Before::Known(Vec::new());
        assert!(matches!(drift.over(1, &acknowledged, |_| true), Some(Before::Known(_))));
        assert_eq!(drift.over(3, &acknowledged, |_| true), Some(Before::Unknown));
        assert!(drift.has(3));
    }
}
