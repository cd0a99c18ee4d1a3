//! A local Marketo: leads, activities, lists, custom objects, programs and imports, with the limits and answers of the
//! real one. Errors come inside HTTP 200, as they do there.

mod account;
mod activities;
mod answer;
mod bulk;
mod companies;
mod customobjects;
mod fields;
mod identity;
mod leads;
mod lists;
mod lookups;
mod multipart;
mod objects;
mod programs;
mod seed;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

pub(super) use account::Account;
use answer::Refusal;
pub(super) use identity::CLIENT;
use identity::Tokens;
pub use seed::Seed;

use super::limit::Window;
use super::wire::{Answer, Call, pairs};

/// Largest request and largest import, in bytes.
const MAX_BYTES: usize = 1 << 20;
const MAX_IMPORT: usize = 10 << 20;
/// Longest path with query, in bytes.
const MAX_URI: usize = 8 << 10;
/// Most records of a request.
const MAX_RECORDS: usize = 300;
/// Calls in 20 seconds, at once, and a day.
const RATE: usize = 100;
const AT_ONCE: usize = 10;
const DAILY: u64 = 50_000;

/// The subscription, who is let in, and how often it was asked.
pub(super) struct Marketo {
    pub account: Account,
    tokens: Tokens,
    window: Window,
    limits: bool,
}

impl Marketo {
    /// `token_seconds`: how long a token lives.
    pub fn new(limits: bool, token_seconds: u64) -> Self {
        let tokens = Tokens::new(token_seconds);
        Self { account: Account::new(), tokens, window: Window::default(), limits }
    }

    /// Answers a request; the body has been read as JSON already, where it is some.
    pub fn answer(&mut self, call: &Call, body: Option<Value>) -> Answer {
        if let Some(status) = call.trouble.status {
            return answer::http(status);
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        if segments == ["identity", "oauth", "token"] {
            return self.tokens.grant(call);
        }
        if call.uri_length > MAX_URI {
            return answer::http(414);
        }
        let most = if segments.first() == Some(&"bulk") { MAX_IMPORT } else { MAX_BYTES };
        if call.body.len() > most {
            return answer::http(413);
        }
        let said = self.checked(call).and_then(|()| {
            let request = Request::new(call, body)?;
            self.account.route(&request, &segments)
        });
        said.unwrap_or_else(|refusal| refusal.answer())
    }

    /// Who is asking, and whether it is too often.
    fn checked(&mut self, call: &Call) -> Result<(), Refusal> {
        if let Some(code) = call.trouble.code {
            return Err(Refusal::usual(code));
        }
        if call.trouble.token_expired {
            self.tokens.expire();
        }
        let token = call.header("authorization").and_then(|value| value.split_once(' '));
        let token = token.filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        self.tokens.check(token)?;
        if call.trouble.quota {
            return Err(Refusal::usual(607));
        }
        if self.limits {
            if !self.window.take(RATE, Duration::from_secs(20), Instant::now()) {
                return Err(Refusal::usual(606));
            }
            if self.account.calls_today(call.now) >= self.account.quota() {
                return Err(Refusal::usual(607));
            }
            if call.busy > AT_ONCE {
                return Err(Refusal::usual(615));
            }
        }
        self.account.count_call(call.now);
        Ok(())
    }
}

/// A request whose method and query have been sorted out.
struct Request<'a> {
    call: &'a Call,
    /// What `_method` says, if it says something.
    method: String,
    /// Query and, when it was moved there, the form body.
    query: Vec<(String, String)>,
    json: Option<Value>,
}

impl<'a> Request<'a> {
    fn new(call: &'a Call, json: Option<Value>) -> Result<Self, Refusal> {
        let mut query = call.query.clone();
        let method = call.query("_method").map_or_else(|| call.method.to_string(), str::to_uppercase);
        let form = call.content_is("application/x-www-form-urlencoded");
        if method != call.method.as_str() && form {
            query.extend(pairs(&call.body));
        } else if call.method == axum::http::Method::POST && !call.body.is_empty() && json.is_none() {
            match call.header("content-type").unwrap_or("") {
                kind if kind.starts_with("application/json") => return Err(Refusal::usual(609)),
                kind if kind.starts_with("multipart/form-data") => {}
                _ => return Err(Refusal::usual(612)),
            }
        }
        let json_body = call.content_is("application/json");
        if json.is_some() && !json_body {
            return Err(Refusal::usual(612));
        }
        Ok(Self { call, method, query, json })
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn query_list(&self, name: &str) -> Vec<&str> {
        let values = self.query.iter().filter(|(key, _)| key == name).flat_map(|(_, value)| value.split(','));
        values.map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// The body, which has to be an object.
    fn body(&self) -> Result<&Map<String, Value>, Refusal> {
        self.json.as_ref().and_then(Value::as_object).ok_or_else(|| Refusal::usual(609))
    }

    /// The `input` of a body: objects, at least one and at most 300.
    fn input(&self) -> Result<Vec<&Map<String, Value>>, Refusal> {
        let input = self.body()?.get("input").and_then(Value::as_array).ok_or_else(|| Refusal::missing("input"))?;
        if input.is_empty() {
            return Err(Refusal::missing("input"));
        }
        if input.len() > MAX_RECORDS {
            return Err(Refusal::too_many("records"));
        }
        input.iter().map(Value::as_object).collect::<Option<_>>().ok_or_else(|| Refusal::usual(609))
    }

    /// A text member of the body.
    fn text(&self, name: &str) -> Option<&str> {
        self.json.as_ref()?.get(name)?.as_str()
    }

    /// How many records a page has, and where it begins.
    ///
    /// # Errors
    /// 1003 for a token nobody gave out.
    fn page(&self) -> Result<(usize, usize), Refusal> {
        let size = self.query("batchSize").and_then(|text| text.parse().ok()).unwrap_or(MAX_RECORDS);
        let token = self.query("nextPageToken").filter(|token| !token.is_empty());
        let from = token.map(|token| token.strip_prefix("PAGE-").and_then(|n| n.parse().ok()));
        let from = from.unwrap_or(Some(0)).ok_or_else(|| Refusal::new(1003, "Invalid nextPageToken"))?;
        Ok((from, size.clamp(1, MAX_RECORDS)))
    }
}

/// One page of a longer list.
fn paged(mut all: Vec<Value>, page: (usize, usize)) -> Answer {
    let (from, size) = page;
    let more = all.len() > from.saturating_add(size);
    let shown: Vec<Value> = all.drain(from.min(all.len())..).take(size).collect();
    let mut body = answer::envelope(json!(shown));
    if more {
        body.insert("nextPageToken".to_owned(), format!("PAGE-{}", from + size).into());
        body.insert("moreResult".to_owned(), true.into());
    }
    let records = shown.len();
    Answer::json(200, &Value::Object(body)).with_records(records)
}
