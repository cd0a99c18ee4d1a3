//! `destinations/NAME.yaml`: where records go.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::connector::api::Api;
use super::connector::object::Object;
use super::connector::operation::Requests;

/// A destination: where records go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Name of the destination; the same as the file name.
    pub name: String,
    /// What kind of system it is: one of those below, `http`, or the name of a connector: a built-in one, or one in
    /// `connectors/` of the project.
    #[serde(rename = "type")]
    pub kind: String,
    /// What a reader should know about it.
    pub description: Option<String>,
    /// How to reach it; the keys depend on `type`.
    #[serde(default)]
    pub connection: Map<String, Value>,
    /// With `type: http`: how the API is reached and what its answers mean, as in a connector. Its templates are rendered
    /// when records are sent.
    pub api: Option<Api>,
    /// With `type: http`: what records can be sent to, as in a connector.
    pub objects: Option<IndexMap<String, Object>>,
    /// With `type: http`, instead of `objects`: requests by row state. `object` in a sync may then be any name, and so may
    /// its identifiers and fields.
    pub requests: Option<Requests>,
}

/// The types that are no connectors, each with what it is.
pub const NATIVE: [(&str, &str); 7] = [
    ("sqlite", "A SQLite database file."),
    ("postgres", "A PostgreSQL server."),
    ("mysql", "A MySQL or MariaDB server."),
    ("files", "A folder of CSV, JSON lines or Parquet files."),
    ("command", "A program of one's own that takes records and answers what became of each."),
    ("singer", "A Singer target: an executable that writes what it is given."),
    (HTTP, "Any HTTP API, described in the destination itself."),
];

/// The type of destinations that describe their API themselves.
pub const HTTP: &str = "http";
