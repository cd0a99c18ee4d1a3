//! A real PostgreSQL.

use super::*;
use crate::postgres::{Server, server};

fn source(server: &Server, database: &str) -> Box<dyn Source> {
    open(SourceType::Postgres, json!({ "url": server.url(database) }))
}

#[test]
fn types_and_values() {
    let Some(server) = server() else { return };
    let database = server.database("create type mood as enum ('sad', 'glad'); create domain code as varchar(5)");
    let source = source(server, &database);
    let cases = [
        ("true", "Boolean", "true"),
        ("1::smallint", "Int16", "1"),
        ("-2", "Int32", "-2"),
        ("9007199254740993", "Int64", "9007199254740993"),
        ("1.5::real", "Float32", "1.5"),
        ("'NaN'::float8", "Float64", "NaN"),
        ("12.5::numeric(12, 2)", "Decimal128(12, 2)", "12.50"),
        ("(-0.01)::numeric(38, 4)", "Decimal128(38, 4)", "-0.0100"),
        ("123456789012345678901234567890.1234567890", "Utf8 decimal", "123456789012345678901234567890.1234567890"),
        ("100000000::numeric", "Utf8 decimal", "100000000"),
        ("0.00001234::numeric", "Utf8 decimal", "0.00001234"),
        ("'ünï'::text", "Utf8", "ünï"),
        ("'ab'::char(3)", "Utf8", "ab "),
        ("'x'::name", "Utf8", "x"),
        ("'glad'::mood", "Utf8", "glad"),
        ("'abc'::code", "Utf8", "abc"),
        ("'6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid", "Utf8", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("'{\"a\": [1,  2]}'::json", "Utf8 json", "{\"a\": [1,  2]}"),
        ("'{\"a\": [1,  2]}'::jsonb", "Utf8 json", "{\"a\": [1, 2]}"),
        ("'\\x00ff'::bytea", "Binary", "00ff"),
        ("date '2026-11-22'", "Date32", "2026-11-22"),
        ("time '10:30:00.5'", "Time64(µs)", "10:30:00.500"),
        ("timestamp '2026-11-22 10:00'", "Timestamp(µs)", "2026-11-22T10:00:00"),
        ("timestamptz '2026-11-22 10:00+01'", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00Z"),
        ("interval '1 year 2 months 3 days 04:05:06.5'", "Utf8", "P1Y2M3DT4H5M6.5S"),
        ("array[1, null, 3]", "List(Int32)", "[1, ∅, 3]"),
        ("'{}'::text[]", "List(Utf8)", "[]"),
        ("null::int[]", "List(Int32)", "∅"),
        ("null::text", "Utf8", "∅"),
        // What we have no reading for comes as the server writes it.
        ("inet '10.0.0.1/8'", "Utf8", "10.0.0.1/8"),
        ("int4range(1, 5)", "Utf8", "[1,5)"),
        ("point(1, 2)", "Utf8", "(1,2)"),
        ("row(1, 'a')", "Utf8", "(1,a)"),
        ("timetz '10:00+01'", "Utf8", "10:00:00+01"),
        ("12.5::money", "Utf8", "$12.50"),
    ];
    for (expression, kind, expected) in cases {
        let query = sql(&format!("select {expression} as x -- as written"));
        assert_eq!(types(&*source, &query), [format!("x {kind}")], "{expression}");
        assert_eq!(rows(&*source, &query), [expected], "{expression}");
    }
}

/// Most statements are read by `copy`; some it does not take, and nobody needs to know which.
#[test]
fn statements_of_every_kind() {
    let Some(server) = server() else { return };
    let database = server.database("create table t (id int, name text); insert into t values (1, 'a'), (2, null)");
    let source = source(server, &database);
    let cases: &[(&str, &[&str])] = &[
        ("select id from t order by id", &["1", "2"]),
        ("select id from t order by id;", &["1", "2"]),
        ("select id from t order by id ; -- by id; not by name", &["1", "2"]),
        ("-- first\nselect id from t /* all */ order by id -- last", &["1", "2"]),
        ("with s as (select id * 2 as n from t) select n from s order by n", &["2", "4"]),
        ("(select 1 as n) union all (select 2) order by n", &["1", "2"]),
        ("select ')' || $$;$$ || E'\\'' as x", &[");'"]),
        ("values (1, null), (2, '')", &["1|∅", "2|"]),
        ("table t order by id", &["1|a", "2|∅"]),
        ("show default_transaction_isolation", &["read committed"]),
        ("explain (costs off) select 1", &["Result"]),
        ("select id from t where false", &[]),
    ];
    for (statement, expected) in cases {
        assert_eq!(rows(&*source, &sql(statement)), *expected, "{statement}");
    }
}

/// Each value stands between two that can be read, by `copy` and where there is none.
#[test]
fn values_without_an_arrow_form_cost_their_row_and_no_more() {
    let Some(server) = server() else { return };
    let source = source(server, "postgres");
    let infinite = "say what it means: `nullif(x, 'infinity') as x`";
    let minus = "say what it means: `nullif(x, '-infinity') as x`";
    let text = "cast it in the SQL: `x::text as x`";
    let json = "take it as JSON: `to_json(x) as x`";
    let not_a_number = "say what it means: `nullif(x, 'NaN') as x`";
    let cases = [
        ("date", "infinity", "2026-01-01", "an infinite date", infinite),
        ("date", "-infinity", "2026-01-01", "an infinite date before all others", minus),
        ("timestamp", "infinity", "2026-01-01 00:00:00", "an infinite date", infinite),
        ("timestamptz", "-infinity", "2026-01-01 00:00:00Z", "an infinite date before all others", minus),
        (
            "timestamp",
            "294276-12-31",
            "2026-01-01 00:00:00",
            "a date after all that can be read",
            "say what it means: `case when x < '9999-12-31' then x end as x`",
        ),
        ("numeric", "NaN", "1.5", "`NaN`, which is no decimal", not_a_number),
        ("numeric(4, 2)", "NaN", "1.5", "`NaN`, which is no decimal", not_a_number),
        ("numeric", "infinity", "1.5", "infinity, which is no decimal", infinite),
        ("numeric", "-infinity", "1.5", "minus infinity, which is no decimal", minus),
        ("int[]", "{{1,2},{3,4}}", "{7}", "an array of several dimensions", json),
        ("date[]", "{2026-01-01,infinity,2026-01-02}", "{2026-01-01}", "an array with an infinite date", json),
        ("numeric[]", "{1,NaN,3}", "{1}", "an array with `NaN` or infinity, which are no decimals", json),
        ("time[]", "{24:00,10:00}", "{10:00:00}", "an array with a value that cannot be read", json),
        ("time", "24:00", "10:00:00", "the time `24:00:00`", text),
    ];
    for (kind, value, good, what, help) in cases {
        let select = format!(
            "select id, x::{kind} as x from (values (1, '{good}'), (2, '{value}'), (3, null), (4, '{good}')) t (id, x)"
        );
        let (batches, flaws) = flawed(&*source, &sql(&format!("{select} order by id")));
        assert_eq!(flaws, [format!("2: column `x` holds {what}; {help}")], "{kind} {value}");
        let valid: Vec<bool> = (0..4).map(|row| batches[0].column(1).is_valid(row)).collect();
        assert_eq!(valid, [true, false, false, true], "{kind} {value}");
        let column = without_zone_names(batches[0].column(1));
        let same = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::new()).unwrap();
        assert_eq!(
            same.value(0).to_string(),
            same.value(3).to_string(),
            "{kind} {value}: what is behind it is not moved"
        );
        // A column that is not looked at spoils nothing.
        let hint = ["id".to_owned()];
        let streams = source.read(&sql(&select), Some(&hint)).unwrap();
        let ids: usize = streams.into_iter().flatten().map(|b| b.unwrap().whole().unwrap().num_rows()).sum();
        assert_eq!(ids, 4, "{kind} {value}");
    }
}

#[test]
fn any_bytes_are_text_in_a_database_of_no_encoding() {
    let Some(server) = server() else { return };
    server.run("postgres", "create database no_encoding encoding 'SQL_ASCII' template template0");
    server.run(
        "no_encoding",
        "create table t (id int, x text, tags text[]); \
         insert into t values (1, 'Zoë', '{a}'), (2, E'Zo\\xeb', '{b}'), (3, null, array['c', E'\\xff'])",
    );
    let (batches, flaws) = flawed(&*source(server, "no_encoding"), &table("t"));
    let expected = [
        "2: column `x` holds text that is not UTF-8; correct the value, or take its bytes: \
         `convert_to(x, 'SQL_ASCII') as x`",
        "3: column `tags` holds an array with text that is not UTF-8; correct the value, or leave it out: \
         `array_remove(tags, …) as tags`",
    ];
    assert_eq!(flaws, expected);
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "Zoë");
}

