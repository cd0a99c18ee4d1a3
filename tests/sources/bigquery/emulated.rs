//! Against the emulator.

use super::super::*;
use crate::bqemulator::server;

#[test]
fn types_and_values() {
    let Some(server) = server() else { return };
    // Without a data set: where there is one, the emulator takes a literal of 38 places for a `NUMERIC` in a dry run.
    let mut connection = server.connection("");
    connection.as_object_mut().unwrap().remove("dataset");
    let source = open(SourceType::Bigquery, connection);
    let cases = [
        ("true", "Boolean", "true"),
        ("9007199254740993", "Int64", "9007199254740993"),
        ("-9223372036854775808", "Int64", "-9223372036854775808"),
        ("1.5", "Float64", "1.5"),
        ("cast('nan' as float64)", "Float64", "NaN"),
        ("numeric '12.5'", "Decimal128(38, 9)", "12.500000000"),
        (
            "bignumeric '1234567890123456789012345678.1234567891'",
            "Utf8 decimal",
            "1234567890123456789012345678.1234567891",
        ),
        ("'ünï'", "Utf8", "ünï"),
        ("json '{\"a\": [1, 2]}'", "Utf8 json", "{\"a\":[1,2]}"),
        ("from_hex('00ff')", "Binary", "00ff"),
        ("date '2026-11-22'", "Date32", "2026-11-22"),
        ("time '10:30:00.5'", "Time64(µs)", "10:30:00.500"),
        ("datetime '9999-12-31 10:00:00.123456'", "Timestamp(µs)", "9999-12-31T10:00:00.123456"),
        ("timestamp '2026-11-22 10:00:00+01:00'", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00Z"),
        ("timestamp '1969-12-31 23:59:59.999999Z'", "Timestamp(µs, \"UTC\")", "1969-12-31T23:59:59.999999Z"),
        ("interval '1-2 3 4:5:6.5' year to second", "Utf8", "P1Y2M3DT4H5M6.5S"),
        ("['x', 'y']", "List(Utf8)", "[x, y]"),
        ("struct(1 as a, 'q' as b)", "Struct(\"a\": Int64, \"b\": Utf8)", "{a: 1, b: q}"),
        ("[struct(1 as a, ['z'] as b)]", "List(Struct(\"a\": Int64, \"b\": List(Utf8)))", "[{a: 1, b: [z]}]"),
        ("cast(null as string)", "Utf8", "∅"),
    ];
    expressions(&*source, &cases);
}

#[test]
fn tables_and_statements() {
    let Some(server) = server() else { return };
    let dataset = server.dataset(
        "create table DATASET.people (id int64, email string, `Plan` string);\n\
         insert into DATASET.people values (1, 'ann@x.io', 'free'), (2, 'bob@x.io', null)",
    );
    let source = open(SourceType::Bigquery, server.connection(&dataset));
    let name = format!("{}.{dataset}.people", crate::bqemulator::PROJECT);
    let some = |columns: Option<Vec<&str>>, filter: Option<&str>| Query::Table {
        name: name.clone(),
        columns: columns.map(|names| names.into_iter().map(str::to_owned).collect()),
        filter: filter.map(str::to_owned),
    };
    assert_eq!(types(&*source, &some(None, None)), ["id Int64", "email Utf8", "Plan Utf8"]);
    assert_eq!(rows(&*source, &some(Some(vec!["email", "Plan"]), Some("id = 1"))), ["ann@x.io|free"]);
    // As dbt writes it.
    let quoted = Query::Table { name: format!("`{dataset}`.`people`"), columns: None, filter: Some("id = 2".into()) };
    assert_eq!(rows(&*source, &quoted), ["2|bob@x.io|∅"]);
    let grouped = format!("select email, count(*) as n from {dataset}.people group by email order by email");
    assert_eq!(rows(&*source, &sql(&grouped)), ["ann@x.io|1", "bob@x.io|1"]);
    for query in [some(None, None), sql(&format!("select * from {dataset}.people"))] {
        let streams = source.read(&query, Some(&["email".to_owned()])).unwrap();
        let batches: Vec<RecordBatch> = streams.into_iter().flatten().map(|b| b.unwrap().rows).collect();
        assert_eq!((batches[0].num_columns(), count(&batches)), (1, 2), "{query:?}");
    }
    let counted = source.read(&sql(&format!("select * from {dataset}.people")), Some(&[])).unwrap();
    let batches: Vec<RecordBatch> = counted.into_iter().flatten().map(|b| b.unwrap().rows).collect();
    assert_eq!((batches[0].num_columns(), count(&batches)), (0, 2));
}

#[test]
fn many_rows_come_in_pages() {
    let Some(server) = server() else { return };
    let dataset = server.dataset("");
    let source = open(SourceType::Bigquery, server.connection(&dataset));
    let query = sql("select x as id from unnest(generate_array(1, 120000)) as x");
    let batches = read(&*source, &query).unwrap();
    assert_eq!((count(&batches), sum(&batches, 0)), (120_000, 7_200_060_000));
    assert!(batches.iter().all(|batch| batch.num_rows() <= sources::BATCH_ROWS));
}

#[test]
fn what_is_refused_says_why() {
    let Some(server) = server() else { return };
    let dataset = server.dataset("create table DATASET.t (id int64)");
    let source = open(SourceType::Bigquery, server.connection(&dataset));
    for (statement, message, help) in [
        ("selekt 1", "the SQL is not a `select`", "one `select`"),
        ("select * from DATASET.nowhere", "Not found", "check the names"),
        ("select from where", "", "correct the SQL"),
        ("drop table DATASET.t", "the SQL is not a `select`", "one `select`"),
        ("select range(date '2026-01-01', date '2026-02-01') as r", "column `r` is of type `RANGE`", "range_start(r)"),
        ("select id from DATASET.t union all select error('no')", "no", ""),
    ] {
        let got = error(&*source, &sql(&statement.replace("DATASET", &dataset)));
        assert!(got.0.starts_with("bigquery project `test-project`: "), "{statement}: {got:?}");
        assert!(got.0.contains(message) && got.1.contains(help), "{statement}: {got:?}");
    }
    // It is still there.
    assert_eq!(rows(&*source, &sql(&format!("select count(*) as n from {dataset}.t"))), ["0"]);
}
