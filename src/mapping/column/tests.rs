//! Every Arrow type, and what it gives.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, MapBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::*;
use arrow_cast::cast;
use arrow_schema::Fields;

use super::*;

/// The values of a column as JSON, one per row.
fn shown(array: &dyn Array, field: Option<&Field>) -> String {
    let mut out = Vec::new();
    for row in 0..array.len() {
        match Value::at(array, field, row) {
            Ok(value) => value.write_json(&mut out),
            Err(message) => out.extend_from_slice(format!("!{message}").as_bytes()),
        }
        out.push(b' ');
    }
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

#[test]
fn plain_types() {
    let day = 1_769_848_200; // 2026-01-31T08:30:00Z
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(NullArray::new(2)), "null null"),
        (Arc::new(BooleanArray::from(vec![Some(true), None])), "true null"),
        (Arc::new(Int8Array::from(vec![i8::MIN])), "-128"),
        (Arc::new(Int64Array::from(vec![Some(i64::MIN), None])), "-9223372036854775808 null"),
        (Arc::new(UInt8Array::from(vec![255])), "255"),
        (Arc::new(UInt64Array::from(vec![1, u64::MAX])), "1 18446744073709551615"),
        (Arc::new(Float32Array::from(vec![0.1, 16_777_216.0, 1e30])), "0.1 16777216.0 1e+30"),
        (Arc::new(Float64Array::from(vec![0.1, -2.0])), "0.1 -2.0"),
        (Arc::new(Float64Array::from(vec![f64::NAN])), "\"NaN\""),
        (Arc::new(Decimal128Array::from(vec![1200, -5]).with_precision_and_scale(38, 3).unwrap()), "1.2 -0.005"),
        (
            Arc::new(Decimal128Array::from(vec![i128::MAX / 2]).with_precision_and_scale(38, 0).unwrap()),
            "85070591730234615865843651857942052863",
        ),
        (Arc::new(Decimal256Array::from(vec![i256::from_i128(7)]).with_precision_and_scale(76, -2).unwrap()), "700"),
        (Arc::new(Decimal32Array::from(vec![15]).with_precision_and_scale(9, 1).unwrap()), "1.5"),
        (Arc::new(Decimal64Array::from(vec![10]).with_precision_and_scale(18, 1).unwrap()), "1"),
        (Arc::new(StringArray::from(vec!["a\"b", ""])), r#""a\"b" """#),
        (Arc::new(BinaryArray::from(vec![&b"ab"[..]])), "\"YWI=\""),
        (Arc::new(BinaryViewArray::from(vec![&b"ab"[..]])), "\"YWI=\""),
        (Arc::new(FixedSizeBinaryArray::try_from_iter(vec![b"ab"].into_iter()).unwrap()), "\"YWI=\""),
        (Arc::new(Date32Array::from(vec![20_484, -1])), r#""2026-01-31" "1969-12-31""#),
        (Arc::new(Date64Array::from(vec![day * 1000, -1])), r#""2026-01-31" "1969-12-31""#),
        (Arc::new(Date64Array::from(vec![i64::MAX])), "!is a date out of range"),
        (Arc::new(Time32SecondArray::from(vec![30_600, -1])), "\"08:30:00\" !is not a time of day"),
        (Arc::new(Time32MillisecondArray::from(vec![30_600_500])), "\"08:30:00.5\""),
        (Arc::new(Time64MicrosecondArray::from(vec![1])), "\"00:00:00.000001\""),
        (
            Arc::new(Time64NanosecondArray::from(vec![86_400_000_000_000, i64::MAX])),
            "\"24:00:00\" !is not a time of day",
        ),
        (Arc::new(TimestampSecondArray::from(vec![day])), "\"2026-01-31T08:30:00\""),
        (
            Arc::new(TimestampMillisecondArray::from(vec![day * 1000 + 1]).with_timezone("Europe/Berlin")),
            "\"2026-01-31T08:30:00.001Z\"",
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![-1]).with_timezone("+02:00")),
            "\"1969-12-31T23:59:59.999999Z\"",
        ),
        (Arc::new(TimestampNanosecondArray::from(vec![day * 1_000_000_000])), "\"2026-01-31T08:30:00\""),
        (Arc::new(DurationMillisecondArray::from(vec![90_500])), "\"PT90.5S\""),
        (Arc::new(IntervalYearMonthArray::from(vec![14])), "\"P14M\""),
        (Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, 500)])), "\"P1DT0.5S\""),
        (
            Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3_000_000_000)])),
            "\"P1M2DT3S\"",
        ),
    ];
    for (array, expected) in cases {
        assert_eq!(shown(&array, None), expected, "{}", array.data_type());
    }
}

