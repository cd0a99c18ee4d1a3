//! Which records the current rows of a model are matched to, where that is something else than their key: so that no
//! record is removed that another row uses, and two rows that would write the same record are seen.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use siphasher::sip::SipHasher13;
use smol_str::SmolStr;

use crate::diff::{Hash, HashKey};
use crate::mapping::{MappingSpec, Value};

/// Makes an identifier, by its name, what the destination takes it for.
pub type Normalise = Arc<dyn Fn(&str, &mut Value) + Send + Sync>;

/// Hashes identifiers. Numbers and texts that read the same are the same: a destination may well take them for it.
#[derive(Clone)]
pub struct Namer {
    sip: SipHasher13,
    names: Arc<[String]>,
    normalise: Normalise,
}

impl Namer {
    /// For the identifiers of a mapping.
    pub fn new(key: &HashKey, mapping: &MappingSpec, normalise: Normalise) -> Self {
        let names = mapping.matching.keys().cloned().collect();
        Self { sip: SipHasher13::new_with_key(&key.0), names, normalise }
    }

    /// The hash of a record's identifiers; `None` when one of them is null.
    pub fn hash(&self, matching: &[Value]) -> Option<u64> {
        let mut bytes = Vec::with_capacity(32);
        for (name, value) in self.names.iter().zip(matching) {
            let mut value = value.clone();
            (self.normalise)(name, &mut value);
            let text = match &value {
                Value::Null => return None,
                value => value.text(),
            };
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Some(self.sip.hash(&bytes))
    }

    /// The identifiers of a record given by names; `None` when it lacks one.
    pub fn of(&self, record: &[(SmolStr, Value)]) -> Option<Vec<Value>> {
        let find = |name: &String| record.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        self.names.iter().map(find).collect()
    }

    /// True when a record given by names has these identifiers, in this order, before its fields.
    pub fn names(&self, record: &[(SmolStr, Value)]) -> bool {
        record.iter().map(|(name, _)| name.as_str()).take(self.names.len()).eq(self.names.iter().map(String::as_str))
    }
}

/// Where the hashes of a model's identifiers are put while it is read; parts may come from several threads.
#[derive(Debug, Clone, Default)]
pub struct Observed(Arc<Mutex<Vec<Vec<u64>>>>);

impl Observed {
    /// Takes the hashes of one part.
    pub fn put(&self, part: Vec<u64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    fn take(&self) -> Vec<u64> {
        let parts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut hashes = parts.into_iter().reduce(|mut all, part| {
            all.extend_from_slice(&part);
            all
        });
        if let Some(hashes) = &mut hashes {
            hashes.sort_unstable();
        }
        hashes.unwrap_or_default()
    }
}

/// The identifiers of all current rows: 8 bytes a row.
struct InUse {
    sorted: Vec<u64>,
    repeated: HashSet<u64>,
    /// Rows that share theirs with another.
    rows_repeated: u64,
}

impl InUse {
    fn new(sorted: Vec<u64>) -> Self {
        let mut repeated = HashSet::new();
        let mut rows_repeated = 0;
        for same in sorted.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
            repeated.extend(same.first());
            rows_repeated += same.len() as u64;
        }
        Self { sorted, repeated, rows_repeated }
    }
}

/// Sample keys of rows that share a record.
const SAMPLES: usize = 3;

/// What is known of the records of one sync while its changes are collected. The model must have been read to its end
/// before anything is asked.
pub struct Records {
    pub(super) namer: Namer,
    observed: Observed,
    in_use: OnceCell<InUse>,
    /// True when records are removed at the destination.
    pub(super) removes: bool,
    /// Keys of rows that share a record, the lowest of those that are sent.
    sharing: BTreeSet<String>,
    /// What the plan removes.
    pub(super) removed: HashSet<u64>,
    /// For the rows whose former records are planned: which operation sends them.
    pub(super) sends: HashMap<Hash, Option<u64>>,
}

impl Records {
    /// `removes` says whether records are removed at the destination; `awaited` are the keys of rows whose former records
    /// wait to be removed.
    pub fn new(namer: Namer, observed: Observed, removes: bool, awaited: impl IntoIterator<Item = Hash>) -> Self {
        let sends = awaited.into_iter().map(|key| (key, None)).collect();
        Self {
            namer,
            observed,
            in_use: OnceCell::new(),
            removes,
            sharing: BTreeSet::new(),
            removed: HashSet::new(),
            sends,
        }
    }

    fn known(&self) -> &InUse {
        self.in_use.get_or_init(|| InUse::new(self.observed.take()))
    }

    /// True when a current row is matched by these identifiers.
    pub(super) fn uses(&self, hash: u64) -> bool {
        self.known().sorted.binary_search(&hash).is_ok()
    }

    /// Takes note of a row that is sent.
    pub(super) fn sent(&mut self, key: &str, matching: &[Value]) {
        if self.known().repeated.is_empty() {
            return;
        }
        let full = self.sharing.len() >= SAMPLES && self.sharing.last().is_some_and(|last| last.as_str() <= key);
        if !full && self.namer.hash(matching).is_some_and(|hash| self.known().repeated.contains(&hash)) {
            self.sharing.insert(key.to_owned());
            if self.sharing.len() > SAMPLES {
                self.sharing.pop_last();
            }
        }
    }

    /// Rows that share their record with another, and a few of their keys.
    pub(super) fn shared(&self) -> (u64, Vec<String>) {
        (self.known().rows_repeated, self.sharing.iter().cloned().collect())
    }
}
