//! Requests: made ready from their templates, with the records spliced in as they were written.

use std::time::Duration;

use bytes::Bytes;
use minijinja::Value as Mini;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::expression::{Expression, Scope, Text, escape};
use super::template::Node;
use super::value;
use crate::http::{Body, Call, Part};
use crate::manifest::connector::api::Method;

/// The content type of a body as HTML forms send it.
const FORM: &str = "application/x-www-form-urlencoded";

/// Most bytes of room that is made for records beforehand.
const MOST_ROOM: usize = 1 << 20;

/// A request, parsed.
#[derive(Debug)]
pub(super) struct Request {
    pub method: Method,
    pub path: Text,
    pub query: Vec<(String, Node)>,
    pub headers: Vec<(String, Text)>,
    pub body: BodyTemplate,
    pub limits: Vec<String>,
    pub timeout: Option<u32>,
    pub next: Option<Next>,
}

/// A body, parsed.
#[derive(Debug)]
pub(super) enum BodyTemplate {
    Empty,
    Json(Node),
    Form(Vec<(String, Node)>),
    Parts(Vec<PartTemplate>),
    /// The records as CSV.
    Csv,
}

/// One part of a body in parts, parsed.
#[derive(Debug)]
pub(super) struct PartTemplate {
    pub name: String,
    pub text: Option<Text>,
    pub filename: Option<Text>,
    pub csv: bool,
}

/// The way to the next page, parsed.
#[derive(Debug)]
pub(super) struct Next {
    pub query: Option<String>,
    pub value: Expression,
}

impl Request {
    /// True when some template of it uses the name.
    pub fn mentions(&self, name: &str) -> bool {
        let body = match &self.body {
            BodyTemplate::Empty => false,
            BodyTemplate::Json(node) => node.mentions(name),
            BodyTemplate::Form(entries) => entries.iter().any(|(_, node)| node.mentions(name)),
            BodyTemplate::Parts(parts) => parts
                .iter()
                .any(|part| part.csv && name == "records" || part.text.as_ref().is_some_and(|t| t.mentions(name))),
            BodyTemplate::Csv => name == "records",
        };
        body || self.mentions_beside(name)
    }

    /// True when it uses the name for more than to write what a path leads to.
    pub fn computes(&self, name: &str) -> bool {
        match &self.body {
            BodyTemplate::Json(node) => node.computes(name) || self.mentions_beside(name),
            _ => self.mentions(name),
        }
    }

    /// True when some template of it that is not the body's uses the name.
    fn mentions_beside(&self, name: &str) -> bool {
        self.path.mentions(name)
            || self.query.iter().any(|(_, node)| node.mentions(name))
            || self.headers.iter().any(|(_, text)| text.mentions(name))
    }

    /// Makes the request ready. The address is relative to the API's.
    pub fn make(&self, scope: &dyn Scope, records: Option<&Records>) -> Result<Made, String> {
        let over = RequestScope { parent: scope, records };
        let mut url = self.path.render(&over)?.unwrap_or_default();
        let mut query = pairs(&self.query, &over)?;
        if !query.is_empty() {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&std::mem::take(&mut query));
        }
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, text) in &self.headers {
            if let Some(text) = text.render(&over)? {
                headers.push((name.clone(), text));
            }
        }
        let body = match &self.body {
            BodyTemplate::Empty => Body::Empty,
            BodyTemplate::Json(node) => {
                let mut bytes = Vec::with_capacity(records.map_or(0, |records| records.bytes.len()) + 256);
                node.write(&over, &mut bytes)?;
                Body::Bytes { content_type: "application/json".into(), bytes: bytes.into() }
            }
            BodyTemplate::Form(entries) => {
                Body::Bytes { content_type: FORM.into(), bytes: pairs(entries, &over)?.into() }
            }
            BodyTemplate::Csv => Body::Bytes {
                content_type: "text/csv".into(),
                bytes: records.map(Records::csv).transpose()?.unwrap_or_default().into(),
            },
            BodyTemplate::Parts(parts) => {
                let mut made = Vec::new();
                for part in parts {
                    let filename = part.filename.as_ref().map(|name| name.render(&over)).transpose()?.flatten();
                    let (content_type, bytes) = if part.csv {
                        ("text/csv", records.map(Records::csv).transpose()?.unwrap_or_default())
                    } else {
                        let text = part.text.as_ref().map(|text| text.render(&over)).transpose()?.flatten();
                        let Some(text) = text else { continue };
                        ("text/plain", text.into_bytes())
                    };
                    made.push(Part { name: part.name.clone(), filename, content_type: content_type.into(), bytes });
                }
                Body::Parts(made)
            }
        };
        Ok(Made { method: self.method, url, headers, body, limits: self.limits.clone(), timeout: self.timeout })
    }
}

