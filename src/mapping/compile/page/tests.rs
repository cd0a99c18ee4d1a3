//! What is written on a page is what the values say, whatever columns they come from.

use std::collections::HashMap;

use arrow_array::builder::{BinaryBuilder, Int32Builder, ListBuilder};
use arrow_array::types::{Int32Type, UInt8Type};
use arrow_array::*;
use arrow_schema::{DataType, Field, Schema};

use super::*;
use crate::mapping::MappingSpec;
use crate::mapping::column::MARK;

fn columns() -> Vec<(Field, ArrayRef)> {
    let text = [Some("plain"), None, Some("a \"quoted\"\nline"), Some("über 日本, longer than eight bytes")];
    let times = || vec![Some(1_769_848_200_i64), None, Some(-1), Some(951_782_400)];
    let dictionary: DictionaryArray<Int32Type> = ["b", "a", "b\\"].into_iter().map(Some).chain([None]).collect();
    let small: DictionaryArray<UInt8Type> = ["x", "x", "y", "z"].into_iter().collect();
    let (mut binary, mut list) = (BinaryBuilder::new(), ListBuilder::new(Int32Builder::new()));
    for row in 0..4 {
        binary.append_value([row, 255]);
        list.append_value([Some(i32::from(row)), None]);
    }
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, i64::MIN, i64::MAX]))),
        ("null", Arc::new(NullArray::new(4))),
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(-1), None, Some(i8::MIN), Some(7)]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(-1), None, Some(i32::MIN), Some(7)]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(1), None, Some(u32::MAX), Some(7)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(1), None, Some(u64::MAX), Some(7)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(0.1), None, Some(-1.5), Some(7.0)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(1e300), Some(7.0)]))),
        ("text", Arc::new(StringArray::from(text.to_vec()))),
        ("large", Arc::new(LargeStringArray::from(text.to_vec()))),
        ("view", Arc::new(StringViewArray::from(text.to_vec()))),
        ("dictionary", Arc::new(dictionary)),
        ("small", Arc::new(small)),
        ("date", Arc::new(Date32Array::from(vec![Some(20_484), None, Some(-1), Some(i32::MAX)]))),
        ("seconds", Arc::new(TimestampSecondArray::from(times()).with_timezone("UTC"))),
        ("millis", Arc::new(TimestampMillisecondArray::from(times()))),
        ("micros", Arc::new(TimestampMicrosecondArray::from(times()).with_timezone("Europe/Berlin"))),
        ("nanos", Arc::new(TimestampNanosecondArray::from(vec![Some(i64::MIN), None, Some(-1), Some(i64::MAX)]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(30_600_000_000), None, Some(0), Some(1)]))),
        ("binary", Arc::new(binary.finish())),
        ("list", Arc::new(list.finish())),
        ("decimal", Arc::new(Decimal128Array::from(vec![Some(150), None, Some(-1), Some(100)]))),
    ];
    let marked = |name: &str, mark: &str, values: [Option<&str>; 4]| {
        let metadata = HashMap::from([(MARK.to_owned(), mark.to_owned())]);
        let array: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        (Field::new(name, DataType::Utf8, true).with_metadata(metadata), array)
    };
    let plain = |(name, array): (&str, ArrayRef)| (Field::new(name, array.data_type().clone(), true), array);
    let exact = [Some("12345678901234567890.5"), None, Some("1.50"), Some("7")];
    let json = [Some("{\"a\": [1, 2.50]}"), None, Some(" \"x\" "), Some("null")];
    arrays.into_iter().map(plain).chain([marked("exact", "decimal", exact), marked("json", "json", json)]).collect()
}

/// Each column as a field, sent where null; then fields of every other kind, some of which a row leaves out.
fn spec(columns: &[(Field, ArrayRef)]) -> MappingSpec {
    let mut fields: serde_json::Map<String, serde_json::Value> =
        columns.iter().map(|(field, _)| (field.name().clone(), field.name().as_str().into())).collect();
    for (name, field) in [
        ("left out", serde_json::json!({ "column": "text", "on_null": "omit" })),
        ("trimmed", serde_json::json!({ "column": "text", "transform": ["upper"] })),
        ("constant", serde_json::json!({ "value": { "a": [1, "\""] } })),
        ("template", serde_json::json!({ "template": "{{ row.i32 }}/{{ row.text }}" })),
        ("first", serde_json::json!({ "column": "i32", "write": "if_added" })),
        ("odd \"name\"", serde_json::json!("i8")),
    ] {
        fields.insert(name.into(), field);
    }
    let spec =
        serde_json::json!({ "primary_key": ["id"], "matching": { "id": "id", "key": "small" }, "fields": fields });
    serde_json::from_value(spec).unwrap()
}

