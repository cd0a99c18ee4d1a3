//! Values on their way between records, templates and JSON: no digit is lost.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Value as Mini};
use serde_json::Value as Json;
use smol_str::SmolStr;

use crate::mapping::Value;

/// Deepest nesting that is written.
const MAX_DEPTH: usize = 64;

/// A number with more digits than the engine's numbers hold: it goes through templates as it is.
#[derive(Debug)]
struct Exact(SmolStr);

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record's value as templates see it.
pub(super) fn show(value: &Value) -> Mini {
    match value {
        Value::Null => Mini::from(()),
        Value::Bool(truth) => Mini::from(*truth),
        Value::Int(int) => Mini::from(*int),
        Value::UInt(uint) => Mini::from(*uint),
        Value::Float(float) => Mini::from(*float),
        Value::Decimal(text) => match text.parse::<f64>() {
            Ok(float) if float.to_string() == **text && text.contains('.') => Mini::from(float),
            _ => text.parse::<i128>().map_or_else(|_| Mini::from_object(Exact(text.clone())), Mini::from),
        },
        Value::List(items) => items.iter().map(show).collect(),
        Value::Object(entries) => Mini::from_pairs(entries.iter().map(|(name, value)| (&**name, show(value)))),
        other => Mini::from(&*other.text()),
    }
}

/// JSON as templates see it.
pub(super) fn from_json(json: &Json) -> Mini {
    match json {
        Json::Null => Mini::from(()),
        Json::Bool(truth) => Mini::from(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Mini::from(int),
            (_, Some(uint)) => Mini::from(uint),
            _ => Mini::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Mini::from(text.as_str()),
        Json::Array(items) => items.iter().map(from_json).collect(),
        Json::Object(entries) => {
            Mini::from_pairs(entries.iter().map(|(name, value)| (name.as_str(), from_json(value))))
        }
    }
}

/// What a template gave, as JSON; `None` where it is undefined.
pub(super) fn to_json(value: &Mini) -> Result<Option<Json>, Error> {
    let mut out = Vec::new();
    if !write(value, &mut out)? {
        return Ok(None);
    }
    serde_json::from_slice(&out).map(Some).map_err(|_| Error::new(ErrorKind::BadSerialization, "not a plain value"))
}

/// Writes what a template gave as JSON. False, and nothing is written, where it is undefined; keys of objects whose value
/// is undefined are left out.
pub(super) fn write(value: &Mini, out: &mut Vec<u8>) -> Result<bool, Error> {
    deep(value, out, 0)
}

fn deep(value: &Mini, out: &mut Vec<u8>, depth: usize) -> Result<bool, Error> {
    if depth > MAX_DEPTH || out.len() > super::expression::MAX_OUTPUT {
        return Err(Error::new(ErrorKind::BadSerialization, "the result is too large"));
    }
    match value.kind() {
        ValueKind::Undefined => return Ok(false),
        ValueKind::None => out.extend_from_slice(b"null"),
        ValueKind::Bool => out.extend_from_slice(if value.is_true() { b"true" } else { b"false" }),
        ValueKind::Number if value.is_integer() => out.extend_from_slice(value.to_string().as_bytes()),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(float) if float.is_finite() => text(out, &float),
            _ => return Err(Error::new(ErrorKind::BadSerialization, "not a finite number")),
        },
        ValueKind::String => text(out, value.as_str().unwrap_or_default()),
        ValueKind::Bytes => {
            use base64::Engine as _;
            text(out, &*base64::engine::general_purpose::STANDARD.encode(value.as_bytes().unwrap_or_default()));
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push(b'[');
            let mut first = true;
            for item in value.try_iter()? {
                let start = out.len();
                if !first {
                    out.push(b',');
                }
                if deep(&item, out, depth + 1)? { first = false } else { out.truncate(start) }
            }
            out.push(b']');
        }
        ValueKind::Map => {
            out.push(b'{');
            let mut first = true;
            for key in value.try_iter()? {
                let start = out.len();
                if !first {
                    out.push(b',');
                }
                text(out, key.as_str().map_or_else(|| key.to_string(), str::to_owned).as_str());
                out.push(b':');
                if deep(&value.get_item(&key)?, out, depth + 1)? { first = false } else { out.truncate(start) }
            }
            out.push(b'}');
        }
        _ => match value.downcast_object_ref::<Exact>() {
            Some(exact) => Value::Decimal(exact.0.clone()).write_json(out),
            None => return Err(Error::new(ErrorKind::BadSerialization, "not a plain value")),
        },
    }
    Ok(true)
}

/// Texts and finite doubles always serialise, and a `Vec` always takes them.
pub(super) fn text<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}

/// A JSON value as text: text itself, everything else as JSON; `None` for null and for what is not there.
pub(super) fn plain(json: Option<&Json>) -> Option<String> {
    match json? {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_survive_templates() {
        for text in ["12345678901234567890.12345", "0.1", "7", "99999999999999999999999", "-1.50000000000000000001"] {
            let mut out = Vec::new();
            assert!(write(&show(&Value::Decimal(text.into())), &mut out).unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn what_is_undefined_is_left_out() {
        let value = Mini::from_pairs([("a", Mini::UNDEFINED), ("b", Mini::from(())), ("c", Mini::from(1))]);
        assert_eq!(to_json(&value).unwrap(), Some(serde_json::json!({"b": null, "c": 1})));
        assert_eq!(to_json(&Mini::UNDEFINED).unwrap(), None);
    }
}
