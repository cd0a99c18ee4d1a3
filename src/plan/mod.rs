//! 7 · Change sets, configuration changes, guards and estimates → [`Plan`]: plain data with a stable JSON form.
//!
//! Every face of a plan (terminal, Markdown, HTML) is made from this form and from nothing else.

pub mod approval;
pub mod collect;
pub mod file;
pub mod footprint;
pub mod former;
pub mod guards;
pub mod identities;
pub mod model_tests;
pub mod operations;
pub mod refresh;
mod samples;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::diff::{HeldCounts, Invalid};
pub use model_tests::{TestResult, TestSample};
pub use refresh::{Drifted, DriftedField, Refresh};

/// The plan, as `--format json` prints it. Readers ignore keys they do not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// `1.0`. A new minor adds keys; a new major is refused by readers.
    pub format_version: String,
    /// Unique; used once.
    pub plan_id: String,
    /// `sha256:` over the configuration this plan was made from (manifests as rendered, environment, SQL).
    pub digest: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Name of the environment; empty when the project has none.
    pub environment: String,
    /// The project.
    pub project: ProjectInfo,
    /// False when `--select` left syncs out.
    pub complete: bool,
    /// What changed in the configuration (with `--against`).
    pub configuration: Vec<ConfigurationChange>,
    /// The syncs, in the order they are applied.
    pub syncs: Vec<SyncPlan>,
    /// Sums over all syncs.
    pub totals: Totals,
    /// What this plan adds to the records queried in the month.
    #[serde(default)]
    pub usage: PlanUsage,
    /// What should be read before applying.
    pub warnings: Vec<Notice>,
    /// Why `apply` refuses this plan; empty when it does not.
    pub refusals: Vec<Notice>,
}

/// The project a plan was made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectInfo {
    /// Name in `syncline.yaml`.
    pub name: String,
    /// Commit of the work tree, if it is in git.
    pub commit: Option<String>,
    /// What it was compared with (`--against`).
    pub against: Option<String>,
}

/// A change of one manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigurationChange {
    /// `project`, `source`, `model`, `destination`, `sync`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `added`, `changed`, `removed`.
    pub change: String,
    /// Its file.
    pub file: String,
    /// Unified diff of its text.
    pub diff: String,
    /// Syncs it touches.
    pub affects: Vec<String>,
}

/// A warning or refusal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// Stable code, e.g. `max_removed`, `budget`.
    pub code: String,
    /// The sync it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// What is the matter.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// `file:line:column` of what decides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Keys of rows that the message quotes, as they stand in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

impl Notice {
    /// Keys as a message quotes them, so that they are found there when it is masked.
    pub fn quoted(keys: &[String]) -> String {
        format!("e.g. {}", keys.join(", "))
    }
}

/// What would happen in one sync.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncPlan {
    /// Name of the sync.
    pub sync: String,
    /// Its model.
    pub model: String,
    /// Its destination.
    pub destination: String,
    /// Object at the destination.
    pub object: String,
    /// Mode word.
    pub mode: String,
    /// Rows by state. `rows` = added + changed + unchanged + invalid; removed rows are no longer in the model.
    pub counts: Counts,
    /// Rows that are as the destination last answered, although it did not take them; part of `unchanged`.
    #[serde(default)]
    pub held: HeldCounts,
    /// What would be done at the destination.
    pub operations: Operations,
    /// Why rows are added, changed or removed. With `--against`, `configuration` counts what the change of the
    /// configuration since then causes: rows of which the configuration there would make something else.
    pub causes: Causes,
    /// Rows that would change with the configuration of `--against`, and do not with this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub without_change: u64,
    /// Destination field → rows in which it differs; only fields that differ somewhere.
    pub fields: IndexMap<String, u64>,
    /// Rows whose old values are not known (`state.values: fingerprint`): which fields differ cannot be said.
    #[serde(default)]
    pub unknown_before: u64,
    /// True when every key column is declared `sensitive: false`; otherwise keys are masked outside the terminal.
    #[serde(default)]
    pub key_open: bool,
    /// A few of the changes, chosen the same way every time: the lowest keys of each state.
    pub samples: Vec<Sample>,
    /// Rows that are never sent, by reason.
    pub invalid: Vec<Invalid>,
    /// The guards and what they say.
    pub guards: Vec<Guard>,
    /// The tests of the model and what came of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestResult>,
    /// What the destination was found to hold; absent without `--refresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// What applying costs.
    pub estimate: Estimate,
    /// When it runs by itself; absent when it is run by hand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Scheduled>,
}

