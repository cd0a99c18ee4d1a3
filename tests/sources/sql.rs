//! SQL over files.

use std::fs;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Decimal128Array, Float32Array, Int64Array, Time64NanosecondArray, TimestampNanosecondArray, UInt64Array,
};

use super::files::write_parquet;
use super::*;

fn shop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let contacts = "email,seats,since,active,plan\n\
        ann@x.io,5,2026-01-02,true,free\n\
        bob@x.io,,2025-12-31,false,premium\n\
        cid@x.io,12,2026-03-01,true,premium\n";
    fs::write(dir.path().join("contacts.csv"), contacts).unwrap();
    let orders = "{\"email\":\"ann@x.io\",\"total\":12.5,\"at\":\"2026-02-01T10:00:00+01:00\",\"items\":[1,2]}\n\
        {\"email\":\"cid@x.io\",\"total\":7,\"at\":\"2026-02-02T10:00:00Z\",\"items\":[]}\n\
        {\"email\":\"ann@x.io\",\"total\":1,\"at\":\"2026-02-03T00:00:00Z\"}\n";
    fs::write(dir.path().join("orders.jsonl"), orders).unwrap();
    dir
}

#[test]
fn nanoseconds_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let wall = TimestampNanosecondArray::from(vec![Some(1_767_225_600_123_456_789), Some(-1), None, Some(i64::MAX)]);
    let columns: [(&str, ArrayRef); 3] = [
        ("at", Arc::new(wall.clone().with_timezone("UTC"))),
        ("wall", Arc::new(wall)),
        ("time", Arc::new(Time64NanosecondArray::from(vec![Some(1), None, Some(86_399_999_999_999), Some(0)]))),
    ];
    write_parquet(&dir.path().join("t.parquet"), &RecordBatch::try_from_iter(columns).unwrap(), 10);
    let source = folder(dir.path());
    let expected = [
        "2026-01-01T00:00:00.123456789Z|2026-01-01T00:00:00.123456789|00:00:00.000000001",
        "1969-12-31T23:59:59.999999999Z|1969-12-31T23:59:59.999999999|∅",
        "∅|∅|23:59:59.999999999",
        "2262-04-11T23:47:16.854775807Z|2262-04-11T23:47:16.854775807|00:00:00",
    ];
    assert_eq!(rows(&*source, &table("t")), expected);
    assert_eq!(rows(&*source, &sql("select * from t")), expected);
    let both = sql("select a.at, b.wall, a.time from t a, t b where a.wall is b.wall");
    assert_eq!(rows(&*source, &both), expected, "in a join");
    assert_eq!(types(&*source, &both), ["at Timestamp(ns, \"UTC\")", "wall Timestamp(ns)", "time Time64(ns)"]);
    let early = sql("select at from t where at < '1970-01-01'");
    assert_eq!(rows(&*source, &early), ["1969-12-31T23:59:59.999999999Z"], "compared in time");
}

