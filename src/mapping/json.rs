//! Values as JSON, with all their digits, and back.

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::{Value, number};

/// Deepest nesting taken from JSON text; deeper is somebody playing.
const MAX_DEPTH: usize = 128;

impl Value {
    /// Writes the value as JSON. Whole numbers and decimals are JSON numbers with all their digits, dates and times
    /// are ISO 8601 text (`2026-01-31`, `08:30:00`, `2026-01-31T08:30:00Z`, without `Z` where no zone is known), bytes
    /// are base64. NaN and the infinities, which no mapped record holds, are text: never a silent null.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Float(float) if float.is_finite() => write(out, float),
            Value::Bool(truth) => write(out, truth),
            Value::Int(int) => write(out, int),
            Value::UInt(uint) => write(out, uint),
            // The text of a decimal is canonical by contract; whatever else was put there must not break the document.
            Value::Decimal(text) if number::is_canonical(text) => out.extend_from_slice(text.as_bytes()),
            Value::List(items) => {
                out.push(b'[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Value::Object(entries) => {
                out.push(b'{');
                for (position, (name, value)) in entries.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    write_text(out, name);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
            Value::Text(text) => write_text(out, text),
            Value::Float(_)
            | Value::Decimal(_)
            | Value::Binary(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Timestamp { .. } => write(out, &*self.text()),
        }
    }

    /// The value as JSON text; see [`Value::write_json`].
    pub fn json_text(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The value as a JSON tree, for plan samples. Decimals that a double does not hold exactly are text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Null => Json::Null,
            Value::Bool(truth) => Json::from(*truth),
            Value::Int(int) => Json::from(*int),
            Value::UInt(uint) => Json::from(*uint),
            Value::Float(float) if float.is_finite() => Json::from(*float),
            Value::Decimal(text) => match number::whole_or_decimal(text.clone()) {
                Value::Decimal(text) => number::double(&text).map_or_else(|| Json::from(&*text), Json::from),
                whole => whole.to_json(),
            },
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Object(entries) => {
                Json::Object(entries.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect())
            }
            other => Json::from(other.text()),
        }
    }

    /// The value a JSON tree says.
    pub fn from_json(json: &serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Value::Int(int),
                (_, Some(uint)) => Value::UInt(uint),
                _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text.as_str().into()),
            Json::Array(items) => Value::List(items.iter().map(Value::from_json).collect()),
            Json::Object(entries) => Value::Object(
                entries.iter().map(|(name, value)| (name.as_str().into(), Value::from_json(value))).collect(),
            ),
        }
    }
}

/// Texts and finite doubles always serialise, and a `Vec` always takes them.
pub(super) fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}

/// Writes a text as JSON. Most texts are written as they are, and that is seen eight bytes at a time.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write(out, text);
    }
}

/// True when JSON says every byte as it is: none is a quote, a backslash or below the space.
fn is_plain(bytes: &[u8]) -> bool {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    // The highest bit of some byte is set when some byte is less than `than`, which is at most 128.
    let some_less = |word: u64, than: u8| word.wrapping_sub(EACH * u64::from(than)) & !word & (EACH << 7);
    let (words, rest) = bytes.as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, word| {
        let word = u64::from_le_bytes(*word);
        let some_is = |byte: u8| some_less(word ^ (EACH * u64::from(byte)), 1);
        odd | some_less(word, b' ') | some_is(b'"') | some_is(b'\\')
    });
    odd == 0 && rest.iter().all(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\')
}

/// The value JSON text says, numbers with all their digits. The error does not hold the text.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| "is not valid JSON".to_owned())?;
    read(raw, 0)
}

/// Goes through the document level by level: only the raw text of a number keeps all its digits.
fn read(raw: &RawValue, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!("is JSON nested deeper than {MAX_DEPTH} levels"));
    }
    let text = raw.get().trim();
    let invalid = |_| "is not valid JSON".to_owned();
    match text.as_bytes().first() {
        Some(b'{') => {
            let entries: IndexMap<String, &RawValue> = serde_json::from_str(text).map_err(invalid)?;
            let read_entry = |(name, value): (String, &RawValue)| Ok((name.into(), read(value, depth + 1)?));
            entries.into_iter().map(read_entry).collect::<Result<_, String>>().map(Value::Object)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(invalid)?;
            items.into_iter().map(|item| read(item, depth + 1)).collect::<Result<_, _>>().map(Value::List)
        }
        Some(b'-' | b'0'..=b'9') => number::parse_json(text).ok_or_else(|| "holds a number out of range".to_owned()),
        _ => serde_json::from_str(text).map(|json| Value::from_json(&json)).map_err(invalid),
    }
}

/// Fields by name as one object: a dotted name is a path (`address.city`). A path through a value that is not an
/// object replaces that value; names with an empty part (`a..b`) are taken as they are.
pub fn nested_json<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>) -> Value {
    let mut root = Vec::new();
    for (name, value) in fields {
        if name.contains('.') && name.split('.').all(|part| !part.is_empty()) {
            put(&mut root, &mut name.split('.').peekable(), value);
        } else {
            put(&mut root, &mut std::iter::once(name).peekable(), value);
        }
    }
    Value::Object(root)
}

