//! Stand-in for `diff::snapshot` until it is merged.
use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::{Error, Result};
use crate::diff::Hash;
use crate::diff::snapshot::Meta;
use arrow_array::RecordBatch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Put,
    Remove,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub key_hash: Hash,
    pub row_hash: Hash,
    pub kind: Kind,
}
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub rows: RecordBatch,
    pub entries: Vec<Entry>,
    pub mapping: u32,
}
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Snapshot {
    pub meta: Meta,
    pub entries: BTreeMap<String, (String, u32)>,
}
impl Snapshot {
    pub fn open(path: &Path) -> Result<Self> {
        serde_json::from_slice(&std::fs::read(path).map_err(|e| Error::failed(e.to_string()))?)
            .map_err(|e| Error::failed(e.to_string()))
    }
    pub fn meta(&self) -> &Meta {
        &self.meta
    }
    pub fn rows(&self) -> u64 {
        self.entries.len() as u64
    }
    pub fn keys(&self) -> Result<Vec<(Hash, Hash)>> {
        let hash = |s: &str| Hash::from_str_radix(s, 16).map_err(|e| Error::failed(e.to_string()));
        self.entries.iter().map(|(k, (r, _))| Ok((hash(k)?, hash(r)?))).collect()
    }
}
pub fn merge(
    old: Option<&Snapshot>,
    acknowledged: impl Iterator<Item = Result<Acknowledged>>,
    meta: Meta,
    out: &Path,
    _memory: usize,
    _scratch: &Path,
) -> Result<u64> {
    let mut entries = old.map(|s| s.entries.clone()).unwrap_or_default();
    for part in acknowledged {
        let part = part?;
        assert_eq!(part.rows.num_rows(), part.entries.len());
        for e in part.entries {
            let key = format!("{:032x}", e.key_hash);
            match e.kind {
                Kind::Put => {
                    entries.insert(key, (format!("{:032x}", e.row_hash), part.mapping));
                }
                Kind::Remove => {
                    entries.remove(&key);
                }
            }
        }
    }
    let rows = entries.len() as u64;
    let bytes = serde_json::to_vec(&Snapshot { meta, entries }).map_err(|e| Error::failed(e.to_string()))?;
    std::fs::write(out, bytes).map_err(|e| Error::failed(e.to_string()))?;
    Ok(rows)
}