#[test]
fn what_sql_gives() {
    let cases: &[(&str, &str, &[&str], &[&str])] = &[
        (
            "columns keep their types behind other names",
            "select email as mail, seats, since, active from contacts where seats >= 5",
            &["mail Utf8", "seats Int64", "since Date32", "active Boolean"],
            &["ann@x.io|5|2026-01-02|true", "cid@x.io|12|2026-03-01|true"],
        ),
        (
            "computed columns have the type of their values",
            "select seats * 2 as twice, seats / 2.0 as half, upper(plan) as plan, null as nil from contacts",
            &["twice Int64", "half Float64", "plan Utf8", "nil Utf8"],
            &["10|2.5|FREE|∅", "∅|∅|PREMIUM|∅", "24|6.0|PREMIUM|∅"],
        ),
        (
            "numbers and text together are text",
            "select case plan when 'free' then 'none' else seats end as x from contacts where seats is not null",
            &["x Utf8"],
            &["none", "12"],
        ),
        (
            "booleans, dates and text compare as one would think",
            "select email from contacts where active and since > '2026-01-31' and plan = 'premium'",
            &["email Utf8"],
            &["cid@x.io"],
        ),
        (
            "instants are UTC and known to date functions",
            "select at, date(at) as day, items from orders where at >= datetime('2026-02-02')",
            &["at Timestamp(µs, \"UTC\")", "day Utf8", "items Utf8 json"],
            &["2026-02-02T10:00:00Z|2026-02-02|[]", "2026-02-03T00:00:00Z|2026-02-03|∅"],
        ),
        (
            "a join",
            "select c.email, sum(o.total) as total, count(*) as orders, max(o.at) as last \
             from contacts c join orders o using (email) group by 1 order by 1",
            &["email Utf8", "total Float64", "orders Int64", "last Utf8"],
            &["ann@x.io|13.5|2|2026-02-03 00:00:00", "cid@x.io|7.0|1|2026-02-02 10:00:00"],
        ),
        (
            "types survive a join",
            "with late as (select * from orders where at > '2026-02-02') \
             select c.since, c.active, l.at, l.total from late l, contacts c where c.email = l.email order by l.at",
            &["since Date32", "active Boolean", "at Timestamp(µs, \"UTC\")", "total Float64"],
            &["2026-03-01|true|2026-02-02T10:00:00Z|7.0", "2026-01-02|true|2026-02-03T00:00:00Z|1.0"],
        ),
        ("no columns of a table", "select count(*) as n from contacts a, contacts b", &["n Int64"], &["9"]),
        ("any case", "SELECT EMAIL FROM CONTACTS WHERE SEATS = 12", &["email Utf8"], &["cid@x.io"]),
    ];
    let dir = shop();
    let source = folder(dir.path());
    for (name, statement, columns, expected) in cases {
        assert_eq!(rows(&*source, &sql(statement)), *expected, "{name}");
        let got = types(&*source, &sql(statement));
        assert_eq!(
            got.iter().map(|t| t.to_lowercase()).collect::<Vec<_>>(),
            columns.iter().map(|t| t.to_lowercase()).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

#[test]
fn what_sql_refuses() {
    let cases: &[(&str, &str, &str)] = &[
        ("select * from contcats", "no table `contcats`", "did you mean `contacts`?"),
        ("select emial from contacts", "no such column: emial at line 1, column 8", "did you mean `email`?"),
        ("select \"emial\" from contacts", "no such column", ""),
        ("select email\nfrom contacts\nwhere", "incomplete input", "correct the SQL"),
        (
            "select email\nfrom contacts\nwhere order",
            "near \"order\": syntax error at line 3, column 7",
            "correct the SQL",
        ),
        ("delete from contacts", "does not start with `select`", "one `select`"),
        ("with x as (select 1) delete from contacts", "", ""),
        ("select 1; select 2", "more than one statement", "one `select`"),
        ("select email, email from contacts", "two columns named `email`", "as other_name"),
        ("attach 'x' as y", "does not start with `select`", ""),
        ("", "does not start with `select`", ""),
    ];
    let dir = shop();
    let source = folder(dir.path());
    for (statement, message, help) in cases {
        let got = error(&*source, &sql(statement));
        assert!(got.0.contains(message) && got.1.contains(help), "{statement}: {got:?}");
        assert!(source.schema(&sql(statement)).is_err(), "{statement}");
    }
}

#[test]
fn only_the_columns_named_come() {
    let dir = shop();
    let source = folder(dir.path());
    let query = sql("select email, seats, plan from contacts");
    let hint = ["plan".to_owned()];
    let streams = source.read(&query, Some(&hint)).unwrap();
    assert_eq!(shown(&streams[0].schema()), ["plan Utf8"]);
    let unknown = ["paln".to_owned()];
    let error = source.read(&query, Some(&unknown)).err().unwrap();
    assert_eq!(error.help(), Some("did you mean `plan`?"));
}

#[test]
fn no_digit_is_lost_on_the_way_through_sql() {
    let dir = tempfile::tempdir().unwrap();
    let prices = Decimal128Array::from(vec![Some(1250), None, Some(99_999_999_999_999_999_999_999_999_999)]);
    let prices: ArrayRef = Arc::new(prices.with_precision_and_scale(38, 2).unwrap());
    let wide: ArrayRef = Arc::new(UInt64Array::from(vec![1, u64::MAX, 3]));
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN, 9_007_199_254_740_993]));
    let narrow: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 2.5, -3.0]));
    let columns = [("price", prices), ("wide", wide), ("int", ints), ("narrow", narrow)];
    write_parquet(&dir.path().join("t.parquet"), &RecordBatch::try_from_iter(columns).unwrap(), 10);
    let source = folder(dir.path());
    for statement in ["select * from t", "select a.* from t a join t b on a.int = b.int order by a.rowid"] {
        assert_eq!(
            types(&*source, &sql(statement)),
            ["price Decimal128(38, 2)", "wide Utf8 decimal", "int Int64", "narrow Float32"]
        );
        assert_eq!(
            rows(&*source, &sql(statement)),
            [
                "12.50|1|9223372036854775807|0.1",
                "∅|18446744073709551615|-9223372036854775808|2.5",
                "999999999999999999999999999.99|3|9007199254740993|-3.0"
            ],
            "{statement}"
        );
    }
    assert_eq!(rows(&*source, &sql("select int from t where price > 12 and price < 13")), ["9223372036854775807"]);
}

/// The database of a statement is kept between its columns and its rows; what is in it must not outlive the files.
#[test]
fn what_was_copied_for_the_columns_is_not_taken_for_other_files_or_statements() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("a.csv", "id,v\n1,x\n2,y\n");
    write("b.csv", "id\n1\n");
    let source = folder(dir.path());
    let (join, other) =
        (sql("select v || '!' as w from a join b using (id)"), sql("select v from b join a using (id)"));
    assert_eq!(types(&*source, &join), ["w Utf8"]);
    assert_eq!(rows(&*source, &join), ["x!"]);
    assert_eq!(rows(&*source, &join), ["x!"], "again");
    assert_eq!(types(&*source, &join), ["w Utf8"]);
    assert_eq!(rows(&*source, &other), ["x"]);
    assert_eq!(types(&*source, &join), ["w Utf8"]);
    write("b.csv", "id\n2\n22\n");
    assert_eq!(rows(&*source, &join), ["y!"], "the file has changed since");
}

#[test]
fn a_join_of_two_files_does_not_read_one_per_row_of_the_other() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let body: String = (0..60_000).map(|id| format!("{id},{}\n", id % 7)).collect();
        fs::write(dir.path().join(format!("{name}.csv")), format!("id,v\n{body}")).unwrap();
    }
    let start = std::time::Instant::now();
    let query = sql("select a.id, b.v from a join b on a.id = b.id");
    assert_eq!(count(&read(&*folder(dir.path()), &query).unwrap()), 60_000);
    // 3.6 thousand million comparisons would take many minutes.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn errors_of_a_file_keep_their_help_in_sql() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    fs::write(&path, format!("id\n{}", "1\n".repeat(300_000))).unwrap();
    let source = folder(dir.path());
    let mut stream = source.read(&sql("select id from t"), None).unwrap().remove(0);
    stream.next().unwrap().unwrap();
    fs::write(&path, "id\n1\n").unwrap();
    let error = stream.find_map(Result::err).map(sources::failure).unwrap();
    assert!(error.to_string().contains("changed while it was read"), "{error}");
    assert!(error.help().is_some());
}
