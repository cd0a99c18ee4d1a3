//! Stores for the tests, started once per test process and gone with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};

use crate::postgres;

/// A store, and how it is reached.
pub struct Store {
    pub name: String,
    /// The manifest's keys but for the prefix.
    keys: String,
    /// Where credentials come from.
    pub variables: Vec<(&'static str, String)>,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, the server stops.
    _watch: Option<Child>,
}

/// Whether a variable holds a credential.
pub fn is_secret(name: &str) -> bool {
    ["SECRET", "KEY", "PASSWORD"].iter().any(|word| name.contains(word)) && !name.ends_with("_ID")
}

impl Store {
    pub fn state(&self, prefix: &str) -> String {
        format!("{{ {}, prefix: {prefix} }}", self.keys)
    }
}

/// All that are installed here; in CI that is all of them.
pub fn stores() -> &'static [Store] {
    static STORES: OnceLock<Vec<Store>> = OnceLock::new();
    STORES.get_or_init(|| [s3(), azure(), table()].into_iter().flatten().collect())
}

fn s3() -> Option<Store> {
    let program = crate::outside::named("SYNCLINE_MOTO", "S3")?;
    let (port, watch) = start(&format!("exec '{}' -H 127.0.0.1 -p", program.display()));
    let made = ask(
        port,
        "PUT /states HTTP/1.1",
        &[("Authorization", "AWS4-HMAC-SHA256 Credential=test/x/us-east-1/s3/aws4_request".into())],
    );
    assert!(made.contains(" 200 "), "no bucket: {made}");
    Some(Store {
        name: "s3".into(),
        keys: format!("type: s3, bucket: states, region: us-east-1, endpoint: 'http://127.0.0.1:{port}'"),
        variables: vec![("AWS_ACCESS_KEY_ID", "test".into()), ("AWS_SECRET_ACCESS_KEY", "canary-of-aws".into())],
        _watch: Some(watch),
    })
}

/// The account and key that every Azurite has: <https://learn.microsoft.com/azure/storage/common/storage-use-azurite>.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn azure() -> Option<Store> {
    let program = crate::outside::named("SYNCLINE_AZURITE", "Azure Blob Storage")?;
    let (port, watch) = start(&format!(
        "cd \"$(mktemp -d)\" && exec '{}' --inMemoryPersistence --skipApiVersionCheck --silent --blobPort",
        program.display()
    ));
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = format!("x-ms-date:{date}\nx-ms-version:2023-11-03\n");
    let signed = format!("PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}/{ACCOUNT}/{ACCOUNT}/states\nrestype:container");
    let key = BASE64_STANDARD.decode(KEY).expect("a key");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("any length");
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let made = ask(
        port,
        &format!("PUT /{ACCOUNT}/states?restype=container HTTP/1.1"),
        &[
            ("x-ms-date", date),
            ("x-ms-version", "2023-11-03".into()),
            ("Authorization", format!("SharedKey {ACCOUNT}:{signature}")),
        ],
    );
    assert!(made.contains(" 201 "), "no container: {made}");
    Some(Store {
        name: "azure".into(),
        keys: format!("type: azure, bucket: states, account: {ACCOUNT}, endpoint: 'http://127.0.0.1:{port}/{ACCOUNT}'"),
        variables: vec![("AZURE_STORAGE_ACCOUNT_KEY", KEY.into())],
        _watch: Some(watch),
    })
}

fn table() -> Option<Store> {
    let server = postgres::server()?;
    let database = server.database("select 1");
    Some(Store {
        name: "postgres".into(),
        keys: format!(
            "type: postgres, connection: {{ host: 127.0.0.1, port: {}, user: postgres, database: {database} }}",
            server.port
        ),
        variables: vec![("PGPASSWORD", server.password.clone())],
        _watch: None,
    })
}

/// Starts a server on a free port, and waits until it answers.
fn start(command: &str) -> (u16, Child) {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port();
    let script = format!("({command} {port}) </dev/null >/dev/null 2>&1 & child=$!; read -r _; kill $child");
    let watch = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let end = Instant::now() + Duration::from_secs(120);
    while !try_ask(port, "GET / HTTP/1.1", &[]).is_some_and(|answer| answer.starts_with("HTTP")) {
        assert!(Instant::now() < end, "`{command}` does not answer on port {port}");
        std::thread::sleep(Duration::from_millis(100));
    }
    (port, watch)
}

fn ask(port: u16, request: &str, headers: &[(&str, String)]) -> String {
    try_ask(port, request, headers).expect("an answer")
}

fn try_ask(port: u16, request: &str, headers: &[(&str, String)]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut text = format!("{request}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: 0\r\n");
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{text}\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}
