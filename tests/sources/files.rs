//! Tables of a folder, streamed.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, DurationMillisecondArray, Int64Array, RecordBatch, StringArray};
use arrow_json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use syncline::sources::{BATCH_ROWS, Query};

use super::*;

/// Writes a Parquet file with row groups of `group` rows.
pub fn write_parquet(path: &Path, batch: &RecordBatch, group: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// A record batch from JSON lines.
pub fn batch(schema: Schema, lines: &str) -> RecordBatch {
    let mut reader = ReaderBuilder::new(Arc::new(schema)).build(lines.as_bytes()).unwrap();
    reader.next().unwrap().unwrap()
}

#[test]
fn csv_types_are_the_narrowest_that_lose_nothing() {
    // column values → type
    let cases: &[(&str, &[&str], &str)] = &[
        ("whole numbers", &["1", "-20", "", "999999999999999999"], "Int64"),
        ("numbers with a point", &["1.5", "2", "-0.25"], "Float64"),
        ("prices", &["1.50", "12.00", "0.99"], "Float64"),
        ("versions", &["1.9", "1.10"], "Utf8"),
        ("prices, one without cents", &["1.50", "12"], "Utf8"),
        ("leading zeros", &["007", "12"], "Utf8"),
        ("phone numbers", &["+4930123", "4930124"], "Utf8"),
        ("exponents", &["1e5", "2"], "Utf8"),
        ("19 digits", &["1234567890123456789"], "Utf8"),
        ("booleans", &["true", "", "false"], "Boolean"),
        ("booleans and numbers", &["true", "1"], "Utf8"),
        ("dates", &["2026-11-22", "2024-02-29"], "Date32"),
        ("dates and timestamps", &["2026-11-22", "2026-11-22 10:00"], "Utf8"),
        ("timestamps", &["2026-11-22 10:00:00", "2026-11-22T10:00"], "Timestamp(µs)"),
        ("instants", &["2026-11-22T10:00:00Z", "2026-11-22T10:00:00+01:00"], "Timestamp(µs, \"UTC\")"),
        ("zone or not", &["2026-11-22T10:00:00Z", "2026-11-22T10:00:00"], "Utf8"),
        ("nothing", &["", ""], "Utf8"),
        ("text", &["free", "12"], "Utf8"),
    ];
    for (name, values, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let body: String = values.iter().map(|v| format!("{v},x\n")).collect();
        fs::write(dir.path().join("t.csv"), format!("a,b\n{body}")).unwrap();
        let got = types(&*folder(dir.path()), &table("t"));
        assert_eq!(got[0], format!("a {expected}"), "{name}");
    }
}

#[test]
fn jsonl_types_are_the_narrowest_that_lose_nothing() {
    let cases: &[(&str, &[&str], &str, &[&str])] = &[
        ("whole numbers", &["1", "9007199254740993"], "Int64", &["1", "9007199254740993"]),
        ("beyond 64 bits", &["18446744073709551616", "1"], "Utf8 decimal", &["18446744073709551616", "1"]),
        ("floats", &["1", "2.5", "1e3"], "Float64", &["1.0", "2.5", "1000.0"]),
        ("floats and wide numbers", &["0.5", "9007199254740993"], "Utf8 decimal", &["0.5", "9007199254740993"]),
        ("exact decimals", &["0.12345678901234567890", "1"], "Utf8 decimal", &["0.12345678901234567890", "1"]),
        ("booleans", &["true", "null"], "Boolean", &["true", "∅"]),
        ("text of digits", &["\"007\"", "\"12\""], "Utf8", &["007", "12"]),
        ("dates", &["\"2026-11-22\""], "Date32", &["2026-11-22"]),
        ("mixed", &["1", "\"a\"", "[1, 2]"], "Utf8 json", &["1", "\"a\"", "[1, 2]"]),
        ("lists", &["[1,2]", "[]", "null"], "List(Int64)", &["[1, 2]", "[]", "∅"]),
        ("lists of this and that", &["[1, \"x\"]", "[]"], "Utf8 json", &["[1, \"x\"]", "[]"]),
        ("mixed far inside", &["{\"x\":[1,{}]}", "{\"x\":[]}"], "Utf8 json", &["{\"x\":[1,{}]}", "{\"x\":[]}"]),
        (
            "long decimals inside",
            &["[0.12345678901234567890]", "[1.5]"],
            "Utf8 json",
            &["[0.12345678901234567890]", "[1.5]"],
        ),
        ("beyond what a float holds", &["1e999999999"], "Utf8 json", &["1e999999999"]),
        (
            "deeper than we look",
            &["[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"],
            "Utf8 json",
            &["[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"],
        ),
        (
            "objects",
            &["{\"x\":1}", "{\"y\":\"b\"}"],
            "Struct(\"x\": Int64, \"y\": Utf8)",
            &["{x: 1, y: ∅}", "{x: ∅, y: b}"],
        ),
        ("empty objects", &["{}"], "Utf8 json", &["{}"]),
        ("nothing", &["null"], "Utf8", &["∅"]),
        ("escapes", &["\"a\\u00e4\\n\""], "Utf8", &["aä\n"]),
    ];
    for (name, values, expected, shown) in cases {
        let dir = tempfile::tempdir().unwrap();
        let body: String = values.iter().map(|v| format!("{{\"a\": {v}}}\n")).collect();
        fs::write(dir.path().join("t.jsonl"), body).unwrap();
        let source = folder(dir.path());
        assert_eq!(types(&*source, &table("t")), [format!("a {expected}")], "{name}");
        assert_eq!(rows(&*source, &table("t")), *shown, "{name}");
    }
}

#[test]
fn a_type_that_changes_in_the_last_row_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = fs::File::create(dir.path().join("t.csv")).unwrap();
    writeln!(file, "id,code").unwrap();
    for id in 0..200_000 {
        writeln!(file, "{id},{id}").unwrap();
    }
    writeln!(file, "200000,007").unwrap();
    let source = folder(dir.path());
    assert_eq!(types(&*source, &table("t")), ["id Int64", "code Utf8"]);
    let parts = source.read(&table("t"), None).unwrap();
    assert!(parts.len() <= std::thread::available_parallelism().unwrap().get());
    let batches = read(&*source, &table("t")).unwrap();
    assert!(batches.len() > 1 && batches.iter().all(|b| b.num_rows() <= BATCH_ROWS));
    assert_eq!((count(&batches), sum(&batches, 0)), (200_001, 200_000 * 200_001 / 2));
}