/// What the schedule of a sync says at the time of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scheduled {
    /// In words: what the schedule is, whether it is due, and when next.
    pub text: String,
    /// RFC 3339, UTC: when it is due next, or after this time when it is due now. Null when that hangs on a sync that has
    /// no time of its own.
    pub next: Option<String>,
    /// True when `apply --due` would run it now.
    pub due: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Rows by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Rows of the model.
    pub rows: u64,
    /// New against what was last acknowledged.
    pub added: u64,
    /// Different from what was last acknowledged.
    pub changed: u64,
    /// Acknowledged before, no longer in the model.
    pub removed: u64,
    /// The same.
    pub unchanged: u64,
    /// Never sent.
    pub invalid: u64,
}

/// Operations by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operations {
    /// Records inserted, updated or upserted.
    pub send: u64,
    /// Records deleted.
    pub delete: u64,
    /// Records whose mapped fields are emptied.
    pub clear: u64,
    /// Row changes that do nothing at the destination (a removed row with `on_removed: keep`, a changed row in `insert`).
    pub none: u64,
}

impl SyncPlan {
    /// Rows without a key: nothing is known of whom they stand for.
    pub fn keyless(&self) -> u64 {
        self.invalid.iter().filter(|invalid| invalid.reason == "null_key").map(|invalid| invalid.count).sum()
    }
}

/// Rows that were to be sent because somebody asked for it, and come again only when somebody does, by option.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OnRequest {
    /// Rows that are as last acknowledged (`--full-refresh`).
    pub full_refresh: u64,
    /// Held rows (`--retry`).
    pub retry: u64,
    /// Rows whose record somebody else has deleted or changed (`--refresh`).
    pub refresh: u64,
}

impl OnRequest {
    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.full_refresh + self.retry + self.refresh == 0
    }
}

impl Operations {
    /// Operations that do something at the destination.
    pub fn at_destination(self) -> u64 {
        self.send + self.clear + self.delete
    }
}

/// Causes of added, changed and removed rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Causes {
    /// The rows themselves changed.
    pub data: u64,
    /// The mapping changed.
    pub configuration: u64,
    /// The sync never ran.
    pub first_run: u64,
    /// Sent again: on `--retry` or `--full-refresh`, or because an answer is not known.
    pub retry: u64,
    /// Of `retry`: rows that an earlier run had sent, or was about to send, when it ended without an answer. Which of the
    /// two cannot be told, so for some of them it is the first time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unanswered: u64,
    /// The record at the destination is not as it was acknowledged (`--refresh`): gone or changed by somebody else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drift: u64,
}

/// One change, field by field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// `added`, `changed`, `removed`.
    pub state: String,
    /// The row's key.
    pub key: String,
    /// True when the key was not kept (`fingerprint` state): `key` is then the word `unknown`, which is no value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_unknown: bool,
    /// The fields that differ; all fields of an added row.
    pub fields: Vec<FieldChange>,
}

/// One field before and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Destination field.
    pub name: String,
    /// Value last acknowledged. Absent when there is none; see `before_unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// Value to send. Absent when the field is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
    /// True when the old value was not kept (`fingerprint` state): it is unknown, not absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_unknown: bool,
    /// True when the values come from columns that are not declared `sensitive: false`; masked outside the terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// One guard and what it says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Guard {
    /// `max_added`, `max_changed`, `max_removed`, `max_invalid`, `min_rows`.
    pub name: String,
    /// As written: `5%`, `1000`.
    pub limit: String,
    /// Rows it counted.
    pub actual: u64,
    /// False when it refuses.
    pub ok: bool,
}

/// What applying costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Requests, or transactions of a database.
    pub requests: u64,
    /// Seconds by the destination's rate limits; 0 where there is none.
    pub seconds: u64,
    /// Distinct primary keys this plan reads (the measure of the monthly budget).
    pub queried_records: u64,
}

/// What a plan adds to the records queried in the calendar month: different primary keys per model, whether anything of
/// them is sent or not. They are counted when the plan is applied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanUsage {
    /// The month of UTC, like `2026-11`.
    pub month: String,
    /// Records that runs of this month have queried, of all models.
    pub queried_so_far: u64,
    /// Records when this plan has been applied.
    pub after_this_run: u64,
    /// The most the project allows.
    pub limit: Option<u64>,
    /// The models of this plan, the one with most records first.
    pub models: Vec<ModelUsage>,
}

/// What a plan adds to the records queried of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelUsage {
    /// Name of the model.
    pub model: String,
    /// Records that runs of this month have queried.
    pub queried_so_far: u64,
    /// Records this plan is the first of the month to query.
    pub new: u64,
}

/// Sums over all syncs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Added rows.
    pub added: u64,
    /// Changed rows.
    pub changed: u64,
    /// Removed rows.
    pub removed: u64,
    /// Invalid rows.
    pub invalid: u64,
}
