//! Faults a mapping can have, each with where it is shown.

use std::collections::HashMap;

use arrow_schema::{DataType, Field};

use super::*;
use crate::manifest::model::ColumnType;

fn schema() -> Schema {
    let json = HashMap::from([(MARK.to_owned(), "json".to_owned())]);
    Schema::new(vec![
        Field::new("EMAIL", DataType::Utf8, true),
        Field::new("plan", DataType::Utf8View, true),
        Field::new("seats", DataType::Int32, true),
        Field::new("score", DataType::Float64, true),
        Field::new("active", DataType::Boolean, true),
        Field::new("twice", DataType::Utf8, true),
        Field::new("twice", DataType::Utf8, true),
        Field::new("extra", DataType::Utf8, true).with_metadata(json),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
        Field::new("nothing", DataType::Null, true),
    ])
}

fn spec(key: &str, matching: &str, fields: serde_json::Value) -> MappingSpec {
    serde_json::from_value(serde_json::json!({
        "primary_key": [key], "matching": { "email": matching }, "fields": fields, "scope": { "vars": { "region": "eu" } }
    }))
    .unwrap()
}

/// `pointer code: message (help) «text in range»`, one line per fault.
fn faults(spec: &MappingSpec, columns: &IndexMap<String, Column>) -> Vec<String> {
    let line = |fault: Fault| {
        let mut line = format!("{} {}: {}", fault.pointer, fault.code, fault.message);
        if let Some(help) = fault.help {
            line += &format!(" ({help})");
        }
        if let Some(range) = fault.range {
            let name = fault.pointer.split('/').nth(2).unwrap();
            let Origin::Template(template) = &spec.fields[name].origin else { panic!("{line}") };
            line += &format!(" «{}»", &template[range]);
        }
        line
    };
    spec.check(&schema(), columns).into_iter().map(line).collect()
}

#[test]
fn keys_and_matches() {
    let cases = [
        ("EMAIL", "EMAIL", ""),
        ("nothing", "seats", ""),
        (
            "email",
            "EMAIL",
            "/primary_key/0 unknown-key-column: the model has no column `email` (the column is `EMAIL`)",
        ),
        ("EMAIL", "plna", "/match/email unknown-column: the model has no column `plna` (did you mean `plan`?)"),
        (
            "EMAIL",
            "tags",
            "/match/email match-type: column `tags` is a list or an object, which no record can be matched by",
        ),
        (
            "score",
            "EMAIL",
            "/primary_key/0 key-type: column `score` is a floating point number, which cannot be a primary key \
                            (use a column of whole numbers or text, or cast it in the model)",
        ),
        (
            "tags",
            "EMAIL",
            "/primary_key/0 key-type: column `tags` is a list or an object, which cannot be a primary key \
                           (use a column of whole numbers or text, or cast it in the model)",
        ),
        (
            "extra",
            "EMAIL",
            "/primary_key/0 key-type: column `extra` is JSON, which cannot be a primary key \
                            (use a column of whole numbers or text, or cast it in the model)",
        ),
        (
            "twice",
            "EMAIL",
            "/primary_key/0 ambiguous-column: the model has more than one column `twice` \
                            (give each column of the query its own name with `as`)",
        ),
    ];
    for (key, matching, expected) in cases {
        let found = faults(&spec(key, matching, serde_json::json!({})), &IndexMap::new());
        assert_eq!(found.join("\n"), expected, "{key} {matching}");
    }
}