#[test]
fn what_the_server_refuses() {
    let Some(server) = server() else { return };
    let database = server.database(
        "create table t (id int); create table secret (id int); \
         do $$ begin if not exists (select from pg_roles where rolname = 'reader') then \
         create role reader login password 'reader-pw'; end if; end $$; grant select on t to reader",
    );
    let own = source(server, &database);
    let reader = open(
        SourceType::Postgres,
        json!({ "host": "127.0.0.1", "port": server.port.to_string(), "user": "reader", "password": "reader-pw",
                "database": database, "sslmode": "disable" }),
    );
    assert_eq!(rows(&*reader, &table("t")), Vec::<String>::new());
    let cases: &[(&dyn Source, &str, &str, &str)] = &[
        (&*own, "select *\nfrom nope", "relation \"nope\" does not exist at line 2, column 6", "check the name"),
        (&*own, "select ü from t", "column \"ü\" does not exist at line 1, column 8", ""),
        (&*own, "selekt 1", "syntax error at or near \"selekt\" at line 1, column 1", ""),
        (&*own, "delete from t returning id", "read-only transaction", "only reads"),
        (&*own, "delete from t", "no columns", "one `select`"),
        (&*own, "select 1; select 2", "multiple commands", ""),
        (&*own, "select $1::int as x", "parameters", ""),
        (&*own, "select 1 as a, 2 as a", "two columns named `a`", ""),
        (&*own, "select 'private'::int as x", "invalid input syntax for type integer at line 1", ""),
        (&*reader, "select * from secret", "permission denied for table secret", "grant select"),
    ];
    for (source, statement, message, help) in cases {
        let got = error(*source, &sql(statement));
        assert!(got.0.contains(message) && got.1.contains(help), "{statement}: {got:?}");
        assert!(
            got.0.starts_with("postgres at 127.0.0.1:") || !got.0.contains("does not exist"),
            "{statement}: {got:?}"
        );
    }
    let got = error(&*own, &sql("select ('priv' || 'ate')::int as x from t right join (select 1) o on true"));
    assert!(!got.0.contains("private"), "a value of the data is not shown: {got:?}");
}

