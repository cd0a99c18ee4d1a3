//! Takes the credentials out of what is written down: those that are known, and whatever stands where credentials do, for
//! an answer can hold one that nobody knows yet.

use reqwest::Url;
use serde_json::{Map, Value};

use crate::secret::{Redactor, may_name_credential, names_credential};

/// The most of a body that is written down, in bytes.
const MOST: usize = 64 << 10;

/// True for a header that holds a credential.
pub(super) fn is_secret_header(name: &str) -> bool {
    // These two say who should be asked, and hold nothing.
    let asks = ["www-authenticate", "proxy-authenticate"].iter().any(|asks| name.eq_ignore_ascii_case(asks));
    !asks && may_name_credential(name)
}

pub(super) struct Scrub {
    redactor: Redactor,
}

impl Scrub {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor }
    }

    /// Any text, without the known secrets.
    pub(super) fn text(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// An address: without user and password, and without the credentials of its query.
    pub(super) fn url(&self, text: &str) -> String {
        let Ok(mut url) = Url::parse(text) else { return self.text(text) };
        // An address that cannot have them has none.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        let query = url.query().map(|query| self.pairs(query));
        url.set_query(None);
        let place = self.text(url.as_str());
        query.map_or_else(|| place.clone(), |query| format!("{place}?{query}"))
    }

    /// `name=value&…`, as in queries and forms.
    fn pairs(&self, text: &str) -> String {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if names_credential(name) || name == "key" => format!("{name}=[secret]"),
            _ => pair.to_owned(),
        };
        self.text(&text.split('&').map(pair).collect::<Vec<_>>().join("&"))
    }

    fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Value::Object(map) => {
                let cleaned = map.into_iter().map(|(name, value)| match value {
                    Value::String(text) if names_credential(&name) && !text.is_empty() => (name, "[secret]".into()),
                    Value::Number(_) if names_credential(&name) => (name, "[secret]".into()),
                    value => (self.text(&name), self.json(value)),
                });
                Value::Object(cleaned.collect::<Map<_, _>>())
            }
            // A secret of digits alone.
            Value::Number(number) => {
                let text = number.to_string();
                let clean = self.text(&text);
                if clean == text { Value::Number(number) } else { clean.into() }
            }
            other => other,
        }
    }

    /// Puts `body` into a line: JSON as JSON, other text as text, both without credentials; long ones are cut, and bytes
    /// that are not text left out, with a note.
    pub(super) fn body(&self, content_type: &str, bytes: &[u8], line: &mut Map<String, Value>) {
        if bytes.is_empty() {
            return;
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            line.insert("note".into(), format!("{} bytes that are not text", bytes.len()).into());
            return;
        };
        // Cleaned as a whole before it is cut: half a secret at the edge would not be found.
        let clean = match serde_json::from_str(text).map(|value| self.json(value)) {
            Ok(value) if bytes.len() <= MOST => {
                line.insert("body".into(), value);
                return;
            }
            Ok(value) => value.to_string(),
            Err(_) if content_type.starts_with("application/x-www-form-urlencoded") => self.pairs(text),
            Err(_) => self.text(text),
        };
        let mut end = clean.len().min(MOST);
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        if end < clean.len() {
            line.insert("note".into(), format!("cut: {} bytes in all", bytes.len()).into());
        }
        line.insert("body".into(), clean.get(..end).unwrap_or_default().into());
    }
}
