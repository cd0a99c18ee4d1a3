//! Records that may be at the destination and that no row of the snapshot stands for any more: what a row was matched
//! by before its identifiers changed, where the record could not be removed in the same run.
//!
//! They are named by their identifiers, so that one record is there once, whichever rows have had it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Error, Result};
use crate::diff::Hash;
use crate::mapping::column::Column;
use crate::mapping::{MappingSpec, Value};

/// A record a row had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Hash of the key of the row that had it last, in hexadecimal.
    key_hash: String,
    /// That key as shown to people.
    pub key: String,
    /// True when the destination has refused to remove it: it is tried again with `--retry` alone.
    #[serde(default)]
    pub refused: bool,
}

impl Former {
    /// A record this row had.
    pub(super) fn new(key_hash: Hash, key: &str, refused: bool) -> Self {
        Self { key_hash: format!("{key_hash:x}"), key: key.into(), refused }
    }

    /// Hash of the key of the row that had it last.
    pub fn key_hash(&self) -> Hash {
        Hash::from_str_radix(&self.key_hash, 16).unwrap_or_default()
    }
}

/// All such records of a sync by their identifiers, as [`name_of`] writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formers(pub BTreeMap<String, Former>);

impl Formers {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| {
            Error::failed_help(
                format!("the former records in `{}` cannot be read: {e}", path.display()),
                "restore the state folder from a copy",
            )
        };
        let bytes = std::fs::read(path).map_err(|e| wrong(&e))?;
        serde_json::from_slice(&bytes).map_err(|e| wrong(&e))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|e| Error::failed(e.to_string()))?;
        std::fs::write(path, bytes).map_err(|e| super::local::failed("write", path, &e))
    }
}

/// The one text for a record's identifiers: JSON, names sorted.
pub fn name_of(mapping: &MappingSpec, matching: &[Value]) -> Option<String> {
    if matching.len() != mapping.matching.len() {
        return None;
    }
    let named: BTreeMap<&str, serde_json::Value> =
        mapping.matching.keys().map(String::as_str).zip(matching.iter().map(Value::to_json)).collect();
    serde_json::to_string(&named).ok()
}

/// The identifiers a text of [`name_of`] stands for, in the order of this mapping; `None` when it has others.
pub fn identifiers(mapping: &MappingSpec, name: &str) -> Option<Vec<Value>> {
    let named: BTreeMap<String, serde_json::Value> = serde_json::from_str(name).ok()?;
    if named.len() != mapping.matching.len() {
        return None;
    }
    mapping.matching.keys().map(|name| named.get(name).map(Value::from_json)).collect()
}

/// True when rows are matched by something else than their primary key, so that what they are matched by can change.
pub fn can_change(mapping: &MappingSpec) -> bool {
    let matching: BTreeSet<&String> = mapping.matching.values().collect();
    matching != mapping.primary_key.iter().collect()
}

/// The identifiers of rows about to be folded.
pub(super) struct Identifiers<'a> {
    mapping: &'a MappingSpec,
    columns: Vec<Column<'a>>,
}

impl<'a> Identifiers<'a> {
    /// `None` when a column is missing, as it is for rows of another mapping.
    pub(super) fn new(mapping: &'a MappingSpec, rows: &'a RecordBatch) -> Option<Self> {
        let schema = rows.schema_ref();
        let column = |name: &String| {
            let (index, field) = schema.column_with_name(name)?;
            Column::new(rows.column(index), Some(field)).ok()
        };
        Some(Self { mapping, columns: mapping.matching.values().map(column).collect::<Option<_>>()? })
    }

    /// The name of a row's record.
    pub(super) fn name(&self, row: usize) -> Option<String> {
        let values: Vec<Value> = self.columns.iter().map(|column| column.at(row).ok()).collect::<Option<_>>()?;
        name_of(self.mapping, &values)
    }
}
