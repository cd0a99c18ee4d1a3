//! What only MySQL and MariaDB can do wrong.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use syncline::destinations::{Action, Destination, DestinationKind, Outcome, SendError};
use syncline::manifest::sync::Mode;
use syncline::mapping::Value;

use super::place::{connect, run};
use super::records::{batch, change, field, operation, record, send, target};
use crate::mysql::server;

async fn database(sql: &str) -> Option<(Conn, Box<dyn Destination>)> {
    let server = server()?;
    let (connection, name) = server.filled(sql).await;
    Some((connection, connect(DestinationKind::Mysql, server.parts(&name))))
}

async fn text(connection: &mut Conn, sql: &str) -> String {
    let text: Option<Option<String>> = connection.query_first(format!("SELECT cast(({sql}) AS char)")).await.unwrap();
    text.flatten().unwrap_or_else(|| "-".into())
}

fn word(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::NoMatch => "no_match",
        Outcome::Unverified => "unverified",
        Outcome::Rejected { code, .. } => code,
    }
}

/// Column type, value sent, text of what is there afterwards (or the code of the rejection).
fn types() -> Vec<(&'static str, Value, &'static str)> {
    let t = |text: &str| Value::Text(text.into());
    let list = || Value::List(vec![Value::Int(1), Value::Null, Value::Int(3)]);
    let moment = |nanos, zoned| Value::Timestamp { nanos, zoned };
    vec![
        ("json", t(r#"{"b":1, "a":2}"#), r#"{"b":1, "a":2}"#),
        ("json", Value::Object(vec![("k".into(), Value::Decimal("1.25".into()))]), r#"{"k":1.25}"#),
        ("json", list(), "[1,null,3]"),
        ("json", t("no json"), "4025"),
        (
            "decimal(38, 2)",
            Value::Decimal("123456789012345678901234567890.12".into()),
            "123456789012345678901234567890.12",
        ),
        ("decimal(10, 2)", Value::Decimal("12.345".into()), "1265"),
        ("decimal(10, 2)", Value::Decimal("123456789.5".into()), "1264"),
        ("decimal(10, 2)", Value::Float(0.25), "0.25"),
        ("bigint unsigned", Value::UInt(u64::MAX), "18446744073709551615"),
        ("bigint", Value::UInt(u64::MAX), "1264"),
        ("bigint", Value::Int(i64::MIN), "-9223372036854775808"),
        ("int unsigned", Value::Int(-1), "1264"),
        ("int", Value::Decimal("1.5".into()), "rounded"),
        ("int", Value::Float(2.0), "2"),
        ("int", t("12"), "12"),
        ("int", t("secret-mood"), "1366"),
        ("smallint", Value::Int(70_000), "1264"),
        ("double", Value::Float(1e300), "1e300"),
        ("float", Value::Float(1e300), "1264"),
        ("boolean", Value::Bool(true), "1"),
        ("bit(1)", Value::Bool(true), "1"),
        ("bit(8)", Value::Int(65), "65"),
        ("year", Value::Int(2026), "2026"),
        ("datetime(6)", moment(1_700_000_000_123_456_000, true), "2023-11-14 22:13:20.123456"),
        ("datetime", moment(1_700_000_000_987_654_321, true), "2023-11-14 22:13:20"),
        ("timestamp(3)", moment(1_700_000_000_123_456_000, true), "2023-11-14 22:13:20.123"),
        ("timestamp", moment(-1_000_000_000, true), "1292"),
        ("datetime", moment(1_700_000_000_000_000_000, false), "2023-11-14 22:13:20"),
        ("datetime", t("2026-01-02T10:00:00+01:00"), "2026-01-02 09:00:00"),
        ("datetime", t("0000-00-00"), "1292"),
        ("datetime", t("secret-mood"), "1292"),
        ("date", Value::Date(-1), "1969-12-31"),
        ("date", moment(1_700_000_000_000_000_000, true), "2023-11-14"),
        ("time", Value::Time(49_500_000_000_000), "13:45:00"),
        ("time(2)", Value::Time(49_500_250_000_000), "13:45:00.25"),
        ("enum('happy', 'sad')", t("happy"), "happy"),
        ("enum('happy', 'sad')", t("secret-mood"), "1265"),
        ("set('a', 'b')", t("a,b"), "a,b"),
        ("int check (v > 0)", Value::Int(-5), "4025"),
        ("int check (v > 0)", Value::Int(5), "5"),
        ("varbinary(9)", Value::Binary([0, 65, 255].into()), "0041FF"),
        ("blob", Value::Binary([].into()), ""),
        ("varchar(9)", Value::Binary([0, 255].into()), "AP8="),
        ("varchar(3)", t("long"), "1406"),
        ("varchar(3)", t("abc "), "1265"),
        ("varchar(9) character set latin1", t("Zoë"), "Zoë"),
        ("varchar(9) character set latin1", t("日本"), "1366"),
        (
            "text",
            t("tab\tline\nback\\slash 'quoted' \"double\" `tick` \\N %_ 🦊"),
            "tab\tline\nback\\slash 'quoted' \"double\" `tick` \\N %_ 🦊",
        ),
        ("text", t("nul\0"), "nul\0"),
        ("text", Value::Bool(true), "true"),
        ("text", list(), "[1,null,3]"),
        ("inet6", t("::1"), "::1"),
        ("uuid", t("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ]
}

#[tokio::test]
async fn every_type_the_server_can_parse() {
    let Some((mut connection, destination)) = database("CREATE TABLE writes (n int)").await else { return };
    let mut target = target("typed", Mode::Upsert, serde_json::json!({}));
    target.fields = vec![field("v", arrow_schema::DataType::Utf8)];
    for (id, (kind, value, expected)) in types().into_iter().enumerate() {
        let table = format!(
            "DROP TABLE IF EXISTS typed; TRUNCATE writes;
             CREATE TABLE typed (email varchar(100) PRIMARY KEY, v {kind}) CHARACTER SET utf8mb4;
             CREATE TRIGGER u AFTER UPDATE ON typed FOR EACH ROW INSERT INTO writes VALUES (1)"
        );
        connection.query_drop(table).await.unwrap();
        let mut sent = send("a@x", "_");
        change(&mut sent, |fields| *fields = vec![Some(value.clone())]);
        let batch = batch(id as u64, vec![sent]);
        let answer = run(&*destination, &target, std::slice::from_ref(&batch)).await.unwrap();
        match &answer[0][0] {
            Outcome::Succeeded => {
                let shown = if kind.contains("binary") { "hex(v)" } else { "v" };
                let held = text(&mut connection, &format!("SELECT {shown} FROM typed")).await;
                assert_eq!(held, expected, "{kind} {value:?}");
                run(&*destination, &target, &[batch]).await.unwrap();
                let written = text(&mut connection, "SELECT count(*) FROM writes").await;
                assert_eq!(written, "0", "{kind} {value:?}: written again");
            }
            Outcome::Rejected { code, message } => {
                assert_eq!(code, expected, "{kind} {value:?}: {message}");
                for value in ["secret-mood", "no json", "long'", "70000", "日本", "abc", "12.345"] {
                    assert!(!message.contains(value), "{message}");
                }
                assert!(message.contains("`v`") || message.contains("typed.v"), "{message}");
                assert_eq!(text(&mut connection, "SELECT count(*) FROM typed").await, "0", "{kind} {value:?}");
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
}

/// Whatever the column's collation says: identifiers are the same when all their bytes are.
#[tokio::test]
async fn identifiers_are_told_apart_by_their_bytes() {
    const NAMES: [&str; 5] = ["ann", "Ann", "ann ", "änn", "ANN"];
    // How the table is declared; whether it tells all of the names apart itself.
    let tables = [
        ("created", "", true),
        ("any case", "CREATE TABLE t (email varchar(50) COLLATE utf8mb4_general_ci, plan text, seats bigint)", true),
        (
            "any case, unique",
            "CREATE TABLE t (email varchar(50) COLLATE utf8mb4_general_ci PRIMARY KEY, plan text, seats bigint)",
            false,
        ),
        ("bytes", "CREATE TABLE t (email varbinary(50) PRIMARY KEY, plan text, seats bigint)", true),
        (
            "spaces at the end",
            "CREATE TABLE t (email varchar(50) COLLATE utf8mb4_bin, plan text, seats bigint, KEY (email(2)))",
            true,
        ),
    ];
    for (what, sql, apart) in tables {
        let Some((mut connection, destination)) = database(&format!("SELECT 1; {sql}")).await else { return };
        let target = target("t", Mode::Mirror, serde_json::json!({ "create": true }));
        let sends = |plan: &str| {
            NAMES.iter().enumerate().map(|(i, name)| send(name, &format!("{plan} {i}"))).collect::<Vec<_>>()
        };
        if !apart {
            // The table cannot hold them all; who is refused is told, and nobody gets another one's fields.
            let mut words = Vec::new();
            for sent in sends("free") {
                let answer = run(&*destination, &target, &[batch(1, vec![sent])]).await.unwrap();
                words.push(word(&answer[0][0]).to_owned());
            }
            assert_eq!(words, ["succeeded", "1062", "1062", "1062", "1062"], "{what}");
            assert_eq!(
                text(&mut connection, "SELECT group_concat(email, ' ', plan, ' ', seats) FROM t").await,
                "ann free 0"
            );
            continue;
        }
        for plan in ["free", "gold"] {
            let answer = run(&*destination, &target, &[batch(1, sends(plan))]).await.unwrap();
            assert!(answer[0].iter().all(|o| *o == Outcome::Succeeded), "{what}: {answer:?}");
        }
        let all = "SELECT group_concat(plan, ' ', seats ORDER BY seats) FROM t";
        assert_eq!(text(&mut connection, all).await, "gold 0,gold 1,gold 2,gold 3,gold 4", "{what}");
        let gone = operation(Action::Delete, record("Ann", "gold 1"));
        run(&*destination, &target, &[batch(2, vec![gone])]).await.unwrap();
        assert_eq!(text(&mut connection, all).await, "gold 0,gold 2,gold 3,gold 4", "{what}");
    }
}

#[tokio::test]
async fn fields_that_are_not_sent_take_the_columns_default() {
    let Some((mut connection, destination)) = database(
        "CREATE TABLE users (id int AUTO_INCREMENT UNIQUE, email varchar(100) PRIMARY KEY,
             plan varchar(20) NOT NULL DEFAULT 'trial', seats bigint DEFAULT (2 * 2))",
    )
    .await
    else {
        return;
    };
    let target = target("users", Mode::Upsert, serde_json::json!({}));
    let sends = vec![send("a@x", "_ _"), send("b@x", "free _"), send("c@x", "_ null"), send("d@x", "gold 9")];
    run(&*destination, &target, &[batch(1, sends)]).await.unwrap();
    let all = "SELECT group_concat(concat_ws(' ', email, plan, coalesce(seats, 'null')) ORDER BY email SEPARATOR ', ') FROM users";
    assert_eq!(text(&mut connection, all).await, "a@x trial 4, b@x free 4, c@x trial null, d@x gold 9");
    let sends = vec![send("a@x", "gold _"), send("d@x", "_ 10")];
    run(&*destination, &target, &[batch(2, sends)]).await.unwrap();
    assert_eq!(text(&mut connection, all).await, "a@x gold 4, b@x free 4, c@x trial null, d@x gold 10");
}

#[tokio::test]
async fn double_rows_are_left_alone_and_batches_take_turns_without_a_unique_index() {
    let Some((mut connection, destination)) = database(
        "CREATE TABLE users (email varchar(100), plan text, seats bigint); INSERT INTO users VALUES ('two@x', 'a', 1), ('two@x', 'b', 2)",
    )
    .await
    else {
        return;
    };
    let target = target("users", Mode::Mirror, serde_json::json!({}));
    let answer =
        run(&*destination, &target, &[batch(1, vec![send("two@x", "gold 9"), send("one@x", "gold 9")])]).await.unwrap();
    assert_eq!(answer[0].iter().map(word).collect::<Vec<_>>(), ["multiple_match", "succeeded"]);

    let writer = destination.open(&target).await.unwrap();
    let batches: Vec<_> = (0..4).map(|i| batch(i, vec![send("same@x", &format!("p{i} 1"))])).collect();
    let sent = futures_util::future::join_all(batches.iter().map(|b| writer.send(b))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(text(&mut connection, "SELECT count(*) FROM users WHERE email = 'same@x'").await, "1");
    assert_eq!(text(&mut connection, "SELECT count(*) FROM users").await, "4");
}

#[tokio::test]
async fn one_bad_record_refuses_the_batch_and_nothing_is_written() {
    let Some((mut connection, destination)) = database(
        "CREATE TABLE plans (name varchar(20) PRIMARY KEY); INSERT INTO plans VALUES ('free');
         CREATE TABLE users (email varchar(100) PRIMARY KEY, plan varchar(20) NOT NULL REFERENCES plans (name),
             seats bigint UNIQUE, CONSTRAINT few CHECK (seats < 100));
         CREATE TRIGGER thirteen BEFORE INSERT ON users FOR EACH ROW
             IF new.seats = 13 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no luck'; END IF;
         INSERT INTO users VALUES ('there@x', 'free', 7)",
    )
    .await
    else {
        return;
    };
    let target = target("users", Mode::Upsert, serde_json::json!({}));
    let cases = [
        ("null 1", "1048"),
        ("gold 1", "1452"),
        ("free 7", "1062"),
        ("free many", "1366"),
        ("free 101", "4025"),
        ("free 13", "1644"),
    ];
    for (words, expected) in cases {
        let both = batch(1, vec![send("good@x", "free 50"), send("bad@x", words)]);
        let error = run(&*destination, &target, &[both]).await.unwrap_err();
        assert!(matches!(&error, SendError::Refused { code, .. } if code == expected), "{words}: {error:?}");
        assert!(!error.to_string().contains("bad@x"), "{error}");
        assert_eq!(text(&mut connection, "SELECT count(*) FROM users").await, "1");
        let answer = run(&*destination, &target, &[batch(2, vec![send("bad@x", words)])]).await.unwrap();
        assert_eq!(word(&answer[0][0]), expected, "{words}: {answer:?}");
    }
}

#[tokio::test]
async fn create_makes_table_and_columns() {
    let Some((mut connection, destination)) = database("SELECT 1").await else { return };
    let name: String = connection.query_first("SELECT database()").await.unwrap().unwrap();
    let error = run(&*destination, &target("users", Mode::Upsert, serde_json::json!({})), &[]).await.unwrap_err();
    assert!(matches!(&error, SendError::Fatal { help: Some(help), .. } if help.contains("create: true")), "{error:?}");
    let mut target = target(&format!("{name}.users"), Mode::Upsert, serde_json::json!({ "create": true }));
    run(&*destination, &target, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap();
    target.fields.push(field("address.city", arrow_schema::DataType::Date32));
    let mut more = record("a@x", "gold 2");
    more.fields.push(Some(Value::Date(0)));
    run(&*destination, &target, &[batch(2, vec![operation(Action::Send, more)])]).await.unwrap();
    let row = "SELECT concat_ws(' ', email, plan, seats, `address.city`) FROM users";
    assert_eq!(text(&mut connection, row).await, "a@x gold 2 1970-01-01");
    let types = "SELECT group_concat(column_name, ' ', column_type ORDER BY ordinal_position SEPARATOR ', ')
        FROM information_schema.columns WHERE table_schema = database() AND table_name = 'users'";
    assert_eq!(
        text(&mut connection, types).await,
        "email varchar(768), plan longtext, seats bigint(20), address.city date"
    );
}

#[tokio::test]
async fn what_a_table_must_have_is_said_before_anything_is_sent() {
    // How the table is declared, what the message and its help say.
    let cases = [
        (
            "CREATE TABLE users (email varchar(100) PRIMARY KEY, plan text, seats bigint) ENGINE = MyISAM",
            "has no transactions",
            "engine = InnoDB",
        ),
        ("CREATE TABLE users (email varchar(100) PRIMARY KEY, plan text)", "no column `seats`", "create: true"),
        (
            "CREATE TABLE users (email varchar(100) PRIMARY KEY, plan text, seats bigint AS (1))",
            "is generated",
            "leave it out",
        ),
    ];
    for (sql, message, help) in cases {
        let Some((_connection, destination)) = database(sql).await else { return };
        let error = run(&*destination, &target("users", Mode::Upsert, serde_json::json!({})), &[]).await.unwrap_err();
        let SendError::Fatal { message: said, help: Some(advice) } = &error else { panic!("{error:?}") };
        assert!(said.contains(message) && advice.contains(help), "{said} {advice}");
    }
    let Some(server) = server() else { return };
    let nowhere = connect(DestinationKind::Mysql, server.parts(""));
    let error = run(&*nowhere, &target("users", Mode::Upsert, serde_json::json!({})), &[]).await.unwrap_err();
    assert!(error.to_string().contains("not said which database"), "{error}");
    // An object that says it needs no other word for it.
    let (mut connection, name) =
        server.filled("CREATE TABLE users (email varchar(100) PRIMARY KEY, plan text, seats bigint)").await;
    let target = target(&format!("{name}.users"), Mode::Mirror, serde_json::json!({}));
    run(&*nowhere, &target, &[batch(1, vec![send("a@x", "free 1"), send("b@x", "free 2")])]).await.unwrap();
    run(&*nowhere, &target, &[batch(2, vec![operation(Action::Delete, record("a@x", "free 1"))])]).await.unwrap();
    assert_eq!(text(&mut connection, "SELECT group_concat(email) FROM users").await, "b@x");
}

/// A batch goes in statements the server takes; a record that no statement can hold is refused alone.
#[tokio::test]
async fn statements_are_no_longer_than_the_server_takes() {
    let Some((mut connection, destination)) =
        database("CREATE TABLE users (email varchar(100) PRIMARY KEY, plan longtext, seats bigint)").await
    else {
        return;
    };
    let packet: usize = connection.query_first("SELECT @@max_allowed_packet").await.unwrap().unwrap();
    let long = |letters: usize| "x".repeat(letters);
    let target = target("users", Mode::Upsert, serde_json::json!({}));
    let sends: Vec<_> = (0..5).map(|i| send(&format!("u{i}@x"), &format!("{} 1", long(packet / 3)))).collect();
    let answer = run(&*destination, &target, &[batch(1, sends)]).await.unwrap();
    assert!(answer[0].iter().all(|o| *o == Outcome::Succeeded), "{answer:?}");
    let count = format!("SELECT count(*) FROM users WHERE length(plan) = {}", packet / 3);
    assert_eq!(text(&mut connection, &count).await, "5");
    let answer =
        run(&*destination, &target, &[batch(2, vec![send("u9@x", &format!("{} 1", long(packet)))])]).await.unwrap();
    let Outcome::Rejected { code, message } = &answer[0][0] else { panic!("{answer:?}") };
    assert!(code == "too_large" && message.len() < 200, "{message}");
}

#[tokio::test]
async fn many_records_in_one_batch() {
    // With an index to look them up by, without, and with one of the first of two identifiers, of which all have the same.
    let tables = [
        ("email varchar(100) PRIMARY KEY", false),
        ("email varchar(100)", false),
        ("area varchar(9), email varchar(100), KEY (area)", true),
    ];
    for (columns, two) in tables {
        let table = format!("CREATE TABLE users ({columns}, plan text, seats bigint)");
        let Some((mut connection, destination)) = database(&table).await else { return };
        let mut target = target("users", Mode::Upsert, serde_json::json!({}));
        if two {
            target.matching.insert(0, field("area", arrow_schema::DataType::Utf8));
        }
        let one = |i: usize| {
            let mut record = record(&format!("u{i}@x"), "free 1");
            if two {
                record.matching.insert(0, Value::Text("all".into()));
            }
            operation(Action::Send, record)
        };
        let sends: Vec<_> = (0..5000).map(one).collect();
        let started = std::time::Instant::now();
        let answer = run(&*destination, &target, &[batch(1, sends.clone()), batch(2, sends)]).await.unwrap();
        let took = started.elapsed();
        eprintln!("5 000 records absent, then equal, {columns}: {took:?}");
        assert!(answer.iter().flatten().all(|o| *o == Outcome::Succeeded));
        assert_eq!(text(&mut connection, "SELECT count(*) FROM users").await, "5000");
        // A search of all rows for each record would take minutes.
        assert!(took < std::time::Duration::from_secs(60), "{took:?}");
    }
}
