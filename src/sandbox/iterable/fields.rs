//! Types of profile and event fields: fixed by the first value that is sent, and never changed after.

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use crate::sandbox::store::Shelf;

/// Most profile fields of a project.
const MAX_FIELDS: usize = 1000;

/// The name of the project in messages about fields.
const PROJECT: &str = "sandbox";

/// Fields a request would add, and those it names that are dropped.
#[derive(Debug, Default)]
pub(super) struct Admission {
    pub created: IndexMap<String, String>,
    pub dropped: IndexSet<String>,
}

/// Looks at all records of a request before any of them is taken: one wrong type, and nothing is.
///
/// # Errors
/// 400 `RequestFieldsTypesMismatched` with every field, or `UniqueFieldsLimitExceeded`.
pub(super) fn admit<'a>(
    fields: &Shelf<String, String>,
    scope: &str,
    category: &str,
    records: impl Iterator<Item = (&'a Map<String, Value>, bool)>,
) -> Result<Admission, Refusal> {
    let mut check = Check { fields, scope, category, admission: Admission::default(), wrong: Map::new() };
    for (data, create) in records {
        check.object(data, "", create);
    }
    if !check.wrong.is_empty() {
        let params = json!({ "validationErrors": check.wrong });
        let message = "The request does not have the same data types as the existing fields";
        return Err(Refusal::new(400, "RequestFieldsTypesMismatched", message).with_params(params));
    }
    if fields.len() + check.admission.created.len() > MAX_FIELDS {
        let message = format!("Cannot create more than {MAX_FIELDS} unique fields");
        return Err(Refusal::new(400, "UniqueFieldsLimitExceeded", message));
    }
    Ok(check.admission)
}

struct Check<'a> {
    fields: &'a Shelf<String, String>,
    scope: &'a str,
    category: &'a str,
    admission: Admission,
    wrong: Map<String, Value>,
}

impl Check<'_> {
    fn object(&mut self, data: &Map<String, Value>, prefix: &str, create: bool) {
        for (name, value) in data {
            if value.is_null() {
                continue;
            }
            let path = format!("{prefix}{name}");
            if self.value(&path, value, create)
                && let Value::Object(inner) = value
            {
                self.object(inner, &format!("{path}."), create);
            }
        }
    }

    /// Whether the field is taken.
    fn value(&mut self, path: &str, value: &Value, create: bool) -> bool {
        let incoming = types(value);
        let Some(first) = incoming.first() else { return true };
        let key = format!("{}{path}", self.scope);
        let known = self.fields.get(key.as_str()).or_else(|| self.admission.created.get(&key));
        match known.cloned() {
            Some(known) if incoming.contains(&known.as_str()) => true,
            // A day without a time is a date, where the field is known to be one.
            Some(known) if known == "date" && value.as_str().is_some_and(is_day) => true,
            Some(known) => {
                let error = json!({ "incomingTypes": incoming, "expectedType": known, "category": self.category,
                    "offendingValue": value, "_type": "UnexpectedType" });
                self.wrong.insert(format!("{PROJECT}:::{path}"), error);
                false
            }
            None if create => {
                self.admission.created.insert(key, (*first).to_owned());
                true
            }
            None => {
                self.admission.dropped.insert(key);
                false
            }
        }
    }
}

/// What a value could be, the narrowest first. An array is what its items are; an empty one is nothing yet.
fn types(value: &Value) -> Vec<&'static str> {
    match value {
        Value::Null => Vec::new(),
        Value::Bool(_) => vec!["boolean"],
        Value::Number(number) if number.is_f64() => vec!["double"],
        Value::Number(_) => vec!["long", "double"],
        Value::String(text) if moment(text).is_some() => vec!["date", "string"],
        Value::String(_) => vec!["string"],
        Value::Array(items) => items.first().map(types).unwrap_or_default(),
        Value::Object(_) => vec!["object"],
    }
}

fn is_day(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10
}

