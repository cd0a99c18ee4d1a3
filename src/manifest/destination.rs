//! `destinations/NAME.yaml`: where records go.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A destination: where records go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Name of the destination; the same as the file name.
    pub name: String,
    /// What kind of system it is.
    #[serde(rename = "type")]
    pub kind: DestinationType,
    /// What a reader should know about it.
    pub description: Option<String>,
    /// How to reach it; the keys depend on `type`.
    #[serde(default)]
    pub connection: Map<String, Value>,
}

/// What kind of system a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DestinationType {
    /// A SQLite database file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// A folder of CSV, JSON lines or Parquet files.
    Files,
}
