//! A record that was written beforehand makes the same request as its values do.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::{Value as Json, json};

use super::laws::{operation, target};
use crate::connectors::record::{Layout, RecordScope};
use crate::connectors::template::{Layer, Node};
use crate::manifest::sync::Mode;
use crate::mapping::{Mapping, MappingSpec, Page, Payload};

fn rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(StringArray::from(vec!["a-1", "b \"2\"", "c"]))),
        ("name", Arc::new(StringArray::from(vec![Some("Ada"), None, Some("Łukasz\n")]))),
        ("plan", Arc::new(StringArray::from(vec![None, Some("free"), None]))),
        ("seats", Arc::new(Int64Array::from(vec![Some(3), None, Some(-1)]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// What a template gives of a record, or that it gives nothing.
fn given(template: Option<&Json>, layout: &Layout, payload: Payload) -> String {
    let mut operation = operation(0, "key", Vec::new());
    operation.record = payload;
    let parent = Layer::over(None);
    let scope = RecordScope { parent: &parent, layout, operation: &operation, found: None };
    let known = ["match", "fields", "others", "key"];
    let node = template.map(|json| Node::parse(json, &known, "", &mut |_, trouble| panic!("{trouble:?}")));
    let mut out = Vec::new();
    let wrote = scope.put(node.as_ref(), &mut out).unwrap();
    if wrote { String::from_utf8(out).unwrap() } else { "nothing".into() }
}

#[test]
fn templates_write_the_same_of_both() {
    let spec: MappingSpec = serde_json::from_value(json!({
        "primary_key": ["id"],
        "matching": { "id": "id" },
        "fields": { "name": "name", "plan": { "column": "plan", "on_null": "omit" }, "seats": "seats" }
    }))
    .unwrap();
    let rows = rows();
    let mapping = Arc::new(Mapping::new(&spec, &rows.schema(), "").unwrap());
    let bound = mapping.bind(&rows).unwrap();
    let payloads = Page::write(&mapping, &rows, (0..3).map(|row| (row, true))).unwrap();
    let target = target("thing", Mode::Upsert, &["name", "plan", "seats"]);
    // `seats` has a meaning of its own, or no field has, or all have.
    let layouts = [vec!["seats"], vec![], vec!["name", "plan", "seats"]];
    let templates = [
        None,
        Some(json!("{{ match }}")),
        Some(json!("{{ fields }}")),
        Some(json!("{{ others }}")),
        Some(
            json!({ "id": "{{ match.id }}", "data": "{{ others }}", "seats": "{{ fields.seats }}", "x": [1, "{{ key }}"] }),
        ),
        Some(json!("{{ fields.plan }}")),
        Some(json!("{{ others.seats }}")),
        Some(json!("{{ match.name }}")),
        Some(json!("{{ fields.nobody }}")),
        Some(json!("{{ fields.name | upper }}")),
        Some(json!("{{ match.id }}/{{ fields.plan }}")),
    ];
    let mut seen = Vec::new();
    for known in layouts {
        let layout = Layout::new(&target, |name| known.contains(&name));
        for template in &templates {
            for (row, payload) in payloads.iter().enumerate() {
                let values = given(template.as_ref(), &layout, bound.record(row, true).unwrap().into());
                assert_eq!(
                    given(template.as_ref(), &layout, payload.clone().unwrap()),
                    values,
                    "{template:?}, row {row}"
                );
                seen.push(values);
            }
        }
    }
    for expected in [
        r#"{"id":"a-1","name":"Ada","seats":3}"#,
        r#"{"id":"b \"2\"","name":null,"plan":"free","seats":null}"#,
        r#"{"id":"c","data":{"name":"Łukasz\n"},"seats":-1,"x":[1,"key"]}"#,
        "{}",
        "nothing",
    ] {
        assert!(seen.iter().any(|text| text == expected), "{expected} is not among {seen:#?}");
    }
}