fn json(value: &Value) -> String {
    value.json_text()
}

/// The entries of an object as a writer of values makes them.
fn entries<'a>(named: impl Iterator<Item = (&'a String, Option<&'a Value>)>) -> String {
    let entry =
        |(name, value): (&String, Option<&Value>)| Some(format!("{}:{}", serde_json::json!(name), json(value?)));
    named.filter_map(entry).collect::<Vec<_>>().join(",")
}

#[test]
fn a_page_says_what_the_values_say() {
    let columns = columns();
    let schema = Arc::new(Schema::new(columns.iter().map(|(field, _)| field.clone()).collect::<Vec<_>>()));
    let rows = RecordBatch::try_new(schema, columns.iter().map(|(_, array)| Arc::clone(array)).collect()).unwrap();
    let spec = spec(&columns);
    let mapping = Arc::new(Mapping::new(&spec, &rows.schema(), "2026-01-31T08:30:00Z").unwrap());
    let bound = mapping.bind(&rows).unwrap();
    // Not all of them, not in their order, and the same one twice.
    let which = [(3, true), (0, false), (1, true), (2, false), (3, false), (9, true)];
    let payloads = Page::write(&mapping, &rows, which.into_iter()).unwrap();
    for ((row, added), payload) in which.into_iter().zip(payloads) {
        let record = match bound.record(row, added) {
            Ok(record) => record,
            Err(fault) => {
                assert_eq!(payload.unwrap_err(), fault);
                continue;
            }
        };
        let payload = payload.unwrap();
        let written = payload.written().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let identifiers = entries(spec.matching.keys().zip(record.matching.iter().map(Some)));
        let fields = entries(spec.fields.keys().zip(record.fields.iter().map(Option::as_ref)));
        assert_eq!(text(written.identifiers()), identifiers, "row {row}");
        assert_eq!(text(written.fields()), fields, "row {row}");
        assert_eq!(text(written.all()), format!("{identifiers},{fields}"), "row {row}");
        for (at, value) in record.matching.iter().enumerate() {
            assert_eq!(written.identifier(at).map(text), Some(json(value)));
        }
        for (at, (name, value)) in spec.fields.keys().zip(&record.fields).enumerate() {
            assert_eq!(written.field(at).map(text), value.as_ref().map(json), "row {row}, {name}");
            assert_eq!(text(written.field_entry(at)), entries(std::iter::once((name, value.as_ref()))));
        }
        assert_eq!((written.identifier(2), written.field(record.fields.len())), (None, None));
        assert_eq!(payload.matching(), record.matching);
        assert_eq!(*payload, record);
    }
}

#[test]
fn what_cannot_be_mapped_is_on_no_line_and_leaves_nothing() {
    let columns: [(&str, ArrayRef); 2] = [
        ("email", Arc::new(StringArray::from(vec![Some("a@x.com"), None, Some("b@x.com"), Some("c@x.com")]))),
        ("score", Arc::new(Float64Array::from(vec![1.0, 2.0, f64::NAN, 3.0]))),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let spec = serde_json::json!({
        "primary_key": ["email"], "matching": { "email": "email" }, "fields": { "mail": "email", "score": "score" }
    });
    let spec: MappingSpec = serde_json::from_value(spec).unwrap();
    let mapping = Arc::new(Mapping::new(&spec, &rows.schema(), "").unwrap());
    let payloads = Page::write(&mapping, &rows, (0..4).map(|row| (row, true))).unwrap();
    let told = payloads.into_iter().map(|payload| {
        let told = |payload: Payload| String::from_utf8(payload.written().unwrap().all().to_vec()).unwrap();
        payload.map_or_else(|fault| format!("{}: {}", fault.reason.word(), fault.message), told)
    });
    let expected = [
        r#""email":"a@x.com","mail":"a@x.com","score":1.0"#,
        "null_match: column `email` is null",
        "unmappable: column `score` is not a finite number",
        r#""email":"c@x.com","mail":"c@x.com","score":3.0"#,
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
