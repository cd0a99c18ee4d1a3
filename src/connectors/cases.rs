//! Conformance cases: a connector against a script of requests and answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::compile::Compiled;
use super::destination::{Http, Setup};
use super::writer::HttpWriter;
use crate::destinations::{
    Action, Batch, Destination as _, Operation, Outcome, SendError, Sent, Target, TargetField, Writer as _,
};
use crate::http::{Body, Call, CallError, Reply, Transport};
use crate::manifest::connector::ParameterType;
use crate::manifest::connector::case::{Answer, Case, CaseRecord, CaseState, Exchange, ExpectedRequest, Fault};
use crate::manifest::sync::{Mode, OnNull, OnRemoved, Write};
use crate::mapping::{Record, Value};
use crate::secret::{Connection, Secret};

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// What the case shows.
    pub name: String,
    /// What was not as expected, in words; none when it passed.
    pub failures: Vec<String>,
}

/// Runs the cases of a connector, without a network. The name of the sync is `case`, a record's `dedupe_id` is `case-`
/// and its position from 0.
pub async fn run_cases(compiled: &Arc<Compiled>) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for case in &compiled.manifest().cases {
        let failures = run(compiled, case).await;
        results.push(CaseResult { name: case.name.clone(), failures });
    }
    results
}

async fn run(compiled: &Arc<Compiled>, case: &Case) -> Vec<String> {
    let script = Arc::new(Script::new(compiled, case));
    let setup = Setup { transport: Some(Arc::clone(&script) as Arc<dyn Transport>), ..Setup::default() };
    let connection = connection(compiled, case);
    let opened = async {
        let http = Http::with(Arc::clone(compiled), &connection, &setup, false).map_err(|e| e.to_string())?;
        http.capabilities(&case.object, case.mode, &case.options).map_err(|error| match error.help() {
            Some(help) => format!("{error} ({help})"),
            None => error.to_string(),
        })?;
        Ok::<_, String>(http)
    };
    let http = match opened.await {
        Ok(http) => http,
        Err(message) => return vec![message],
    };
    let target = target(case);
    let (ended, warned) = match http.open_writer(&target).await {
        Ok(writer) => (send(&writer, case, &target).await, writer.warned()),
        Err(error) => (Err(error), Vec::new()),
    };
    let mut failures = script.failures();
    match (&ended, &case.error) {
        (Ok(outcomes), None) => {
            let expected: Vec<String> = case.outcomes.iter().map(shown_json).collect();
            let got: Vec<String> =
                outcomes.iter().zip(expected_or_empty(&expected)).map(|(o, e)| shown(o.as_ref(), e)).collect();
            if expected != got {
                failures.push(format!("outcomes: expected [{}], got [{}]", expected.join(", "), got.join(", ")));
            }
        }
        (Err(error), Some(expected)) => {
            let word = word(error);
            if word != expected {
                failures.push(format!("expected the error `{expected}`, got `{word}`: {error}"));
            }
        }
        (Ok(_), Some(expected)) => failures.push(format!("expected the error `{expected}`, got outcomes")),
        (Err(error), None) => failures.push(format!("expected outcomes, got the error `{}`: {error}", word(error))),
    }
    for expected in &case.warnings {
        if !warned.iter().any(|text| text.contains(expected.as_str())) {
            failures.push(format!("expected a warning with `{expected}`, got [{}]", warned.join(", ")));
        }
    }
    failures
}

fn expected_or_empty(expected: &[String]) -> impl Iterator<Item = &str> {
    expected.iter().map(String::as_str).chain(std::iter::repeat(""))
}

/// Sends the records: those that follow each other and are of one kind together.
async fn send(writer: &HttpWriter, case: &Case, target: &Target) -> Result<Vec<Option<Outcome>>, SendError> {
    let mut outcomes = Vec::new();
    let mut rest = case.records.as_slice();
    while let Some(first) = rest.first() {
        let apart = |record: &&CaseRecord| record.state == first.state;
        let (part, more) = rest.split_at(rest.iter().take_while(apart).count());
        rest = more;
        let number = outcomes.len() as u64;
        let operations =
            part.iter().enumerate().map(|(at, record)| operation(record, number + at as u64, target)).collect();
        match writer.send(&Batch { id: number, operations }).await? {
            Sent::Outcomes(some) => outcomes.extend(some.into_iter().map(Some)),
            Sent::Partly { outcomes: some, .. } => outcomes.extend(some),
            Sent::Deferred { handle } => {
                let settled = writer.settle(&[(number, handle)]).await?;
                let settled = settled.into_iter().next().map(|(_, outcomes)| outcomes);
                outcomes.extend(settled.unwrap_or_default().into_iter().map(Some));
            }
        }
    }
    Ok(outcomes)
}

