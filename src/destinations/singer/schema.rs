//! The SCHEMA message of a sync.

use arrow_schema::DataType;
use serde_json::{Map, Value, json};

use crate::destinations::{Target, TargetField};
use crate::mapping::Meaning;

/// The message: the identifiers are the key; everything may be null but these.
pub(super) fn message(target: &Target) -> Value {
    let mut properties = Map::new();
    for field in &target.matching {
        put(&mut properties, &field.name, property(field, false));
    }
    for field in &target.fields {
        put(&mut properties, &field.name, property(field, true));
    }
    let key: Vec<&str> = target.matching.iter().map(|field| field.name.as_str()).collect();
    json!({
        "type": "SCHEMA",
        "stream": target.object,
        "schema": { "type": "object", "properties": properties },
        "key_properties": key,
    })
}

/// A dotted field is a property of an object, as it is in the records.
fn put(properties: &mut Map<String, Value>, name: &str, property: Value) {
    let nested = name.split('.').all(|part| !part.is_empty());
    match name.split_once('.').filter(|_| nested) {
        None => drop(properties.insert(name.to_owned(), property)),
        Some((first, rest)) => {
            let object =
                properties.entry(first).or_insert_with(|| json!({ "type": ["object", "null"], "properties": {} }));
            if let Some(inner) = object.get_mut("properties").and_then(Value::as_object_mut) {
                put(inner, rest, property);
            }
        }
    }
}

fn property(field: &TargetField, nullable: bool) -> Value {
    use DataType as T;
    let (kinds, format): (&[&str], Option<&str>) = match (&field.data_type, field.meaning) {
        (Some(_), Meaning::Decimal) => (&["number"], None),
        (Some(T::Boolean), _) => (&["boolean"], None),
        (Some(kind), _) if kind.is_integer() => (&["integer"], None),
        (Some(kind), _) if kind.is_floating() || kind.is_decimal() => (&["number"], None),
        (Some(T::Utf8 | T::LargeUtf8 | T::Utf8View), Meaning::Itself) => (&["string"], None),
        (Some(T::Date32 | T::Date64), _) => (&["string"], Some("date")),
        (Some(T::Time32(_) | T::Time64(_)), _) => (&["string"], Some("time")),
        // Without a zone it is no `date-time`, which is an instant.
        (Some(T::Timestamp(_, Some(_))), _) => (&["string"], Some("date-time")),
        (Some(T::Timestamp(_, None) | T::Binary | T::LargeBinary), _) => (&["string"], None),
        (Some(T::List(_) | T::LargeList(_) | T::FixedSizeList(..)), _) => (&["array"], None),
        (Some(T::Struct(_) | T::Map(..)), _) => (&["object"], None),
        // Not known before the rows: what a template, a constant or a transform gives, or JSON.
        _ => (&["string", "number", "boolean", "object", "array"], None),
    };
    let mut kinds: Vec<&str> = kinds.to_vec();
    if nullable {
        kinds.push("null");
    }
    let mut property = json!({ "type": kinds });
    if let Some(format) = format {
        property["format"] = format.into();
    }
    property
}
