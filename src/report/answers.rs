//! What `--format json` answers where it is neither plan nor run: each form is a type, and its schema is made of it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::manifest::connector::object::FieldType;

/// What `validate` found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Validation {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// How many errors there are.
    pub errors: u64,
    /// How many warnings there are.
    pub warnings: u64,
    /// Each of them, by file and line.
    pub diagnostics: Vec<Finding>,
}

/// One error or warning.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// Stable word for this kind of finding.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// File, from the project's folder; null where there is none to name.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// Line where it ends.
    pub end_line: Option<usize>,
    /// Column behind its last character.
    pub end_column: Option<usize>,
    /// What is said at the place itself.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

/// What `state list` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct States {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// Identity of the state, from its birth.
    pub lineage: String,
    /// Grows with every commit.
    pub serial: u64,
    /// The syncs the state knows, by name.
    pub syncs: Vec<StateOfSync>,
}

/// What `state show` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OneState {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// The sync.
    #[serde(flatten)]
    pub sync: StateOfSync,
}

/// What the state knows of a sync.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StateOfSync {
    /// Its name.
    pub sync: String,
    /// Where its records are: `destination`, `object`, `options`, `sandbox`, `removes`; null where that was not noted yet.
    pub sent_to: Option<Value>,
    /// Rows as last acknowledged.
    pub rows: u64,
    /// Rows that are not sent again by themselves.
    pub held: u64,
    /// Rows whose answer was lost.
    pub in_doubt: u64,
    /// Key columns, each with its logical type.
    pub key: Vec<(String, String)>,
    /// File of the snapshot.
    pub snapshot: Option<String>,
    /// File of the held rows.
    pub held_file: Option<String>,
    /// The last run that changed what is known.
    pub last_run: Option<LastRun>,
}

/// The last run of a sync.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LastRun {
    /// Its id.
    pub run_id: String,
    /// How the sync ended in it.
    pub status: String,
    /// RFC 3339.
    pub finished_at: String,
}

/// What `runs list` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Runs {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// The runs that are kept, the latest first.
    pub runs: Vec<RunLine>,
}

/// One run of many.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunLine {
    /// Its id.
    pub run_id: String,
    /// The plan it carried out.
    pub plan_id: String,
    /// How it ended.
    pub status: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; null while it goes on.
    pub finished_at: Option<String>,
    /// How many syncs it had.
    pub syncs: usize,
}

/// What `runs rejected` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Rejected {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// Id of the run.
    pub run_id: String,
    /// How many rows were not taken; `rows` may be the first of them.
    pub count: u64,
    /// The rows.
    pub rows: Vec<RejectedRow>,
}

/// A row that was not taken.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RejectedRow {
    /// Its sync.
    pub sync: String,
    /// Its key, masked unless values are shown.
    pub key: String,
    /// What it was: `added`, `changed` or `removed`; null where that is not known any more.
    pub state: Option<String>,
    /// What became of it: `rejected`, `no_match`, `in_doubt` …
    pub outcome: String,
    /// The destination's code.
    pub code: Option<String>,
    /// What the destination said, masked likewise.
    pub message: String,
    /// The run since which it is held, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_since: Option<String>,
}

/// What `graph` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Graph {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// Name of the project.
    pub project: String,
    /// Name of the environment; empty where the project names none.
    pub environment: String,
    /// Who owns the project.
    pub owner: Option<Owner>,
    /// Sources, models, syncs and destinations, each kind by name.
    pub nodes: Vec<Node>,
    /// What leads where.
    pub edges: Vec<Edge>,
}

/// Who owns a project.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Owner {
    /// Name.
    pub name: String,
    /// Address.
    pub email: Option<String>,
}

/// A source, model, sync or destination.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Node {
    /// `KIND:NAME`.
    pub id: String,
    /// `source`, `model`, `sync` or `destination`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Of a model by `dbt`: what it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dbt: Option<DbtNode>,
    /// Of a sync: its mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// Of a sync: the object its records are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Of a sync: what its manifest says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Of a destination: true where a sandbox stands in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<bool>,
}

/// A model in dbt.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DbtNode {
    /// dbt's id of it.
    pub unique_id: String,
    /// How dbt's exposures refer to it.
    pub reference: String,
}

/// One arrow.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Edge {
    /// `reads` (source to model), `ref` (model to model), `rows` (model to sync), `records` (sync to destination) or `after`
    /// (sync to the sync that waits for it).
    pub kind: &'static str,
    /// Id of the node it begins at.
    pub from: String,
    /// Id of the node it leads to.
    pub to: String,
}

/// What `test` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tested {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// Name of the environment.
    pub environment: String,
    /// The tests that were run.
    pub tests: Vec<TestedFile>,
    /// Syncs without a test.
    pub untested: Vec<String>,
    /// The cases of the connectors they go to.
    pub connectors: Vec<ConnectorCases>,
}