#[test]
fn nested_types() {
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("x"), None]);
    lists.append_null();
    lists.append_value([Some("y")]);
    let lists: ArrayRef = Arc::new(lists.finish());
    assert_eq!(shown(&lists, None), r#"["x",null] null ["y"]"#);
    assert_eq!(shown(&lists.slice(1, 2), None), r#"null ["y"]"#);
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    for wide in [DataType::LargeList(item.clone()), DataType::ListView(item.clone()), DataType::LargeListView(item)] {
        assert_eq!(shown(&cast(&lists, &wide).unwrap(), None), r#"["x",null] null ["y"]"#, "{wide}");
    }
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        [Some(vec![Some(1), Some(2)]), None, Some(vec![None, Some(4)])],
        2,
    );
    assert_eq!(shown(&fixed, None), "[1,2] null [null,4]");
    assert_eq!(shown(&fixed.slice(2, 1), None), "[null,4]");

    let fields = Fields::from(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![Some(1), None])), Arc::new(StringArray::from(vec!["x", "y"]))];
    let structs = StructArray::new(fields, columns, None);
    assert_eq!(shown(&structs, None), r#"{"a":1,"b":"x"} {"a":null,"b":"y"}"#);
    assert_eq!(shown(&structs.slice(1, 1), None), r#"{"a":null,"b":"y"}"#);

    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Array::builder(2));
    map.keys().append_value("k");
    map.values().append_value(5);
    map.append(true).unwrap();
    map.append(true).unwrap();
    assert_eq!(shown(&map.finish(), None), r#"{"k":5} {}"#);
}

#[test]
fn encodings_make_no_difference() {
    let words = vec![Some("a"), None, Some("b"), Some("a"), Some("a")];
    let plain: ArrayRef = Arc::new(StringArray::from(words.clone()));
    let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
    dictionary.extend(words.clone());
    let runs: RunArray<Int32Type> = words.into_iter().collect();
    let others: Vec<ArrayRef> = vec![
        Arc::new(dictionary.finish()),
        Arc::new(runs),
        cast(&plain, &DataType::LargeUtf8).unwrap(),
        cast(&plain, &DataType::Utf8View).unwrap(),
    ];
    for other in others {
        assert_eq!(shown(&other, None), shown(&plain, None), "{}", other.data_type());
        assert_eq!(shown(&other.slice(2, 3), None), shown(&plain.slice(2, 3), None), "{}", other.data_type());
    }
    let keys = UInt32Array::from(vec![Some(1), Some(0), None]);
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    assert_eq!(shown(&DictionaryArray::new(keys, values), None), "null \"x\" null");
}

#[test]
fn marked_text() {
    let marked = |mark: &str| {
        Field::new("x", DataType::Utf8, true).with_metadata(HashMap::from([(MARK.to_owned(), mark.to_owned())]))
    };
    let numbers = StringArray::from(vec!["12345678901234567890.10", "NaN"]);
    assert_eq!(shown(&numbers, Some(&marked("decimal"))), "12345678901234567890.1 !is not a finite number");
    let json = StringArray::from(vec![r#"{"a": 0.10000000000000000001}"#, "{"]);
    assert_eq!(shown(&json, Some(&marked("json"))), r#"{"a":0.10000000000000000001} !is not valid JSON"#);
    let dictionary = cast(&json, &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))).unwrap();
    assert_eq!(shown(&dictionary, Some(&marked("json"))), r#"{"a":0.10000000000000000001} !is not valid JSON"#);
}

#[test]
fn a_row_that_is_not_there_is_an_error() {
    assert_eq!(Value::at(&Int32Array::from(vec![1]), None, 1), Err("has no row 1".into()));
}
