//! Reading a file so that nothing in it is lost: what nobody asked for is known in the end.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::import::{Note, NoteKind};
use crate::manifest::document::{Document, escape};
use crate::secret::may_name_credential;

/// A parsed file, and which of its values were read.
pub(super) struct Reader<'a> {
    document: &'a Document,
    value: Value,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub fn new(document: &'a Document) -> Self {
        Self { document, value: document.to_json(), read: RefCell::default() }
    }

    /// The value at a JSON pointer, which counts as read with all that is in it. Null is nothing.
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        let value = self.value.pointer(pointer)?;
        self.read.borrow_mut().insert(pointer.to_owned());
        Some(value).filter(|value| !value.is_null())
    }

    /// The text at a JSON pointer; numbers and truths as they are written. Anything else is left unread.
    pub fn text(&self, pointer: &str) -> Option<String> {
        let text = match self.value.pointer(pointer)? {
            Value::String(text) => text.clone(),
            value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
            _ => return None,
        };
        self.get(pointer)?;
        Some(text)
    }

    /// The value at a JSON pointer, without counting it as read.
    pub fn look(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer).filter(|value| !value.is_null())
    }

    /// Number of items of the list at a JSON pointer.
    pub fn length(&self, pointer: &str) -> usize {
        self.value.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// What was not read: the topmost pointers. Empty values say nothing, so nothing is lost with them.
    pub fn rest(&self) -> Vec<String> {
        let mut out = Vec::new();
        let read = self.read.borrow();
        rest(&self.value, String::new(), &read, &mut out);
        out
    }

    /// A note about the value at a JSON pointer, with its place.
    pub fn note(&self, kind: NoteKind, pointer: &str, message: impl Into<String>, help: Option<String>) -> Note {
        let (line, column) = self.document.key_place(pointer).line_column();
        let value = self.look(pointer).filter(|_| kind != NoteKind::Blocks && !pointer.is_empty());
        Note {
            kind,
            key: Some(shown(pointer)).filter(|key| !key.is_empty()),
            line: Some(line),
            column: Some(column),
            value: value.map(|value| without_credentials(last(pointer), value)),
            message: message.into(),
            help,
        }
    }
}

fn rest(value: &Value, pointer: String, read: &BTreeSet<String>, out: &mut Vec<String>) {
    if read.contains(&pointer) {
        return;
    }
    let below = format!("{pointer}/");
    let partly =
        pointer.is_empty() || read.range(below.clone()..).next().is_some_and(|first| first.starts_with(&below));
    match value {
        Value::Null => {}
        Value::Object(map) if partly => {
            map.iter().for_each(|(key, value)| rest(value, format!("{pointer}/{}", escape(key)), read, out));
        }
        Value::Array(items) if partly => {
            items.iter().enumerate().for_each(|(at, item)| rest(item, format!("{pointer}/{at}"), read, out));
        }
        Value::Object(map) if map.is_empty() => {}
        Value::Array(items) if items.is_empty() => {}
        _ => out.push(pointer),
    }
}

/// A JSON pointer as people write it: `config.mappings[2].to`.
pub(super) fn shown(pointer: &str) -> String {
    let mut out = String::new();
    for part in pointer.split('/').skip(1) {
        if part.parse::<usize>().is_ok() {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    out
}

fn last(pointer: &str) -> &str {
    pointer.rsplit('/').next().unwrap_or_default()
}

/// A value for a report: what stands under the name of a credential, or beside it, is not repeated.
fn without_credentials(key: &str, value: &Value) -> Value {
    const HIDDEN: &str = "(not repeated: it may be a credential)";
    match value {
        Value::Object(map) => {
            // Headers come as `{ name: Authorization, value: … }` too.
            let named = ["name", "key", "header"].iter().any(|key| map.get(*key).is_some_and(names_credential));
            let entries = map.iter().map(|(key, value)| {
                let hide = named && key == "value";
                (key.clone(), if hide { HIDDEN.into() } else { without_credentials(key, value) })
            });
            Value::Object(entries.collect())
        }
        Value::Array(items) => items.iter().map(|item| without_credentials(key, item)).collect(),
        Value::String(_) | Value::Number(_) if may_name_credential(key) => HIDDEN.into(),
        Value::String(text) if text.contains("://") && text.contains('@') => HIDDEN.into(),
        other => other.clone(),
    }
}

fn names_credential(value: &Value) -> bool {
    value.as_str().is_some_and(may_name_credential)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceText;
    use serde_json::json;

    #[test]
    fn what_nobody_read_is_named() {
        let text = "a: 1\nb: { c: 1, d: [ { e: 1 }, { f: 2 } ], none: }\ng: []\nh: { i: 1 }\n";
        let document = Document::parse(SourceText { path: "x.yaml".into(), text: text.into() }).unwrap();
        let reader = Reader::new(&document);
        reader.get("/b/d/0");
        assert_eq!(reader.text("/a").as_deref(), Some("1"));
        assert_eq!(reader.text("/b"), None);
        assert_eq!(reader.rest().iter().map(|p| shown(p)).collect::<Vec<_>>(), ["b.c", "b.d[1]", "h"]);
        let note = reader.note(NoteKind::Left, "/b/d/1", "lost", None);
        assert_eq!((note.line, note.column, note.value), (Some(2), Some(27), Some(json!({ "f": 2 }))));
    }

    #[test]
    fn credentials_are_not_repeated() {
        let value = json!({
            "apiKey": "k1", "headers": [ { "name": "Authorization", "value": "k2" }, { "name": "Accept", "value": "json" } ],
            "url": "https://me:k3@a.example", "nested": { "clientSecret": ["k4"] }, "fine": 1
        });
        let shown = without_credentials("config", &value).to_string();
        assert!(!["k1", "k2", "k3", "k4"].iter().any(|secret| shown.contains(secret)), "{shown}");
        assert!(shown.contains("json") && shown.contains("\"fine\":1"), "{shown}");
    }
}