#[test]
fn what_keeps_from_connecting() {
    let Some(server) = server() else { return };
    let port = server.port;
    let base = json!({ "host": "127.0.0.1", "port": port, "user": "postgres", "password": "wrong-password" });
    let with = |key: &str, value: Value| {
        let mut connection = base.clone();
        connection[key] = value;
        connection
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (base.clone(), "password authentication failed", "expired"),
        (with("password", Value::Null), "password missing", "set `password`"),
        (with("port", json!(free)), "refused", "nothing listens"),
        (with("host", json!("no-such-host.invalid")), "cannot connect", "`host`"),
        (json!({ "url": server.url("nope") }), "database \"nope\" does not exist", "check `database`"),
        (json!({ "url": "postgres://u:hunter22@h/d?sslmode=maybe" }), "`sslmode` is not known", "verify-full"),
        (json!({ "url": "http://u:hunter22@h" }), "not a PostgreSQL URL", "percent-encoded"),
        (json!({ "host": "127.0.0.1" }), "connection.user is missing", ""),
    ];
    for (connection, message, help) in cases {
        let failed = sources::open(SourceType::Postgres, &connection_of(connection.clone()))
            .and_then(|source| source.schema(&sql("select 1 as x")).map(|_| ()))
            .expect_err(message);
        let got = (failed.to_string(), failed.help().unwrap_or_default().to_owned());
        assert!(got.0.contains(message) && got.1.contains(help), "{connection}: {got:?}");
        let shown = format!("{} {}", got.0, got.1);
        assert!(!shown.contains("wrong-password") && !shown.contains("hunter22"), "{shown}");
    }
}