/// Pieces of a file are looked at by several threads: records that span lines and quotes must not fall between two.
#[test]
fn rows_are_the_same_however_a_file_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let name = |i: u32| match i % 5 {
        0 => format!("line\none, \"{i}\""),
        1 => format!("{i}\r\n,{}", "x".repeat(i as usize % 97)),
        _ => format!("5\" nail {i}"),
    };
    let quoted = |text: String| format!("\"{}\"", text.replace('"', "\"\""));
    let line =
        |i: u32| format!("{i};{};{}\r\n", if i % 5 < 2 { quoted(name(i)) } else { name(i) }, i.is_multiple_of(7));
    let body: String = (0..150_000).map(line).collect();
    fs::write(dir.path().join("t.csv"), format!("\u{feff}id;name;seven\r\n{body}")).unwrap();
    let source = folder(dir.path());
    assert_eq!(types(&*source, &table("t")), ["id Int64", "name Utf8", "seven Boolean"]);
    let got = rows(&*source, &table("t"));
    assert_eq!(got.len(), 150_000);
    for (i, row) in (0..).zip(got) {
        assert_eq!(row, format!("{i}|{}|{}", name(i), i.is_multiple_of(7)));
    }
}

#[test]
fn fields_may_be_separated_by_semicolons_tabs_and_bars() {
    for separator in [",", ";", "\t", "|"] {
        let dir = tempfile::tempdir().unwrap();
        let lines = [["id", "name"], ["1", "\"a,b;c\td|e\""], ["2", ""]].map(|line| line.join(separator) + "\n");
        fs::write(dir.path().join("t.csv"), lines.concat()).unwrap();
        assert_eq!(rows(&*folder(dir.path()), &table("t")), ["1|a,b;c\td|e", "2|∅"], "{separator:?}");
        assert_eq!(rows(&*folder(dir.path()), &sql("select name, id from t where id = 1")), ["a,b;c\td|e|1"]);
    }
}

