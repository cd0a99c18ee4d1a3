//! What an answer means: the rules of the connector, then what the status commonly means.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::account::fatal;
use super::expression::{Expression, Scope};
use super::template::Layer;
use crate::destinations::SendError;
use crate::http::{Reply, retry_after};
use crate::manifest::connector::api::Class;
use crate::manifest::connector::object::LostClass;

/// Longest text of a destination that is passed on, in characters.
const MAX_MESSAGE: usize = 300;
/// How long to wait after too many requests where nobody says.
const RATE_WAIT: Duration = Duration::from_secs(1);
/// The longest wait a rule can ask for, in seconds.
const MAX_WAIT: f64 = 3600.0;

/// What to do when credentials are refused.
pub(super) const CREDENTIALS: &str =
    "check the credentials in the `connection` of the destination, and what they may do";
/// What to do when there is nothing at an address.
pub(super) const ADDRESS: &str = "check the `connection` of the destination and the `options` of the sync";

/// A rule, parsed.
#[derive(Debug)]
pub(super) struct Rule {
    pub when: Expression,
    pub class: Class,
    pub code: Option<Expression>,
    pub message: Option<Expression>,
    pub wait: Option<Expression>,
}

/// What an answer means.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    /// Status of the answer.
    pub status: u16,
    pub class: Class,
    pub code: String,
    pub message: String,
    pub wait: Option<Duration>,
    /// True when no rule says so, but what the status commonly means.
    pub common: bool,
}

impl Verdict {
    /// True when the destination has done nothing and says when to come back.
    pub fn later(&self) -> bool {
        self.class == Class::Transient && self.wait.is_some()
    }

    /// What to do when it ends the run of the sync.
    pub fn help(&self) -> &'static str {
        match self.status {
            401 | 403 | 0..300 => CREDENTIALS,
            _ => ADDRESS,
        }
    }
}

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Json,
    pub body: Json,
    pub raw: Vec<u8>,
    /// True when the body begins like JSON, or says it is, and is not.
    pub garbled: bool,
    pub wait: Option<Duration>,
}

impl Answer {
    /// Reads an answer: JSON where it is that, else the body is text.
    pub fn read(reply: Reply) -> Self {
        let wait = retry_after(&reply);
        let mut headers = Map::new();
        for (name, value) in reply.headers {
            headers.insert(name, Json::String(value));
        }
        let says_json = headers.get("content-type").and_then(Json::as_str).is_some_and(|kind| kind.contains("json"));
        let start = reply.body.iter().find(|byte| !byte.is_ascii_whitespace());
        let (body, garbled) = match start {
            None => (Json::Null, false),
            Some(first) => match serde_json::from_slice(&reply.body) {
                Ok(json) if says_json || matches!(first, b'{' | b'[') => (json, false),
                Err(_) if says_json || matches!(first, b'{' | b'[') => (Json::Null, true),
                _ => (Json::String(String::from_utf8_lossy(&reply.body).into_owned()), false),
            },
        };
        Self { status: reply.status, headers: Json::Object(headers), body, raw: reply.body, garbled, wait }
    }

