//! `connectors/NAME.yaml`: how one HTTP API is spoken.
//!
//! Two small languages, both minijinja: a **template** makes what is sent (`"{{ match.email }}"`; a text that is one
//! template and nothing else keeps its type, and a key whose value is undefined is left out), an **expression** finds
//! something in an answer (`body.result`). `docs/connectors.md` explains them with an example from nothing.

pub mod api;
pub mod case;
pub mod object;
pub mod operation;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A connector: how one HTTP API is spoken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Name of the connector, as in a destination's `type`; the same as the file name.
    pub name: String,
    /// What a reader should know about it.
    pub description: Option<String>,
    /// Where the API is documented.
    pub documentation: Option<String>,
    /// What a destination's `connection` may hold, beside `base_url` and `ca_file`, which every connector takes.
    #[serde(default)]
    pub connection: IndexMap<String, Parameter>,
    /// How the API is reached and what its answers mean.
    pub api: api::Api,
    /// What records can be sent to.
    pub objects: IndexMap<String, object::Object>,
    /// Requests and answers that show what the connector does; `syncline connectors test` runs them.
    #[serde(default)]
    pub cases: Vec<case::Case>,
}

/// One setting: of a connection, or an option of an object.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it takes.
    #[serde(rename = "type", default)]
    pub kind: ParameterType,
    /// What it is for.
    pub description: Option<String>,
    /// True when it must be given.
    #[serde(default)]
    pub required: bool,
    /// Name of another setting that may be given in its place: exactly one of the two must be given.
    pub instead_of: Option<String>,
    /// True for credentials: a manifest may not spell it out.
    #[serde(default)]
    pub secret: bool,
    /// What it is when it is not given.
    pub default: Option<Value>,
    /// The values it may have.
    #[serde(rename = "enum")]
    pub values: Option<Vec<Value>>,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Text or a whole number: an id or a name.
    Id,
}
