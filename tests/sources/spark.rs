//! Spark by its Connect server, with two executors.

use super::*;
use crate::spark::server;

#[test]
fn types_values_and_refusals() {
    let Some(server) = server() else { return };
    let source = open(SourceType::Spark, server.connection());
    let cases = [
        ("true", "Boolean", "true"),
        ("cast(1 as tinyint)", "Int8", "1"),
        ("9007199254740993", "Int64", "9007199254740993"),
        ("cast(1.5 as float)", "Float32", "1.5"),
        ("double('NaN')", "Float64", "NaN"),
        ("cast(12.5 as decimal(12, 2))", "Decimal128(12, 2)", "12.50"),
        ("'ünï'", "Utf8", "ünï"),
        ("X'00ff'", "Binary", "00ff"),
        ("date '2026-11-22'", "Date32", "2026-11-22"),
        ("timestamp_ntz '9999-12-31 10:00:00'", "Timestamp(µs)", "9999-12-31T10:00:00"),
        ("timestamp '2026-11-22 10:00:00 +01:00'", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00Z"),
        ("interval '3 04:05:06.5' day to second", "Utf8", "PT76H5M6.5S"),
        ("array(1, null, 3)", "List(Int32)", "[1, ∅, 3]"),
        ("named_struct('a', 1)", "Struct(\"a\": non-null Int32)", "{a: 1}"),
        ("cast(null as string)", "Utf8", "∅"),
    ];
    expressions(&*source, &cases);

    for (statement, message, help) in [
        ("select nope from values (1) as t(a)", "UNRESOLVED_COLUMN", "check the names"),
        ("select * from nowhere", "TABLE_OR_VIEW_NOT_FOUND", "check the names"),
        ("drop table t", "the SQL is not a `select`", "one `select`"),
        ("select 1 as a, 2 as a", "two columns named `a`", "as other_name"),
        ("select parse_json('{}') as v", "column `v` is a `variant`", "cast(v as string)"),
        ("select cast('private' as int) as x", "CAST_INVALID_INPUT", ""),
    ] {
        let got = error(&*source, &sql(statement));
        assert!(got.0.starts_with("spark at 127.0.0.1:"), "{statement}: {got:?}");
        assert!(got.0.contains(message) && got.1.contains(help), "{statement}: {got:?}");
        assert!(!got.0.contains("private"), "{statement}: {got:?}");
    }

    server.run(
        "create table wide using parquet as select id, concat('n', id) as name, id % 7 as m \
         from range(0, 200000, 1, 8)",
    );
    let query = Query::Table { name: "wide".into(), columns: None, filter: Some("m < 6".into()) };
    let streams = source.read(&query, Some(&["id".to_owned(), "name".to_owned()])).unwrap();
    let batches: Vec<RecordBatch> = streams.into_iter().flatten().map(|b| b.unwrap().rows).collect();
    assert_eq!((batches[0].num_columns(), count(&batches)), (2, 171_429));
    assert_eq!(server.executors(), 2, "both executors had work to do");
}
