//! A request as the stand-ins see it, and their answer.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::Value;

/// One request, its path below the prefix of the stand-in it is for.
pub(super) struct Call {
    pub method: Method,
    /// Percent-decoded, without empty parts.
    pub segments: Vec<String>,
    /// The path as it was sent, without the prefix.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub now: Timestamp,
    /// What a fault asks of the stand-in itself.
    pub trouble: Trouble,
    /// How many requests this stand-in is working on, with this one.
    pub busy: usize,
    /// Length of path and query as sent, in bytes.
    pub uri_length: usize,
}

/// What a fault asks of the stand-in: all else (resets, delays) happens outside of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Every n-th record of the request is refused as invalid.
    pub refuse_every: Option<usize>,
    /// Answer as if the token had run out.
    pub token_expired: bool,
    /// Answer as if the quota was used up.
    pub quota: bool,
    /// Marketo: answer with this error code in the envelope.
    pub code: Option<u64>,
    /// Answer with this HTTP status, before anything is done.
    pub status: Option<u16>,
}

impl Trouble {
    /// Whether the record at this position is to be refused.
    pub fn refuses(self, position: usize) -> bool {
        self.refuse_every.is_some_and(|every| every > 0 && (position + 1).is_multiple_of(every))
    }
}

impl Call {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// True for these media types, whatever parameters (charset, boundary) follow.
    pub fn content_is(&self, media_type: &str) -> bool {
        let sent = self.header("content-type").unwrap_or("");
        sent.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(media_type)
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// Records the request carried.
    pub records: usize,
    /// Error code of the body, for the request log.
    pub code: Option<String>,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: "application/json", body: body.to_string().into(), records: 0, code: None }
    }

    /// A text answer.
    pub fn text(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, body: body.into(), records: 0, code: None }
    }

    /// Says how many records there were.
    pub fn with_records(mut self, records: usize) -> Self {
        self.records = records;
        self
    }

    /// Says which error code the body has.
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }
}

/// The pairs of a query or of a form body.
pub(super) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// The parts of a path, decoded.
pub(super) fn segments(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
}
