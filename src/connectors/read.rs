//! Reading records back: a connector's look-up, and where in what it finds the fields are.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value as Json;

use super::account::fatal;
use super::compile::Object;
use super::lookup::Found;
use super::template::Layer;
use super::writer::HttpWriter;
use crate::destinations::{Held, Operation, Reader, SendError, Target, There};
use crate::manifest::sync::Write;

/// Reads records of one object.
pub(super) struct HttpReader {
    /// Makes the requests; nothing is sent through it.
    pub writer: HttpWriter,
    /// Names of the fields, and whether each is compared.
    pub fields: Vec<(String, bool)>,
    /// True when all records are asked for at once.
    pub whole: bool,
}

impl HttpReader {
    pub(super) fn new(writer: HttpWriter, target: &Target) -> Self {
        // What is only written with new records may be anything now.
        let fields = target.fields.iter().map(|field| (field.name.clone(), field.write != Write::IfAdded));
        let read = |object: &Object| Some(object.lookups.get(&object.read.as_ref()?.find)?.whole);
        let whole = writer.words().ok().and_then(read).unwrap_or_default();
        Self { fields: fields.collect(), writer, whole }
    }
}

#[async_trait]
impl Reader for HttpReader {
    fn reads_all(&self) -> bool {
        self.whole
    }

    fn together(&self) -> usize {
        if self.whole { 100_000 } else { 1000 }
    }

    fn requests(&self) -> u64 {
        self.writer.counter.get()
    }

    async fn read(&self, operations: &[Operation]) -> Result<Vec<Held>, SendError> {
        let object = self.writer.words()?;
        let Some(read) = &object.read else { return Err(fatal("the connector cannot read records back".into())) };
        let lookup = object.lookups.get(&read.find);
        let lookup = lookup.ok_or_else(|| fatal(format!("the connector has no `{}`", read.find)))?;
        let typed = self.writer.typed(operations);
        let operations = typed.as_deref().unwrap_or(operations);
        let found = self.writer.look_up(&read.find, lookup, operations).await?;
        let held = operations.iter().zip(found).map(|(operation, found)| match found {
            Found::Nothing => Held::Absent,
            Found::Several => Held::Several,
            Found::Refused { code, message } => Held::Unreadable(format!("{code}: {message}")),
            Found::Unseen => Held::Unseen,
            Found::One(found) => {
                let Some(fields) = &read.fields else { return Held::There(Vec::new()) };
                let scope = Layer::over(Some(&self.writer.globals)).with("found", &found);
                let there = fields.json(&scope).map(std::borrow::Cow::into_owned).unwrap_or_default();
                let sent = self.fields.iter().zip(&operation.record.fields);
                let compared =
                    sent.filter_map(|((name, compared), value)| Some((name, value.as_ref()?)).filter(|_| *compared));
                let compared = compared.filter(|(name, _)| !read.unseen.contains(name));
                let differs = compared.filter_map(|(name, value)| {
                    let (sent, there) = (value.to_json(), at(&there, name));
                    let same = same(&sent, there) || read.unordered && same_set(&sent, there);
                    (!same).then(|| There { field: name.clone(), value: there.clone() })
                });
                Held::There(differs.collect())
            }
        });
        Ok(held.collect())
    }
}

/// A value by its name, which may be a dotted path.
fn at<'j>(there: &'j Json, name: &str) -> &'j Json {
    const NULL: &Json = &Json::Null;
    match there.get(name) {
        Some(found) => found,
        None => name.split('.').try_fold(there, |json, step| json.get(step)).unwrap_or(NULL),
    }
}

