//! Field-level differences.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::super::MappingSpec;
use super::*;

fn mapping(fields: serde_json::Value) -> Mapping {
    let spec: MappingSpec = serde_json::from_value(
        serde_json::json!({ "primary_key": ["id"], "matching": { "email": "id" }, "fields": fields }),
    )
    .unwrap();
    Mapping::new(&spec, &Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, true)])), "").unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// `name: before -> after`, one per difference.
fn lines(before: &[(&str, Value)], matching: Value, fields: Vec<Option<Value>>, mapping: &Mapping) -> Vec<String> {
    let before: Named = before.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let record = Record { matching: vec![matching], fields };
    let line = |d: Difference| {
        let before = d.before.map_or("absent".to_owned(), |value| value.text().into_owned());
        format!("{}{}: {before} -> {}", if d.identifier { "=" } else { "" }, d.field, d.after.text())
    };
    differences(&before, &record, mapping).into_iter().map(line).collect()
}

#[test]
fn by_name() {
    let mapping = mapping(serde_json::json!({ "a": "id", "b": "id" }));
    let before = [("email", text("x")), ("a", text("1")), ("b", text("2")), ("gone", text("3"))];
    let same = lines(&before, text("x"), vec![Some(text("1")), Some(text("2"))], &mapping);
    assert!(same.is_empty(), "{same:?}");
    assert_eq!(
        lines(&before, text("y"), vec![Some(text("1")), Some(Value::Null)], &mapping),
        ["=email: x -> y", "b: 2 -> null"]
    );
    assert!(lines(&before, text("x"), vec![None, None], &mapping).is_empty(), "left out");
    assert_eq!(lines(&before[..2], text("x"), vec![Some(text("1")), Some(text("2"))], &mapping), ["b: absent -> 2"]);
}

#[test]
fn a_number_of_another_type_is_the_same() {
    let mapping = mapping(serde_json::json!({ "a": "id" }));
    let before = [("email", text("x")), ("a", Value::Int(5))];
    assert!(lines(&before, text("x"), vec![Some(Value::Decimal("5".into()))], &mapping).is_empty());
    assert!(lines(&before, text("x"), vec![Some(Value::Float(5.0))], &mapping).is_empty());
    assert_eq!(lines(&before, text("x"), vec![Some(text("5"))], &mapping), ["a: 5 -> 5"], "text is not a number");
}

#[test]
fn an_identifier_may_be_a_field_too() {
    let mapping = mapping(serde_json::json!({ "email": "id" }));
    let record = Record { matching: vec![text("old")], fields: vec![Some(text("new"))] };
    let before = named(record.clone(), &mapping);
    assert_eq!(before, [("email".into(), text("old")), ("email".into(), text("new"))]);
    assert!(differences(&before, &record, &mapping).is_empty());
    let next = Record { matching: vec![text("old")], fields: vec![Some(text("newer"))] };
    assert_eq!(differences(&before, &next, &mapping).len(), 1);
}

#[test]
fn types_that_change_with_other_rows_of_a_file_make_no_difference() {
    let text = |text: &str| Value::Text(text.into());
    let object = |entries: &[(&str, Value)]| {
        Value::Object(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    };
    let same = [
        (Value::Int(5), Value::Float(5.0)),
        (Value::Date(0), text("1970-01-01")),
        (Value::Timestamp { nanos: 0, zoned: true }, text("1970-01-01T00:00:00Z")),
        (Value::List(vec![Value::Int(1)]), Value::List(vec![Value::Decimal("1".into())])),
        (object(&[("a", Value::Int(1))]), object(&[("b", Value::Null), ("a", Value::Float(1.0))])),
        (object(&[("a", object(&[]))]), object(&[("a", object(&[("x", Value::Null)]))])),
    ];
    for (this, that) in &same {
        assert!(this.same(that) && that.same(this), "{this:?} {that:?}");
    }
    let different = [
        (Value::Int(5), text("5")),
        (Value::Date(0), text("1970-01-02")),
        (Value::Null, text("")),
        (Value::List(vec![Value::Null]), Value::List(vec![])),
        (object(&[("a", Value::Int(1))]), object(&[])),
        (object(&[("a", Value::Int(1))]), object(&[("b", Value::Int(1))])),
    ];
    for (this, that) in &different {
        assert!(!this.same(that) && !that.same(this), "{this:?} {that:?}");
    }
}
