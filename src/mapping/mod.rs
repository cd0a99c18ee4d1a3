//! 5 · Row → record: columns, constants, templates and transforms. Pure: no clock, no environment, no I/O.
//!
//! ```text
//!  MappingSpec ──check──► faults         schema ─┐
//!       └────────────── Mapping::new ◄───────────┘──bind(batch)──► Bound ──record(row)──► Record | Unmappable
//! ```
//!
//! A [`MappingSpec`] is what a sync says; [`MappingSpec::check`] tells what in it can never work. [`Mapping`] is the same
//! made ready for one schema, [`Bound`] that for one batch of rows. [`Value`] is the one form all Arrow types, constants
//! and templates come down to.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::manifest::sync::Field;

mod calendar;
mod check;
pub mod column;
mod compile;
mod difference;
mod json;
mod kind;
mod number;
mod scan;
mod target;
mod template;
mod transform;
pub mod value;

pub use check::{check_contract, columns_of, near};
pub use compile::page::{Line, Page, Payload};
pub use compile::{Bound, Mapping};
pub use difference::{Difference, Named, differences, named};
pub use json::nested_json;
pub use scan::{Mention, mentions};
pub use target::{Meaning, data_type, meaning};
pub use value::Value;

#[cfg(test)]
mod laws;

/// All that decides what a row becomes, frozen into every plan and snapshot: the same spec and the same row always
/// give the same record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MappingSpec {
    /// The model's key columns, in manifest order.
    pub primary_key: Vec<String>,
    /// Destination identifier → model column.
    pub matching: IndexMap<String, String>,
    /// Destination field → how it is made.
    pub fields: IndexMap<String, Field>,
    /// What row templates can see beside `row`: `vars` and `environment`, only as far as some template uses them.
    #[serde(default)]
    pub scope: serde_json::Map<String, serde_json::Value>,
}

impl MappingSpec {
    /// A short digest, the same for the same mapping in whatever order its fields are written.
    pub fn digest(&self) -> u64 {
        let json = |value: serde_json::Value| value.to_string();
        let mut parts: Vec<String> =
            self.fields.iter().map(|field| json(serde_json::json!(["field", field]))).collect();
        parts.extend(self.matching.iter().map(|pair| json(serde_json::json!(["match", pair]))));
        parts.push(json(serde_json::json!(["key", self.primary_key, self.scope])));
        parts.sort_unstable();
        let hash: [u8; 32] = sha2::Sha256::digest(parts.join("\n")).into();
        hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

/// What a row became, in destination terms. Positions follow the mapping's `matching` and `fields`.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Values of the identifiers it is matched by.
    pub matching: Vec<Value>,
    /// Values of the fields; `None` where the field is left out (`on_null: omit`, or `write: if_added` on a row that is
    /// not added).
    pub fields: Vec<Option<Value>>,
}

/// A key as shown to people: the value itself, or a JSON array of a composite key's values.
pub fn key_text(key: &[Value]) -> String {
    match key {
        [only] => only.text().into_owned(),
        _ => Value::List(key.to_vec()).text().into_owned(),
    }
}

/// Why a row cannot become a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmappable {
    /// The destination field or identifier.
    pub field: String,
    /// What kind of fault it is.
    pub reason: Reason,
    /// What is wrong, without the value itself: ``column `age`: transform `integer`: text is not a whole number``.
    pub message: String,
}

/// Why a row cannot become a record, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An identifier the record would be matched by is null.
    NullMatch,
    /// A value that cannot become what the field asks for.
    Unmappable,
    /// Nothing about the row: the template of the field cannot work as it is written.
    Template,
}

impl Reason {
    /// The word in plans: `null_match`, `unmappable`. There is no plan with a `template` that cannot work.
    pub fn word(self) -> &'static str {
        match self {
            Reason::NullMatch => "null_match",
            Reason::Unmappable => "unmappable",
            Reason::Template => "template",
        }
    }
}

/// The model columns a mapping uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    /// All of them: a template uses `row` as a whole.
    All,
    /// These, sorted by name.
    Columns(BTreeSet<String>),
}

impl Used {
    /// True when the column is used.
    pub fn contains(&self, column: &str) -> bool {
        match self {
            Used::All => true,
            Used::Columns(columns) => columns.contains(column),
        }
    }
}

/// Something in a mapping that can never work, found before any row is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// JSON pointer into the sync manifest, e.g. `/fields/plan/column`.
    pub pointer: String,
    /// Stable code of the diagnostic, e.g. `unknown-column`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Byte range within the string at `pointer`, for faults inside a template.
    pub range: Option<std::ops::Range<usize>>,
}