fn put<'a>(
    object: &mut Vec<(Box<str>, Value)>,
    path: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    value: &Value,
) {
    let Some(name) = path.next() else { return };
    let position = object.iter().position(|(known, _)| **known == *name).unwrap_or_else(|| {
        object.push((name.into(), Value::Null));
        object.len() - 1
    });
    let Some((_, slot)) = object.get_mut(position) else { return };
    if path.peek().is_none() {
        *slot = value.clone();
        return;
    }
    if !matches!(slot, Value::Object(_)) {
        *slot = Value::Object(Vec::new());
    }
    if let Value::Object(inner) = slot {
        put(inner, path, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        value.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_exactly() {
        let instant = Value::Timestamp { nanos: 1_769_848_200_500_000_000, zoned: true };
        let cases = [
            (Value::Null, "null"),
            (Value::Bool(true), "true"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::UInt(u64::MAX), "18446744073709551615"),
            (Value::Float(0.1), "0.1"),
            (Value::Float(f64::NAN), "\"NaN\""),
            (Value::Float(f64::NEG_INFINITY), "\"-Infinity\""),
            (Value::Decimal("12345678901234567890.12345".into()), "12345678901234567890.12345"),
            (Value::Decimal("1]".into()), "\"1]\""),
            (Value::Text("a\"\u{1}\n".into()), r#""a\"\u0001\n""#),
            (Value::Binary([0, 255].into()), "\"AP8=\""),
            (Value::Date(20_484), "\"2026-01-31\""),
            (Value::Time(30_600_000_000_000), "\"08:30:00\""),
            (instant, "\"2026-01-31T08:30:00.5Z\""),
            (Value::List(vec![Value::Int(1), Value::Null]), "[1,null]"),
            (
                Value::Object(vec![("a\"".into(), Value::Int(1)), ("b".into(), Value::List(vec![]))]),
                r#"{"a\"":1,"b":[]}"#,
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(written(&value), expected);
        }
    }

    #[test]
    fn texts_are_written_as_any_writer_of_json_does() {
        let whole = "eight by eight, äöü 日本, \u{7f}\u{80}";
        let odd = ['"', '\\', '\n', '\0', '\u{1f}', ' ', '!', '#', '[', ']', 'é', '\u{a2}'];
        for (start, _) in whole.char_indices() {
            for odd in odd {
                let text = format!("{}{odd}{}", &whole[..start], &whole[start..]);
                assert_eq!(written(&Value::Text(text.as_str().into())), serde_json::to_string(&text).unwrap());
            }
        }
    }

    #[test]
    fn json_text_keeps_its_digits() {
        let text = r#"{"b":[1,18446744073709551615,0.10000000000000000001,1.5,null,true],"a":{"x":"y"}}"#;
        assert_eq!(written(&parse(text).unwrap()), text);
        assert_eq!(parse(" 7 ").unwrap(), Value::Int(7));
        for bad in ["", "{", "{a:1}", "nul", "1 2", "01", "NaN"] {
            assert_eq!(parse(bad).unwrap_err(), "is not valid JSON", "{bad}");
        }
        assert_eq!(parse(&"[".repeat(1_000_000)).unwrap_err(), "is not valid JSON");
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(parse(&deep).unwrap_err(), "is JSON nested deeper than 128 levels");
        assert_eq!(parse("[1e999999999]").unwrap_err(), "holds a number out of range");
    }

    #[test]
    fn samples_show_every_digit() {
        assert_eq!(Value::Decimal("0.1".into()).to_json(), serde_json::json!(0.1));
        assert_eq!(Value::Decimal("12".into()).to_json(), serde_json::json!(12));
        assert_eq!(
            Value::Decimal("0.12345678901234567890".into()).to_json(),
            serde_json::json!("0.12345678901234567890")
        );
        assert_eq!(Value::Date(0).to_json(), serde_json::json!("1970-01-01"));
    }

    #[test]
    fn dotted_names_nest() {
        let cases: [(&[(&str, i64)], &str); 6] = [
            (&[("a", 1), ("b", 2)], r#"{"a":1,"b":2}"#),
            (&[("address.city", 1), ("x", 2), ("address.zip", 3)], r#"{"address":{"city":1,"zip":3},"x":2}"#),
            (&[("a.b.c", 1), ("a.b.d", 2)], r#"{"a":{"b":{"c":1,"d":2}}}"#),
            (&[("a", 1), ("a.b", 2)], r#"{"a":{"b":2}}"#),
            (&[("a..b", 1), (".", 2), ("", 3)], r#"{"a..b":1,".":2,"":3}"#),
            (&[], "{}"),
        ];
        for (fields, expected) in cases {
            let values: Vec<(&str, Value)> = fields.iter().map(|(name, int)| (*name, Value::Int(*int))).collect();
            assert_eq!(written(&nested_json(values.iter().map(|(name, value)| (*name, value)))), expected);
        }
    }
}
