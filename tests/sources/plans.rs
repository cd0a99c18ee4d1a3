//! The same rows in any source give the same plan, byte for byte, and the same records at the destination.
//!
//! Every source has the columns of [`COLUMNS`], but for the exceptions it names: what it has no type for. A source with
//! exceptions is compared with Parquet without the same columns. The exceptions are in `docs/sources.md`, too.

use std::fs;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::files::{batch, write_parquet};
use super::*;
use crate::project::Project;

/// The columns beside `id`.
const COLUMNS: [&str; 17] = [
    "email", "seats", "big", "amount", "wide", "ratio", "small", "active", "since", "clock", "seen", "instant", "span",
    "token", "doc", "tags", "raw",
];

const LINES: &str = r#"{"id":1,"email":"ünï@x.io","seats":5,"big":9007199254740993,"amount":"12.5000","wide":"1234567890123456789012345678.1234567891","ratio":0.1,"small":0.1,"active":true,"since":"2026-01-02","clock":"10:30:00.5","seen":"2026-01-02T10:00:00.123456","instant":"2026-01-02T10:00:00Z","span":"P1Y2M3DT4H5M6.5S","token":"6f9619ff-8b86-d011-b42d-00c04fc964ff","doc":"{\"a\": [1, 2.50], \"b\": {\"c\": null}}","tags":["x","y"],"raw":"00ff"}
{"id":2,"email":"b, 'ob'@x.io","seats":-1,"big":-9223372036854775808,"amount":"-0.0001","wide":"-0.0000000001","ratio":1e300,"small":-2.5,"active":false,"since":"1969-12-31","clock":"00:00:00","seen":"1969-12-31T23:59:59","instant":"1969-12-31T23:59:59.999999Z","span":"PT0S","token":"00000000-0000-0000-0000-000000000000","doc":"[]","tags":[],"raw":""}
{"id":3}
"#;

/// The rows in SQL, with `{}` for what is written differently: tags and raw.
fn values(tags: [&str; 2], raw: [&str; 2]) -> String {
    format!(
        "(1, 'ünï@x.io', 5, 9007199254740993, 12.5, '1234567890123456789012345678.1234567891', 0.1, 0.1, true, \
         '2026-01-02', '10:30:00.5', '2026-01-02 10:00:00.123456', '2026-01-02 10:00:00+00:00', \
         '1 year 2 months 3 days 04:05:06.5', '6f9619ff-8b86-d011-b42d-00c04fc964ff', \
         '{{\"a\": [1, 2.50], \"b\": {{\"c\": null}}}}', {}, {}), \
         (2, 'b, ''ob''@x.io', -1, -9223372036854775808, -0.0001, '-0.0000000001', 1e300, -2.5, false, \
         '1969-12-31', '00:00:00', '1969-12-31 23:59:59', '1969-12-31 23:59:59.999999+00:00', \
         '0 seconds', '00000000-0000-0000-0000-000000000000', '[]', {}, {}), \
         (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)",
        tags[0], raw[0], tags[1], raw[1]
    )
}

fn parquet(folder: &Path) {
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let text = DataType::Utf8;
    let fields = [
        ("id", DataType::Int64),
        ("email", text.clone()),
        ("seats", DataType::Int32),
        ("big", DataType::Int64),
        ("amount", DataType::Decimal128(18, 4)),
        ("wide", DataType::Decimal128(38, 10)),
        ("ratio", DataType::Float64),
        ("small", DataType::Float32),
        ("active", DataType::Boolean),
        ("since", DataType::Date32),
        ("clock", DataType::Time64(TimeUnit::Microsecond)),
        ("seen", micros(None)),
        ("instant", micros(Some("+00:00"))),
        ("span", text.clone()),
        ("token", text.clone()),
        ("doc", text.clone()),
        ("tags", DataType::List(Arc::new(Field::new("item", text, true)))),
        ("raw", DataType::Binary),
    ];
    // JSON is marked as such by the extension type, which the writer turns into Parquet's own.
    let fields = fields.map(|(name, kind)| Field::new(name, kind, true));
    let read = batch(Schema::new(Fields::from(fields.to_vec())), LINES);
    write_parquet(&folder.join("t.parquet"), &read, 2);
}

/// What a plan and its delivery come to.
#[derive(PartialEq)]
struct Outcome {
    plan: String,
    records: String,
}

