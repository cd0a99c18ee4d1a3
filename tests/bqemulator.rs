//! BigQuery's API for the tests: the emulator `bqemulator`, started once per test process and gone with it.
//! `SYNCLINE_BQEMULATOR` names the program; `home` beside its `bin` is the home it is given, with DuckDB's extension
//! `spatial` in it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The project of all tests.
pub const PROJECT: &str = "test-project";

/// A running emulator.
pub struct Server {
    pub port: u16,
    datasets: AtomicU32,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, it stops the server.
    _watch: Child,
}

/// The emulator; `None`, loudly, where it is not installed. In CI (`CI` is set) that is a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

fn start() -> Option<Server> {
    let program = crate::outside::named("SYNCLINE_BQEMULATOR", "BigQuery's API")?;
    let home = program.parent().and_then(|bin| bin.parent()).expect("bin/bqemulator").join("home");
    let free = || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port();
    let (port, other) = (free(), free());
    // The shell ends the server when our end of the pipe closes.
    let script = "\"$0\" start --rest-port \"$1\" --grpc-port \"$2\" --project \"$3\" --log-level error \
                  </dev/null >/dev/null 2>&1 & child=$!; read -r _; kill $child";
    let watch = Command::new("sh")
        .args(["-c", script])
        .arg(&program)
        .args([port.to_string(), other.to_string(), PROJECT.to_owned()])
        .env("HOME", &home)
        .stdin(Stdio::piped())
        // Not ours: who waits for the end of this process's output must not wait for the server.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let end = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "bqemulator does not answer on port {port}");
        std::thread::sleep(Duration::from_millis(200));
    }
    Some(Server { port, datasets: AtomicU32::new(0), _watch: watch })
}

impl Server {
    /// The `connection` block of a data set, as a user would write it.
    pub fn connection(&self, dataset: &str) -> Value {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        json!({ "project": PROJECT, "dataset": dataset, "endpoint": endpoint })
    }

    /// Makes a data set and fills it; `DATASET` in the statements stands for its name, which is given back.
    pub fn dataset(&self, statements: &str) -> String {
        let name = format!("test_{}", self.datasets.fetch_add(1, Ordering::Relaxed));
        let reference = json!({ "datasetReference": { "projectId": PROJECT, "datasetId": name } });
        self.post("datasets", &reference);
        for statement in statements.split(";\n").filter(|s| !s.trim().is_empty()) {
            let query = statement.replace("DATASET", &name);
            let answer = self.post("queries", &json!({ "query": query, "useLegacySql": false }));
            assert_eq!(answer["errors"], Value::Null, "{query}: {answer:#}");
        }
        name
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the emulator");
        let head = format!(
            "POST /bigquery/v2/projects/{PROJECT}/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).expect("JSON")
    }
}