/// Values for required settings that a case does not mention: their own names.
fn connection(compiled: &Compiled, case: &Case) -> Connection {
    let mut values = case.connection.clone();
    let mut secrets = Vec::new();
    for (name, parameter) in &compiled.manifest().connection {
        if parameter.required && !values.contains_key(name) {
            let value = match parameter.kind {
                ParameterType::String | ParameterType::Id => json!(name),
                ParameterType::Integer => json!(1),
                ParameterType::Boolean => json!(true),
            };
            values.insert(name.clone(), value);
        }
        if let (true, Some(Json::String(secret))) = (parameter.secret, values.get(name)) {
            secrets.push(Secret::new(secret.clone()));
        }
    }
    values.entry("base_url").or_insert_with(|| json!(BASE));
    Connection::new(values, secrets)
}

const BASE: &str = "https://api.example.com";

fn target(case: &Case) -> Target {
    let field = |name: String| TargetField {
        name,
        on_null: OnNull::Send,
        write: Write::Always,
        data_type: None,
        meaning: Default::default(),
    };
    let names = |of: fn(&CaseRecord) -> &indexmap::IndexMap<String, Json>| {
        let all: indexmap::IndexSet<String> =
            case.records.iter().flat_map(|record| of(record).keys().cloned()).collect();
        all.into_iter().map(field).collect()
    };
    Target {
        sync: "case".into(),
        identity: "case".into(),
        object: case.object.clone(),
        mode: case.mode,
        on_removed: OnRemoved::Keep,
        matching: names(|record| &record.matching),
        fields: names(|record| &record.fields),
        options: case.options.clone(),
        run_id: "run".into(),
        operations: case.records.len() as u64,
    }
}

fn operation(record: &CaseRecord, ordinal: u64, target: &Target) -> Operation {
    let value = |json: Option<&Json>| json.map(Value::from_json);
    let first = record.matching.values().next().map(Value::from_json);
    let key = record.key.clone().unwrap_or_else(|| first.map_or_else(String::new, |v| v.text().into_owned()));
    let cleared = record.state == CaseState::Cleared;
    Operation {
        ordinal,
        action: match record.state {
            CaseState::Added if target.mode == Mode::Remove => Action::Delete,
            CaseState::Added | CaseState::Changed => Action::Send,
            CaseState::Removed => Action::Delete,
            CaseState::Cleared => Action::Clear,
        },
        added: record.state == CaseState::Added,
        dedupe_id: format!("case-{ordinal}").as_str().into(),
        key: key.into(),
        record: Record {
            matching: target
                .matching
                .iter()
                .map(|f| value(record.matching.get(&f.name)).unwrap_or(Value::Null))
                .collect(),
            fields: target
                .fields
                .iter()
                .map(|field| {
                    value(record.fields.get(&field.name)).map(|value| if cleared { Value::Null } else { value })
                })
                .collect(),
        }
        .into(),
        in_doubt: record.in_doubt,
    }
}