/// Plans and applies the model on a source; the manifest's `connection` is given as JSON.
fn outcome(kind: &str, connection: &Value, table: &str, without: &[&str]) -> Outcome {
    let used: Vec<&str> = COLUMNS.into_iter().filter(|column| !without.contains(column)).collect();
    let fields: Vec<String> = used
        .iter()
        .map(|column| match *column {
            // Text in a file, JSON in a database: the same record either way.
            "doc" => "doc: { column: doc, transform: [json] }".to_owned(),
            column => format!("{column}: {column}"),
        })
        .collect();
    let mut connection = connection.clone();
    let password = connection.get_mut("password").map(Value::take);
    if password.is_some() {
        connection["password"] = json!("{{ env.TEST_PASSWORD }}");
    }
    let source = json!({ "name": "s", "type": kind, "connection": connection });
    let project = Project::new(&[
        ("syncline.yaml", "name: test\n"),
        ("sources/s.yaml", &source.to_string()),
        (
            "models/m.yaml",
            &format!(
                "name: m\nsource: s\nprimary_key: [id]\nsql: |\n  select id, {} from {table} order by id\n",
                used.join(", ")
            ),
        ),
        ("destinations/out.yaml", "name: out\ntype: files\nconnection: { path: out }\n"),
        (
            "syncs/sync.yaml",
            &format!(
                "name: sync\nmodel: m\ndestination: out\nobject: people\nmode: mirror\nmatch: {{ id: id }}\n\
                 options: {{ format: jsonl, content: all }}\nfields:\n  {}\n",
                fields.join("\n  ")
            ),
        ),
    ]);
    let run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        if let Some(Value::String(password)) = &password {
            command.env("TEST_PASSWORD", password);
        }
        crate::project::Ran::new(command.output().expect("the binary runs"))
    };
    let plan = run(&["plan", "--format", "json", "--show-values", "--samples", "10"]).code(0);
    let mut plan = plan.json();
    // What differs between two plans of anything: identity, time, and the digest of the manifests with the source in it.
    for name in ["plan_id", "created_at", "digest"] {
        assert!(plan.as_object_mut().unwrap().remove(name).is_some(), "{name} in\n{plan:#}");
    }
    run(&["apply", "--auto-approve"]).code(0);
    let records = fs::read_to_string(project.path("out/people.jsonl")).unwrap();
    // The next plan of the same rows is empty.
    run(&["plan", "--detailed-exitcode"]).code(0);
    Outcome { plan: format!("{plan:#}"), records }
}