impl Body {
    /// Adds what shows who sends it.
    ///
    /// # Errors
    /// The body has no place for it: without credentials nothing is sent.
    pub(super) fn put(&mut self, name: &str, secret: &str) -> Result<(), String> {
        if let Body::Empty = self {
            *self = Body::Bytes { content_type: "application/json".into(), bytes: Bytes::from_static(b"{}") };
        }
        match self {
            Body::Bytes { content_type, bytes } if content_type == FORM => {
                let start = if bytes.is_empty() { "" } else { "&" };
                let mut own = Vec::from(std::mem::take(bytes));
                own.extend_from_slice(format!("{start}{}={}", escape(name), escape(secret)).as_bytes());
                *bytes = own.into();
            }
            Body::Bytes { bytes, .. } if bytes.first() == Some(&b'{') => {
                let mut entry = Vec::new();
                value::text(&mut entry, name);
                entry.push(b':');
                value::text(&mut entry, secret);
                if bytes.get(1) != Some(&b'}') {
                    entry.push(b',');
                }
                let mut own = Vec::from(std::mem::take(bytes));
                own.splice(1..1, entry);
                *bytes = own.into();
            }
            Body::Parts(parts) => parts.push(Part {
                name: name.to_owned(),
                filename: None,
                content_type: "text/plain".into(),
                bytes: secret.as_bytes().to_vec(),
            }),
            Body::Bytes { .. } | Body::Empty => {
                return Err(format!(
                    "`{name}` must go into the body (`api.auth.in: body`), and the body of the request is neither a JSON \
                     object nor a form"
                ));
            }
        }
        Ok(())
    }
}

/// Name and value pairs as in a query; a list gives a pair for each item, what is not there none.
fn pairs(entries: &[(String, Node)], scope: &dyn Scope) -> Result<String, String> {
    let mut out = String::new();
    let mut put = |name: &str, json: &Json| {
        if let Some(text) = value::plain(Some(json)) {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(&escape(name));
            out.push('=');
            out.push_str(&escape(&text));
        }
    };
    for (name, node) in entries {
        match node.json(scope)? {
            Some(Json::Array(items)) => items.iter().for_each(|item| put(name, item)),
            Some(json) => put(name, &json),
            None => {}
        }
    }
    Ok(out)
}

/// A request made ready, without what shows who sends it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub method: Method,
    /// Relative to the API's address, or a whole one of the same host.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub limits: Vec<String>,
    pub timeout: Option<u32>,
}

impl Made {
    /// Bytes that count for a limit of size: of the body, or of the address where there is none.
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Empty => self.url.len(),
            Body::Bytes { bytes, .. } => bytes.len(),
            Body::Parts(parts) => parts.iter().map(|part| part.bytes.len() + 200).sum(),
        }
    }

    /// The call, at this address.
    pub fn call(&self, base: &str, timeout: u32) -> Call {
        let whole = self.url.starts_with("https://") || self.url.starts_with("http://");
        Call {
            method: self.method,
            url: if whole { self.url.clone() } else { format!("{base}{}", self.url) },
            headers: self.headers.clone(),
            body: self.body.clone(),
            timeout: Duration::from_secs(u64::from(self.timeout.unwrap_or(timeout))),
            confidential: false,
        }
    }
}

/// Records as they go into a request: each written once.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// End of each within `bytes`.
    ends: Vec<usize>,
    /// Their keys, where they go into an object.
    keys: Option<Vec<String>>,
}

