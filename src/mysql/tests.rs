use serde_json::{Value, json};

use super::*;
use crate::secret::Connection;

fn server(json: Value) -> Result<Server> {
    let Value::Object(values) = json else { panic!("an object") };
    let connection = Connection::new(values, vec![]);
    Server::new(&connection.typed()?, &connection.redactor())
}

/// Whether it is encrypted, whether the certificate is checked, whether a server without TLS will do.
fn tls(server: &Server) -> (bool, bool, bool) {
    let checked = server.tls.as_ref().is_some_and(|tls| !tls.accept_invalid_certs());
    (server.tls.is_some(), checked, server.clear)
}

#[test]
fn the_words_of_sslmode() {
    let ca = rustls_native_certs::load_native_certs().certs;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let authority = ca.first().map(|c| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, c));
    let pem = authority.map(|text| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    std::fs::write(&file, pem.expect("the system has authorities")).unwrap();
    let in_url = format!("mysql://u@db/d?ssl-ca={}", file.display());
    let (never, may, must) = ((false, false, false), (true, false, true), (true, true, false));
    let cases = [
        (json!({ "host": "db", "user": "u" }), may),
        (json!({ "host": "db", "user": "u", "port": "3307", "sslmode": "disable" }), never),
        (json!({ "host": "db", "user": "u", "sslmode": "require" }), must),
        (json!({ "host": "db", "user": "u", "sslmode": "verify-full" }), must),
        (json!({ "url": "mysql://u:p@db/d?sslmode=verify-ca" }), must),
        (json!({ "url": "mariadb://u@db/d?ssl-mode=REQUIRED" }), must),
        (json!({ "url": "mysql://u@db/d?ssl-mode=VERIFY_IDENTITY" }), must),
        (json!({ "url": "mysql://u@db/d?ssl-mode=PREFERRED" }), may),
        (json!({ "url": "mysql://u@db/d?sslmode=require", "sslmode": "disable" }), never),
        // Who names an authority wants it checked.
        (json!({ "host": "db", "user": "u", "ca_file": file }), must),
        (json!({ "host": "db", "user": "u", "ca_file": file, "sslmode": "prefer" }), must),
        (json!({ "url": in_url }), must),
        // What does not leave the machine has no TLS.
        (json!({ "host": "/run/mysqld/mysqld.sock", "user": "u", "sslmode": "require" }), never),
    ];
    for (connection, expected) in cases {
        let server = server(connection.clone()).unwrap_or_else(|e| panic!("{connection}: {e}"));
        assert_eq!(tls(&server), expected, "{connection}");
    }
}

#[test]
fn servers_have_names() {
    let cases = [
        (json!({ "user": "u" }), "mysql at localhost:3306"),
        (json!({ "host": "db", "user": "u", "port": 3307 }), "mysql at db:3307"),
        (json!({ "url": "mysql://u@db:3307/d" }), "mysql at db:3307"),
        (json!({ "url": "mariadb://u@db" }), "mysql at db:3306"),
        (json!({ "url": "mysql://u@[::1]:3307/d" }), "mysql at ::1:3307"),
        (json!({ "host": "/run/mysqld/mysqld.sock", "user": "u" }), "mysql at /run/mysqld/mysqld.sock"),
    ];
    for (connection, expected) in cases {
        assert_eq!(server(connection).unwrap().name(), expected);
    }
}

#[test]
fn what_is_wrong_is_said_without_the_secrets() {
    let with = |key: &str, value: Value| {
        let mut connection = json!({ "host": "h", "user": "u", "password": "hunter22" });
        connection[key] = value;
        connection
    };
    let cases = [
        (json!({ "url": "mysql://u:hunter22@h:notaport/d" }), "connection.url is not a MySQL URL"),
        (json!({ "url": "postgres://u:hunter22@h/d" }), "connection.url is not a MySQL URL"),
        (json!({ "url": "mysql://u:hunter22@h/d?sslmode=hunter22x" }), "connection.url: `sslmode` is not known"),
        (json!({ "url": "mysql://u:hunter22@h/d?pool_max=hunter22" }), "connection.url has a parameter"),
        (json!({ "url": "mysql://u@h/d", "password": "hunter22" }), "`url` and `password` exclude each other"),
        (json!({ "url": "mysql://h/d" }), "connection.user is missing"),
        (json!({ "host": "h", "password": "hunter22" }), "connection.user is missing"),
        (with("port", json!("hunter22")), "connection.port"),
        (with("ca_file", json!("/nowhere.pem")), "connection.ca_file: cannot use `/nowhere.pem`"),
        (with("driver", json!("hunter22")), "driver"),
    ];
    for (connection, expected) in cases {
        let error = server(connection.clone()).err().expect("a fault");
        let shown = format!("{error} {}", error.help().unwrap_or_default());
        assert!(shown.contains(expected), "{connection}: {shown}");
        assert!(!shown.contains("hunter22") && !shown.contains("notaport"), "{shown}");
    }
    let both = json!({ "host": "h", "user": "u", "sslmode": "disable", "ca_file": "/ca.pem" });
    assert!(server(both).err().expect("a fault").to_string().contains("exclude each other"));
}

#[test]
fn passwords_are_known_in_both_forms() {
    let server = server(json!({ "url": "mysql://u:p%40ssword@h/d" })).unwrap();
    assert_eq!(server.redact("p@ssword of mysql://u:p%40ssword@h/d"), "[secret] of [secret]");
}

#[test]
fn names_are_quoted() {
    assert_eq!(quoted("a`b"), "`a``b`");
}
