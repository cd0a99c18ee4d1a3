//! Laws that hold for every value and every row.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;
use proptest::prelude::*;

use super::{Mapping, MappingSpec, Record, Unmappable, Value, json, mentions, nested_json, number};

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..).prop_map(Value::UInt),
        any::<f64>().prop_map(Value::Float),
        "-?[0-9]{1,40}\\.[0-9]{1,40}".prop_map(|text| Value::Decimal(number::canonical(&text).unwrap())),
        ".*".prop_map(|text| Value::Text(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| Value::Binary(bytes.into())),
        any::<i32>().prop_map(Value::Date),
        any::<i64>().prop_map(Value::Time),
        (any::<i128>(), any::<bool>()).prop_map(|(nanos, zoned)| Value::Timestamp { nanos, zoned }),
    ];
    leaf.prop_recursive(3, 30, 5, |inner| {
        let entry = (".*".prop_map(Box::<str>::from), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Value::List),
            proptest::collection::vec(entry, 0..5).prop_map(Value::Object),
        ]
    })
}

fn written(value: &Value) -> String {
    let mut out = Vec::new();
    value.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

/// A mapping with a bit of everything, over the columns `id`, `name` and `n`.
fn everything() -> MappingSpec {
    serde_json::from_value(serde_json::json!({
        "primary_key": ["id"],
        "matching": { "id": "id" },
        "fields": {
            "name": { "column": "name", "transform": ["trim", "title"] },
            "n": { "column": "n", "on_null": "omit" },
            "hash": { "column": "name", "transform": "sha256" },
            "yes": { "column": "n", "transform": "boolean" },
            "phone": { "column": "name", "transform": ["e164"] },
            "greeting": { "template": "{{ row.name | upper }} {{ row.n }} {{ row }}" },
            "late": { "value": [1, null], "write": "if_added" }
        }
    }))
    .unwrap()
}

fn mapped(spec: &MappingSpec, id: &ArrayRef, name: &ArrayRef, n: &ArrayRef) -> Vec<Result<Record, Unmappable>> {
    let columns = [("id", id), ("name", name), ("n", n)];
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, Arc::clone(array), true))).unwrap();
    let mapping = Mapping::new(spec, &rows.schema(), "2026-01-31T08:30:00Z").unwrap();
    let bound = mapping.bind(&rows).unwrap();
    (0..rows.num_rows()).map(|row| bound.record(row, row % 2 == 0)).collect()
}

proptest! {
    #[test]
    fn json_parses_and_whole_numbers_keep_their_digits(value in values()) {
        let text = written(&value);
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        match value {
            Value::Int(int) => prop_assert_eq!(back.as_i64(), Some(int)),
            Value::UInt(uint) => prop_assert_eq!(back.as_u64(), Some(uint)),
            Value::Float(float) if float.is_finite() => prop_assert_eq!(back.as_f64(), Some(float)),
            Value::Decimal(decimal) => prop_assert_eq!(text, decimal.to_string()),
            _ => {}
        }
    }

    #[test]
    fn json_text_read_and_written_again_is_the_same(value in values()) {
        let once = written(&json::parse(&written(&value)).unwrap());
        prop_assert_eq!(written(&json::parse(&once).unwrap()), once);
    }

    #[test]
    fn samples_and_texts_never_panic(value in values()) {
        value.to_json();
        value.text();
        prop_assert!(value.same(&value) || !value.is_finite());
    }

    #[test]
    fn dotted_nesting_never_panics(fields in proptest::collection::vec(("[a-b.]{0,6}", values()), 0..8)) {
        let object = nested_json(fields.iter().map(|(name, value)| (name.as_str(), value)));
        prop_assert!(matches!(object, Value::Object(_)));
    }

    #[test]
    fn numbers_are_read_exactly(text in "[-+]?[0-9]{0,30}(\\.[0-9]{0,30})?(e[-+]?[0-9]{1,2})?") {
        if let Some(exact) = number::canonical(&text) {
            prop_assert_eq!(number::canonical(&exact), Some(exact.clone()), "canonical is canonical");
            prop_assert_eq!(exact.parse::<f64>().unwrap(), text.parse::<f64>().unwrap());
        }
    }

    #[test]
    fn any_text_can_be_looked_through_for_names(text in "[{}%#'\"row.x\\[\\]|é\\\\ -]{0,40}") {
        for mention in mentions(&text) {
            prop_assert!(text.get(mention.range).is_some());
        }
    }

    #[test]
    fn the_record_depends_on_the_row_alone(
        rows in proptest::collection::vec((proptest::option::of("[a-z+0-9 ]{0,12}"), any::<Option<i32>>()), 1..20),
    ) {
        let id: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows.len()).map(|row| row.to_string())));
        let name: ArrayRef = Arc::new(rows.iter().map(|(name, _)| name.as_deref()).collect::<StringArray>());
        let n: ArrayRef = Arc::new(rows.iter().map(|(_, n)| n.map(|n| n % 3)).collect::<Int32Array>());
        let mut specs = vec![everything(), everything()];
        specs[1].fields.shift_remove("phone");
        specs[1].fields.shift_remove("yes");
        for spec in specs {
            let once = mapped(&spec, &id, &name, &n);
            prop_assert_eq!(&once, &mapped(&spec, &id, &name, &n), "twice");
            let dictionary = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
            for text in [DataType::LargeUtf8, DataType::Utf8View, dictionary] {
                let (name, n) = (cast(&name, &text).unwrap(), cast(&n, &DataType::Int64).unwrap());
                prop_assert_eq!(&once, &mapped(&spec, &id, &name, &n));
            }
        }
    }
}