/// A point in time, in the forms Iterable knows: `2020-08-19T20:50:04.000Z`, `2020-08-19 20:50:04 +00:00`.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    let bytes = text.as_bytes();
    // Most text is no date; this tells without parsing.
    if bytes.len() < 19 || bytes.get(4) != Some(&b'-') || bytes.get(13) != Some(&b':') {
        return None;
    }
    let joined = text.replacen(" +", "+", 1).replacen(" -", "-", 1);
    joined.parse().ok()
}

/// The value as it is kept: dates in Iterable's own form, nothing that is null.
fn settled(key: &str, value: Value, fields: &Shelf<String, String>) -> Value {
    match value {
        Value::String(text) if fields.get(key).is_some_and(|kind| kind == "date") => match moment(&text) {
            Some(moment) => Value::from(moment.strftime("%Y-%m-%d %H:%M:%S +00:00").to_string()),
            None => Value::String(text),
        },
        Value::Object(inner) => {
            let members = inner.into_iter().filter(|(_, value)| !value.is_null());
            let settle = |(name, value): (String, Value)| {
                let settled = settled(&format!("{key}.{name}"), value, fields);
                (name, settled)
            };
            Value::Object(members.map(settle).collect())
        }
        other => other,
    }
}

/// Writes what was sent into what is held: null removes, objects are replaced or, with `merge`, merged.
pub(super) fn write(
    held: &mut Map<String, Value>,
    sent: &Map<String, Value>,
    prefix: &str,
    merge: bool,
    fields: &Shelf<String, String>,
    dropped: &IndexSet<String>,
) {
    for (name, value) in sent {
        let key = format!("{prefix}{name}");
        if value.is_null() {
            held.shift_remove(name);
        } else if dropped.contains(&key) {
        } else if let (Value::Object(inner), true) = (value, merge) {
            let slot = held.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            if let Value::Object(slot) = slot {
                write(slot, inner, &format!("{key}."), merge, fields, dropped);
            }
        } else if let Value::Object(inner) = value {
            let mut fresh = Map::new();
            write(&mut fresh, inner, &format!("{key}."), true, fields, dropped);
            held.insert(name.clone(), Value::Object(fresh));
        } else {
            held.insert(name.clone(), settled(&key, value.clone(), fields));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn the_first_value_fixes_the_type() {
        let mut fields = Shelf::new("fields");
        let record = object(json!({ "age": 7, "at": "2020-08-19T20:50:04.000Z", "a": { "b": true }, "tags": ["x"] }));
        let admitted = admit(&fields, "", "user", [(&record, true)].into_iter()).unwrap();
        let types: Vec<_> = admitted.created.iter().map(|(k, v)| format!("{k} {v}")).collect();
        assert_eq!(types, ["age long", "at date", "a object", "a.b boolean", "tags string"]);
        for (key, kind) in admitted.created {
            fields.insert(key, kind);
        }
        for (wrong, count) in [
            (json!({ "age": "7" }), 1),
            (json!({ "age": 7.5, "at": "soon" }), 2),
            (json!({ "a": { "b": 1 } }), 1),
            (json!({ "age": 8, "at": "2020-08-19", "a": null }), 0),
        ] {
            let record = object(wrong.clone());
            let refusal = admit(&fields, "", "user", [(&record, true)].into_iter()).err();
            let body = refusal.map(|r| serde_json::from_slice::<Value>(&r.answer().body).unwrap());
            let found = body.map_or(0, |b| b["params"]["validationErrors"].as_object().unwrap().len());
            assert_eq!(found, count, "{wrong}");
        }
    }

    #[test]
    fn null_removes_and_objects_merge_when_asked() {
        let fields = Shelf::new("fields");
        let sent = object(json!({ "a": { "x": null, "y": 2 }, "gone": null }));
        for (merge, result) in [(true, json!({ "a": { "z": 3, "y": 2 } })), (false, json!({ "a": { "y": 2 } }))] {
            let mut held = object(json!({ "a": { "x": 1, "z": 3 }, "gone": 1 }));
            write(&mut held, &sent, "", merge, &fields, &IndexSet::new());
            assert_eq!(Value::Object(held), result);
        }
    }
}
