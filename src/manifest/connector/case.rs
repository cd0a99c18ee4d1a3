//! Conformance cases: what is sent, what is answered, what comes of it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::api::Method;
use crate::manifest::sync::Mode;

/// One case: some records, the requests they lead to with their answers, and the outcomes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    /// The object.
    pub object: String,
    /// The mode.
    pub mode: Mode,
    /// The connection; settings that are required and missing get a value of their own.
    #[serde(default)]
    pub connection: Map<String, Value>,
    /// Options of the sync.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// The records, in one batch.
    pub records: Vec<CaseRecord>,
    /// The requests in their order, each with its answer. Not listed: requests for access tokens, unless one is.
    #[serde(default)]
    pub exchanges: Vec<Exchange>,
    /// The outcomes, one for each record: `succeeded`, `no_match`, `unverified`, `again`, `rejected: CODE`.
    #[serde(default)]
    pub outcomes: Vec<Value>,
    /// The error when there are no outcomes, e.g. `refused`, `transient`, `lost`, `fatal`.
    pub error: Option<String>,
    /// Texts that warnings must contain.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One record of a case.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseRecord {
    /// Identifiers.
    #[serde(default, rename = "match")]
    pub matching: IndexMap<String, Value>,
    /// Fields.
    #[serde(default)]
    pub fields: IndexMap<String, Value>,
    /// What is done: `added`, `changed`, `removed` (deleted), `cleared`.
    #[serde(default)]
    pub state: CaseState,
    /// The row's key; the first identifier when absent.
    pub key: Option<String>,
    /// True when an earlier attempt may have arrived.
    #[serde(default)]
    pub in_doubt: bool,
}

/// What is done with a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    /// The row is new.
    #[default]
    Added,
    /// The row has changed.
    Changed,
    /// The row is gone, and the record is deleted.
    Removed,
    /// The row is gone, and the fields are emptied.
    Cleared,
}

/// One request and its answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The request.
    pub request: ExpectedRequest,
    /// The answer.
    #[serde(default)]
    pub answer: Answer,
}

/// A request as it must be. What is not listed is not looked at, except `json`, which must be exactly so.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedRequest {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The whole query.
    pub query: Option<IndexMap<String, String>>,
    /// Some headers.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// The JSON body.
    pub json: Option<Value>,
    /// A text the body must contain, for bodies that are not JSON.
    pub contains: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The status.
    #[serde(default = "fine")]
    pub status: u16,
    /// The headers.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// The JSON body.
    pub json: Option<Value>,
    /// A body that is not JSON.
    pub text: Option<String>,
    /// What goes wrong instead of an answer.
    pub fault: Option<Fault>,
}

impl Default for Answer {
    fn default() -> Self {
        Self { status: fine(), headers: IndexMap::new(), json: None, text: None, fault: None }
    }
}

fn fine() -> u16 {
    200
}

/// What goes wrong instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The destination cannot be reached.
    Unreachable,
    /// The connection breaks before an answer.
    Reset,
    /// No answer comes in time.
    Timeout,
}
