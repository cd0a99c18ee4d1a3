//! The snapshot: rows as last acknowledged by a destination. Parquet, sorted by key hash, readable by anyone.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::mapping::MappingSpec;

/// Which of the model's columns a sync uses: key, match and mapped columns, and those its templates read. Sorted by
/// name, so that the order in a manifest or a query makes no difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The used columns with their types.
    pub schema: SchemaRef,
    /// Positions of the key columns in `schema`, in the order of `primary_key`.
    pub key: Vec<usize>,
}

/// What a snapshot says of itself, kept as JSON in the Parquet file's metadata under `syncline`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of this format.
    pub format_version: String,
    /// The sync.
    pub sync: String,
    /// Key columns and their logical types, in order.
    pub key: Vec<(String, String)>,
    /// True when the used columns' values are kept, false for fingerprints alone.
    pub values: bool,
    /// Every mapping some row was sent with, by the number in the column `_mapping`.
    pub mappings: BTreeMap<u32, MappingSpec>,
}