#[test]
fn json_lines_without_a_line_are_a_table_of_no_rows_and_unknown_columns() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("none", ""), ("blank", "\n \n")] {
        fs::write(dir.path().join(format!("{name}.jsonl")), text).unwrap();
        let source = folder(dir.path());
        let some = Query::Table { name: name.into(), columns: Some(vec!["email".into()]), filter: None };
        for query in [table(name), some] {
            let named = || vec!["id".to_owned(), "email".to_owned(), "id".to_owned()];
            let schema = syncline::sources::with_unknown(source.schema(&query).unwrap(), named);
            assert_eq!(shown(&schema), ["email Null", "id Null"], "{name}");
            assert!(source.read(&query, Some(&["email".to_owned()])).unwrap().is_empty(), "{name}");
        }
        let (message, help) = error(&*source, &sql(&format!("select * from {name}")));
        assert!(message.contains("the columns are unknown") && help.contains("`table:`"), "{message}; {help}");
    }
}

#[test]
fn jsonl_streams_in_parts_too() {
    let dir = tempfile::tempdir().unwrap();
    let body: String = (0..150_000).map(|id| format!("{{\"id\": {id}}}\n\n")).collect();
    fs::write(dir.path().join("t.ndjson"), body).unwrap();
    let batches = read(&*folder(dir.path()), &table("t")).unwrap();
    assert_eq!((count(&batches), sum(&batches, 0)), (150_000, 150_000 * 149_999 / 2));
}

#[test]
fn parquet_parts_are_row_groups_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..100_000).map(|i| format!("name {i}"))));
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap();
    write_parquet(&dir.path().join("t.parquet"), &batch, 10_000);
    let source = folder(dir.path());
    assert_eq!(types(&*source, &table("t")), ["id Int64", "name Utf8View"]);
    let parts = source.read(&table("t"), None).unwrap();
    assert_eq!(parts.len(), std::thread::available_parallelism().unwrap().get().min(10));
    let lines = rows(&*source, &table("t"));
    assert_eq!(lines.len(), 100_000);
    assert!(lines.iter().enumerate().all(|(at, line)| *line == format!("{at}|name {at}")));
}

