//! What only PostgreSQL can do wrong.

use syncline::destinations::DestinationKind;
use syncline::destinations::{Destination, Outcome, SendError};
use syncline::manifest::sync::Mode;
use syncline::mapping::Value;
use tokio_postgres::Client;

use super::place::{connect, run};
use super::records::{batch, change, field, record, send, target};
use crate::postgres::server;

async fn database(sql: &str) -> Option<(Client, Box<dyn Destination>)> {
    let server = server()?;
    let (client, name) = server.filled(sql).await;
    Some((client, connect(DestinationKind::Postgres, server.parts(&name))))
}

async fn text(client: &Client, sql: &str) -> String {
    client.query_one(&format!("SELECT coalesce(({sql})::text, '-')"), &[]).await.unwrap().get(0)
}

/// Column type, value sent, text of what is there afterwards (or the SQLSTATE of the rejection).
fn types() -> Vec<(&'static str, Value, &'static str)> {
    let t = |text: &str| Value::Text(text.into());
    let list = || Value::List(vec![Value::Int(1), Value::Null, Value::Int(3)]);
    vec![
        ("json", t(r#"{"b":1, "a":2}"#), r#"{"b":1, "a":2}"#),
        ("json", Value::Object(vec![("k".into(), Value::Decimal("1.25".into()))]), r#"{"k":1.25}"#),
        ("jsonb", list(), "[1, null, 3]"),
        ("jsonb", t("no json"), "22P02"),
        ("integer[]", list(), "{1,NULL,3}"),
        ("text[]", Value::List(vec![t("a,b"), t("say \"x\" \\")]), r#"{"a,b","say \"x\" \\"}"#),
        (
            "numeric(38, 2)",
            Value::Decimal("123456789012345678901234567890.12".into()),
            "123456789012345678901234567890.12",
        ),
        ("numeric", Value::UInt(u64::MAX), "18446744073709551615"),
        ("double precision", Value::Float(1e300), "1e+300"),
        ("double precision", Value::Float(f64::NAN), "NaN"),
        ("smallint", Value::Int(70_000), "22003"),
        ("boolean", Value::Bool(true), "true"),
        (
            "timestamptz",
            Value::Timestamp { nanos: 1_700_000_000_123_456_000, zoned: true },
            "2023-11-14 22:13:20.123456+00",
        ),
        ("timestamp", Value::Timestamp { nanos: 1_700_000_000_000_000_000, zoned: false }, "2023-11-14 22:13:20"),
        ("date", Value::Date(-1), "1969-12-31"),
        ("time", Value::Time(49_500_250_000_000), "13:45:00.25"),
        ("uuid", t("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", t("none"), "22P02"),
        ("mood", t("happy"), "happy"),
        ("mood", t("secret-mood"), "22P02"),
        ("positive", Value::Int(5), "5"),
        ("positive", Value::Int(-5), "23514"),
        ("bytea", Value::Binary([0, 255].into()), r"\x00ff"),
        ("point", t("(1,2)"), "(1,2)"),
        ("inet", t("10.0.0.1"), "10.0.0.1/32"),
        ("varchar(3)", t("long"), "22001"),
        ("text", t("tab\tline\nback\\slash \\N"), "tab\tline\nback\\slash \\N"),
        ("text", t("nul\0"), "22021"),
        ("text", list(), "[1,null,3]"),
    ]
}

#[tokio::test]
async fn every_type_the_server_can_parse() {
    let schema = "CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0);";
    let Some((client, destination)) = database(schema).await else { return };
    let mut target = target("typed", Mode::Upsert, serde_json::json!({}));
    target.fields = vec![field("v", arrow_schema::DataType::Utf8)];
    for (id, (kind, value, expected)) in types().into_iter().enumerate() {
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS typed; CREATE TABLE typed (email text PRIMARY KEY, v {kind})"
            ))
            .await
            .unwrap();
        let mut sent = send("a@x", "_");
        change(&mut sent, |fields| *fields = vec![Some(value.clone())]);
        let batch = batch(id as u64, vec![sent]);
        let answer = run(&*destination, &target, std::slice::from_ref(&batch)).await.unwrap();
        match &answer[0][0] {
            Outcome::Succeeded => {
                assert_eq!(text(&client, "SELECT v FROM typed").await, expected, "{kind} {value:?}");
                let version = text(&client, "SELECT xmin FROM typed").await;
                run(&*destination, &target, &[batch]).await.unwrap();
                assert_eq!(text(&client, "SELECT xmin FROM typed").await, version, "{kind}: not written again");
            }
            Outcome::Rejected { code, message } => {
                assert_eq!(code, expected, "{kind} {value:?}: {message}");
                for value in ["secret-mood", "none", "no json", "long\"", "70000"] {
                    assert!(!message.contains(value), "{message}");
                }
                let coded = code.starts_with("22") && code != "22021";
                assert!(!coded || message.starts_with("column `v`: "), "{message}");
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn fields_that_are_not_sent_take_the_columns_default() {
    let Some((client, destination)) = database(
        "CREATE TABLE users (id serial, email text PRIMARY KEY, plan text NOT NULL DEFAULT 'trial', seats bigint DEFAULT 2 * 2)",
    )
    .await
    else {
        return;
    };
    let target = target("public.users", Mode::Upsert, serde_json::json!({}));
    let sends = vec![send("a@x", "_ _"), send("b@x", "free _"), send("c@x", "_ null"), send("d@x", "gold 9")];
    run(&*destination, &target, &[batch(1, sends)]).await.unwrap();
    let all = "SELECT string_agg(concat_ws(' ', id, email, plan, coalesce(seats::text, 'null')), ', ' ORDER BY email) FROM users";
    assert_eq!(text(&client, all).await, "1 a@x trial 4, 2 b@x free 4, 3 c@x trial null, 4 d@x gold 9");
    let sends = vec![send("a@x", "gold _"), send("d@x", "_ 10")];
    run(&*destination, &target, &[batch(2, sends)]).await.unwrap();
    assert_eq!(text(&client, all).await, "1 a@x gold 4, 2 b@x free 4, 3 c@x trial null, 4 d@x gold 10");
}

#[tokio::test]
async fn double_rows_are_left_alone_and_batches_take_turns_without_a_unique_index() {
    let Some((client, destination)) = database(
        "CREATE TABLE users (email text, plan text, seats bigint); INSERT INTO users VALUES ('two@x', 'a', 1), ('two@x', 'b', 2)",
    )
    .await
    else {
        return;
    };
    let target = target("users", Mode::Mirror, serde_json::json!({}));
    let answer =
        run(&*destination, &target, &[batch(1, vec![send("two@x", "gold 9"), send("one@x", "gold 9")])]).await.unwrap();
    assert!(matches!(&answer[0][0], Outcome::Rejected { code, .. } if code == "multiple_match"), "{answer:?}");
    assert_eq!(answer[0][1], Outcome::Succeeded);

    let writer = destination.open(&target).await.unwrap();
    let batches: Vec<_> = (0..4).map(|i| batch(i, vec![send("same@x", &format!("p{i} 1"))])).collect();
    let sent = futures_util::future::join_all(batches.iter().map(|b| writer.send(b))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(text(&client, "SELECT count(*) FROM users WHERE email = 'same@x'").await, "1");
    assert_eq!(text(&client, "SELECT count(*) FROM users").await, "4");
}

#[tokio::test]
async fn one_bad_record_refuses_the_batch_and_nothing_is_written() {
    let Some((client, destination)) = database(
        "CREATE TABLE plans (name text PRIMARY KEY); INSERT INTO plans VALUES ('free');
         CREATE TABLE users (email text PRIMARY KEY, plan text NOT NULL REFERENCES plans DEFERRABLE INITIALLY DEFERRED,
             seats bigint UNIQUE);
         INSERT INTO users VALUES ('there@x', 'free', 7)",
    )
    .await
    else {
        return;
    };
    let target = target("users", Mode::Upsert, serde_json::json!({}));
    // The foreign key is checked at the commit.
    for (words, state) in [("null 1", "23502"), ("gold 1", "23503"), ("free 7", "23505"), ("free many", "22P02")] {
        let both = batch(1, vec![send("good@x", "free 50"), send("bad@x", words)]);
        let error = run(&*destination, &target, &[both]).await.unwrap_err();
        assert!(matches!(&error, SendError::Refused { code, .. } if code == state), "{words}: {error:?}");
        assert!(!error.to_string().contains("bad@x"), "{error}");
        assert_eq!(text(&client, "SELECT count(*) FROM users").await, "1");
        let answer = run(&*destination, &target, &[batch(2, vec![send("bad@x", words)])]).await.unwrap();
        assert!(matches!(&answer[0][0], Outcome::Rejected { code, .. } if code == state), "{words}: {answer:?}");
    }
}

#[tokio::test]
async fn create_makes_table_and_columns() {
    let Some((client, destination)) = database("CREATE SCHEMA marts").await else { return };
    let error = run(&*destination, &target("marts.users", Mode::Upsert, serde_json::json!({})), &[]).await.unwrap_err();
    assert!(matches!(&error, SendError::Fatal { help: Some(help), .. } if help.contains("create: true")), "{error:?}");
    let mut target = target("marts.users", Mode::Upsert, serde_json::json!({ "create": true }));
    run(&*destination, &target, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap();
    target.fields.push(field("address.city", arrow_schema::DataType::Date32));
    let mut more = record("a@x", "gold 2");
    more.fields.push(Some(Value::Date(0)));
    run(
        &*destination,
        &target,
        &[batch(2, vec![super::records::operation(syncline::destinations::Action::Send, more)])],
    )
    .await
    .unwrap();
    assert_eq!(text(&client, "SELECT u FROM marts.users u").await, "(a@x,gold,2,1970-01-01)");
}

#[tokio::test]
async fn many_records_in_one_batch() {
    let Some((client, destination)) =
        database("CREATE TABLE users (email text PRIMARY KEY, plan text, seats bigint)").await
    else {
        return;
    };
    let target = target("users", Mode::Upsert, serde_json::json!({}));
    let sends: Vec<_> = (0..5000).map(|i| send(&format!("u{i}@x"), "free 1")).collect();
    let started = std::time::Instant::now();
    let answer = run(&*destination, &target, &[batch(1, sends.clone()), batch(2, sends)]).await.unwrap();
    eprintln!("5 000 records absent, then equal: {:?}", started.elapsed());
    assert!(answer.iter().flatten().all(|o| *o == Outcome::Succeeded));
    assert_eq!(text(&client, "SELECT count(*) FROM users").await, "5000");
}
