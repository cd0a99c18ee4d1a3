//! Answers in Iterable's envelope: `code`, `msg`, `params`.

use serde_json::{Map, Value, json};

use crate::sandbox::wire::Answer;

/// A request that was not carried out, or only in name.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: String,
    message: String,
    params: Value,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), params: Value::Null }
    }

    pub fn with_params(mut self, params: Value) -> Self {
        self.params = params;
        self
    }

    pub fn answer(self) -> Answer {
        let body = json!({ "msg": self.message, "code": self.code, "params": self.params });
        Answer::json(self.status, &body).with_code(&self.code)
    }
}

/// Done; the message is what the real one says, or nothing.
pub(super) fn done(message: &str) -> Answer {
    Answer::json(200, &json!({ "msg": message, "code": "Success", "params": null }))
}

/// Taken, to be done later.
pub(super) fn accepted(message: &str) -> Answer {
    Answer::json(202, &json!({ "msg": message, "code": "Success", "params": null }))
}

pub(super) fn no_key() -> Refusal {
    Refusal::new(401, "BadApiKey", "No API key found on request")
}

/// The code says success; the status is what counts.
pub(super) fn unauthorized() -> Refusal {
    Refusal::new(401, "Success", "Invalid API key")
}

pub(super) fn rate_limited(path: &str) -> Refusal {
    let message = format!("Exceeded rate limit for endpoint: {path}, project: 1");
    Refusal::new(429, "RateLimitExceeded", message).with_params(json!({}))
}

pub(super) fn status(status: u16, path: &str) -> Refusal {
    match status {
        429 => rate_limited(path),
        401 => unauthorized(),
        503 => Refusal::new(503, "GenericError", "Request timeout. Try again later."),
        _ => Refusal::new(status, "GenericError", "An unexpected error occurred"),
    }
}

pub(super) fn too_large(bytes: usize) -> Refusal {
    Refusal::new(413, "BatchTooLarge", format!("Request of {bytes} bytes is larger than 4 MB"))
}

pub(super) fn too_many(records: usize) -> Refusal {
    Refusal::new(400, "BatchTooLarge", format!("Batch of {records} is larger than the limit of 1000"))
}

pub(super) fn no_such_route(path: &str) -> Refusal {
    Refusal::new(404, "NotFound", format!("No such endpoint: {path}"))
}

pub(super) fn bad_params(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadParams", message)
}

/// The body is not what the endpoint takes: each place, and what is expected there.
pub(super) fn bad_json(path: &str, wrong: Vec<(String, &'static str)>) -> Refusal {
    let params: Map<String, Value> = wrong.into_iter().map(|(place, what)| (place, Value::from(what))).collect();
    Refusal::new(400, "BadJsonBody", format!("[{path}] Invalid JSON body")).with_params(Value::Object(params))
}
