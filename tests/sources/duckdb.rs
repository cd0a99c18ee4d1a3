//! DuckDB through ADBC: its own library, named by `SYNCLINE_DUCKDB`, as `.ci/run` does it.

use std::path::PathBuf;

use adbc_core::options::{AdbcVersion, OptionDatabase};
use adbc_core::{Connection as _, Database as _, Driver as _, Statement as _};
use adbc_driver_manager::ManagedDriver;

use super::*;

/// The library; `None`, loudly, where it is not to be had. In CI (`CI` is set) that is a failure.
pub fn library() -> Option<PathBuf> {
    crate::outside::named("SYNCLINE_DUCKDB", "DuckDB's library")
}

/// Makes a database file.
pub fn database(library: &Path, path: &Path, statements: &str) {
    run(library, path, statements.split(";\n").filter(|statement| !statement.trim().is_empty()));
}

/// Runs statements on a database file, which is made where there is none.
pub fn run<'a>(library: &Path, path: &Path, statements: impl Iterator<Item = &'a str>) {
    let mut driver =
        ManagedDriver::load_dynamic_from_filename(library, Some(b"duckdb_adbc_init"), AdbcVersion::V110).unwrap();
    let options = [(OptionDatabase::Other("path".into()), path.to_str().unwrap().into())];
    let mut connection = driver.new_database_with_opts(options).unwrap().new_connection().unwrap();
    for statement in statements {
        let mut running = connection.new_statement().unwrap();
        running.set_sql_query(statement).unwrap();
        running.execute_update().unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
}

fn source(library: &Path, path: &Path) -> Box<dyn Source> {
    open(SourceType::Duckdb, json!({ "path": path, "driver": library }))
}

#[test]
fn types_and_values() {
    let Some(library) = library() else { return };
    let source = open(SourceType::Duckdb, json!({ "driver": library }));
    let cases = [
        ("true", "Boolean", "true"),
        ("1::tinyint", "Int8", "1"),
        ("9007199254740993", "Int64", "9007199254740993"),
        ("18446744073709551615::ubigint", "UInt64", "18446744073709551615"),
        (
            "170141183460469231731687303715884105727::hugeint",
            "Decimal128(38, 0)",
            "170141183460469231731687303715884105727",
        ),
        ("1.5::real", "Float32", "1.5"),
        ("'NaN'::double", "Float64", "NaN"),
        ("12.5::decimal(12, 2)", "Decimal128(12, 2)", "12.50"),
        ("'ünï'", "Utf8", "ünï"),
        ("'glad'::enum('sad', 'glad')", "Dictionary(UInt8, Utf8)", "glad"),
        ("'6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid", "Utf8", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("'{\"a\": [1,  2]}'::json", "Utf8 json", "{\"a\": [1,  2]}"),
        ("'\\x00\\xFF'::blob", "Binary", "00ff"),
        ("date '2026-11-22'", "Date32", "2026-11-22"),
        ("time '10:30:00.5'", "Time64(µs)", "10:30:00.500"),
        ("timestamp '2026-11-22 10:00'", "Timestamp(µs)", "2026-11-22T10:00:00"),
        ("timestamptz '2026-11-22 10:00:00+01'", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00Z"),
        ("interval '14 months 3 days 04:05:06.5'", "Utf8", "P1Y2M3DT4H5M6.5S"),
        ("[1, null, 3]", "List(Int32)", "[1, ∅, 3]"),
        ("{'a': 1, 'b': {'c': 'x'}}", "Struct(\"a\": Int32, \"b\": Struct(\"c\": Utf8))", "{a: 1, b: {c: x}}"),
        (
            "map {'k': 1}",
            "Map(\"entries\": non-null Struct(\"key\": non-null Utf8, \"value\": Int32), unsorted)",
            "{k: 1}",
        ),
        ("null::varchar", "Utf8", "∅"),
        ("timetz '10:00:00+01'", "Utf8", "10:00:00+01"),
    ];
    expressions(&*source, &cases);
}

#[test]
fn a_table_and_its_columns() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.duckdb");
    database(
        &library,
        &path,
        "create schema marts;\ncreate table marts.t as select i as id, 'n' || i as \"Name\", i % 3 as m from range(200000) r(i)",
    );
    let source = source(&library, &path);
    let whole = Query::Table { name: "marts.t".into(), columns: None, filter: Some("id >= 199999".into()) };
    assert_eq!(types(&*source, &whole), ["id Int64", "Name Utf8", "m Int64"]);
    assert_eq!(rows(&*source, &whole), ["199999|n199999|1"]);
    let only = |query: &Query, columns: &[&str]| {
        let hint: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        let streams = source.read(query, Some(&hint)).unwrap();
        let batches: Vec<RecordBatch> = streams.into_iter().flatten().map(|b| b.unwrap().rows).collect();
        let names: Vec<String> = batches[0].schema().fields().iter().map(|f| f.name().clone()).collect();
        assert!(batches.iter().all(|b| b.num_rows() <= sources::BATCH_ROWS));
        (names, count(&batches))
    };
    assert_eq!(only(&table("marts.t"), &["Name"]), (vec!["Name".into()], 200_000));
    assert_eq!(only(&sql("select * from marts.t"), &["m", "id"]), (vec!["id".into(), "m".into()], 200_000));
    assert_eq!(only(&sql("select * from marts.t"), &[]).1, 200_000);
    // Two reads at the same time, and a reader that stops early.
    let (one, two) = (source.read(&table("marts.t"), None).unwrap(), source.read(&table("marts.t"), None).unwrap());
    drop(one);
    assert_eq!(count(&two.into_iter().flatten().map(|b| b.unwrap().rows).collect::<Vec<_>>()), 200_000);
}

#[test]
fn what_no_type_holds_costs_its_row_and_no_more() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.duckdb");
    database(&library, &path, "create table t as select 1 as id");
    let source = source(&library, &path);
    let select = |kind: &str, values: [&str; 3]| {
        sql(&format!("select unnest([{}])::{kind} as x", values.map(|value| format!("'{value}'")).join(", ")))
    };
    let infinite = "holds an infinite date; say what it means: `nullif(x, 'infinity') as x`";
    let minus = "holds an infinite date before all others; say what it means: `nullif(x, '-infinity') as x`";
    let within = "holds a list or an object with an infinite date; take it as JSON: `to_json(x) as x`";
    let long = "holds a whole number of 39 digits; take it as text: `cast(x as varchar) as x`";
    let cases = [
        (select("date", ["infinity", "2026-01-01", "-infinity"]), vec![(1, infinite), (3, minus)]),
        (select("timestamp", ["2026-01-01", "infinity", "2026-01-01"]), vec![(2, infinite)]),
        (select("timestamptz", ["2026-01-01", "2026-01-01", "-infinity"]), vec![(3, minus)]),
        (select("uhugeint", ["1", "340282366920938463463374607431768211455", "2"]), vec![(2, long)]),
        (select("timestamp_s", ["2026-01-01", "infinity", "2026-01-01"]), vec![(2, infinite)]),
        (select("timestamp_ns", ["2026-01-01", "-infinity", "2026-01-01"]), vec![(2, minus)]),
        (select("date[]", ["[2026-01-01, infinity]", "[2026-01-01]", "[]"]), vec![(1, within)]),
        (
            select("date[2]", ["[2026-01-01, 2026-01-02]", "[-infinity, 2026-01-02]", "[2026-01-01, null]"]),
            vec![(2, within)],
        ),
        (
            select("struct(a int, b timestamp)", ["{a: 1, b: 2026-01-01}", "{a: 1, b: null}", "{a: 1, b: infinity}"]),
            vec![(3, within)],
        ),
        (select("map(text, date)", ["{k=infinity}", "{k=2026-01-01, l=NULL}", "{}"]), vec![(1, within)]),
    ];
    for (query, expected) in cases {
        let (batches, flaws) = flawed(&*source, &query);
        let expected: Vec<String> = expected.iter().map(|(row, told)| format!("{row}: column `x` {told}")).collect();
        assert_eq!((count(&batches), flaws), (3, expected), "{query:?}");
    }
}

#[test]
fn what_is_refused_says_why() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.duckdb");
    database(&library, &path, "create table t as select 1 as id, 'private' as word");
    let source = source(&library, &path);
    let cases = [
        ("select nope from t", "not found", "check the names"),
        ("select * from nope", "does not exist", "check the names"),
        ("selekt 1", "the SQL is not a `select`", "one `select`"),
        ("delete from t returning id", "the SQL is not a `select`", "one `select`"),
        ("with x as (select 1) delete from t", "", ""),
        ("select 1 as a, 2 as a", "two columns named `a`", "as other_name"),
        ("select word::int as w from t", "", ""),
        ("select union_value(a := 1) as u", "column `u` is of type `union`", "cast(u as varchar)"),
        ("select 1; select 2", "", ""),
        ("select '101'::bit as b", "column `b` is of a type that only DuckDB can read", "cast(b as varchar)"),
    ];
    for (statement, message, help) in cases {
        let got = error(&*source, &sql(statement));
        assert!(got.0.starts_with("duckdb `"), "{statement}: {got:?}");
        assert!(got.0.contains(message) && got.1.contains(help), "{statement}: {got:?}");
        assert!(!got.0.contains("private") && !got.1.contains("private"), "{statement}: {got:?}");
        assert!(source.schema(&sql(statement)).is_err() || statement.contains("word"), "{statement}");
    }
    assert_eq!(rows(&*source, &sql("select count(*) as n from t")), ["1"], "nothing was changed");
    let missing =
        sources::open(SourceType::Duckdb, &connection_of(json!({ "path": "/nowhere.duckdb" }))).err().unwrap();
    assert!(missing.to_string().contains("there is no database file `/nowhere.duckdb`"), "{missing}");
}