/// True when what is there is what was sent, as far as an API keeps it: numbers and truth values may have become text and
/// moments have another spelling, an object may have got more keys, and null may be nothing.
fn same(sent: &Json, there: &Json) -> bool {
    match (sent, there) {
        (Json::Object(sent), Json::Object(there)) => {
            sent.iter().all(|(name, sent)| same(sent, there.get(name).unwrap_or(&Json::Null)))
        }
        (Json::Array(sent), Json::Array(there)) => {
            sent.len() == there.len() && sent.iter().zip(there).all(|(sent, there)| same(sent, there))
        }
        (Json::Null, there) => there.is_null(),
        (sent, there) if sent == there => true,
        (Json::Number(sent), Json::Number(there)) => sent.as_f64() == there.as_f64(),
        (Json::String(text), Json::Number(_) | Json::Bool(_)) => spelt(there) == *text,
        (Json::Number(_) | Json::Bool(_), Json::String(text)) => spelt(sent) == *text,
        (Json::String(sent), Json::String(there)) => match (moment(sent), moment(there)) {
            (Some(sent), Some(there)) => sent == there,
            _ => false,
        },
        _ => false,
    }
}

/// True when both are lists of the same items, in whatever order; an empty list is the same as none.
fn same_set(sent: &Json, there: &Json) -> bool {
    match (sent, there) {
        (Json::Array(sent), Json::Array(there)) => {
            sent.len() == there.len() && sent.iter().all(|item| there.iter().any(|other| same(item, other)))
        }
        (Json::Array(items), Json::Null) | (Json::Null, Json::Array(items)) => items.is_empty(),
        _ => false,
    }
}

/// A number or truth value as text.
fn spelt(value: &Json) -> String {
    value.to_string()
}

/// A point in time, in the spellings APIs answer with.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    // Most texts are none, and are told apart at once.
    if text.len() < 10 || !text.bytes().take(4).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let spelt = |format: &str| jiff::fmt::strtime::parse(format, text).ok()?.to_timestamp().ok();
    text.parse().ok().or_else(|| spelt("%Y-%m-%d %H:%M:%S %:z")).or_else(|| spelt("%Y-%m-%dT%H:%M:%S%z"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_api_makes_of_a_value_is_the_same_value() {
        for (sent, there, expected) in [
            (json!("free"), json!("free"), true),
            (json!("free"), json!("Free"), false),
            (json!(5), json!(5.0), true),
            (json!(5), json!("5"), true),
            (json!(5), json!("6"), false),
            (json!(true), json!("true"), true),
            (json!(null), json!(null), true),
            (json!(null), json!("left over"), false),
            (json!("x"), json!(null), false),
            (json!({"city": "Rome"}), json!({"city": "Rome", "zip": "00100"}), true),
            (json!({"city": "Rome"}), json!({"zip": "00100"}), false),
            (json!(["a", "b"]), json!(["b", "a"]), false),
            (json!("2026-11-01T10:00:00Z"), json!("2026-11-01 10:00:00 +00:00"), true),
            (json!("2026-11-01T10:00:00Z"), json!("2026-11-01T11:00:00+0100"), true),
            (json!("2026-11-01T10:00:00Z"), json!("2026-11-01T10:00:00-01:00"), false),
        ] {
            assert_eq!(same(&sent, &there), expected, "{sent} and {there}");
        }
    }

    #[test]
    fn lists_without_an_order_are_the_same_in_any_order() {
        for (sent, there, expected) in [
            (json!([1, 2]), json!([2, 1]), true),
            (json!([1, 2]), json!(["2", "1"]), true),
            (json!([1, 2]), json!([1, 3]), false),
            (json!([1, 2]), json!([1, 2, 3]), false),
            (json!([]), json!(null), true),
            (json!(null), json!([]), true),
            (json!([1]), json!(null), false),
            (json!(null), json!([1]), false),
            (json!(1), json!([1]), false),
        ] {
            assert_eq!(same_set(&sent, &there), expected, "{sent} and {there}");
        }
    }

    #[test]
    fn a_dotted_name_is_a_path_unless_it_is_a_name() {
        let there = json!({ "address": { "city": "Rome" }, "a.b": 1 });
        for (name, value) in [("address.city", json!("Rome")), ("a.b", json!(1)), ("address.zip", json!(null))] {
            assert_eq!(at(&there, name), &value, "{name}");
        }
    }
}
