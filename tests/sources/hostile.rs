//! Files nobody writes on purpose: damaged, huge in one direction, or too many. Errors and rows, never a panic.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, types};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use syncline::sources::Query;

use super::{count, error, folder, read, rows, sql, table, types as columns};

fn parquet() -> Vec<u8> {
    let text = |i: i64| (i % 7 != 0).then(|| format!("text {}", i % 50));
    let list = |i: i64| (i % 3 != 0).then(|| (0..i % 4).map(Some).collect::<Vec<_>>());
    let arrays: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..2000))),
        ("text", Arc::new((0..2000).map(text).collect::<StringArray>())),
        ("list", Arc::new(ListArray::from_iter_primitive::<types::Int64Type, _, _>((0..2000).map(list)))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(arrays.map(|(name, array)| (name, array, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Reads a file of these bytes; whatever comes of it, it comes as rows or as an error.
fn try_read(name: &str, bytes: &[u8], query: &Query) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), bytes).unwrap();
    let source = folder(dir.path());
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(read(source.as_ref(), query))));
    assert!(read.is_ok(), "a panic");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn damaged_parquet_never_panics(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        footer in any::<bool>(),
    ) {
        let mut bytes = parquet();
        let length = bytes.len();
        for (at, byte) in places {
            // Half of the cases damage the footer, which says how large everything is.
            let at = if footer { length - 1 - at.index(700.min(length)) } else { at.index(length) };
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(length));
        }
        try_read("t.parquet", &bytes, &table("t"));
    }

    #[test]
    fn arbitrary_text_never_panics(
        csv in "([a-c,\"\n\r0-9.:TZ-]|é|\\x00){0,80}",
        json in "([{}\\[\\]\",:0-9a-ce.n\n -]|true|null|\\{\"a\":){0,60}",
        bytes in any::<Vec<u8>>(),
    ) {
        try_read("t.csv", csv.as_bytes(), &table("t"));
        try_read("t.jsonl", json.as_bytes(), &table("t"));
        for name in ["t.csv", "t.jsonl", "t.parquet"] {
            try_read(name, &bytes, &sql("select * from t"));
        }
    }
}

#[test]
fn objects_with_very_many_keys_take_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let keys: Vec<String> = (0..100_000).map(|i| format!("\"k{i}\":{i}")).collect();
    fs::write(dir.path().join("deep.jsonl"), format!("{{\"id\":1,\"o\":{{{}}}}}\n", keys.join(","))).unwrap();
    fs::write(dir.path().join("wide.jsonl"), format!("{{{}}}\n", keys.join(","))).unwrap();
    let start = Instant::now();
    let source = folder(dir.path());
    assert_eq!(columns(source.as_ref(), &table("deep")), ["id Int64", "o Utf8 json"]);
    assert_eq!(count(&read(source.as_ref(), &table("deep")).unwrap()), 1);
    let (message, _) = error(source.as_ref(), &table("wide"));
    assert!(message.contains("line 1") && message.contains("more than 2000 different keys"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// An export of many parts: they are opened one after the other.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_of_many_files_is_not_opened_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("t")).unwrap();
    for i in 0..400 {
        fs::write(dir.path().join(format!("t/{i:03}.csv")), format!("id,name\n{i},n{i}\n")).unwrap();
    }
    let source = folder(dir.path());
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let streams = syncline::sources::Source::read(source.as_ref(), &table("t"), None).unwrap();
    let now = open();
    assert!(now < before + 200, "{before} files open before, {now} after");
    assert_eq!(streams.len(), 400);
    drop(streams);
    let lines = rows(source.as_ref(), &table("t"));
    assert_eq!((lines.len(), lines[0].as_str(), lines[399].as_str()), (400, "0|n0", "399|n399"));
    assert_eq!(rows(source.as_ref(), &sql("select count(*) as n from t")), ["400"]);
}

/// What holds for the first 100 000 lines need not hold for the next.
#[test]
fn the_last_line_counts_as_much_as_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let numbers: String = (0..100_000).map(|i| format!("{i},{i}\n")).collect();
    fs::write(dir.path().join("t.csv"), format!("id,n\n{numbers}100000,n/a\n")).unwrap();
    let source = folder(dir.path());
    assert_eq!(columns(source.as_ref(), &table("t")), ["id Int64", "n Utf8"]);
    assert_eq!(count(&read(source.as_ref(), &table("t")).unwrap()), 100_001);
}

#[test]
fn instants_out_of_range_are_errors_in_sql_and_not_nulls() {
    let dir = tempfile::tempdir().unwrap();
    let far = arrow_array::TimestampSecondArray::from(vec![Some(0), Some(i64::MAX / 2)]);
    let batch = RecordBatch::try_from_iter_with_nullable([("t", Arc::new(far) as ArrayRef, true)]).unwrap();
    let file = fs::File::create(dir.path().join("f.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let source = folder(dir.path());
    let (message, _) = error(source.as_ref(), &sql("select t from f"));
    assert!(!message.is_empty());
}
