//! A SQLite database.

use rusqlite::Connection as Database;

use super::*;

fn database(sql: &str) -> (tempfile::TempDir, Box<dyn Source>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    Database::open(&path).unwrap().execute_batch(sql).unwrap();
    let source = open(SourceType::Sqlite, json!({ "path": path }));
    (dir, source)
}

#[test]
fn declared_types_and_values() {
    // declared type, value in SQL → Arrow type, value read
    let cases = [
        ("integer", "42", "Int64", "42"),
        ("bigint", "9007199254740993", "Int64", "9007199254740993"),
        ("varchar(20)", "'007'", "Utf8", "007"),
        ("text", "null", "Utf8", "∅"),
        ("double precision", "1.5", "Float64", "1.5"),
        ("real", "2", "Float64", "2.0"),
        ("boolean", "1", "Boolean", "true"),
        ("boolean", "'false'", "Boolean", "false"),
        ("date", "'2026-11-22'", "Date32", "2026-11-22"),
        ("time", "'10:30'", "Time64(µs)", "10:30:00"),
        ("datetime", "'2026-11-22 10:00:00'", "Timestamp(µs)", "2026-11-22T10:00:00"),
        ("timestamp", "'2026-11-22'", "Timestamp(µs)", "2026-11-22T00:00:00"),
        ("timestamptz", "'2026-11-22T10:00:00+01:00'", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00Z"),
        ("decimal(10, 2)", "12.5", "Utf8 decimal", "12.5"),
        ("numeric", "'12345678901234567890.5'", "Utf8 decimal", "12345678901234567000"),
        ("json", "'{\"a\": [1]}'", "Utf8 json", "{\"a\": [1]}"),
        ("blob", "x'00ff'", "Binary", "00ff"),
        ("uuid", "'a-b'", "Utf8", "a-b"),
        ("", "7", "Int64", "7"),
    ];
    for (declared, value, kind, expected) in cases {
        let (_dir, source) = database(&format!("create table t (x {declared}); insert into t values ({value})"));
        assert_eq!(types(&*source, &table("t")), [format!("x {kind}")], "{declared}");
        assert_eq!(rows(&*source, &table("t")), [expected], "{declared}");
        assert_eq!(rows(&*source, &sql("select x from t where 1")), [expected], "{declared}");
    }
}

#[test]
fn values_that_do_not_fit_cost_their_row_and_no_more() {
    let dates = "dates, `2026-11-22`";
    let timestamps = "timestamps, `2026-11-22 10:00:00` with at most 6 decimals";
    let cases = [
        ("integer", "'n/a'", "text instead of whole numbers"),
        ("date", "'soon'", &format!("text instead of {dates}")),
        ("date", "'10000-01-01'", &format!("text instead of {dates}")),
        ("datetime", "1764000000", &format!("a whole number instead of {timestamps}")),
        ("datetime", "'2026-11-22T10:00:00Z'", &format!("text instead of {timestamps}")),
        ("boolean", "2", "a whole number instead of true or false"),
        ("decimal(4, 2)", "'1.x'", "text instead of decimals"),
        ("json", "'{'", "text instead of JSON"),
        ("text", "x'00'", "bytes instead of text"),
        ("text", "cast(x'5a6feb' as text)", "text that is not UTF-8"),
        ("", "cast(x'5a6feb' as text)", "text that is not UTF-8"),
    ];
    for (declared, value, expected) in cases {
        let (_dir, source) = database(&format!(
            "create table t (id integer, x {declared}); insert into t values (1, null), (2, {value}), (3, null)"
        ));
        let cast = if expected.contains("UTF-8") { "blob" } else { "text" };
        // More rows than the survey of a computed column keeps are read another way.
        for query in [table("t"), sql("select x from t"), sql("select t.* from t, (select 1 union select 2) limit 40")]
        {
            let (batches, flaws) = flawed(&*source, &query);
            assert!(count(&batches) >= 3 && !flaws.is_empty(), "{declared}: {flaws:?}");
            for flaw in &flaws {
                assert!(flaw.contains(&format!(": column `x` holds {expected}; ")), "{declared}: {flaw}");
                assert!(flaw.ends_with(&format!("`cast(x as {cast}) as x`")), "{declared}: {flaw}");
            }
        }
        let ids = sql("select id from t where x is not null or id = 1");
        assert_eq!(rows(&*source, &ids), ["1", "2"], "{declared}: a column that is not read spoils nothing");
    }
}

#[test]
fn computed_columns_are_typed_by_all_their_values() {
    let (_dir, source) = database(
        "create table t (id integer, v); \
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 70000) \
         insert into t select i, case when i = 70000 then 0.5 else i end from n",
    );
    let query = sql("select v + 0 as v, id || '' as s, 9007199254740993 as wide from t");
    assert_eq!(types(&*source, &query), ["v Float64", "s Utf8", "wide Int64"]);
    let lines = rows(&*source, &query);
    assert_eq!((lines.len(), lines.last().unwrap().as_str()), (70_000, "0.5|70000|9007199254740993"));
    let mixed = sql("select case id when 1 then 0.5 else 9007199254740993 end as x from t where id < 3");
    assert_eq!(types(&*source, &mixed), ["x Utf8 decimal"]);
    assert_eq!(rows(&*source, &mixed), ["0.5", "9007199254740993"]);
}

#[test]
fn types_follow_when_the_data_change() {
    let (dir, source) = database("create table t (v); insert into t values (1)");
    assert_eq!(types(&*source, &table("t")), ["v Int64"]);
    std::thread::sleep(std::time::Duration::from_millis(20));
    Database::open(dir.path().join("shop.db")).unwrap().execute_batch("insert into t values ('x')").unwrap();
    assert_eq!(rows(&*source, &table("t")), ["1", "x"]);
}

#[test]
fn the_database_is_neither_made_nor_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.db");
    let source = open(SourceType::Sqlite, json!({ "path": path }));
    let (message, help) = error(&*source, &sql("select 1"));
    assert!(message.contains("none.db") && help.contains("never created"), "{message}");
    assert!(!path.exists());

    std::fs::write(&path, "this is no database, whatever its name says").unwrap();
    let (message, help) = error(&*source, &sql("select 1"));
    assert!(message.contains("not a database") && help.contains("connection.path"), "{message}; {help}");

    let (dir, source) = database("create table t (id integer); insert into t values (1)");
    let before = std::fs::read(dir.path().join("shop.db")).unwrap();
    for statement in
        ["delete from t", "with x as (select 1) insert into t select 2", "pragma user_version = 3", "vacuum"]
    {
        assert!(source.read(&sql(statement), None).is_err(), "{statement}");
    }
    assert!(error(&*source, &sql("select 1; delete from t")).0.contains("more than one statement"));
    assert!(error(&*source, &sql("select x from t")).0.contains("no such column: x at line 1, column 8"));
    assert!(error(&*source, &table("nope")).0.contains("no such table: nope"));
    assert_eq!(std::fs::read(dir.path().join("shop.db")).unwrap(), before);
}

#[test]
fn tables_are_cut_to_columns_and_rows() {
    let (_dir, source) = database("create table t (a integer, b text); insert into t values (1, 'x'), (2, 'y')");
    let query = Query::Table {
        name: "main.t".into(),
        columns: Some(vec!["b".into(), "a".into()]),
        filter: Some("a > 1 -- not the first".into()),
    };
    assert_eq!(rows(&*source, &query), ["y|2"]);
    let hint = ["b".to_owned()];
    let streams = source.read(&query, Some(&hint)).unwrap();
    assert_eq!(shown(&streams[0].schema()), ["b Utf8"]);
}