/// A test manifest.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TestedFile {
    /// Its name.
    pub test: String,
    /// Its file.
    pub file: String,
    /// The sync it tests.
    pub sync: String,
    /// Its cases.
    pub cases: Vec<TestedCase>,
}

/// A case of a test.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TestedCase {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub place: At,
    /// True when all is as expected.
    pub ok: bool,
    /// Why it could not be run.
    pub errors: Vec<CaseError>,
    /// Expectations that do not hold.
    pub mismatches: Vec<CaseMismatch>,
}

/// A place in a file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct At {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// Why a case could not be run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CaseError {
    /// Where the cause is written.
    pub place: Option<At>,
    /// Stable word for this kind of error.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// An expectation that does not hold.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CaseMismatch {
    /// Where it is written.
    pub place: At,
    /// Key of the row.
    pub row: String,
    /// What differs.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came instead.
    pub got: String,
    /// Why, or what was probably meant.
    pub note: Option<String>,
}

/// What became of the cases of a connector.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConnectorCases {
    /// The connector.
    pub connector: String,
    /// Its cases.
    pub cases: Vec<ConnectorCase>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConnectorCase {
    /// Its name.
    pub name: String,
    /// What was otherwise than it says; empty when it holds.
    pub failures: Vec<String>,
}

/// What `connectors list` answers is a list of these.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConnectorLine {
    /// Its name.
    pub name: String,
    /// `built-in`, `project`, or `replaces built-in`.
    pub origin: &'static str,
    /// What it is for.
    pub description: Option<String>,
    /// Its objects.
    pub objects: Vec<String>,
    /// How many cases it carries.
    pub cases: usize,
}

/// What `connectors show` answers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ConnectorDetail {
    /// Version of this form: `1.0`.
    pub format_version: &'static str,
    /// Its name.
    pub name: String,
    /// `built-in`, `project`, or `replaces built-in`.
    pub origin: &'static str,
    /// What it is for.
    pub description: Option<String>,
    /// The API's own documentation.
    pub documentation: Option<String>,
    /// What a destination says in `connection`.
    pub connection: IndexMap<String, ParameterFacts>,
    /// Limits of the API, by name.
    pub limits: IndexMap<String, LimitFacts>,
    /// Requests in flight at most, where a sync says nothing.
    pub concurrency: u32,
    /// What records can be.
    pub objects: IndexMap<String, ObjectFacts>,
}

/// A parameter of a connection, or an option of a sync.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ParameterFacts {
    /// What it is.
    pub description: Option<String>,
    /// `string`, `integer`, `boolean` or `id`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// True when it must be there.
    pub required: bool,
    /// True when it is a secret.
    pub secret: bool,
    /// What it is where nothing is said.
    pub default: Option<Value>,
    /// What it can be, where that is a list.
    #[serde(rename = "enum")]
    pub values: Option<Vec<Value>>,
}

/// A limit of an API.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LimitFacts {
    /// Requests.
    pub requests: Option<u32>,
    /// Within this time.
    pub per: Option<String>,
    /// Requests at once.
    pub concurrent: Option<u32>,
    /// What is left to others.
    pub reserve: Option<String>,
}

/// What records can be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ObjectFacts {
    /// What it is.
    pub description: Option<String>,
    /// `one` or `all`: how many identifiers a sync matches by.
    #[serde(rename = "match")]
    pub matching: &'static str,
    /// Identifiers.
    pub identifiers: IndexMap<String, IdentifierFacts>,
    /// True when other identifiers are taken, too.
    pub open_identifiers: bool,
    /// Modes.
    pub modes: IndexMap<String, ModeFacts>,
    /// Fields.
    pub fields: IndexMap<String, FieldFacts>,
    /// True when other fields are taken, too.
    pub open_fields: bool,
    /// True when a plan asks which fields there are.
    pub fields_are_asked_for: bool,
    /// Options of a sync.
    pub options: IndexMap<String, ParameterFacts>,
    /// True when the records can be counted.
    pub counts: bool,
    /// True when records can be read back.
    pub reads_back: bool,
    /// Why they cannot.
    pub unreadable: Option<String>,
}

/// What a mode does.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ModeFacts {
    /// `A` to `D`: how an operation whose answer was lost is resolved.
    pub class: String,
    /// Records of a request.
    pub batch_size: Option<u32>,
    /// Bytes of a request.
    pub batch_bytes: Option<u64>,
    /// True when records are looked up before they are sent.
    pub looks_up_first: bool,
    /// What can become of records whose rows left.
    pub on_removed: Vec<&'static str>,
}

/// An identifier records are matched by.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct IdentifierFacts {
    /// What it is.
    pub description: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// The modes it goes with; all where it names none.
    pub modes: Vec<&'static str>,
}

/// A field the connector declares.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FieldFacts {
    /// What it is.
    pub description: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// True when it must be there.
    pub required: bool,
}