    /// True for 2xx.
    pub fn fine(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `status`, `headers` and `body` before the names of another scope.
    pub fn scope<'a>(&'a self, parent: Option<&'a dyn Scope>) -> Layer<'a> {
        Layer::over(parent)
            .owning("status", Json::from(self.status))
            .with("headers", &self.headers)
            .with("body", &self.body)
    }

    /// The list that `items` finds in what the destination was asked for, over `scope`, which has this answer in it. JSON
    /// that has none says that there is nothing, as does `null`, or 204.
    ///
    /// # Errors
    /// What was answered is another thing: nobody can tell by it that nothing is there. Text and an empty body may be
    /// somebody's in between, and are worth another try.
    pub fn list(&self, items: &Expression, scope: &dyn Scope) -> Result<Vec<Json>, SendError> {
        let passing = |what: &str| SendError::Transient {
            message: format!("the answer does not fit: it is {what}, and `items` finds no list in it"),
            retry_after: None,
        };
        let unfit = |what: &str| SendError::Fatal {
            message: format!("the answer does not fit: `items` gives {what} and no list"),
            help: Some("correct `items`; where the answer is what was asked for, it is `\"[body]\"`".into()),
        };
        if self.body.as_str().is_some_and(|text| text.trim_start().starts_with('<')) {
            return Err(passing("a page and no JSON"));
        }
        let found = match items.json(scope).map(std::borrow::Cow::into_owned) {
            Some(Json::Array(list)) if list.is_empty() || list.iter().any(|item| !item.is_null()) => list,
            None | Some(Json::Null | Json::Array(_)) => {
                if let Err(message) = items.value(scope) {
                    return Err(fatal(format!("the answer does not fit `items`: {message}")));
                }
                match &self.body {
                    Json::Array(entries) if !entries.is_empty() => return Err(unfit("nothing of a list")),
                    Json::Null if self.raw.trim_ascii().is_empty() && self.status != 204 => {
                        return Err(passing("empty"));
                    }
                    _ => Vec::new(),
                }
            }
            Some(Json::Object(_)) => return Err(unfit("an object")),
            Some(Json::String(_)) => return Err(unfit("a text")),
            Some(Json::Number(_)) => return Err(unfit("a number")),
            Some(Json::Bool(_)) => return Err(unfit("true or false")),
        };
        if found.is_empty() && self.body.is_string() {
            return Err(passing("text and no JSON"));
        }
        Ok(found)
    }

    /// What it means. `token`: whether there is an access token that could be renewed.
    pub fn judge<'r>(
        &self,
        rules: impl Iterator<Item = &'r Rule>,
        parent: Option<&dyn Scope>,
        token: bool,
        lost: LostClass,
    ) -> Verdict {
        if self.garbled && self.fine() {
            let message = "the answer is cut off or not valid JSON".to_owned();
            let code = "garbled".into();
            return Verdict { status: self.status, class: Class::Lost, code, message, wait: None, common: true };
        }
        let scope = self.scope(parent);
        let mut found = None;
        for rule in rules {
            if rule.when.truth(&scope) {
                found = Some(rule);
                break;
            }
        }
        let text =
            |expression: Option<&Expression>| expression.and_then(|e| e.text(&scope)).filter(|text| !text.is_empty());
        let code = text(found.and_then(|rule| rule.code.as_ref())).or_else(|| code_of(&self.body));
        let message = text(found.and_then(|rule| rule.message.as_ref())).or_else(|| message_of(&self.body));
        let wait = found.and_then(|rule| seconds(rule.wait.as_ref(), &scope));
        let class = found.map_or_else(|| self.common(token, lost), |rule| rule.class);
        // Too many requests are no failure of the destination: it is waited for, whether or not it says how long.
        let usual = (class == Class::RateLimited).then_some(RATE_WAIT);
        Verdict {
            status: self.status,
            class,
            code: code.map_or_else(|| format!("http_{}", self.status), |code| bounded(&code)),
            message: bounded(
                &message.unwrap_or_else(|| format!("the destination answered with status {}", self.status)),
            ),
            wait: self.wait.or(wait).or(usual),
            common: found.is_none(),
        }
    }

    /// What the status commonly means.
    fn common(&self, token: bool, lost: LostClass) -> Class {
        match self.status {
            200..300 => Class::Ok,
            401 if token => Class::Reauth,
            401 | 403 => Class::AuthFatal,
            404 => Class::NotFound,
            409 => Class::Conflict,
            413 => Class::SplitBatch,
            429 => Class::RateLimited,
            // A server that says when to come back knows that it has done nothing.
            503 if self.wait.is_some() => Class::Transient,
            // Nothing is known of what was done, which matters to what can be sent again or looked up; where it cannot,
            // the answer is taken for one that says no.
            500 | 503 if lost == LostClass::D => Class::Transient,
            408 | 500.. => Class::Lost,
            _ => Class::Permanent,
        }
    }
}

/// The seconds an expression asks to wait.
pub(super) fn seconds(wait: Option<&Expression>, scope: &dyn Scope) -> Option<Duration> {
    let seconds: f64 = wait?.text(scope)?.trim().parse().ok()?;
    seconds.is_finite().then(|| Duration::from_secs_f64(seconds.clamp(0.0, MAX_WAIT)))
}

/// A text of a destination, cut to what people read.
pub(super) fn bounded(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Where APIs commonly put a code.
fn code_of(body: &Json) -> Option<String> {
    let first = body.pointer("/errors/0");
    let at = |json: Option<&Json>, keys: &[&str]| {
        keys.iter().find_map(|key| match json?.get(key)? {
            Json::String(text) if !text.is_empty() => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    at(Some(body), &["code", "error_code", "errorCode", "category"])
        .or_else(|| at(first, &["code", "statusCode", "type"]))
}

/// Where APIs commonly put a message.
fn message_of(body: &Json) -> Option<String> {
    let text = |json: Option<&Json>| match json? {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    const KEYS: [&str; 7] = ["message", "msg", "error_description", "detail", "error", "title", "reason"];
    let within = |json: Option<&Json>| KEYS.iter().find_map(|key| text(json?.get(key)));
    within(Some(body))
        .or_else(|| within(body.get("error")))
        .or_else(|| within(body.pointer("/errors/0")))
        .or_else(|| text(body.pointer("/errors/0")))
        .or_else(|| text(Some(body)).filter(|text| !text.trim_start().starts_with('<')))
}
