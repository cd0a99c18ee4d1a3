use arrow_array::builder::{FixedSizeBinaryBuilder, MapBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    BinaryArray, Date32Array, DurationSecondArray, Int8Array, IntervalDayTimeArray, IntervalMonthDayNanoArray,
    IntervalYearMonthArray, ListArray, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano, OffsetBuffer};

use super::*;
use crate::mapping::Value;

const RULES: Rules = Rules { spelling: Spelling::Standard, infinite: true };

fn said(extension: &str, metadata: &str) -> HashMap<String, String> {
    [("ARROW:extension:name", extension), ("ARROW:extension:metadata", metadata)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn none() -> HashMap<String, String> {
    HashMap::new()
}

fn opaque(name: &str) -> HashMap<String, String> {
    said("arrow.opaque", &format!("{{\"type_name\": \"{name}\", \"vendor_name\": \"v\"}}"))
}

/// Type, mark and values of a column once it is normal.
fn one(array: ArrayRef, metadata: HashMap<String, String>) -> Result<(String, Vec<String>)> {
    let field = Field::new("x", array.data_type().clone(), true).with_metadata(metadata);
    let schema = Arc::new(Schema::new(vec![field]));
    let normal = Normal::new(&schema, RULES, None)?;
    let batch = normal.batch(&RecordBatch::try_new(schema, vec![array]).unwrap())?.whole()?;
    let schema = normal.schema();
    let field = schema.field(0);
    let mark = field.metadata().get(TYPE_KEY).map(|mark| format!(" {mark}")).unwrap_or_default();
    let values = (0..batch.num_rows()).map(|row| Value::at(batch.column(0), Some(field), row).unwrap().json_text());
    Ok((format!("{}{mark}", field.data_type()), values.collect()))
}

fn bytes(values: &[&[u8; 16]]) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::new(16);
    values.iter().for_each(|value| builder.append_value(value).unwrap());
    builder.append_null();
    Arc::new(builder.finish())
}

/// An array, what the driver notes beside it; type and values it must become.
type Case = (ArrayRef, HashMap<String, String>, &'static str, &'static [&'static str]);

#[test]
fn what_drivers_give_and_what_it_becomes() {
    let text = |values: &[&str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let json = || said("arrow.json", "");
    let variant = HashMap::from([("logicalType".to_owned(), "VARIANT".to_owned())]);
    let described = |kind: &str| HashMap::from([("SNOWFLAKE_TYPE".to_owned(), kind.to_owned())]);
    let uuid = [0x6f, 0x96, 0x19, 0xff, 0x8b, 0x86, 0xd0, 0x11, 0xb4, 0x2d, 0, 0xc0, 0x4f, 0xc9, 0x64, 0xff];
    let zoned = TimestampMicrosecondArray::from(vec![0]).with_timezone("Europe/Berlin");
    let items = Arc::new(Field::new("item", DataType::Utf8, true).with_metadata(json()));
    let list = ListArray::new(items, OffsetBuffer::from_lengths([2, 0]), text(&["{\"a\": 1}", "2"]), None);
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v");
    map.append(true).unwrap();
    let run: arrow_array::RunArray<Int32Type> = ["a", "a", "b"].into_iter().collect();
    let month_day = IntervalMonthDayNano::new(14, 3, 14_706_500_000_000);
    let mut zoned_times = FixedSizeBinaryBuilder::new(8);
    for (micros, offset) in [(36_000_000_000_u64, 3600_i64), (1_500_000, -19_800), (0, 0)] {
        zoned_times.append_value((micros << 24 | (57_599 - offset) as u64).to_le_bytes()).unwrap();
    }
    let cases: Vec<Case> = vec![
        (text(&["x"]), none(), "Utf8", &["\"x\""]),
        (text(&["[1, {\"a\": 9007199254740993}]"]), json(), "Utf8 json", &["[1,{\"a\":9007199254740993}]"]),
        (text(&["{\"a\": null}"]), variant, "Utf8 json", &["{\"a\":null}"]),
        (text(&["[1]"]), described("array"), "Utf8 json", &["[1]"]),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC")),
            described("timestamp_ntz"),
            "Timestamp(µs)",
            &["\"1970-01-01T00:00:00\""],
        ),
        (text(&["1.50"]), opaque("numeric"), "Utf8 decimal", &["1.5"]),
        (text(&["(1,2)"]), opaque("point"), "Utf8", &["\"(1,2)\""]),
        (bytes(&[&uuid]), said("arrow.uuid", ""), "Utf8", &["\"6f9619ff-8b86-d011-b42d-00c04fc964ff\"", "null"]),
        (bytes(&[&(-5_i128).to_le_bytes()]), opaque("hugeint"), "Decimal128(38, 0)", &["-5", "null"]),
        (bytes(&[&7_u128.to_le_bytes()]), opaque("uhugeint"), "Decimal128(38, 0)", &["7", "null"]),
        (Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), none(), "Binary", &["\"AP8=\""]),
        (Arc::new(IntervalYearMonthArray::from(vec![14])), none(), "Utf8", &["\"P1Y2M\""]),
        (Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, 1500)])), none(), "Utf8", &["\"P1DT1.5S\""]),
        (Arc::new(IntervalMonthDayNanoArray::from(vec![month_day])), none(), "Utf8", &["\"P1Y2M3DT4H5M6.5S\""]),
        (Arc::new(DurationSecondArray::from(vec![90])), none(), "Utf8", &["\"PT1M30S\""]),
        (Arc::new(zoned), none(), "Timestamp(µs, \"UTC\")", &["\"1970-01-01T00:00:00Z\""]),
        (
            Arc::new(TimestampNanosecondArray::from(vec![1])),
            none(),
            "Timestamp(ns)",
            &["\"1970-01-01T00:00:00.000000001\""],
        ),
        (
            Arc::new(zoned_times.finish()),
            opaque("time_tz"),
            "Utf8",
            &["\"10:00:00+01\"", "\"00:00:01.5-05:30\"", "\"00:00:00+00\""],
        ),
        (Arc::new(Int8Array::from(vec![1, 0])), said("arrow.bool8", ""), "Boolean", &["true", "false"]),
        (Arc::new(list), none(), "List(Utf8, metadata: {\"syncline.type\": \"json\"})", &["[{\"a\":1},2]", "[]"]),
        (Arc::new(map.finish()), none(), "", &["{\"k\":\"v\"}"]),
        (Arc::new(run), none(), "Utf8", &["\"a\"", "\"a\"", "\"b\""]),
    ];
    for (array, metadata, kind, values) in cases {
        let given = array.data_type().clone();
        let (got, found) = one(array, metadata).unwrap_or_else(|e| panic!("{given}: {e}"));
        assert_eq!(found, values, "{given}");
        assert!(kind.is_empty() || got == kind, "{given} became {got}, not {kind}");
    }
}

