//! A schema in the words of someone who writes YAML.

use serde_json::Value;

/// What a schema expects: `a list of text`, ``one of `insert`, `update` ``.
pub(super) fn expected(schema: &Value) -> String {
    if let Some(constants) = schema.get("enum").and_then(Value::as_array) {
        return format!("one of {}", quoted(constants.iter().filter_map(Value::as_str)));
    }
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        let words: Vec<_> = branches.iter().filter(|branch| !is_null(branch)).map(expected).collect();
        return words.join(" or ");
    }
    let types: Vec<_> =
        types(schema).into_iter().filter(|name| *name != "null").map(|name| one(name, schema)).collect();
    if types.is_empty() { "something else".into() } else { types.join(" or ") }
}

fn one(name: &str, schema: &Value) -> String {
    match name {
        "string" if is_percentage(schema) => "a percentage such as `5%`".into(),
        "string" => "text".into(),
        "integer" => "a whole number".into(),
        "number" => "a number".into(),
        "boolean" => "`true` or `false`".into(),
        "array" => match schema.get("items").map(|items| types(items).join("")).as_deref() {
            Some("string") => "a list of text".into(),
            Some("object") => "a list of blocks".into(),
            _ => "a list".into(),
        },
        "object" => "a block of keys".into(),
        _ => "nothing".into(),
    }
}

/// The types a schema takes, by their JSON names.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// True for the pattern of percentages.
pub(super) fn is_percentage(schema: &Value) -> bool {
    schema.get("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.ends_with("%$"))
}

pub(super) fn is_null(schema: &Value) -> bool {
    types(schema) == ["null"]
}

/// What stands there instead, without the value itself.
pub(super) fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(true) => "`true`",
        Value::Bool(false) => "`false`",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a block of keys",
    }
}

/// `` `a`, `b`, `c` ``
pub(super) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A value as it is written: texts without quotes.
pub(super) fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
