//! The requests of an object: how records are put into them, and what the answers say of each record.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Class, Method, Request, Rule};
use super::object::LostClass;
use crate::manifest::sync::Mode;

/// A request that changes something.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The request. With one record a request, its templates see the record's `match`, `fields`, `found`, … as well.
    pub request: Request,
    /// Template of one record, over `match`, `fields`, `others` (the fields that are not among the object's `fields`),
    /// `key`, `dedupe_id`, `added`, `found`, and what all templates see: `options`, `container`, `matched_by` (names of the
    /// identifiers), `mode`, `sync`, `operations`, `run_id`, `connection`, `skip` (undefined). Without it, a record is its
    /// identifiers and fields.
    pub record: Option<Value>,
    /// Template of a record's key, where `{{ records }}` is an object by key and not a list.
    pub record_key: Option<String>,
    /// How many records go into one request.
    #[serde(default)]
    pub batch: BatchLimits,
    /// What answers mean; these rules come before those of the API.
    #[serde(default)]
    pub errors: Vec<Rule>,
    /// What an answer says of each record.
    #[serde(default)]
    pub outcome: Outcome,
    /// Where the request only begins a job.
    pub job: Option<Job>,
    /// Expression over the record: records for which it differs go into different requests, which see it as `group`.
    pub group: Option<String>,
    /// Expression over the record: where it is not true, nothing is sent for the record, and it counts as done.
    pub when: Option<String>,
}

/// How many records go into one request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchLimits {
    /// Most records; 1 when absent.
    #[schemars(range(min = 1))]
    pub records: Option<u32>,
    /// Most bytes of the body.
    #[schemars(range(min = 1))]
    pub bytes: Option<u64>,
}

/// What an answer says of each record: its lists, how their items name a record, and what holds for the rest.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How items name a record.
    #[serde(default)]
    pub by: By,
    /// The lists; where two name a record, the first counts.
    #[serde(default)]
    pub results: Vec<Results>,
    /// What holds for records no list names.
    #[serde(default)]
    pub rest: Rest,
    /// Expression over `body`, `count` (how many records there are) and `named` (how many of them the lists name): when it
    /// is false, the records no list names are unverified.
    pub check: Option<String>,
    /// What people should know although the records were taken.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// How items name a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Not at all: the answer is for the whole request.
    #[default]
    Whole,
    /// By their order: one item for each record.
    Order,
    /// By the record's position, from 0.
    Index,
    /// By something of the record: an identifier, or an id sent along.
    Key,
}

/// One list of an answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Expression of the list over `body`; nothing when undefined.
    pub items: String,
    /// Expression, over `item`, of the position or of what names the record. The item itself when absent.
    pub at: Option<String>,
    /// With `by: key`: expression, over the record's `match`, `fields`, `key` and `dedupe_id`, that must equal `at`.
    pub is: Option<String>,
    /// Expression of the code shown to people, over `item`.
    pub code: Option<String>,
    /// Expression of the message shown to people, over `item`.
    pub message: Option<String>,
    /// What an item means, when no rule matches.
    #[serde(default = "permanent")]
    pub class: Class,
    /// What items mean; the first rule that matches counts.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

fn permanent() -> Class {
    Class::Permanent
}

/// What holds for records no list names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// They were done.
    #[default]
    Ok,
    /// They were taken, and nobody will say what became of them.
    Unverified,
    /// Nothing was done: they are sent again.
    Again,
}

/// What people should know although the records were taken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// Expression of a list over `body`.
    pub items: String,
    /// Template of the message, over `item`.
    pub message: String,
}

/// A way to find records.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// Another look-up that comes first. Only what it finds is looked up, and the templates of each record see it as
    /// `found`.
    pub after: Option<String>,
    /// True when the request, with its pages, gives all there are, e.g. all members of a list: it is made once, and every
    /// record is looked for in its answer. For `read` alone.
    #[serde(default)]
    pub whole: bool,
    /// Expression over the answer: false where it does not hold all there are, so that what is not in it may be there all
    /// the same.
    pub complete: Option<String>,
    /// The request. With one record a request, its templates see the record's `match`, `fields`, … as well.
    pub request: Request,
    /// Template of what `{{ records }}` holds for each record.
    pub record: Option<Value>,
    /// How many records one request looks up.
    #[serde(default)]
    pub batch: BatchLimits,
    /// What answers mean; these rules come before those of the API. `not_found` is an answer: nothing is there.
    #[serde(default)]
    pub errors: Vec<Rule>,
    /// Expression of the list of what was found. Where JSON has none (undefined or null), nothing was found; anything else
    /// that is no list is an error.
    pub items: String,
    /// Expression, over `item`, of what names the record; needed with several records a request.
    pub at: Option<String>,
    /// Expression, over the record, that must equal `at`.
    pub is: Option<String>,
    /// Expression of `found`, over `item`; the item itself when absent.
    pub value: Option<String>,
    /// What more than one finding means.
    #[serde(default)]
    pub several: Several,
}

/// What more than one finding means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Several {
    /// The record is refused as `multiple_match`.
    #[default]
    Reject,
    /// The first one counts.
    First,
}

/// A request that only begins a job.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Expression of the job's id in the answer; `job` in templates from then on.
    pub id: String,
    /// Requests that follow at once, e.g. to upload the data and to close it.
    #[serde(default)]
    pub then: Vec<Request>,
    /// Most jobs of a sync that wait or are worked on at the same time: the next one is begun when an earlier one has come
    /// to its end. Without it, all are begun at once.
    #[schemars(range(min = 1))]
    pub open: Option<u32>,
    /// Asks how far it is.
    pub poll: Poll,
    /// Asks for the results; their lists are read as in `outcome`.
    #[serde(default)]
    pub results: Vec<JobResults>,
}