impl Records {
    /// None yet of so many; with keys where they go into an object.
    pub fn new(keyed: bool, most: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(most), keys: keyed.then(Vec::new) }
    }

    /// Adds what `put` writes.
    pub fn push(
        &mut self,
        key: Option<String>,
        put: impl FnOnce(&mut Vec<u8>) -> Result<bool, String>,
    ) -> Result<(), String> {
        if !put(&mut self.bytes)? {
            self.bytes.extend_from_slice(b"null");
        }
        self.ends.push(self.bytes.len());
        if let [first] = *self.ends {
            // The others are about as long, and a tenth more.
            self.bytes.reserve((first + first / 10).saturating_mul(self.ends.capacity()).min(MOST_ROOM));
        }
        if let Some(keys) = &mut self.keys {
            keys.push(key.ok_or("a record has no key for its place in the request")?);
        }
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends.iter()).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// How many of the first records make a body of at most `most` bytes, when all of them make one of `size`.
    pub fn fitting(&self, size: usize, most: usize) -> usize {
        let overhead = size.saturating_sub(self.bytes.len() + self.len());
        let fits = self.ends.iter().enumerate().take_while(|(at, end)| overhead + *end + at < most).count();
        // Where the body is not JSON the sum is an estimate.
        if fits >= self.len() { self.len() / 2 } else { fits }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let keys = self.keys.as_ref();
        out.push(if keys.is_some() { b'{' } else { b'[' });
        for (position, record) in self.each().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            if let Some(key) = keys.and_then(|keys| keys.get(position)) {
                value::text(out, key.as_str());
                out.push(b':');
            }
            out.extend_from_slice(record);
        }
        out.push(if keys.is_some() { b'}' } else { b']' });
    }

    fn json(&self) -> Json {
        let mut out = Vec::new();
        self.write(&mut out);
        serde_json::from_slice(&out).unwrap_or_default()
    }

    /// The records as CSV with a header: the keys of all of them, in the order they first appear.
    pub fn csv(&self) -> Result<Vec<u8>, String> {
        let broken = "a record that goes into a CSV file is not an object".to_owned();
        let mut rows: Vec<indexmap::IndexMap<String, &RawValue>> = Vec::with_capacity(self.len());
        let mut columns = indexmap::IndexSet::new();
        for record in self.each() {
            let row: indexmap::IndexMap<String, &RawValue> =
                serde_json::from_slice(record).map_err(|_| broken.clone())?;
            columns.extend(row.keys().cloned());
            rows.push(row);
        }
        let mut out = csv::Writer::from_writer(Vec::new());
        let failed = |e: csv::Error| format!("the CSV file cannot be made: {e}");
        out.write_record(columns.iter()).map_err(failed)?;
        for row in rows {
            let cells = columns.iter().map(|column| row.get(column).map_or_else(String::new, |raw| cell(raw)));
            out.write_record(cells).map_err(failed)?;
        }
        out.into_inner().map_err(|e| format!("the CSV file cannot be made: {e}"))
    }
}

fn cell(raw: &RawValue) -> String {
    match serde_json::from_str(raw.get()) {
        Ok(Json::Null) => String::new(),
        Ok(Json::String(text)) => text,
        // Numbers keep their digits, lists and objects are JSON.
        _ => raw.get().to_owned(),
    }
}

/// `records`, before all else.
struct RequestScope<'a> {
    parent: &'a dyn Scope,
    records: Option<&'a Records>,
}

impl Scope for RequestScope<'_> {
    fn json(&self, name: &str) -> Option<&Json> {
        if name == "records" { None } else { self.parent.json(name) }
    }

    fn root(&self, name: &str) -> Option<Mini> {
        if name == "records" {
            return self.records.map(|records| value::from_json(&records.json()));
        }
        self.parent.root(name)
    }

    fn write(&self, path: &[Box<str>], out: &mut Vec<u8>) -> Option<bool> {
        match path {
            [name] if **name == *"records" => Some(match self.records {
                Some(records) => {
                    records.write(out);
                    true
                }
                None => false,
            }),
            _ => self.parent.write(path, out),
        }
    }
}
