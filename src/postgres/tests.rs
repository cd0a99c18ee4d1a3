use serde_json::{Value, json};

use super::*;
use crate::secret::Connection;

fn server(json: Value) -> Result<Server> {
    let Value::Object(values) = json else { panic!("an object") };
    let connection = Connection::new(values, vec![]);
    Server::new(&connection.typed()?, &connection.redactor())
}

const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBiTCCAS+gAwIBAgIUXdNaZzX206Cb8xuXXkoo2WdP/CIwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIyMTY1ODM5WhgPMjEy
NjEwMjkxNjU4MzlaMBkxFzAVBgNVBAMMDnRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE3D3vtYVgKUOHHeKEdrttDAnnrNjGzfW0hTQSf8f7
3LCLYZXFxbiO5X/F01KzePkBzyezZkTQ7KuSw5OXk7sDnqNTMFEwHQYDVR0OBBYE
FPZZ3pV9pQgm8JgeeA4WrsMCOFNYMB8GA1UdIwQYMBaAFPZZ3pV9pQgm8JgeeA4W
rsMCOFNYMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAPcH3yDc
S1q+qaNwZDRzWAnrnHeboG2DenZeVgCnHkR+AiBZ+7seZe4dDTrkBvZ42lFDtWuT
m5m2j34UcZffcR0rkg==
-----END CERTIFICATE-----
";

#[test]
fn the_words_of_sslmode() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, AUTHORITY).unwrap();
    let in_url = format!("postgres://u@db/d?sslrootcert={}", ca.display());
    let cases = [
        (json!({ "host": "db", "user": "u" }), Negotiate::Prefer),
        (json!({ "host": "db", "user": "u", "port": "5433", "sslmode": "disable" }), Negotiate::Disable),
        (json!({ "host": "db", "user": "u", "sslmode": "verify-full" }), Negotiate::Require),
        (json!({ "url": "postgres://u:p@db/d?sslmode=verify-ca" }), Negotiate::Require),
        (json!({ "url": "postgres://u@db/d?sslmode=require&connect_timeout=3" }), Negotiate::Require),
        (json!({ "url": "postgres://u@db/d?sslmode=allow" }), Negotiate::Prefer),
        (json!({ "url": "postgres://u@db/d?sslmode=require", "sslmode": "disable" }), Negotiate::Disable),
        // Who names an authority wants it checked.
        (json!({ "host": "db", "user": "u", "ca_file": ca }), Negotiate::Require),
        (json!({ "host": "db", "user": "u", "ca_file": ca, "sslmode": "prefer" }), Negotiate::Require),
        (json!({ "url": in_url }), Negotiate::Require),
        // What does not leave the machine has no TLS.
        (json!({ "host": "/run/postgresql", "user": "u", "sslmode": "require" }), Negotiate::Disable),
    ];
    for (connection, expected) in cases {
        let server = server(connection.clone()).unwrap_or_else(|e| panic!("{connection}: {e}"));
        assert_eq!(server.config.get_ssl_mode(), expected, "{connection}");
    }
}

#[test]
fn servers_have_names() {
    let cases = [
        (json!({ "user": "u" }), "postgres at localhost:5432"),
        (json!({ "host": "db", "user": "u", "port": 6543 }), "postgres at db:6543"),
        (json!({ "url": "postgres://u@db:6543/d" }), "postgres at db:6543"),
        (json!({ "url": "postgres://u@/d?hostaddr=10.0.0.1" }), "postgres at 10.0.0.1:5432"),
        (json!({ "host": "/run/postgresql", "user": "u" }), "postgres at /run/postgresql:5432"),
    ];
    for (connection, expected) in cases {
        assert_eq!(server(connection).unwrap().name(), expected);
    }
}

#[test]
fn what_is_wrong_is_said_without_the_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let with = |key: &str, value: Value| {
        let mut connection = json!({ "host": "h", "user": "u", "password": "hunter22" });
        connection[key] = value;
        connection
    };
    let cases = [
        (json!({ "url": "postgres://u:hunter22@h:notaport/d" }), "connection.url is not a PostgreSQL URL"),
        (json!({ "url": "postgres://u:hunter22@h/d?sslmode=hunter22x" }), "connection.url: `sslmode` is not known"),
        (json!({ "url": "postgres://u@h/d", "password": "hunter22" }), "`url` and `password` exclude each other"),
        (json!({ "host": "h", "password": "hunter22" }), "connection.user is missing"),
        (with("port", json!("hunter22")), "connection.port"),
        (with("ca_file", json!("/nowhere.pem")), "connection.ca_file: cannot use `/nowhere.pem`"),
        (with("ca_file", json!(empty)), "there is no certificate in it"),
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
    let server = server(json!({ "url": "postgres://u:p%40ssword@h/d" })).unwrap();
    assert_eq!(server.redact("p@ssword of postgres://u:p%40ssword@h/d"), "[secret] of [secret]");
}