/// Asks how far a job is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// The request.
    pub request: Request,
    /// Seconds between two requests.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 3600))]
    pub every: u32,
    /// Seconds after which it is given up; what the job does is in doubt then.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout: u32,
    /// Expression: true when the job has come to its end.
    pub done: String,
    /// Expression: true when the job has failed as a whole.
    pub failed: Option<String>,
    /// Expression of the message shown to people when it has failed.
    pub message: Option<String>,
}

fn five() -> u32 {
    5
}

fn an_hour() -> u32 {
    3600
}

/// Asks for results of a job.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobResults {
    /// Expression over the last answer to `poll`: false when there is nothing to ask for.
    pub when: Option<String>,
    /// The request.
    pub request: Request,
    /// What the answer is written in.
    #[serde(default)]
    pub format: Format,
    /// The list, as in `outcome`. For CSV, `body` is the list of its lines, each an object by column.
    pub list: Results,
}

/// What an answer is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON.
    #[default]
    Json,
    /// CSV with a header.
    Csv,
    /// JSON, one line each.
    Jsonl,
}

/// Requests by row state, for a destination of type `http` that needs no more.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// For records of added and changed rows.
    pub send: Option<Operation>,
    /// For records of added rows alone.
    pub added: Option<Operation>,
    /// For records of changed rows alone.
    pub changed: Option<Operation>,
    /// For records of removed rows (`mode: mirror`).
    pub removed: Option<Operation>,
    /// Finds a record, for `mode: update` and `mode: insert` where the API has neither.
    pub lookup: Option<Lookup>,
    /// How an operation whose answer was lost is resolved. When absent, it is told by the requests. In `insert` and `add`:
    /// `C` with a `lookup`; else `B` where what is sent holds a `dedupe_id` or has an `Idempotency-Key` header; else `D`
    /// for a `POST`; else `A`. In all other modes: `A`.
    pub class: Option<LostClass>,
    /// Options of a sync, by name.
    #[serde(default)]
    pub options: IndexMap<String, super::Parameter>,
}

impl Requests {
    /// How an operation of a mode is resolved whose answer was lost.
    pub fn class(&self, mode: Mode) -> LostClass {
        let made = || self.added.as_ref().or(self.send.as_ref());
        match (self.class, mode, made()) {
            (Some(class), ..) => class,
            (None, Mode::Insert | Mode::Add, Some(_)) if self.lookup.is_some() => LostClass::C,
            (None, Mode::Insert | Mode::Add, Some(made)) if made.bears_an_id() => LostClass::B,
            (None, Mode::Insert | Mode::Add, Some(made)) if made.request.method == Method::Post => LostClass::D,
            _ => LostClass::A,
        }
    }
}

impl Operation {
    /// True where what is sent for a record has an id by which the API can know it again.
    fn bears_an_id(&self) -> bool {
        let Request { path, query, headers, json, form, multipart, .. } = &self.request;
        let texts = [path].into_iter().chain(headers.values()).chain(&self.record_key);
        let parts = multipart.iter().flatten().filter_map(|(_, part)| part.text.as_ref());
        let values = query.values().chain(json).chain(form.iter().flat_map(IndexMap::values)).chain(&self.record);
        headers.keys().any(|name| name.eq_ignore_ascii_case("idempotency-key"))
            || texts.chain(parts).any(|text| names_the_id(text))
            || values.into_iter().any(holds_the_id)
    }
}

fn names_the_id(text: &str) -> bool {
    text.contains("dedupe_id")
}

fn holds_the_id(value: &Value) -> bool {
    match value {
        Value::String(text) => names_the_id(text),
        Value::Array(items) => items.iter().any(holds_the_id),
        Value::Object(entries) => entries.iter().any(|(name, value)| names_the_id(name) || holds_the_id(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceText;
    use crate::manifest::document::Document;

    #[test]
    fn what_is_done_about_a_lost_answer_is_told_by_the_requests() {
        let cases = [
            // requests, and the class in insert, add, upsert, remove
            ("send: { request: { method: POST, path: /events, json: '{{ fields }}' } }", "DDAA"),
            ("added: { request: { method: POST, path: /events } }", "DDAA"),
            ("send: { request: { method: PUT, path: '/p/{{ key }}' } }", "AAAA"),
            ("send: { request: { method: PATCH, path: '/p/{{ key }}' } }", "AAAA"),
            ("send: { request: { method: POST, path: /e, json: { all: [ { id: '{{ dedupe_id }}' } ] } } }", "BBAA"),
            (
                "send: { request: { method: POST, path: /e, json: '{{ records }}' }, record: { id: '{{ dedupe_id }}' } }",
                "BBAA",
            ),
            ("send: { request: { method: POST, path: /e, headers: { idempotency-key: '{{ key }}' } } }", "BBAA"),
            ("send: { request: { method: POST, path: /e } }\nlookup: { request: { path: /p }, items: body }", "CCAA"),
            ("class: A\nsend: { request: { method: POST, path: /e } }", "AAAA"),
            ("class: D\nsend: { request: { method: PUT, path: /e } }", "DDDD"),
            // An `added` of its own is what insert sends.
            ("send: { request: { method: PUT, path: /e } }\nadded: { request: { method: POST, path: /e } }", "DDAA"),
        ];
        for (text, expected) in cases {
            let source = SourceText { path: "requests.yaml".into(), text: text.into() };
            let document = Document::parse(source).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
            let requests: Requests = serde_json::from_value(document.to_json()).expect(text);
            let modes = [Mode::Insert, Mode::Add, Mode::Upsert, Mode::Remove];
            let found: String = modes.map(|mode| format!("{:?}", requests.class(mode))).concat();
            assert_eq!(found, expected, "{text}");
        }
    }
}
