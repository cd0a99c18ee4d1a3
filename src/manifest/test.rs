//! `tests/NAME.yaml`: rows in, records and operations out.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tests of one sync: rows of its model, and what must become of them. Run offline by `syncline test`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Name of the test; the same as the file name.
    pub name: String,
    /// What a reader should know about it.
    pub description: Option<String>,
    /// The sync that is tested.
    pub sync: String,
    /// The cases, each on its own.
    #[schemars(length(min = 1))]
    pub cases: Vec<Case>,
}

/// One case: rows, and what must become of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// The rows of the model: column → value. A column that is left out is null in that row.
    #[serde(default)]
    pub rows: Vec<IndexMap<String, Value>>,
    /// The rows as the destination last acknowledged them; absent: nothing was ever sent.
    #[serde(default)]
    pub previous: Vec<IndexMap<String, Value>>,
    /// What must become of rows. Rows that are not named here may become anything.
    #[schemars(length(min = 1))]
    pub expect: Vec<Expectation>,
}

/// What must become of one row. Exactly one of `key`, `row`; at least one of the others.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The row, by its primary key; a list where the key has several columns.
    pub key: Option<Value>,
    /// The row, by its place in `rows`, counted from 1.
    #[schemars(range(min = 1))]
    pub row: Option<u32>,
    /// What the row is against what was last acknowledged.
    pub state: Option<State>,
    /// What is done at the destination.
    pub operation: Option<Operation>,
    /// Destination field or identifier → the value it must have. Fields that are not named may be anything.
    #[serde(default)]
    pub record: IndexMap<String, Value>,
    /// Destination fields that must not be sent.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Why the row is invalid.
    pub reason: Option<Reason>,
}

/// What a row is against what was last acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not acknowledged before.
    Added,
    /// Acknowledged with another record.
    Changed,
    /// Acknowledged before, no longer in the model.
    Removed,
    /// As acknowledged.
    Unchanged,
    /// Never sent.
    Invalid,
}

/// What is done at the destination about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The record is sent.
    Send,
    /// The record is deleted, or taken out of the membership.
    Delete,
    /// The mapped fields are emptied.
    Clear,
    /// Nothing.
    None,
}

/// Why a row is never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A column of the primary key is null.
    NullKey,
    /// Several rows have the same primary key.
    DuplicateKey,
    /// An identifier the record would be matched by is null.
    NullMatch,
    /// A value that cannot become what the field asks for.
    Unmappable,
}

impl State {
    /// The word in manifests and messages.
    pub fn word(self) -> &'static str {
        match self {
            State::Added => "added",
            State::Changed => "changed",
            State::Removed => "removed",
            State::Unchanged => "unchanged",
            State::Invalid => "invalid",
        }
    }
}

impl Operation {
    /// The word in manifests and messages.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Send => "send",
            Operation::Delete => "delete",
            Operation::Clear => "clear",
            Operation::None => "none",
        }
    }
}

impl Reason {
    /// The word in manifests and messages; the same as in plans.
    pub fn word(self) -> &'static str {
        match self {
            Reason::NullKey => "null_key",
            Reason::DuplicateKey => "duplicate_key",
            Reason::NullMatch => "null_match",
            Reason::Unmappable => "unmappable",
        }
    }
}
