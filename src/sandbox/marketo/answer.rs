//! Marketo's envelope: `requestId`, `success`, `result`, `errors`; always HTTP 200.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use crate::sandbox::wire::Answer;

/// What an endpoint says.
pub(super) type Said = Result<Answer, Refusal>;

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub code: u64,
    pub message: String,
}

impl Refusal {
    pub fn new(code: u64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A code with the words it comes with.
    pub fn usual(code: u64) -> Self {
        let message = match code {
            600 => "Access token not specified",
            601 => "Access token invalid",
            602 => "Access token expired",
            603 => "Access denied",
            604 => "Request time-out",
            605 => "HTTP Method not supported",
            606 => "Max rate limit '100' exceeded with in '20' secs",
            607 => "Daily quota reached",
            608 => "API Temporarily Unavailable",
            609 => "Invalid JSON",
            610 => "Requested resource not found",
            611 => "System error",
            612 => "Invalid Content Type",
            613 => "Invalid Multipart Request",
            614 => "Invalid Subscription",
            615 => "Concurrent access limit reached",
            713 => "Transient Error",
            1003 => "Invalid data",
            1004 => "Lead not found",
            1005 => "Lead already exists",
            1007 => "Multiple leads match the lookup criteria",
            1013 => "Object not found",
            1015 => "Lead not in list",
            1016 => "Too many imports",
            1017 => "Object already exists",
            1036 => "Duplicate object found in input",
            1037 => "Lead skipped because it is already in or past this status",
            _ => "System error",
        };
        Self::new(code, message)
    }

    pub fn missing(parameter: &str) -> Self {
        Self::new(1002, format!("Missing value for the required parameter '{parameter}'"))
    }

    pub fn wrong(value: impl std::fmt::Display, kind: &str) -> Self {
        Self::new(1001, format!("Invalid value '{value}'. Required of type '{kind}'"))
    }

    pub fn no_field(name: &str) -> Self {
        Self::new(1006, format!("Field '{name}' not found"))
    }

    pub fn too_many(what: &str) -> Self {
        Self::new(1003, format!("Number of {what} exceeds the maximum of 300"))
    }

    pub fn answer(self) -> Answer {
        let code = self.code.to_string();
        let errors = json!([{ "code": code, "message": self.message }]);
        let body = json!({ "requestId": request_id(), "success": false, "errors": errors });
        Answer::json(200, &body).with_code(&code)
    }

    /// As the reason why one record was left out.
    pub fn reason(&self) -> Value {
        json!([{ "code": self.code.to_string(), "message": self.message }])
    }
}

/// A number that is different for every request.
fn request_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let n = LAST.fetch_add(1, Ordering::Relaxed);
    format!("{:x}#{:x}", n % 0xffff, 0x1_4272_d07d + n)
}

pub(super) fn envelope(result: Value) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("requestId".to_owned(), request_id().into());
    body.insert("result".to_owned(), result);
    body.insert("success".to_owned(), true.into());
    body
}

/// A result, in the order of the request.
pub(super) fn result(result: Vec<Value>) -> Answer {
    let records = result.len();
    Answer::json(200, &Value::Object(envelope(Value::Array(result)))).with_records(records)
}

/// What stands before Marketo answers itself: plain HTTP.
pub(super) fn http(status: u16) -> Answer {
    let words = match status {
        401 => "Unauthorized",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    };
    let page = format!("<html><head><title>{status} {words}</title></head><body><h1>{words}</h1></body></html>");
    Answer::text(status, "text/html", page).with_code(&status.to_string())
}
