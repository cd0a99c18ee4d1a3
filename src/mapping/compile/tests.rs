//! Rows in, records out.

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};

use super::*;

fn spec(yaml_like: serde_json::Value) -> MappingSpec {
    serde_json::from_value(yaml_like).unwrap()
}

fn rows() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("email", Arc::new(StringArray::from(vec![Some("A@x.com"), None, Some("b@x.com"), Some("c@x.com")]))),
        ("plan", Arc::new(StringArray::from(vec![Some("free"), Some("free"), None, Some("")]))),
        ("seats", Arc::new(Int64Array::from(vec![Some(5), Some(6), None, Some(7)]))),
        ("score", Arc::new(Float64Array::from(vec![0.5, 1.0, 2.0, f64::NAN]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// The record of a row as JSON, or what is wrong with it.
fn record(spec: &MappingSpec, row: usize, added: bool) -> String {
    let rows = rows();
    let mapping = Mapping::new(spec, &rows.schema(), "2026-01-31T08:30:00Z").unwrap();
    let bound = mapping.bind(&rows).unwrap();
    match bound.record(row, added) {
        Ok(record) => {
            let named = crate::mapping::named(record.clone(), &mapping);
            crate::mapping::nested_json(named.iter().map(|(name, value)| (name.as_str(), value))).text().into_owned()
        }
        Err(Unmappable { field, reason, message }) => format!("{} {field}: {message}", reason.word()),
    }
}

#[test]
fn columns_constants_and_nulls() {
    let spec = spec(serde_json::json!({
        "primary_key": ["email"],
        "matching": { "id": "email" },
        "fields": {
            "plan": "plan",
            "seats": { "column": "seats", "on_null": "omit" },
            "cleared": { "column": "plan", "on_null": "clear" },
            "origin": { "value": " Warehouse ", "transform": ["trim", "lower"] },
            "nothing": { "value": null, "on_null": "omit" },
            "first": { "value": { "a": [1] }, "write": "if_added" },
            "hash": { "column": "email", "transform": ["lower", "md5"] },
            "at.plan": "plan"
        }
    }));
    assert_eq!(
        record(&spec, 0, true),
        r#"{"id":"A@x.com","plan":"free","seats":5,"cleared":"free","origin":"warehouse","first":{"a":[1]},"hash":"743173788aa9166801df2e18f0e7ff24","at":{"plan":"free"}}"#
    );
    assert_eq!(record(&spec, 1, true), "null_match id: column `email` is null");
    let third = record(&spec, 2, false);
    assert!(
        third.starts_with(r#"{"id":"b@x.com","plan":null,"cleared":null,"origin":"warehouse","hash":""#),
        "{third}"
    );
    assert!(third.ends_with(r#","at":{"plan":null}}"#), "{third}");
}

#[test]
fn rows_that_cannot_be_mapped() {
    let made = |field: serde_json::Value| {
        spec(serde_json::json!({ "primary_key": ["email"], "matching": { "id": "email" }, "fields": { "x": field } }))
    };
    let cases = [
        (serde_json::json!("score"), "unmappable x: column `score` is not a finite number"),
        (
            serde_json::json!({ "column": "email", "transform": "integer" }),
            "unmappable x: column `email`: transform `integer`: text is not a whole number",
        ),
        (
            serde_json::json!({ "template": "{{ row.score }}" }),
            "unmappable x: template: column `score` is not a finite number at `row.score`",
        ),
        (
            serde_json::json!({ "template": "{{ row.score | title }}" }),
            "unmappable x: template: column `score` is not a finite number at `row.score`",
        ),
        (
            serde_json::json!({ "template": "{{ row.email + 1 }}" }),
            "unmappable x: template: invalid operation at `row.email + 1`",
        ),
        (
            serde_json::json!({ "template": "{{ row.email | int }}" }),
            "unmappable x: template: invalid operation at `int`",
        ),
        (
            serde_json::json!({ "template": "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}" }),
            "unmappable x: template: too much work for one row",
        ),
    ];
    for (field, expected) in cases {
        let actual = record(&made(field.clone()), 3, true);
        assert!(actual.starts_with(expected), "{field}\n{actual}\n{expected}");
        assert!(!actual.contains("c@x.com"), "{actual}");
    }
}

#[test]
fn templates() {
    // Template; row; text.
    let cases = [
        ("{{ row.plan }}/{{ row['email'] | lower }}", 0, "free/a@x.com"),
        ("[{{ row.plan }}]", 2, "[]"),
        ("[{{ row.plan | title }}{{ row.plan | trim | upper }}]", 2, "[]"),
        ("{{ row.plan | default('none', true) }}", 2, "none"),
        ("{{ row.plan }}", 3, ""),
        ("{% if row.plan is none %}null{% else %}{{ row.plan }}{% endif %}", 2, "null"),
        ("{{ row.seats + 1 }}", 0, "6"),
        ("{% if row.seats > 4 %}big{% endif %}", 0, "big"),
        ("{{ row.email | replace('@', ' at ') }}", 0, "A at x.com"),
        ("{{ [row.plan, row.seats] | join('-') }}", 0, "free-5"),
        ("{{ row.score | round(1) }} {{ row.seats | float }} {{ '7' | int }}", 0, "0.5 5.0 7"),
        ("{{ {'a': row.seats} | tojson }}", 0, r#"{"a": 5}"#),
        ("{{ row.keys }}", 0, "!"),
        ("{{ row | length }}", 0, "4"),
        ("{% for name in row %}{{ name }} {% endfor %}", 0, "email plan seats score "),
        ("{{ vars.region }} {{ environment }} {{ run.started_at }}", 0, "eu prod 2026-01-31T08:30:00Z"),
        ("<b>&{{ row.email }}", 0, "<b>&A@x.com"),
    ];
    for (template, row, expected) in cases {
        let spec = spec(serde_json::json!({
            "primary_key": ["email"], "matching": { "id": "email" },
            "fields": { "x.html": { "template": template } },
            "scope": { "vars": { "region": "eu" }, "environment": "prod" }
        }));
        let rows = rows();
        match Mapping::new(&spec, &rows.schema(), "2026-01-31T08:30:00Z") {
            Ok(mapping) => {
                let record = mapping.bind(&rows).unwrap().record(row, true).unwrap();
                assert_eq!(record.fields, [Some(Value::Text(expected.into()))], "{template}");
            }
            Err(faults) => assert_eq!((expected, faults.len()), ("!", 1), "{template} {faults:?}"),
        }
    }
}

#[test]
fn decimals_print_exactly_in_templates() {
    for (text, comparable) in [
        ("12.5", true),
        ("0.1", true),
        ("170141183460469231731687303715884105727", true),
        ("0.1234567890123456789", false),
    ] {
        let rows = RecordBatch::try_from_iter([("n", Arc::new(StringArray::from(vec![text])) as ArrayRef)]).unwrap();
        let mark = HashMap::from([(crate::mapping::column::MARK.to_owned(), "decimal".to_owned())]);
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Utf8, false).with_metadata(mark)]));
        let spec = spec(serde_json::json!({
            "primary_key": ["n"], "matching": { "id": "n" },
            "fields": { "x": { "template": "{{ row.n }}" }, "y": { "template": "{{ row.n is number and row.n < 1e39 }}" } }
        }));
        let mapping = Mapping::new(&spec, &schema, "").unwrap();
        let record = mapping.bind(&rows).unwrap().record(0, true).unwrap();
        assert_eq!(record.fields[0], Some(Value::Text(text.into())));
        assert_eq!(record.fields[1], Some(Value::Text(if comparable { "True" } else { "False" }.into())), "{text}");
    }
}

#[test]
fn keys() {
    let rows = rows();
    let key_text = |columns: &[&str], row| {
        let spec = spec(serde_json::json!({ "primary_key": columns, "matching": { "id": "email" }, "fields": {} }));
        let mapping = Mapping::new(&spec, &rows.schema(), "").unwrap();
        mapping.bind(&rows).unwrap().key_text(row)
    };
    assert_eq!(key_text(&["email"], 0), "A@x.com");
    assert_eq!(key_text(&["email"], 1), "null");
    assert_eq!(key_text(&["seats"], 0), "5");
    assert_eq!(key_text(&["seats", "email"], 0), r#"[5,"A@x.com"]"#);
}

#[test]
fn other_rows_are_refused() {
    let spec = spec(serde_json::json!({ "primary_key": ["email"], "matching": { "id": "email" }, "fields": {} }));
    let rows = rows();
    let mapping = Mapping::new(&spec, &rows.schema(), "").unwrap();
    let error = mapping.bind(&rows.project(&[0, 2]).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rows have other columns than the model: `email`, `seats` instead of `email`, `plan`, `seats`, `score`"
    );
}

#[test]
fn mappings_are_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Mapping>();
    shared::<Bound<'_>>();
}