#[test]
fn parquet_is_read_however_it_is_compressed_and_lengths_of_time_are_text() {
    let times = DurationMillisecondArray::from(vec![Some(3_661_500), None, Some(-1)]);
    let batch = RecordBatch::try_from_iter([("wait", Arc::new(times) as ArrayRef)]).unwrap();
    let codecs =
        [Compression::GZIP(Default::default()), Compression::SNAPPY, Compression::LZ4_RAW, Compression::UNCOMPRESSED];
    for codec in codecs.into_iter().chain([Compression::ZSTD(Default::default())]) {
        let dir = tempfile::tempdir().unwrap();
        let properties = WriterProperties::builder().set_compression(codec).build();
        let file = fs::File::create(dir.path().join("t.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let source = folder(dir.path());
        assert_eq!(types(&*source, &table("t")), ["wait Utf8"], "{codec:?}");
        assert_eq!(rows(&*source, &table("t")), ["PT1H1M1.5S", "∅", "PT-0.001S"], "{codec:?}");
        assert_eq!(rows(&*source, &sql("select wait from t")), ["PT1H1M1.5S", "∅", "PT-0.001S"], "{codec:?}");
    }
}

#[test]
fn only_the_columns_asked_for_are_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), "a,b,c\n1,2,3\n").unwrap();
    fs::write(dir.path().join("j.jsonl"), "{\"a\":1,\"b\":2,\"c\":3}\n").unwrap();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("a", ids.clone()), ("b", ids.clone()), ("c", ids)]).unwrap();
    write_parquet(&dir.path().join("p.parquet"), &batch, 10);
    let source = folder(dir.path());
    for name in ["t", "j", "p"] {
        let query = Query::Table { name: name.into(), columns: Some(vec!["c".into(), "a".into()]), filter: None };
        assert_eq!(types(&*source, &query), ["a Int64", "c Int64"], "{name}");
        let hint = ["c".to_owned()];
        let streams = source.read(&query, Some(&hint)).unwrap();
        assert_eq!(shown(&streams[0].schema()), ["c Int64"], "{name}");
        // No column at all still counts rows.
        let none = source.read(&query, Some(&[])).unwrap();
        assert_eq!(none.into_iter().flatten().map(|b| b.unwrap().rows.num_rows()).sum::<usize>(), 1, "{name}");
        let filtered = Query::Table { name: name.into(), columns: None, filter: Some("a > 1".into()) };
        assert_eq!(rows(&*source, &filtered), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_a_table() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["parts", "marts", "mixed", "twice"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let files = [
        ("contacts.csv", "id\n1\n"),
        ("parts/b.csv", "id\n3\n"),
        ("parts/a.csv", "id\n2\n"),
        ("marts/plans.jsonl", "{\"id\": 4}\n"),
        ("mixed/a.csv", "id\n5\n"),
        ("mixed/b.jsonl", "{\"id\": 6}\n"),
        ("twice.csv", "id\n7\n"),
        ("twice/a.csv", "id\n8\n"),
        (".hidden.csv", "id\n9\n"),
        ("README.md", "not a table"),
    ];
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let source = folder(dir.path());
    assert_eq!(rows(&*source, &table("contacts")), ["1"]);
    assert_eq!(rows(&*source, &table("parts")), ["2", "3"], "files in the order of their names");
    assert_eq!(rows(&*source, &table("parts.b")), ["3"]);
    assert_eq!(rows(&*source, &table("marts.plans")), ["4"]);
    assert_eq!(rows(&*source, &sql("select * from marts.plans")), ["4"]);
    assert_eq!(rows(&*source, &sql("select * from \"marts.plans\"")), ["4"]);
    // A name that is there once is enough.
    assert_eq!(rows(&*source, &table("plans")), ["4"]);
    assert_eq!(rows(&*source, &sql("select p.id from plans p join contacts c on c.id < p.id")), ["4"]);
    let (message, help) = error(&*source, &table("a"));
    assert!(message.contains("`a` is ambiguous"), "{message}");
    assert_eq!(help, "name one of them, such as `mixed.a` or `parts.a`");
    assert!(error(&*source, &table("mixed")).0.contains("mixes formats"));
    let (message, _) = error(&*source, &table("twice"));
    assert!(message.contains("ambiguous") && message.contains("`twice.csv`"), "{message}");
    let (message, help) = error(&*source, &table("contcats"));
    assert!(message.contains("no table `contcats`"), "{message}");
    assert_eq!(help, "did you mean `contacts`?");
}

#[test]
fn a_file_that_is_replaced_is_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    fs::write(&path, "id\n1\n").unwrap();
    let source = folder(dir.path());
    assert_eq!(types(&*source, &table("t")), ["id Int64"]);
    fs::write(&path, "id,name\nx,y\n").unwrap();
    assert_eq!(types(&*source, &table("t")), ["id Utf8", "name Utf8"]);
    assert_eq!(rows(&*source, &sql("select name from t")), ["y"]);
}