#[test]
fn fields() {
    use serde_json::json;
    let cases = [
        (json!({ "a": "plan", "b": { "column": "seats", "transform": ["string", "upper", "sha256"] } }), vec![]),
        (
            json!({ "a": { "column": "extra", "transform": ["epoch_s"] }, "b": { "column": "nothing", "transform": "trim" } }),
            vec![],
        ),
        (
            json!({ "a/b~": "xyz" }),
            vec![
                "/fields/a~1b~0/column unknown-column: the model has no column `xyz` (its columns are `EMAIL`, `plan`, `seats`, \
             `score`, `active`, `twice`, `twice`, `extra`, `tags`, `nothing`)",
            ],
        ),
        (
            json!({ "a": { "column": "active", "transform": ["epoch_s"] } }),
            vec![
                "/fields/a/transform transform-type: transform `epoch_s` cannot take a boolean: column `active` is a boolean \
             (`epoch_s` takes a date, a timestamp or ISO 8601 text)",
            ],
        ),
        (
            json!({ "a": { "column": "plan", "transform": ["integer", "trim"] } }),
            vec![
                "/fields/a/transform transform-type: transform `trim` cannot take a whole number: the result of `integer` is a \
             whole number (`trim` takes text; put `string` before it)",
            ],
        ),
        (
            json!({ "a": { "column": "tags", "transform": "number" } }),
            vec![
                "/fields/a/transform transform-type: transform `number` cannot take a list or an object: column `tags` is a list \
             or an object",
            ],
        ),
        (
            json!({ "a": { "value": "x", "transform": ["integer"] } }),
            vec![
                "/fields/a/transform transform-type: the constant does not fit: transform `integer`: text is not a whole number",
            ],
        ),
        (
            json!({ "a": { "value": 5, "transform": ["trim"] } }),
            vec![
                "/fields/a/transform transform-type: transform `trim` cannot take a whole number: the constant is a whole number \
             (`trim` takes text; put `string` before it)",
            ],
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(faults(&spec("EMAIL", "EMAIL", fields.clone()), &IndexMap::new()), expected, "{fields}");
    }
}

#[test]
fn templates() {
    let scope = "a template of a field sees `row`, `vars`, `environment` and `run.started_at`; a column is `row.NAME`";
    let cases = [
        ("{{ row.plan }} {{ vars.region }} {{ run.started_at }} {{ environment }}", vec![]),
        ("{% set x = row.plan %}{% for i in range(3) %}{{ loop.index }}{{ x }}{{ i }}{% endfor %}", vec![]),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m(row.plan) }}", vec![]),
        (
            "é {{ row.plna | title }}",
            vec!["unknown-column: the model has no column `plna` (did you mean `plan`?) «row.plna»".to_owned()],
        ),
        (
            "{{ row['email'] }}",
            vec!["unknown-column: the model has no column `email` (the column is `EMAIL`) «row['email']»".to_owned()],
        ),
        (
            "{{ vars.regoin }}",
            vec![
                "unknown-variable: there is no variable `vars.regoin` (did you mean `region`?) «vars.regoin»"
                    .to_owned(),
            ],
        ),
        (
            "{{ run.id }}",
            vec!["unknown-variable: there is no `run.id` (a template can use `run.started_at`) «run.id»".to_owned()],
        ),
        ("{{ plan }}", vec![format!("unknown-variable: there is no `plan` here ({scope}) «plan»")]),
        ("{{ env.KEY }}", vec![format!("unknown-variable: there is no `env` here ({scope}) «env.KEY»")]),
        ("{{ debug() }}", vec![format!("unknown-variable: there is no `debug` here ({scope}) «debug»")]),
        (
            "{{ row.plan | titel }}",
            vec!["unknown-function: there is no filter `titel` (did you mean `title`?) «titel»".to_owned()],
        ),
        (
            "{{ row.plan | }}",
            vec![
                "template-syntax: the template cannot be read: unexpected end of variable block, expected \
                                   identifier «}}»"
                    .to_owned(),
            ],
        ),
    ];
    for (template, expected) in cases {
        let spec = spec("EMAIL", "EMAIL", serde_json::json!({ "f": { "template": template } }));
        let found = faults(&spec, &IndexMap::new());
        let expected: Vec<String> = expected.into_iter().map(|line| format!("/fields/f/template {line}")).collect();
        assert_eq!(found, expected, "{template}");
    }
}

#[test]
fn promises_of_the_model() {
    let promised = |name: &str, kind| {
        let column = Column { kind: Some(kind), ..Column::default() };
        faults(
            &spec("EMAIL", "EMAIL", serde_json::json!({ "a": "seats" })),
            &IndexMap::from([(name.to_owned(), column)]),
        )
    };
    assert!(promised("seats", ColumnType::Integer).is_empty());
    assert!(promised("seats", ColumnType::Number).is_empty());
    assert!(promised("score", ColumnType::String).is_empty(), "not used");
    assert_eq!(
        promised("seats", ColumnType::String),
        [
            "/columns/seats/type column-type: column `seats` is declared as `string`, but the model gives a whole number \
             (if that is meant, change the type here; else correct the source, or cast the column in the model's SQL)"
        ]
    );
}

#[test]
fn used_columns() {
    let used = |template: &str| {
        spec("EMAIL", "seats", serde_json::json!({ "a": "plan", "b": { "template": template } })).columns().unwrap()
    };
    let columns = |names: &[&str]| Used::Columns(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(used("x"), columns(&["EMAIL", "plan", "seats"]));
    assert_eq!(used("{{ row.score }}{{ row['tags'] }}"), columns(&["EMAIL", "plan", "score", "seats", "tags"]));
    assert_eq!(used("{{ row | tojson }}"), Used::All);
    assert!(spec("EMAIL", "seats", serde_json::json!({ "b": { "template": "{{" } })).columns().is_err());
}
