//! A server that is not there, says no, or goes away at the worst moment.

use std::net::SocketAddr;

use mysql_async::prelude::Queryable;
use syncline::destinations::DestinationKind;
use syncline::destinations::{SendError, Writer};
use syncline::manifest::sync::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::place::{connect, run};
use super::records::{batch, send, target};
use crate::mysql;
use crate::postgres::server;

const MYSQL_TABLE: &str = "CREATE TABLE users (email varchar(100) PRIMARY KEY, plan text, seats bigint)";
const TABLE: &str = "CREATE TABLE users (email text PRIMARY KEY, plan text, seats bigint)";

#[tokio::test]
async fn what_the_server_refuses_is_told_without_secrets() {
    let Some(server) = server() else { return };
    let (_client, name) = server.filled(TABLE).await;
    let good = server.parts(&name);
    let with = |key: &str, value: serde_json::Value| {
        let mut settings = good.clone();
        settings[key] = value;
        settings
    };
    // What is changed, kind of the error, what its message or help says.
    let cases = [
        (with("password", "wrong-horse".into()), "fatal", "check `user` and `password`"),
        (with("database", "nowhere".into()), "fatal", "nowhere"),
        (with("port", 1.into()), "transient", "cannot connect"),
        (with("sslmode", "require".into()), "fatal", "`ca_file`"),
        (
            serde_json::json!({ "url": format!("postgres://postgres:wrong-horse@127.0.0.1:{}/{name}?sslmode=disable", server.port) }),
            "fatal",
            "check `user` and `password`",
        ),
    ];
    for (settings, kind, says) in cases {
        let destination = connect(DestinationKind::Postgres, settings);
        let error = run(&*destination, &target("users", Mode::Upsert, serde_json::json!({})), &[]).await.unwrap_err();
        let (found, help) = match &error {
            SendError::Fatal { help, .. } => ("fatal", help.clone().unwrap_or_default()),
            SendError::Transient { .. } => ("transient", String::new()),
            other => panic!("{other:?}"),
        };
        let all = format!("{error} {help}");
        assert_eq!(found, kind, "{all}");
        assert!(all.contains(says), "{all}");
        assert!(!all.contains("wrong-horse") && !all.contains(&server.password), "{all}");
    }
    let good = connect(DestinationKind::Postgres, good.clone());
    for (object, says) in [("nothing", "no table `nothing`"), ("public.users", "no column `extra`")] {
        let mut target = target(object, Mode::Upsert, serde_json::json!({}));
        target.fields.push(super::records::field("extra", arrow_schema::DataType::Utf8));
        let error = run(&*good, &target, &[]).await.unwrap_err();
        assert!(matches!(error, SendError::Fatal { help: Some(_), .. }) && error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn what_a_mysql_server_refuses_is_told_without_secrets() {
    let Some(server) = mysql::server() else { return };
    let (_connection, name) = server.filled(MYSQL_TABLE).await;
    let good = server.parts(&name);
    let with = |key: &str, value: serde_json::Value| {
        let mut settings = good.clone();
        settings[key] = value;
        settings
    };
    // What is changed, kind of the error, what its message or help says.
    let cases = [
        (with("password", "wrong-horse".into()), "fatal", "check `user` and `password`"),
        (with("database", "nowhere".into()), "fatal", "nowhere"),
        (with("port", 1.into()), "transient", "cannot connect"),
        (with("sslmode", "require".into()), "fatal", "`ca_file`"),
        (
            serde_json::json!({ "url": format!("mysql://tester:wrong-horse@127.0.0.1:{}/{name}?sslmode=disable", server.port) }),
            "fatal",
            "check `user` and `password`",
        ),
    ];
    for (settings, kind, says) in cases {
        let destination = connect(DestinationKind::Mysql, settings);
        let error = run(&*destination, &target("users", Mode::Upsert, serde_json::json!({})), &[]).await.unwrap_err();
        let (found, help) = match &error {
            SendError::Fatal { help, .. } => ("fatal", help.clone().unwrap_or_default()),
            SendError::Transient { .. } => ("transient", String::new()),
            other => panic!("{other:?}"),
        };
        let all = format!("{error} {help}");
        assert_eq!(found, kind, "{all}");
        assert!(all.contains(says), "{all}");
        assert!(!all.contains("wrong-horse") && !all.contains(&server.password), "{all}");
    }
    let good = connect(DestinationKind::Mysql, good.clone());
    for (object, says) in [("nothing", "no table `nothing`"), ("users", "no column `extra`")] {
        let mut target = target(object, Mode::Upsert, serde_json::json!({}));
        target.fields.push(super::records::field("extra", arrow_schema::DataType::Utf8));
        let error = run(&*good, &target, &[]).await.unwrap_err();
        assert!(matches!(error, SendError::Fatal { help: Some(_), .. }) && error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn tls_is_used_and_the_server_has_to_be_who_it_says() {
    let Some(server) = server() else { return };
    let Some(ca_file) = &server.ca_file else {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    };
    let (client, name) = server.filled(TABLE).await;
    // Host, sslmode, whether the authority is named, what happens.
    let cases = [
        ("localhost", "require", true, "encrypted"),
        ("localhost", "verify-full", true, "encrypted"),
        ("localhost", "prefer", false, "encrypted"),
        ("localhost", "disable", false, "plain"),
        ("localhost", "require", false, "refused"),
        ("127.0.0.1", "require", true, "refused"), // the certificate is for the name
    ];
    for (host, sslmode, named, expected) in cases {
        let mut settings = server.parts(&name);
        settings["host"] = host.into();
        settings["sslmode"] = sslmode.into();
        if named {
            settings["ca_file"] = ca_file.display().to_string().into();
        }
        let destination = connect(DestinationKind::Postgres, settings);
        let found = match destination.open(&target("users", Mode::Upsert, serde_json::json!({}))).await {
            Err(SendError::Fatal { help: Some(help), .. }) if help.contains("ca_file") => "refused",
            Err(error) => panic!("{host} {sslmode}: {error:?}"),
            Ok(_writer) => {
                let sql = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                    WHERE application_name = 'syncline' AND datname = $1 ORDER BY backend_start DESC LIMIT 1";
                let ssl: bool = client.query_one(sql, &[&name]).await.unwrap().get(0);
                if ssl { "encrypted" } else { "plain" }
            }
        };
        assert_eq!(found, expected, "{host} {sslmode}");
    }
}

/// Passes bytes on to the server until the client sends `word`; then both sides are cut, before the server sees it or
/// after it has answered.
async fn cutting_proxy(server: u16, word: &'static str, after: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (mut up, mut down) = ([0; 65536], [0; 65536]);
                loop {
                    tokio::select! {
                        read = client.read(&mut up) => {
                            let Ok(n @ 1..) = read else { return };
                            let cut = up[..n].windows(word.len()).any(|w| w == word.as_bytes());
                            if cut && !after {
                                return;
                            }
                            upstream.write_all(&up[..n]).await.unwrap();
                            if cut {
                                let _ = upstream.read(&mut down).await;
                                return;
                            }
                        }
                        read = upstream.read(&mut down) => {
                            let Ok(n @ 1..) = read else { return };
                            client.write_all(&down[..n]).await.unwrap();
                        }
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_changed_nothing_and_one_lost_in_it_is_in_doubt() {
    let Some(server) = server() else { return };
    // Where the connection is cut, whether the server still gets the words, what is reported, rows afterwards.
    let cases = [
        ("CREATE TEMP", false, "transient", 0),
        ("FROM STDIN", false, "transient", 0),
        ("INSERT INTO", true, "transient", 0),
        ("COMMIT\0", false, "lost", 0),
        ("COMMIT\0", true, "lost", 1),
    ];
    for (word, after, reported, rows) in cases {
        let (client, name) = server.filled(TABLE).await;
        let mut settings = server.parts(&name);
        settings["sslmode"] = "disable".into();
        settings["port"] = cutting_proxy(server.port, word, after).await.port().into();
        let destination = connect(DestinationKind::Postgres, settings);
        let target = target("users", Mode::Upsert, serde_json::json!({}));
        let error = run(&*destination, &target, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap_err();
        let found = match &error {
            SendError::Transient { .. } => "transient",
            SendError::Lost { .. } => "lost",
            other => panic!("{word}: {other:?}"),
        };
        assert_eq!(found, reported, "{word} {after}: {error}");
        let count: i64 = client.query_one("SELECT count(*) FROM users", &[]).await.unwrap().get(0);
        assert_eq!(count, rows, "{word} {after}");
    }
}

#[tokio::test]
async fn in_mysql_only_a_connection_lost_in_the_commit_is_in_doubt() {
    let Some(server) = mysql::server() else { return };
    // Where the connection is cut, whether the server still gets the words, what is reported, rows afterwards. Statements
    // begin with the number of the command.
    let cases = [
        ("\u{3}CREATE TEMPORARY", false, "transient", 0),
        ("\u{3}START TRANSACTION", true, "transient", 0),
        ("\u{3}INSERT INTO", false, "transient", 0),
        ("\u{3}INSERT INTO", true, "transient", 0),
        ("\u{3}COMMIT", false, "lost", 0),
        ("\u{3}COMMIT", true, "lost", 1),
    ];
    for (word, after, reported, rows) in cases {
        let (mut connection, name) = server.filled(MYSQL_TABLE).await;
        let mut settings = server.parts(&name);
        settings["sslmode"] = "disable".into();
        settings["port"] = cutting_proxy(server.port, word, after).await.port().into();
        let destination = connect(DestinationKind::Mysql, settings);
        let target = target("users", Mode::Upsert, serde_json::json!({}));
        let batch = [batch(1, vec![send("a@x", "free 1")])];
        let error = run(&*destination, &target, &batch).await.unwrap_err();
        let found = match &error {
            SendError::Transient { .. } => "transient",
            SendError::Lost { .. } => "lost",
            other => panic!("{word}: {other:?}"),
        };
        assert_eq!(found, reported, "{word} {after}: {error}");
        let mut count = async || connection.query_first::<i64, _>("SELECT count(*) FROM users").await.unwrap();
        assert_eq!(count().await, Some(rows), "{word} {after}");
        // Sent again, the record is there once.
        let direct = connect(DestinationKind::Mysql, server.parts(&name));
        run(&*direct, &target, &batch).await.unwrap();
        assert_eq!(count().await, Some(1), "{word} {after}");
    }
}

#[tokio::test]
async fn a_mysql_connection_that_was_ended_between_batches_is_opened_again() {
    let Some(server) = mysql::server() else { return };
    let (mut connection, name) = server.filled(MYSQL_TABLE).await;
    let destination = connect(DestinationKind::Mysql, server.parts(&name));
    let writer = destination.open(&target("users", Mode::Upsert, serde_json::json!({}))).await.unwrap();
    let others = format!("SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> connection_id()");
    let ids: Vec<u64> = connection.query(others).await.unwrap();
    assert_eq!(ids.len(), 1);
    connection.query_drop(format!("KILL {}", ids[0])).await.unwrap();
    writer.send(&batch(1, vec![send("a@x", "free 1")])).await.unwrap();
    let count: Option<i64> = connection.query_first("SELECT count(*) FROM users").await.unwrap();
    assert_eq!(count, Some(1));
}

#[tokio::test]
async fn a_connection_that_was_ended_between_batches_is_opened_again() {
    let Some(server) = server() else { return };
    let (client, name) = server.filled(TABLE).await;
    let destination = connect(DestinationKind::Postgres, server.parts(&name));
    let writer: Box<dyn Writer> =
        destination.open(&target("users", Mode::Upsert, serde_json::json!({}))).await.unwrap();
    let ended = client
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline' AND datname = $1", &[&name])
        .await
        .unwrap();
    assert_eq!(ended, 1);
    // At once the end may not have been noticed yet: then the batch is worth another try, and that one goes.
    let batch = batch(1, vec![send("a@x", "free 1")]);
    if let Err(error) = writer.send(&batch).await {
        assert!(matches!(error, SendError::Transient { .. }), "{error:?}");
        writer.send(&batch).await.unwrap();
    }
}