/// What is said of the rows of a column, each with its number from 0, and which rows hold a value.
fn flaws(array: ArrayRef, metadata: HashMap<String, String>) -> Result<(Vec<String>, Vec<usize>)> {
    let field = Field::new("x", array.data_type().clone(), true).with_metadata(metadata);
    let schema = Arc::new(Schema::new(vec![field]));
    let normal = Normal::new(&schema, RULES, None)?;
    let Batch { rows, flaws } = normal.batch(&RecordBatch::try_new(schema, vec![array]).unwrap())?;
    assert!(flaws.iter().all(|flaw| rows.column(flaw.column).is_null(flaw.row)));
    let told = flaws.iter().map(|flaw| format!("{} {}; {}", flaw.row, flaw.why.what(), flaw.why.help("x")));
    Ok((told.collect(), (0..rows.num_rows()).filter(|row| rows.column(0).is_valid(*row)).collect()))
}

/// Bytes under the name of text, as a driver of another language could hand them over.
fn hostile(values: &[&[u8]]) -> ArrayRef {
    let data = BinaryArray::from(values.to_vec()).to_data().into_builder().data_type(DataType::Utf8);
    // SAFETY: the array is only looked at by the check for UTF-8, which is what is tested.
    Arc::new(StringArray::from(unsafe { data.build_unchecked() }))
}

