//! What a destination was found to hold of the records of a sync (`plan --refresh`).

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the destination holds of the records of a sync. Numbers are of rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refresh {
    /// Acknowledged records that were looked for.
    pub looked_for: u64,
    /// Of these, records that are as they were acknowledged.
    pub same: u64,
    /// Of these, records that are not there any more.
    pub missing: u64,
    /// Of these, records somebody else has changed in a field of the sync.
    pub changed: u64,
    /// Of these, identifiers that name more than one record there.
    pub several: u64,
    /// Of these, records of which the destination would not say anything.
    pub unreadable: u64,
    /// Destination field → records in which somebody else has changed it.
    pub fields: IndexMap<String, u64>,
    /// Rows that were never acknowledged.
    pub new: NewRecords,
    /// Requests made to look, where there were any.
    pub requests: u64,
    /// Records that are not as they were acknowledged, the first ones.
    pub drift: Vec<Drifted>,
    /// Why acknowledged records could not be looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_looked: Option<String>,
}

/// Rows that were never acknowledged, and whether there are records for them already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewRecords {
    /// Added rows whose records were looked for.
    pub looked_for: u64,
    /// Of these, rows whose record is there already.
    pub found: u64,
}

/// A record that is not as it was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drifted {
    /// Key of its row.
    pub key: String,
    /// `missing`, `changed`, `several` or `unreadable`.
    pub found: String,
    /// The fields somebody else has changed.
    pub fields: Vec<DriftedField>,
}

/// A field somebody else has changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriftedField {
    /// Its name.
    pub name: String,
    /// What was acknowledged.
    pub acknowledged: Value,
    /// What is there.
    pub there: Value,
    /// True when the values come from columns that are not declared `sensitive: false`; masked outside the terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

impl Refresh {
    /// Records that are not as they were acknowledged.
    pub fn drifted(&self) -> u64 {
        self.missing + self.changed + self.several + self.unreadable
    }
}
