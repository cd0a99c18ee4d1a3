//! A real MariaDB.

use std::time::{Duration, Instant};

use super::*;
use crate::mysql::{Server, server};

fn source(server: &Server, database: &str) -> Box<dyn Source> {
    open(SourceType::Mysql, json!({ "url": server.url(database) }))
}

/// Each kind of column as it is declared, a value as it is written, and what is read.
#[test]
fn types_and_values() {
    let Some(server) = server() else { return };
    let cases = [
        ("boolean", "true", "Boolean", "true"),
        ("tinyint(1)", "0", "Boolean", "false"),
        ("tinyint(1) unsigned", "1", "Int16", "1"),
        ("tinyint", "-128", "Int16", "-128"),
        ("tinyint unsigned", "255", "Int16", "255"),
        ("smallint", "-32768", "Int16", "-32768"),
        ("smallint unsigned", "65535", "Int32", "65535"),
        ("mediumint", "-8388608", "Int32", "-8388608"),
        ("mediumint unsigned", "16777215", "Int32", "16777215"),
        ("int", "-2147483648", "Int32", "-2147483648"),
        ("int unsigned", "4294967295", "Int64", "4294967295"),
        ("bigint", "-9223372036854775808", "Int64", "-9223372036854775808"),
        ("bigint unsigned", "18446744073709551615", "UInt64", "18446744073709551615"),
        ("int(5) zerofill", "42", "Int64", "42"),
        ("year", "2155", "Int16", "2155"),
        ("bit(1)", "b'1'", "Boolean", "true"),
        ("bit(9)", "b'100000001'", "UInt64", "257"),
        ("bit(64)", "18446744073709551615", "UInt64", "18446744073709551615"),
        ("float", "0.1", "Float32", "0.1"),
        ("float", "16777216", "Float32", "16777216.0"),
        ("double", "0.30000000000000004", "Float64", "0.30000000000000004"),
        ("decimal(12, 2)", "-12.5", "Decimal128(12, 2)", "-12.50"),
        ("decimal(12, 2) unsigned", "9999999999.99", "Decimal128(12, 2)", "9999999999.99"),
        (
            "decimal(38, 0)",
            "-99999999999999999999999999999999999999",
            "Decimal128(38, 0)",
            "-99999999999999999999999999999999999999",
        ),
        (
            "decimal(38, 38)",
            "0.00000000000000000000000000000000000001",
            "Decimal128(38, 38)",
            "0.00000000000000000000000000000000000001",
        ),
        (
            "decimal(65, 30)",
            "12345678901234567890123456789012345.000000000000000000000000000001",
            "Utf8 decimal",
            "12345678901234567890123456789012345.000000000000000000000000000001",
        ),
        ("varchar(20)", "'ünï 🦊'", "Utf8", "ünï 🦊"),
        ("varchar(20) character set latin1", "'ünï'", "Utf8", "ünï"),
        ("char(5)", "'ab '", "Utf8", "ab"),
        ("tinytext", "''", "Utf8", ""),
        ("longtext", "'a'", "Utf8", "a"),
        ("enum('sad', 'glad')", "'glad'", "Utf8", "glad"),
        ("set('a', 'b', 'c')", "'c,a'", "Utf8", "a,c"),
        ("uuid", "'6f9619ff-8b86-d011-b42d-00c04fc964ff'", "Utf8", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("inet6", "'2001:db8::1'", "Utf8", "2001:db8::1"),
        ("json", r#"'{"a": [1,  2.50]}'"#, "Utf8 json", r#"{"a": [1,  2.50]}"#),
        ("binary(3)", "x'00ff'", "Binary", "00ff00"),
        ("varbinary(9)", "x'00ff'", "Binary", "00ff"),
        ("longblob", "x'ff'", "Binary", "ff"),
        ("point", "point(1, 2)", "Binary", "000000000101000000000000000000f03f0000000000000040"),
        ("date", "'2026-11-22'", "Date32", "2026-11-22"),
        ("date", "'9999-12-31'", "Date32", "9999-12-31"),
        ("time", "'10:30:00'", "Time64(µs)", "10:30:00"),
        ("time(6)", "'23:59:59.999999'", "Time64(µs)", "23:59:59.999999"),
        ("datetime", "'2026-11-22 10:00:00'", "Timestamp(µs)", "2026-11-22T10:00:00"),
        ("datetime(6)", "'1000-01-01 00:00:00.000001'", "Timestamp(µs)", "1000-01-01T00:00:00.000001"),
        // Written in UTC, in a server of +05:30.
        ("timestamp(3)", "'2026-11-22 09:00:00.5'", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00.500Z"),
        ("int", "null", "Int32", "∅"),
        ("json", "null", "Utf8 json", "∅"),
    ];
    let mut create = String::new();
    for (at, (kind, value, _, _)) in cases.iter().enumerate() {
        create += &format!("create table t{at} (x {kind} null); insert into t{at} values ({value}); ");
    }
    let source = source(server, &server.database(&create));
    let mut wrong = Vec::new();
    for (at, (kind, value, shown, expected)) in cases.iter().enumerate() {
        let query = sql(&format!("select x from t{at} -- as written"));
        let got = (types(&*source, &query), rows(&*source, &query));
        if got != (vec![format!("x {shown}")], vec![(*expected).to_owned()]) {
            wrong.push(format!("{kind} {value}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is computed has the type the server computes it in.
#[test]
fn expressions_have_the_type_the_server_says() {
    let Some(server) = server() else { return };
    let database =
        server.database("create table t (n int, d decimal(12, 2), on_ boolean, at timestamp null); insert into t values (1, 2.5, true, '2026-01-02 03:04:05')");
    let source = source(server, &database);
    expressions(
        &*source,
        &[
            ("1", "Int32", "1"),
            ("true", "Int32", "1"),
            ("1 = 1", "Int32", "1"),
            ("(select max(on_) from t)", "Int16", "1"),
            ("(select coalesce(on_, 0) from t)", "Int32", "1"),
            ("(select count(*) from t)", "Int64", "1"),
            ("(select sum(d) from t)", "Decimal128(34, 2)", "2.50"),
            ("(select sum(n) from t)", "Decimal128(32, 0)", "1"),
            ("12.5", "Decimal128(3, 1)", "12.5"),
            ("-12.5e0", "Float64", "-12.5"),
            ("cast(18446744073709551615 as unsigned)", "UInt64", "18446744073709551615"),
            ("'a\\'b'", "Utf8", "a'b"),
            ("concat('a', 1)", "Utf8", "a1"),
            ("cast('x' as binary)", "Binary", "78"),
            ("date('2026-01-02')", "Date32", "2026-01-02"),
            ("timestamp('2026-01-02 03:04:05.25')", "Timestamp(µs)", "2026-01-02T03:04:05.250"),
            ("null", "Null", "∅"),
            ("nullif(date('2026-01-02'), 0)", "Date32", "2026-01-02"),
            ("(select nullif(at, 0) from t)", "Timestamp(µs, \"UTC\")", "2026-01-02T03:04:05Z"),
            ("':name ? -- no parameters'", "Utf8", ":name ? -- no parameters"),
            ("(select group_concat(repeat('x', 1000) separator '') from seq_1_to_5)", "Utf8", &"x".repeat(5000)),
        ],
    );
}

#[test]
fn statements_of_every_kind() {
    let Some(server) = server() else { return };
    let database = server.database("create table t (id int, name text); insert into t values (1, 'a'), (2, null)");
    let source = source(server, &database);
    let cases: &[(&str, &[&str])] = &[
        ("select id from t order by id", &["1", "2"]),
        ("select id from t order by id;", &["1", "2"]),
        ("-- first\nselect id from t /* all */ order by id -- last", &["1", "2"]),
        ("with s as (select id * 2 as n from t) select n from s order by n", &["2", "4"]),
        ("(select 1 as n) union all (select 2) order by n", &["1", "2"]),
        ("values (1, null), (2, '')", &["1|∅", "2|"]),
        ("select id from t where false", &[]),
        // The session's own settings.
        ("select @@time_zone, @@character_set_client, @@tx_isolation", &["+00:00|utf8mb4|REPEATABLE-READ"]),
    ];
    for (statement, expected) in cases {
        assert_eq!(rows(&*source, &sql(statement)), *expected, "{statement}");
    }
}

/// A server may be set to end every result after so many rows, or to take a backslash for itself.
#[test]
fn settings_of_the_server_do_not_change_what_is_read() {
    let Some(server) = crate::mysql::own() else { return };
    let database = server.database("create table t (id int); insert into t select seq from seq_1_to_100");
    server.run("", "set global sql_select_limit = 10; set global sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'");
    let source = source(&server, &database);
    assert_eq!(rows(&*source, &table("t")).len(), 100);
    assert_eq!(rows(&*source, &sql("select 'a\\'b' as x, @@sql_mode as m")), ["a'b|STRICT_ALL_TABLES"]);
}

/// Each value stands between two that can be read.
#[test]
fn values_without_an_arrow_form_cost_their_row_and_no_more() {
    let Some(server) = server() else { return };
    let database = server.database(
        "set session sql_mode = 'ALLOW_INVALID_DATES'; \
         create table t (id int, zero date, half date, odd date, moment datetime, stamp timestamp null, flag tinyint(1), \
                         span time, late time(6), note varchar(20) character set utf8mb4); \
         insert into t (id) values (1); \
         insert into t values (2, '0000-00-00', '2026-00-00', '2026-02-30', '0000-00-00', 0, 2, '-00:00:01', \
                               '24:00:00.5', 'Zo'); \
         insert into t (id, zero, half, odd, moment, stamp, flag, span, late) values \
             (3, '2026-01-01', '2026-01-01', '2026-01-01', '2026-01-01', '2026-01-01', 1, '10:00', '10:00')",
    );
    let source = source(server, &database);
    let date = "a zero date, or one the calendar does not have";
    let time = "a time below zero or of 24 hours and more, which is no time of day";
    let cases = [
        ("zero", date, "`nullif(zero, 0) as zero` where all of it is zeros"),
        ("half", date, "`nullif(half, 0) as half` where all of it is zeros"),
        ("odd", date, "`nullif(odd, 0) as odd` where all of it is zeros"),
        ("moment", date, "`nullif(moment, 0) as moment` where all of it is zeros"),
        ("stamp", date, "`nullif(stamp, 0) as stamp` where all of it is zeros"),
        ("flag", "a `tinyint(1)` that is neither 0 nor 1, which is no boolean", "`cast(flag as signed) as flag`"),
        ("span", time, "as seconds, `time_to_sec(span) as span`"),
        ("late", time, "as seconds, `time_to_sec(late) as late`"),
    ];
    for (column, what, help) in cases {
        let (batches, flaws) = flawed(&*source, &sql(&format!("select {column} from t order by id")));
        let [flaw] = flaws.as_slice() else { panic!("{column}: {flaws:?}") };
        assert!(flaw.starts_with(&format!("2: column `{column}` holds {what}; ")), "{flaw}");
        assert!(flaw.ends_with(help), "{flaw}");
        assert!(batches[0].column(0).is_valid(2), "{column}");
    }
    assert_eq!(rows(&*source, &sql("select id, note from t order by id")), ["1|∅", "2|Zo", "3|∅"]);
    // And what is advised is read.
    let advised = "select nullif(zero, 0) as zero, nullif(stamp, 0) as stamp, cast(flag as signed) as flag, \
                   time_to_sec(span) as span, cast(late as char) as late from t where id = 2";
    assert_eq!(rows(&*source, &sql(advised)), ["∅|∅|2|-1|24:00:00.500000"]);
}

#[test]
fn what_the_server_refuses() {
    let Some(server) = server() else { return };
    let database = server.database("create table t (id int); create table secret (id int, word text)");
    server.run(
        &database,
        &format!(
            "create or replace user reader@'%' identified by 'reader-pw'; grant select on {database}.t to reader@'%'; \
             grant select (id) on {database}.secret to reader@'%'"
        ),
    );
    let own = source(server, &database);
    let reader = open(
        SourceType::Mysql,
        json!({ "host": "127.0.0.1", "port": server.port.to_string(), "user": "reader", "password": "reader-pw",
                "database": database, "sslmode": "disable" }),
    );
    let nowhere = open(SourceType::Mysql, json!({ "url": server.url("") }));
    assert_eq!(rows(&*reader, &table("t")), Vec::<String>::new());
    assert_eq!(rows(&*reader, &sql("select id from secret")), Vec::<String>::new());
    reader.check(&table("t")).unwrap();
    let cases: &[(&dyn Source, &str, &str, &str)] = &[
        (&*own, "select *\nfrom nope", "nope' doesn't exist", "check the name"),
        (&*own, "select * from no_such.t", "denied|no_such", ""),
        (&*own, "select ü from t", "Unknown column 'ü'", "correct the SQL"),
        (&*own, "selekt 1", "it is near 'selekt 1' at line 1", "correct the SQL"),
        (&*own, "delete from t returning id", "READ ONLY transaction", "only reads"),
        (&*own, "delete from t", "READ ONLY transaction", "one `select`"),
        (&*own, "set @x = 1", "no columns", "one `select`"),
        (&*own, "select 1; select 2", "it is near", ""),
        (&*own, "select ? as x", "parameters", "write the values"),
        (&*own, "select :name as x", "parameters", "write the values"),
        (&*own, "select 1 as a, 2 as a", "two columns named `a`", "as other_name"),
        (&*own, "select (select id from (select 1 as id union select 2) x) as y", "more than 1 row", ""),
        (&*reader, "select * from secret", "denied", "grant select"),
        (&*reader, "select word from secret", "denied", "grant select"),
        (&*nowhere, "select * from t", "No database selected", "set `database`"),
    ];
    for (source, statement, message, help) in cases {
        let got = error(*source, &sql(statement));
        let said = message.split('|').any(|message| got.0.contains(message));
        assert!(said && got.1.contains(help), "{statement}: {got:?}");
    }
    let got = error(&*own, &sql("select * from nope"));
    assert!(got.0.starts_with(&format!("mysql at 127.0.0.1:{}: ", server.port)), "{got:?}");
    assert!(reader.check(&table("secret")).is_err(), "rights are seen without reading");
}

#[test]
fn what_keeps_from_connecting() {
    let Some(server) = server() else { return };
    server.run(
        "",
        "create or replace user locked@'%' identified by 'pw' account lock; \
                    create or replace user elder@'%' identified by 'pw' password expire; \
                    create or replace user wary@'%' identified by 'pw' require ssl",
    );
    let port = server.port;
    let base = json!({ "host": "127.0.0.1", "port": port, "user": "tester", "password": "wrong-password" });
    let with = |key: &str, value: Value| {
        let mut connection = base.clone();
        connection[key] = value;
        connection
    };
    let of = |user: &str| {
        json!({ "host": "127.0.0.1", "port": port, "user": user, "password": "pw",
                                  "sslmode": "disable" })
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (base.clone(), "Access denied for user 'tester'", "check `user` and `password`"),
        (with("password", Value::Null), "using password: NO", "check `user` and `password`"),
        (with("port", json!(free)), "refused", "nothing listens"),
        (with("host", json!("no-such-host.invalid")), "cannot connect", "`host`"),
        (with("host", json!("/no/such/socket")), "cannot connect", "check `host`"),
        (json!({ "url": server.url("nope") }), "Unknown database 'nope'", "check `database`"),
        (of("locked"), "locked", "account unlock"),
        (of("elder"), "SET PASSWORD", "the password has expired"),
        (of("wary"), "Access denied", "check `user`"),
        (json!({ "url": "mysql://u:hunter22@h/d?sslmode=maybe" }), "`sslmode` is not known", "verify-full"),
        (json!({ "url": "http://u:hunter22@h" }), "not a MySQL URL", "percent-encoded"),
        (json!({ "host": "127.0.0.1" }), "connection.user is missing", ""),
    ];
    for (connection, message, help) in cases {
        let failed = sources::open(SourceType::Mysql, &connection_of(connection.clone()))
            .and_then(|source| source.schema(&sql("select 1 as x")).map(|_| ()))
            .expect_err(message);
        let got = (failed.to_string(), failed.help().unwrap_or_default().to_owned());
        assert!(got.0.contains(message) && got.1.contains(help), "{connection}: {got:?}");
        let shown = format!("{} {}", got.0, got.1);
        assert!(!shown.contains("wrong-password") && !shown.contains("hunter22"), "{shown}");
    }
}

/// The ways to log in that are not the usual one.
#[test]
fn users_log_in_by_ed25519() {
    let Some(server) = crate::mysql::own() else { return };
    if !std::path::Path::new("/usr/lib/mysql/plugin/auth_ed25519.so").is_file() {
        eprintln!("SKIPPED: MariaDB's plugin auth_ed25519 is not installed");
        return;
    }
    server.run(
        "",
        "install soname 'auth_ed25519'; create user modern@'%' identified via ed25519 using password('pw-of-it')",
    );
    let of =
        |password: &str| json!({ "host": "127.0.0.1", "port": server.port, "user": "modern", "password": password });
    assert_eq!(rows(&*open(SourceType::Mysql, of("pw-of-it")), &sql("select user() like 'modern@%' as x")), ["1"]);
    let refused = open(SourceType::Mysql, of("another")).schema(&sql("select 1 as x")).expect_err("a wrong password");
    assert!(refused.to_string().contains("Access denied"), "{refused}");
}

/// A server that is none, one that says nothing, and one that ends in the middle of a sentence.
#[test]
fn what_answers_and_is_no_server() {
    use std::io::Write;
    for (said, expected) in
        [("HTTP/1.1 400 Bad Request\r\n\r\n", "cannot connect"), ("", "cannot connect"), ("\x4a\0", "cannot connect")]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(said.as_bytes()).unwrap();
        });
        let source = open(SourceType::Mysql, json!({ "host": "127.0.0.1", "port": port, "user": "u" }));
        let got = source.schema(&sql("select 1 as x")).expect_err("no server");
        answers.join().unwrap();
        assert!(got.to_string().contains(expected), "{said:?}: {got}");
    }
}

#[test]
fn a_socket_is_connected_to() {
    let Some(server) = server() else { return };
    let source = open(
        SourceType::Mysql,
        json!({ "host": server.socket(), "user": "tester", "password": server.password, "sslmode": "verify-full" }),
    );
    assert_eq!(rows(&*source, &sql("select 1 as x")), ["1"]);
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
            SourceType::Mysql,
            json!({ "host": host, "port": server.port, "user": "tester", "password": server.password,
                    "sslmode": sslmode, "ca_file": ca.then_some(ca_file) }),
        );
        let cipher = "select variable_value <> '' as x from information_schema.session_status where variable_name = 'Ssl_cipher'";
        read(&*source, &sql(cipher))
            .map(|batches| batches[0].column(0).as_primitive::<arrow_array::types::Int32Type>().value(0) == 1)
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
fn a_server_without_tls_is_spoken_to_only_where_that_may_be() {
    let Some(server) = crate::mysql::own_without_tls() else { return };
    for (sslmode, said) in [
        ("disable", None),
        ("prefer", None),
        ("require", Some("`sslmode: disable`")),
        ("verify-full", Some("`sslmode: disable`")),
    ] {
        let mut connection = server.parts("mysql");
        connection["sslmode"] = json!(sslmode);
        let answered = open(SourceType::Mysql, connection).schema(&sql("select 1 as x"));
        let help = answered.as_ref().err().map(|e| e.help().unwrap_or_default().to_owned());
        assert_eq!(answered.is_err(), said.is_some(), "{sslmode}: {help:?}");
        assert!(said.is_none_or(|said| help.as_ref().is_some_and(|help| help.contains(said))), "{sslmode}: {help:?}");
    }
}

#[test]
fn rows_stream_and_a_broken_connection_is_an_error() {
    let Some(server) = server() else { return };
    let database = server.database("");
    let source = source(server, &database);
    let query = sql("select seq as id, repeat('x', 200) as pad from seq_1_to_400000");
    let batches = read(&*source, &query).unwrap();
    assert!(batches.len() > 1 && batches.iter().all(|b| b.num_rows() <= sources::BATCH_ROWS));
    let ids =
        |b: &RecordBatch| b.column(0).as_primitive::<arrow_array::types::UInt64Type>().iter().flatten().sum::<u64>();
    assert_eq!((count(&batches), batches.iter().map(ids).sum()), (400_000, 400_000 * 400_001 / 2));

    for (kill, said) in [("kill", "the connection broke before all rows were read"), ("kill query", "interrupted")] {
        let query = sql("select seq as id, repeat('x', 200) as pad from seq_1_to_40000000");
        let mut stream = source.read(&query, None).unwrap().remove(0);
        stream.next().unwrap().unwrap();
        let found = format!(
            "select concat('{kill} ', id) from information_schema.processlist where db = '{database}' and info like '%seq_1_to_4%' and id <> connection_id()"
        );
        let statements = server.rows("", &found);
        assert_eq!(statements.len(), 1, "{statements:?}");
        server.run("", &statements[0]);
        let error = stream.find_map(Result::err).map(sources::failure).expect("an error, not an end");
        assert!(error.to_string().contains(said), "{kill}: {error}");
        assert!(error.to_string().starts_with("mysql at 127.0.0.1:"), "{kill}: {error}");
        assert!(stream.next().is_none());
    }
}

/// Passes one connection on to a server, and hangs up on both after so many bytes of its answers; gives its own port.
fn cut_after(server: u16, bytes: usize) -> u16 {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
        let (mut left, mut buffer) = (bytes, [0; 4096]);
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            let length = length.min(left);
            if client.write_all(&buffer[..length]).is_err() {
                break;
            }
            left -= length;
            if left == 0 {
                break;
            }
        }
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    });
    port
}

/// Wherever in the server's answers the connection ends, from the first byte of the greeting to the last one of the rows:
/// the read fails, or all rows are there.
#[test]
fn a_connection_that_is_cut_anywhere_is_never_a_short_read() {
    let Some(server) = server() else { return };
    let database =
        server.database("create table t (id int, name text); insert into t select seq, 'x' from seq_1_to_20");
    let read_through = |bytes: usize| {
        let mut connection = server.parts(&database);
        connection["port"] = json!(cut_after(server.port, bytes));
        connection["sslmode"] = json!("disable");
        read(&*open(SourceType::Mysql, connection), &table("t")).map(|batches| count(&batches))
    };
    assert_eq!(read_through(1 << 20).unwrap(), 20);
    let (mut failed, mut whole) = (0, 0);
    for bytes in (1..2600).step_by(9) {
        match read_through(bytes) {
            Ok(rows) => {
                assert_eq!(rows, 20, "cut after {bytes} bytes");
                whole += 1;
            }
            Err(error) => {
                let said = format!("{error}; {}", error.help().unwrap_or_default());
                assert!(said.starts_with("mysql at 127.0.0.1:"), "cut after {bytes} bytes: {said}");
                assert!(!said.contains("fault of syncline"), "cut after {bytes} bytes: {said}");
                failed += 1;
            }
        }
    }
    assert!(failed > 50 && whole > 1, "{failed} failed, {whole} came whole: are the numbers of bytes right?");
}

#[test]
fn a_reader_that_stops_early_leaves_no_connection_behind() {
    let Some(server) = server() else { return };
    let database = server.database("");
    let source = source(server, &database);
    let mut stream = source.read(&sql("select seq as id from seq_1_to_40000000"), None).unwrap().remove(0);
    stream.next().unwrap().unwrap();
    drop(stream);
    let busy = format!("select count(*) from information_schema.processlist where db = '{database}'");
    let start = Instant::now();
    while server.rows("", &busy) != ["0"] {
        assert!(start.elapsed().as_secs() < 20, "the connection is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is written while a read goes on is not read: all rows are of one moment.
#[test]
fn a_read_sees_one_moment() {
    let Some(server) = server() else { return };
    let database = server.database(
        "create table t (id bigint primary key, pad varchar(200)) engine innodb; \
        insert into t select seq, repeat('x', 200) from seq_1_to_300000",
    );
    let source = source(server, &database);
    let mut stream = source.read(&table("t"), None).unwrap().remove(0);
    let first = stream.next().unwrap().unwrap().rows.num_rows();
    server.run(&database, "delete from t where id > 200000");
    let rest: usize = stream.map(|batch| batch.unwrap().rows.num_rows()).sum();
    assert_eq!(first + rest, 300_000);
}

#[test]
fn tables_are_cut_to_columns_and_rows() {
    let Some(server) = server() else { return };
    let database = server.database(
        "create table `Plans` (id int, `Na``me` text, at timestamp null, doc json); \
         insert into `Plans` values (1, 'free', '2026-01-01 00:00', '1'), (2, 'premium', null, '{}'); \
         create view seen as select id, doc, concat(doc, '') as made from `Plans`",
    );
    let source = source(server, &database);
    let query = Query::Table {
        name: format!("{database}.Plans"),
        columns: Some(vec!["Na`me".into(), "id".into()]),
        filter: Some("id > 1 -- not the first".into()),
    };
    assert_eq!(rows(&*source, &query), ["premium|2"]);
    let hint = ["id".to_owned()];
    assert_eq!(shown(&source.read(&query, Some(&hint)).unwrap()[0].schema()), ["id Int32"]);
    assert_eq!(rows(&*source, &table(&format!("`{database}`.`Plans`"))).len(), 2, "as dbt names relations");
    let hinted = sql("select * from Plans");
    assert_eq!(shown(&source.read(&hinted, Some(&hint)).unwrap()[0].schema()), ["id Int32"]);
    assert_eq!(types(&*source, &sql("select doc as d, p.doc from Plans p")), ["d Utf8 json", "doc Utf8 json"]);
    assert_eq!(types(&*source, &sql("select doc, made from seen")), ["doc Utf8", "made Utf8"], "a view does not say");
}

#[test]
fn the_account_is_known() {
    let Some(server) = server() else { return };
    server.run(
        "mysql",
        "create or replace user soon@'%' identified by 'pw' password expire interval 5 day; \
         grant select on mysql.global_priv to soon@'%'; create or replace user never@'%' identified by 'pw'",
    );
    let of = |user: &str| {
        let url = format!("mysql://{user}:pw@127.0.0.1:{}", server.port);
        open(SourceType::Mysql, json!({ "url": url })).account().unwrap().expect("an account")
    };
    let soon = of("soon");
    let days = (soon.expires.expect("an end").as_second() - jiff::Timestamp::now().as_second()) as f64 / 86_400.0;
    assert!((4.9..=5.1).contains(&days), "{days}");
    assert_eq!(soon.role, "soon@%");
    assert!(soon.clock_ahead.abs() <= 2, "{}", soon.clock_ahead);
    assert_eq!(of("never").expires, None);
}

#[test]
fn a_server_is_only_reached_where_the_policy_lets_it() {
    let allowed = ["db.example.com".to_owned()];
    let cases = [
        (json!({ "host": "db.example.com", "user": "u" }), true),
        (json!({ "host": "/run/mysqld/mysqld.sock", "user": "u" }), true),
        (json!({ "host": "db.evil.com", "user": "u" }), false),
        (json!({ "url": "mysql://u@db.evil.com/shop" }), false),
        (json!({ "url": "mysql://db.example.com:3306@db.evil.com/shop" }), false),
        (json!({ "user": "u" }), false),
    ];
    for (connection, reached) in cases {
        let opened = sources::open(SourceType::Mysql, &connection_of(connection.clone()).only_to(Some(&allowed)));
        assert_eq!(opened.is_ok(), reached, "{connection}: {:?}", opened.err().map(|e| e.to_string()));
    }
}
