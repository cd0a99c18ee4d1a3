//! Who gets in, and how.

use super::*;

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