#[test]
fn tls_is_what_sslmode_says() {
    let Some(server) = server() else { return };
    let Some(ca_file) = &server.ca_file else {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    };
    let connect = |host: &str, sslmode: &str, ca: bool| {
        let source = open(
            SourceType::Postgres,
            json!({ "host": host, "port": server.port, "user": "postgres", "password": server.password,
                    "sslmode": sslmode, "ca_file": ca.then_some(ca_file) }),
        );
        read(&*source, &sql("select ssl from pg_stat_ssl where pid = pg_backend_pid()"))
            .map(|batches| batches[0].column(0).as_boolean().value(0))
            .map_err(|e| format!("{e}; {}", e.help().unwrap_or_default()))
    };
    // host, sslmode, with our authority → encrypted, or why not
    let cases = [
        ("localhost", "disable", false, Ok(false)),
        ("localhost", "prefer", false, Ok(true)),
        ("localhost", "require", true, Ok(true)),
        ("localhost", "verify-full", true, Ok(true)),
        ("localhost", "require", false, Err("certificate")),
        ("127.0.0.1", "verify-full", true, Err("certificate")),
        ("127.0.0.1", "prefer", false, Ok(true)),
        ("127.0.0.1", "prefer", true, Err("certificate")), // who names an authority wants it checked
    ];
    for (host, sslmode, ca, expected) in cases {
        match (connect(host, sslmode, ca), expected) {
            (Ok(encrypted), Ok(expected)) => assert_eq!(encrypted, expected, "{host} {sslmode}"),
            (Err(message), Err(part)) => {
                assert!(message.contains(part) && message.contains("ca_file"), "{host} {sslmode}: {message}");
            }
            (got, expected) => panic!("{host} {sslmode} {ca}: {got:?}, not {expected:?}"),
        }
    }
}

#[test]
fn rows_stream_and_a_broken_connection_is_an_error() {
    let Some(server) = server() else { return };
    let database = server.database("");
    let source = source(server, &database);
    let query = sql("select i::bigint as id, repeat('x', 200) as pad from generate_series(1, 400000) i");
    let batches = read(&*source, &query).unwrap();
    assert!(batches.len() > 1 && batches.iter().all(|b| b.num_rows() <= sources::BATCH_ROWS));
    assert_eq!((count(&batches), sum(&batches, 0)), (400_000, 400_000 * 400_001 / 2));

    let query = sql("select i::bigint as id, repeat('x', 200) as pad from generate_series(1, 40000000) i");
    let mut stream = source.read(&query, None).unwrap().remove(0);
    stream.next().unwrap().unwrap();
    server.run(
        "postgres",
        &format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}' and application_name = 'syncline'"),
    );
    let error = stream.find_map(Result::err).map(sources::failure).expect("an error, not an end");
    assert!(error.to_string().contains("the connection broke before all rows were read"), "{error}");
    assert!(stream.next().is_none());
}

#[test]
fn a_reader_that_stops_early_leaves_no_connection_behind() {
    let Some(server) = server() else { return };
    let database = server.database("");
    let source = source(server, &database);
    let query = sql("select i as id from generate_series(1, 40000000) i");
    let mut stream = source.read(&query, None).unwrap().remove(0);
    stream.next().unwrap().unwrap();
    drop(stream);
    let busy = sql(&format!(
        "select count(*) as n from pg_stat_activity where datname = '{database}' and query like '%generate_series(1, 4%' and pid <> pg_backend_pid()"
    ));
    let start = std::time::Instant::now();
    while rows(&*source, &busy) != ["0"] {
        assert!(start.elapsed().as_secs() < 20, "the connection is still there");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn tables_are_cut_to_columns_and_rows() {
    let Some(server) = server() else { return };
    let database = server.database(
        "create schema marts; create table marts.\"Plans\" (id int, \"Name\" text, at timestamptz); \
         insert into marts.\"Plans\" values (1, 'free', '2026-01-01 00:00+00'), (2, 'premium', null)",
    );
    let source = source(server, &database);
    let query = Query::Table {
        name: "marts.Plans".into(),
        columns: Some(vec!["Name".into(), "id".into()]),
        filter: Some("id > 1 -- not the first".into()),
    };
    assert_eq!(rows(&*source, &query), ["premium|2"]);
    let hint = ["id".to_owned()];
    assert_eq!(shown(&source.read(&query, Some(&hint)).unwrap()[0].schema()), ["id Int32"]);
    assert_eq!(rows(&*source, &table("\"marts\".\"Plans\"")).len(), 2, "as dbt names relations");
    let hinted = sql("select * from marts.\"Plans\"");
    assert_eq!(shown(&source.read(&hinted, Some(&hint)).unwrap()[0].schema()), ["id Int32"]);
}
