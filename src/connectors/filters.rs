//! What connectors can do with a value beside what minijinja itself has.

use base64::Engine as _;
use minijinja::filters;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};
use sha2::Digest as _;

/// Those that the engine has no filter of the same name for.
pub(super) const OWN: &[&str] = &["base64", "epoch", "epoch_ms", "md5", "nulls", "pairs", "pick", "sha256", "texts"];

/// Adds the filters to an engine.
pub(super) fn add(engine: &mut Environment<'static>) {
    engine.add_filter("base64", |value: Value| {
        on_text(&value, |text| base64::engine::general_purpose::STANDARD.encode(text))
    });
    engine.add_filter("sha256", |value: Value| on_text(&value, |text| hex::encode(sha2::Sha256::digest(text))));
    engine.add_filter("md5", |value: Value| on_text(&value, |text| hex::encode(md5::Md5::digest(text))));
    // Those of the engine make the word "none" of null.
    engine.add_filter("lower", |value: Value| on_text(&value, str::to_lowercase));
    engine.add_filter("upper", |value: Value| on_text(&value, str::to_uppercase));
    engine.add_filter("title", |value: Value| on_text(&value, |text| filters::title(text.into())));
    engine.add_filter("capitalize", |value: Value| on_text(&value, capitalized));
    engine.add_filter("string", |value: Value| on_text(&value, str::to_owned));
    engine.add_filter("trim", |value: Value, chars: Option<String>| {
        on_text(&value, |text| match &chars {
            Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
            None => text.trim().to_owned(),
        })
    });
    engine.add_filter("pairs", pairs);
    engine.add_filter("texts", texts);
    engine.add_filter("pick", pick);
    engine.add_filter("nulls", nulls);
    engine.add_filter("epoch", |value: Value| epoch(&value, jiff::Timestamp::as_second));
    engine.add_filter("epoch_ms", |value: Value| epoch(&value, jiff::Timestamp::as_millisecond));
}

/// The first letter large, the others small.
fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + &chars.as_str().to_lowercase()
}

/// A filter over text; what is not there stays so.
fn on_text(value: &Value, filter: impl FnOnce(&str) -> String) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Ok(value.clone()),
        _ => Ok(Value::from(filter(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))),
    }
}

/// The entries of an object as a list of objects, e.g. `[{name: plan, value: free}]`.
fn pairs(value: Value, name: String, of: String) -> Result<Value, Error> {
    entries(&value)?.map(|(key, value)| Ok(Value::from_pairs([(name.as_str(), key), (of.as_str(), value)]))).collect()
}

/// The same object with texts for values; null stays null.
fn texts(value: Value) -> Result<Value, Error> {
    let entries = entries(&value)?.map(|(key, value)| {
        let text = match value.kind() {
            ValueKind::Undefined | ValueKind::None | ValueKind::String => value,
            ValueKind::Bool => Value::from(if value.is_true() { "true" } else { "false" }),
            _ => {
                let mut out = Vec::new();
                super::value::write(&value, &mut out)?;
                Value::from(String::from_utf8_lossy(&out).trim_matches('"').to_owned())
            }
        };
        Ok((key.to_string(), text))
    });
    Ok(Value::from_pairs(entries.collect::<Result<Vec<(String, Value)>, Error>>()?))
}

/// The values of an object under these names, as texts in their order; what is not there is an empty text.
fn pick(value: Value, names: Vec<String>) -> Result<Vec<String>, Error> {
    let text = |name: &String| {
        let found = value.get_item(&Value::from(name.as_str()))?;
        Ok(if found.is_undefined() || found.is_none() { String::new() } else { found.to_string() })
    };
    names.iter().map(text).collect()
}

/// The entries of an object that are null.
fn nulls(value: Value) -> Result<Value, Error> {
    Ok(Value::from_pairs(entries(&value)?.filter(|(_, value)| value.is_none())))
}

fn entries(value: &Value) -> Result<impl Iterator<Item = (Value, Value)>, Error> {
    let mut list = Vec::new();
    if !matches!(value.kind(), ValueKind::Undefined | ValueKind::None) {
        if value.kind() != ValueKind::Map {
            return Err(Error::new(ErrorKind::InvalidOperation, "only objects have entries"));
        }
        for key in value.try_iter()? {
            let of = value.get_item(&key)?;
            list.push((key, of));
        }
    }
    Ok(list.into_iter())
}

/// Seconds or milliseconds since 1970 of a moment as text, in ISO 8601 or as APIs spell it; numbers are taken for what they should be.
fn epoch(value: &Value, unit: fn(jiff::Timestamp) -> i64) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None | ValueKind::Number => Ok(value.clone()),
        _ => {
            let text = value.as_str().unwrap_or_default();
            let moment = super::read::moment(text).or_else(|| {
                let civil = text.parse::<jiff::civil::DateTime>().ok()?;
                civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
            });
            let wrong = || Error::new(ErrorKind::InvalidOperation, "is neither a date nor a date and time");
            moment.map(|moment| Value::from(unit(moment))).ok_or_else(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::connectors::expression::Expression;
    use crate::connectors::template::Layer;

    #[test]
    fn what_is_null_or_not_there_stays_so() {
        let fields = json!({ "name": " Ann b ", "null": null, "number": 7, "truth": true });
        let scope = Layer::over(None).with("fields", &fields);
        for (expression, expected) in [
            ("fields.name | upper", Some(json!(" ANN B "))),
            ("fields.name | trim | title", Some(json!("Ann B"))),
            ("fields.name | trim(' b')", Some(json!("Ann"))),
            ("fields.name | trim | lower | capitalize", Some(json!("Ann b"))),
            ("fields.number | string", Some(json!("7"))),
            ("fields.truth | upper", Some(json!("TRUE"))),
            ("fields.null | upper", Some(json!(null))),
            ("fields.null | string | lower | trim", Some(json!(null))),
            ("fields.other | lower", None),
            ("fields.other | title | default('x')", Some(json!("x"))),
            ("fields | nulls", Some(json!({ "null": null }))),
            ("fields | pick(['number', 'null', 'other', 'name'])", Some(json!(["7", "", "", " Ann b "]))),
            ("{'a': 5.0} | pick(['a'])", Some(json!(["5.0"]))),
        ] {
            let parsed = Expression::parse(expression, &["fields"]).expect(expression);
            assert_eq!(parsed.json(&scope).map(std::borrow::Cow::into_owned), expected, "{expression}");
        }
    }
}