fn shown_json(expected: &Json) -> String {
    match expected {
        Json::String(text) => text.clone(),
        Json::Object(entries) => {
            entries.iter().map(|(key, value)| format!("{key}: {}", shown_json(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// An outcome as cases write it; the code only where the case names one.
fn shown(outcome: Option<&Outcome>, expected: &str) -> String {
    match outcome {
        None => "again".into(),
        Some(Outcome::Succeeded) => "succeeded".into(),
        Some(Outcome::NoMatch) => "no_match".into(),
        Some(Outcome::Unverified) => "unverified".into(),
        Some(Outcome::Rejected { .. }) if expected == "rejected" => "rejected".into(),
        Some(Outcome::Rejected { code, .. }) => format!("rejected: {code}"),
    }
}

fn word(error: &SendError) -> &'static str {
    match error {
        SendError::Transient { .. } => "transient",
        SendError::Refused { .. } => "refused",
        SendError::Oversize { .. } => "oversize",
        SendError::Unreachable { .. } => "unreachable",
        SendError::Lost { .. } => "lost",
        SendError::Fatal { .. } => "fatal",
    }
}

/// Answers calls as a case says, and takes note of what differs.
struct Script {
    state: Mutex<State>,
    /// Path and answer of the request for access tokens.
    token: Option<(String, Json)>,
}

struct State {
    left: VecDeque<(usize, Exchange)>,
    failures: Vec<String>,
}

impl Script {
    fn new(compiled: &Compiled, case: &Case) -> Self {
        let token = compiled.manifest().api.auth.as_ref().and_then(|auth| auth.token.as_ref()).map(|token| {
            let mut body = json!({});
            put(&mut body, &token.value, json!("a-token"));
            put(&mut body, &token.expires_in, json!(3600));
            (token.request.path.clone(), body)
        });
        let left = case.exchanges.iter().cloned().enumerate().collect();
        Self { state: Mutex::new(State { left, failures: Vec::new() }), token }
    }

    fn failures(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<String> = state
            .left
            .iter()
            .map(|(number, e)| {
                format!("request {} was not made: {:?} {}", number + 1, e.request.method, e.request.path)
            })
            .collect();
        let mut failures = std::mem::take(&mut state.failures);
        failures.extend(missing);
        failures
    }
}

/// Puts a value where a path over `body` finds it.
fn put(body: &mut Json, path: &str, value: Json) {
    let mut place = body;
    for step in path.trim_start_matches("body").split('.').filter(|step| !step.is_empty()) {
        if !place.is_object() {
            *place = Json::Object(Map::new());
        }
        let Json::Object(entries) = place else { return };
        place = entries.entry(step).or_insert(Json::Null);
    }
    *place = value;
}

#[async_trait]
impl Transport for Script {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, query) = split(&call.url);
        if let Some((token, body)) = &self.token
            && path == *token
            && state.left.front().is_none_or(|(_, next)| next.request.path != *token)
        {
            return Ok(reply(200, body));
        }
        let Some((number, exchange)) = state.left.pop_front() else {
            let message = format!("an unexpected request: {:?} {path}{}", call.method, body_text(&call));
            state.failures.push(message);
            return Err(CallError::Forbidden { message: "the case has no more answers".into(), help: String::new() });
        };
        let differences = differences(&exchange.request, &call, &path, &query);
        state.failures.extend(differences.into_iter().map(|text| format!("request {}: {text}", number + 1)));
        answer(exchange.answer)
    }
}

fn answer(answer: Answer) -> Result<Reply, CallError> {
    match answer.fault {
        Some(Fault::Unreachable) => return Err(CallError::Unreachable("cannot be reached".into())),
        Some(Fault::Reset) => return Err(CallError::Lost("the connection broke".into())),
        Some(Fault::Timeout) => return Err(CallError::Lost("no answer in time".into())),
        None => {}
    }
    let mut made = match (&answer.json, &answer.text) {
        (Some(json), _) => reply(answer.status, json),
        (None, Some(text)) => Reply { status: answer.status, headers: Vec::new(), body: text.clone().into_bytes() },
        (None, None) => Reply { status: answer.status, headers: Vec::new(), body: Vec::new() },
    };
    made.headers.extend(answer.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)));
    Ok(made)
}

fn reply(status: u16, json: &Json) -> Reply {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Reply { status, headers, body: json.to_string().into_bytes() }
}

/// Path, relative to the address of the API, and query of an address.
fn split(url: &str) -> (String, Vec<(String, String)>) {
    let rest = url.strip_prefix(BASE).unwrap_or(url);
    let rest = match rest.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => rest,
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    });
    (path.to_owned(), pairs.collect())
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = more
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn body_text(call: &Call) -> String {
    match &call.body {
        Body::Empty => String::new(),
        Body::Bytes { bytes, .. } => format!(" {}", String::from_utf8_lossy(bytes)),
        Body::Parts(parts) => {
            let part = |part: &crate::http::Part| format!("{}: {}", part.name, String::from_utf8_lossy(&part.bytes));
            format!(" {}", parts.iter().map(part).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn differences(expected: &ExpectedRequest, call: &Call, path: &str, query: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    if (expected.method, expected.path.as_str()) != (call.method, path) {
        found.push(format!("expected {:?} {}, sent {:?} {path}", expected.method, expected.path, call.method));
    }
    if let Some(wanted) = &expected.query {
        let wanted: Vec<String> = wanted.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let sent: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list
        };
        if sorted(&wanted) != sorted(&sent) {
            found.push(format!("query: expected {}, sent {}", wanted.join("&"), sent.join("&")));
        }
    }
    for (name, value) in &expected.headers {
        let sent: Vec<&str> =
            call.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect();
        if sent != [value.as_str()] {
            found.push(format!("header `{name}`: expected `{value}`, sent `{}`", sent.join("`, `")));
        }
    }
    if let Some(wanted) = &expected.json {
        let sent = match &call.body {
            Body::Bytes { bytes, .. } => serde_json::from_slice(bytes).unwrap_or(Json::Null),
            Body::Empty | Body::Parts(_) => Json::Null,
        };
        compare(wanted, &sent, "", &mut found);
    }
    if let Some(wanted) = &expected.contains {
        let sent = body_text(call);
        if !sent.contains(wanted.as_str()) {
            found.push(format!("the body should contain `{wanted}`, sent{sent}"));
        }
    }
    found
}

/// Says where two JSON values differ.
fn compare(wanted: &Json, sent: &Json, place: &str, found: &mut Vec<String>) {
    let at = if place.is_empty() { "body" } else { place };
    match (wanted, sent) {
        (Json::Object(these), Json::Object(those)) => {
            for (key, value) in these {
                match those.get(key) {
                    Some(other) => compare(value, other, &format!("{place}/{key}"), found),
                    None => found.push(format!("{at}: expected `{key}`: {value}, which is not there")),
                }
            }
            for (key, value) in those.iter().filter(|(key, _)| !these.contains_key(*key)) {
                found.push(format!("{at}: `{key}`: {value} is not expected"));
            }
        }
        (Json::Array(these), Json::Array(those)) if these.len() == those.len() => {
            for (number, (this, that)) in these.iter().zip(those).enumerate() {
                compare(this, that, &format!("{place}/{number}"), found);
            }
        }
        (Json::Number(this), Json::Number(that)) if this.as_f64() == that.as_f64() => {}
        (this, that) if this == that => {}
        (this, that) => found.push(format!("{at}: expected {this}, sent {that}")),
    }
}