#[test]
fn the_same_rows_give_the_same_plan_and_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    parquet(folder.path());
    let files = json!({ "path": folder.path() });
    let same_from = |kind: &str, connection: Value, (there, here): (&str, &str), without: &[&str]| {
        let expected = outcome("files", &files, here, without);
        let got = outcome(kind, &connection, there, without);
        assert!(got.records == expected.records, "{kind}\n{}\nis not\n{}", got.records, expected.records);
        assert!(got.plan == expected.plan, "{kind}\n{}\nis not\n{}", got.plan, expected.plan);
    };
    let same = |kind: &str, connection: Value, table: &str, without: &[&str]| {
        same_from(kind, connection, (table, table), without);
    };
    // The digits of every number arrive.
    let all = outcome("files", &files, "t", &[]).records;
    for digits in
        ["9007199254740993", "-9223372036854775808", "1234567890123456789012345678.1234567891", "-0.0000000001"]
    {
        assert!(all.contains(digits), "{digits} is not in\n{all}");
    }

    // SQLite has numbers of 64 bits only and no lists, and an interval is what somebody wrote.
    let path = folder.path().join("shop.db");
    let rows = values(["null", "null"], ["x'00ff'", "x''"]);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "create table t (id bigint, email text, seats int, big bigint, amount decimal(18, 4), wide text, ratio double, \
             small real, active boolean, since date, clock time, seen timestamp, instant timestamptz, span text, token text, \
             doc json, tags text, raw blob); insert into t values {rows}"
        ))
        .unwrap();
    same("sqlite", json!({ "path": path }), "t", &["wide", "span", "tags"]);

    if let Some(server) = crate::postgres::server() {
        let rows = values(["array['x', 'y']", "array[]::text[]"], ["'\\x00ff'", "''"]);
        let database = server.database(&format!(
            "create table t (id bigint, email text, seats int, big bigint, amount numeric(18, 4), wide numeric(38, 10), \
             ratio float8, small real, active boolean, since date, clock time, seen timestamp, instant timestamptz, \
             span interval, token uuid, doc json, tags text[], raw bytea); insert into t values {rows}"
        ));
        same("postgres", server.parts(&database), "t", &[]);
        // Redshift's way of reading on a PostgreSQL; it has no arrays, and bytes are its own `varbyte`.
        same("redshift", server.parts(&database), "t", &["span", "tags", "raw"]);
    }

    if let Some(library) = super::duckdb::library() {
        let path = folder.path().join("shop.duckdb");
        let rows = values(["['x', 'y']", "[]::varchar[]"], ["'\\x00\\xFF'::blob", "''::blob"]);
        let create = format!(
            "create table t (id bigint, email text, seats int, big bigint, amount decimal(18, 4), wide decimal(38, 10), \
             ratio double, small real, active boolean, since date, clock time, seen timestamp, instant timestamptz, \
             span interval, token uuid, doc json, tags varchar[], raw blob);\ninsert into t values {rows}"
        );
        super::duckdb::database(&library, &path, &create);
        same("duckdb", json!({ "path": path, "driver": library }), "t", &[]);
    }

    if let Some(server) = crate::fakesnow::server() {
        // Neither intervals nor typed lists, and floats are doubles, as in Snowflake. The emulator alone loses the nulls of
        // timestamps on the wire (fakesnow 0.12.1), so the row of nulls is left out.
        let rows = values(["null", "null"], ["null", "null"]);
        let schema = server.schema(&format!(
            "create table t (id bigint, email text, seats int, big bigint, amount number(18, 4), wide number(38, 10), \
             ratio float, small float, active boolean, since date, clock time, seen timestamp_ntz, instant timestamp_tz, \
             span text, token text, doc text, tags text, raw text);\ninsert into t values {rows}"
        ));
        same("snowflake", server.connection(&schema), "t where id < 3", &["span", "tags", "raw"]);
    }

    if let Some(server) = crate::bqemulator::server() {
        // Floats are doubles, and its JSON keeps `2.50` as `2.5`, so that JSON is text here; an array is never null. The
        // emulator alone loses digits of decimals beside another row or an interval in a statement (bqemulator 1.4.0).
        let dataset = server.dataset(
            "create table DATASET.t (id int64, email string, seats int64, big int64, amount numeric(18, 4), \
             wide bignumeric(38, 10), ratio float64, small float64, active bool, since date, clock time, seen datetime, \
             instant timestamp, span interval, token string, doc string, tags array<string>, raw bytes);\n\
             insert into DATASET.t values \
             (1, 'ünï@x.io', 5, 9007199254740993, numeric '12.5', bignumeric '1234567890123456789012345678.1234567891', \
             0.1, 0.1, true, date '2026-01-02', time '10:30:00.5', datetime '2026-01-02 10:00:00.123456', \
             timestamp '2026-01-02 10:00:00Z', null, '6f9619ff-8b86-d011-b42d-00c04fc964ff', \
             '{\"a\": [1, 2.50], \"b\": {\"c\": null}}', ['x', 'y'], from_hex('00ff'));\n\
             insert into DATASET.t values \
             (2, \"b, 'ob'@x.io\", -1, -9223372036854775808, numeric '-0.0001', bignumeric '-0.0000000001', \
             1e300, -2.5, false, date '1969-12-31', time '00:00:00', datetime '1969-12-31 23:59:59', \
             timestamp '1969-12-31 23:59:59.999999Z', null, '00000000-0000-0000-0000-000000000000', \
             '[]', [], from_hex(''));\n\
             insert into DATASET.t values \
             (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);\n\
             update DATASET.t set span = interval '1-2 3 4:5:6.5' year to second where id = 1;\n\
             update DATASET.t set span = interval '0-0 0 0:0:0' year to second where id = 2",
        );
        let connection = server.connection(&dataset);
        let there = format!("{dataset}.t");
        same_from("bigquery", connection.clone(), (&there, "t"), &["tags"]);
        same_from("bigquery", connection, (&format!("{there} where id < 3"), "t where id < 3"), &[]);
    }

    if let Some(server) = crate::spark::server() {
        // Times of day and intervals of months and days it has not, and JSON is text in it.
        server.run(
            "create table t (id bigint, email string, seats int, big bigint, amount decimal(18, 4), wide decimal(38, 10), \
             ratio double, small float, active boolean, since date, seen timestamp_ntz, instant timestamp, token string, \
             doc string, tags array<string>, raw binary) using parquet;\n\
             insert into t values \
             (1, 'ünï@x.io', 5, 9007199254740993, 12.5, 1234567890123456789012345678.1234567891, 0.1, float(0.1), true, \
             date '2026-01-02', timestamp_ntz '2026-01-02 10:00:00.123456', timestamp '2026-01-02 10:00:00Z', \
             '6f9619ff-8b86-d011-b42d-00c04fc964ff', '{\"a\": [1, 2.50], \"b\": {\"c\": null}}', array('x', 'y'), X'00ff'), \
             (2, \"b, 'ob'@x.io\", -1, -9223372036854775808L, -0.0001, -0.0000000001, 1e300, float(-2.5), false, \
             date '1969-12-31', timestamp_ntz '1969-12-31 23:59:59', timestamp '1969-12-31 23:59:59.999999Z', \
             '00000000-0000-0000-0000-000000000000', '[]', array(), X''), \
             (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)",
        );
        same("spark", server.connection(), "t", &["clock", "span"]);
    }
}
