//! `--wire-log FILE`: what went over the wire, one JSON line for each request and one for each answer.
//!
//! ```text
//! {"time":"…","number":7,"request":{"method":"POST","url":"…","headers":{…},"body":…}}
//! {"time":"…","number":7,"answer":{"status":200,"milliseconds":31,"headers":{…},"body":…}}
//! {"time":"…","number":8,"error":{"kind":"lost","milliseconds":60000,"message":"…"}}
//! ```
//!
//! It holds the records that are sent, so that nobody else may read the file, and no credentials (`scrub`).

mod scrub;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use self::scrub::{Scrub, is_secret_header};
use super::{Body, Call, CallError, Reply, Transport};
use crate::diagnostic::{Error, Result};
use crate::secret::Redactor;

/// The file. All accounts of a run write to one.
pub struct WireLog {
    path: PathBuf,
    file: Mutex<Open>,
    last: AtomicU64,
}

struct Open {
    file: File,
    failed: Option<String>,
}

impl WireLog {
    /// Opens the file to append to it; only its owner may read it from then on.
    ///
    /// # Errors
    /// When it cannot be written; it is named.
    pub fn create(path: &Path) -> Result<Self> {
        let fault = |e| {
            Error::failed_help(
                format!("cannot write the wire log `{}`: {e}", path.display()),
                "name a file in a folder that is there, `--wire-log wire.jsonl`",
            )
        };
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(fault)?;
        #[cfg(unix)]
        if file.metadata().map_err(fault)?.is_file() {
            // One that was there already may have been open to others.
            use std::os::unix::fs::PermissionsExt;
            file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(fault)?;
        }
        let file = Mutex::new(Open { file, failed: None });
        Ok(Self { path: path.to_owned(), file, last: AtomicU64::new(0) })
    }

    /// Why the log is not whole, when a line could not be written: what is sent matters more than the log, so that does
    /// not end a run.
    pub fn failure(&self) -> Option<String> {
        let open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        open.failed.as_ref().map(|e| format!("the wire log `{}` is not whole: {e}", self.path.display()))
    }

    fn write(&self, number: u64, kind: &str, what: Value) {
        let time = format!("{:.3}", jiff::Timestamp::now());
        let mut line = Map::new();
        line.insert("time".into(), time.into());
        line.insert("number".into(), number.into());
        line.insert(kind.into(), what);
        let line = format!("{}\n", Value::Object(line));
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // In one piece, so that another process that appends to the same file does not write into the middle.
        if let Err(e) = open.file.write_all(line.as_bytes()) {
            open.failed.get_or_insert(e.to_string());
        }
    }
}

/// Something that answers calls, with all of it written down.
pub struct Logged<T> {
    inner: T,
    log: Arc<WireLog>,
    scrub: Scrub,
}

impl<T> Logged<T> {
    /// Writes down what `inner` sends and is answered, without the secrets that the redactor knows at that time.
    pub fn new(inner: T, log: Arc<WireLog>, redactor: Redactor) -> Self {
        Self { inner, log, scrub: Scrub::new(redactor) }
    }

    fn headers(&self, headers: &[(String, String)]) -> Value {
        let mut map = Map::new();
        for (name, value) in headers {
            let value = if is_secret_header(name) { "[secret]".into() } else { self.scrub.text(value) };
            match map.get_mut(name) {
                Some(Value::String(before)) => before.push_str(&format!(", {value}")),
                _ => {
                    map.insert(name.clone(), value.into());
                }
            }
        }
        map.into()
    }

    fn request(&self, call: &Call) -> Value {
        let mut line = Map::new();
        let method = format!("{:?}", call.method).to_uppercase();
        line.insert("method".into(), method.into());
        line.insert("url".into(), self.scrub.url(&call.url).into());
        line.insert("headers".into(), self.headers(&call.headers));
        match &call.body {
            Body::Empty => {}
            Body::Bytes { content_type, bytes } => self.scrub.body(content_type, bytes, &mut line),
            Body::Parts(parts) => {
                let parts = parts.iter().map(|part| {
                    let mut piece = Map::new();
                    piece.insert("name".into(), part.name.clone().into());
                    if let Some(filename) = &part.filename {
                        piece.insert("filename".into(), self.scrub.text(filename).into());
                    }
                    if crate::secret::names_credential(&part.name) {
                        piece.insert("body".into(), "[secret]".into());
                    } else {
                        self.scrub.body(&part.content_type, &part.bytes, &mut piece);
                    }
                    piece.into()
                });
                line.insert("parts".into(), Value::Array(parts.collect()));
            }
        }
        line.into()
    }

    fn answer(&self, reply: &Reply, milliseconds: u64, confidential: bool) -> Value {
        let mut line = Map::new();
        line.insert("status".into(), reply.status.into());
        line.insert("milliseconds".into(), milliseconds.into());
        line.insert("headers".into(), self.headers(&reply.headers));
        if confidential && !reply.body.is_empty() {
            line.insert("body".into(), "[secret]".into());
            return line.into();
        }
        let content_type = reply.headers.iter().find(|(name, _)| name == "content-type");
        self.scrub.body(content_type.map_or("", |(_, value)| value), &reply.body, &mut line);
        line.into()
    }

    fn error(&self, error: &CallError, milliseconds: u64) -> Value {
        let kind = match error {
            CallError::Unreachable(_) => "unreachable",
            CallError::Lost(_) => "lost",
            CallError::Forbidden { .. } => "forbidden",
        };
        json!({ "kind": kind, "milliseconds": milliseconds, "message": self.scrub.text(&error.to_string()) })
    }
}

#[async_trait]
impl<T: Transport> Transport for Logged<T> {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let confidential = call.confidential;
        let number = self.log.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.log.write(number, "request", self.request(&call));
        let began = Instant::now();
        let result = self.inner.call(call).await;
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &result {
            Ok(reply) => self.log.write(number, "answer", self.answer(reply, milliseconds, confidential)),
            Err(error) => self.log.write(number, "error", self.error(error, milliseconds)),
        }
        result
    }
}

#[cfg(test)]
mod tests;
