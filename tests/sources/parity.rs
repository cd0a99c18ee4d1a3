//! The same data in five systems gives the same values.

use std::fs;

use arrow_schema::{DataType, Field, TimeUnit};

use super::files::{batch, write_parquet};
use super::*;

const COLUMNS: &str = "id, email, seats, score, active, since, seen, at";

const CSV: &str = "id,email,seats,score,active,since,seen,at\n\
    1,ann@x.io,5,1.5,true,2026-01-02,2026-01-02 10:00:00,2026-01-02T10:00:00Z\n\
    2,\"b, ob@x.io\",,0.25,false,,2026-01-02 10:00:00.5,2026-01-02T11:00:00+01:00\n\
    9007199254740993,ünï@x.io,-1,,,1969-12-31,,\n";

const JSON: &str = r#"{"id":1,"email":"ann@x.io","seats":5,"score":1.5,"active":true,"since":"2026-01-02","seen":"2026-01-02T10:00:00","at":"2026-01-02T10:00:00Z"}
{"id":2,"email":"b, ob@x.io","score":0.25,"active":false,"since":null,"seen":"2026-01-02T10:00:00.5","at":"2026-01-02T10:00:00Z"}
{"id":9007199254740993,"email":"\u00fcn\u00ef@x.io","seats":-1,"since":"1969-12-31"}
"#;

const ROWS: &str = "(1, 'ann@x.io', 5, 1.5, true, '2026-01-02', '2026-01-02 10:00:00', '2026-01-02T10:00:00Z'), \
    (2, 'b, ob@x.io', null, 0.25, false, null, '2026-01-02 10:00:00.5', '2026-01-02T11:00:00+01:00'), \
    (9007199254740993, 'ünï@x.io', -1, null, null, '1969-12-31', null, null)";

const EXPECTED: [&str; 3] = [
    "1|ann@x.io|5|1.5|true|2026-01-02|2026-01-02T10:00:00|2026-01-02T10:00:00Z",
    "2|b, ob@x.io|∅|0.25|false|∅|2026-01-02T10:00:00.500|2026-01-02T10:00:00Z",
    "9007199254740993|ünï@x.io|-1|∅|∅|1969-12-31|∅|∅",
];

fn create(at: &str) -> String {
    format!(
        "create table t (id bigint, email text, seats integer, score double precision, active boolean, since date, \
         seen timestamp, at {at}); insert into t values {ROWS}"
    )
}

fn parquet_schema() -> Schema {
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let fields = [
        ("id", DataType::Int64),
        ("email", DataType::Utf8),
        ("seats", DataType::Int32),
        ("score", DataType::Float64),
        ("active", DataType::Boolean),
        ("since", DataType::Date32),
        ("seen", micros(None)),
        ("at", micros(Some("+00:00"))),
    ];
    Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec())
}

fn parquet_batch() -> RecordBatch {
    let read = batch(parquet_schema(), JSON);
    let schema = read.schema();
    let columns = schema.fields().iter().zip(read.columns()).map(|(field, array)| {
        let array: ArrayRef = match field.name().as_str() {
            "at" => Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC")),
            _ => array.clone(),
        };
        (field.name().clone(), array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_same_data_give_the_same_values_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.csv"), CSV).unwrap();
    fs::write(dir.path().join("j.jsonl"), JSON).unwrap();
    write_parquet(&dir.path().join("p.parquet"), &parquet_batch(), 2);
    let path = dir.path().join("shop.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(&create("timestamptz")).unwrap();

    let mut sources = vec![
        ("csv", "c", folder(dir.path())),
        ("jsonl", "j", folder(dir.path())),
        ("parquet", "p", folder(dir.path())),
        ("sqlite", "t", open(SourceType::Sqlite, json!({ "path": path }))),
    ];
    if let Some(server) = crate::postgres::server() {
        let database = server.database(&create("timestamptz"));
        sources.push(("postgres", "t", open(SourceType::Postgres, json!({ "url": server.url(&database) }))));
    }
    for (name, table_name, source) in sources {
        assert_eq!(rows(&*source, &table(table_name)), EXPECTED, "{name}, table");
        let statement = format!("select {COLUMNS} from {table_name} order by id");
        assert_eq!(rows(&*source, &sql(&statement)), EXPECTED, "{name}, SQL");
        let streamed = types(&*source, &table(table_name));
        let kinds: Vec<&str> = streamed.iter().map(|t| t.split_once(' ').unwrap().1).collect();
        assert_eq!(kinds[3..], ["Float64", "Boolean", "Date32", "Timestamp(µs)", "Timestamp(µs, \"UTC\")"], "{name}");
    }
}