/// An array, what the driver notes beside it; what is said of its rows, and which rows hold a value.
type FlawCase = (ArrayRef, HashMap<String, String>, Vec<String>, Vec<usize>);

#[test]
fn what_cannot_be_read_is_a_flaw_of_its_row() {
    let infinite = "an infinite date; say what it means: `nullif(x, 'infinity') as x`";
    let minus = "an infinite date before all others; say what it means: `nullif(x, '-infinity') as x`";
    let not_utf8 = "text that is not UTF-8; correct the value, or read the column as bytes";
    let large = "a whole number of 39 digits; take it as text: `cast(x as varchar) as x`";
    let long = [0, -5, i128::MAX, 7].map(i128::to_le_bytes);
    let longest = u128::MAX.to_le_bytes();
    let unsigned: Vec<&[u8; 16]> = vec![&long[0], &longest, &long[3]];
    let cases: Vec<FlawCase> = vec![
        (
            Arc::new(Date32Array::from(vec![Some(i32::MAX), None, Some(0), Some(-i32::MAX)])),
            none(),
            vec![format!("0 {infinite}"), format!("3 {minus}")],
            vec![2],
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), Some(i64::MAX), None, Some(-i64::MAX)])),
            none(),
            vec![format!("1 {infinite}"), format!("3 {minus}")],
            vec![0],
        ),
        // Nothing in the place of a null is a value.
        (Arc::new(Date32Array::new(vec![i32::MAX, 0].into(), Some(vec![false, true].into()))), none(), vec![], vec![1]),
        (
            hostile(&[b"a", b"\xff\xfe", "ü".as_bytes(), b"\xc3", b"b"]),
            none(),
            vec![format!("1 {not_utf8}"), format!("3 {not_utf8}")],
            vec![0, 2, 4],
        ),
        (hostile(&[b"\xff"]), none(), vec![format!("0 {not_utf8}")], vec![]),
        // Half a sign at the end of one value and half at the begin of the next make no sign.
        (hostile(&[b"\xc3", b"\xa4"]), none(), vec![format!("0 {not_utf8}"), format!("1 {not_utf8}")], vec![]),
        (bytes(&unsigned), opaque("uhugeint"), vec![format!("1 {large}")], vec![0, 2]),
    ];
    for (array, metadata, told, valid) in cases {
        let kind = array.data_type().clone();
        assert_eq!(flaws(array, metadata).unwrap(), (told, valid), "{kind}");
    }
    // What a list holds is not told apart by row.
    let items = hostile(&[b"\xff"]);
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let list = ListArray::new(field, OffsetBuffer::from_lengths([1]), items, None);
    let error = flaws(Arc::new(list), none()).unwrap_err().to_string();
    assert!(error.starts_with("column `x`: the driver gave data that cannot be read"), "{error}");
}

#[test]
fn columns_are_found_by_the_names_people_write() {
    let names = |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let schema =
        |names: &[&str]| Schema::new(names.iter().map(|n| Field::new(*n, DataType::Int64, false)).collect::<Vec<_>>());
    let snowflake = Rules { spelling: Spelling::Snowflake, infinite: false };
    let all = Normal::new(&schema(&["EMAIL", "Plan", "N_1"]), snowflake, None).unwrap();
    assert_eq!(names(&all.schema()), ["email", "Plan", "n_1"]);
    assert!(all.schema().fields().iter().all(|field| field.is_nullable()));
    let some = Normal::new(&schema(&["EMAIL", "Plan"]), snowflake, Some(&["Plan".to_owned()])).unwrap();
    assert_eq!(names(&some.schema()), ["Plan"]);
    let cases = [
        (&["EMAIL", "email"][..], None, "the result has two columns named `email`"),
        (&["EMAIL"], Some(vec!["EMAIL".to_owned()]), "the result has no column `EMAIL`"),
        (&[], None, "the SQL gives no columns"),
    ];
    for (columns, wanted, message) in cases {
        let error = Normal::new(&schema(columns), snowflake, wanted.as_deref()).err().unwrap();
        assert_eq!(error.to_string(), message);
    }
}
