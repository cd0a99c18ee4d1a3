//! Snowflake's protocol for the tests: the emulator `fakesnow`, started once per test process and gone with it, spoken to
//! by Snowflake's real driver. `SYNCLINE_FAKESNOW` names the program, `SYNCLINE_SNOWFLAKE_DRIVER` the driver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use adbc_core::options::{AdbcVersion, OptionDatabase, OptionValue};
use adbc_core::{Connection as _, Database as _, Driver as _, Statement as _};
use adbc_driver_manager::ManagedDriver;

/// What logs in; any other would, too.
pub const PASSWORD: &str = "snow-password";

/// A running emulator.
pub struct Server {
    pub port: u16,
    pub driver: PathBuf,
    /// The emulator's process.
    pub process: u32,
    schemas: AtomicU32,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, it stops the server.
    _watch: Child,
}

/// The emulator; `None`, loudly, where it is not installed. In CI (`CI` is set) that is a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

/// An emulator that is nobody else's, to be killed; `None`, loudly, as [`server`].
pub fn own() -> Option<Server> {
    start_on(crate::outside::port())
}

fn start() -> Option<Server> {
    start_on(crate::outside::port())
}

fn start_on(port: u16) -> Option<Server> {
    let program = crate::outside::named("SYNCLINE_FAKESNOW", "Snowflake's protocol")?;
    let driver = crate::outside::named("SYNCLINE_SNOWFLAKE_DRIVER", "Snowflake's protocol")?;
    // The shell says which process it has started, and ends it when our end of the pipe closes.
    let script = "\"$0\" -s -p \"$1\" </dev/null >/dev/null 2>&1 & child=$!; echo $child; read -r _; kill $child";
    let mut watch = Command::new("sh")
        .args(["-c", script])
        .arg(&program)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        // Not ours: who waits for the end of this process's output must not wait for the server.
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut said = String::new();
    BufReader::new(watch.stdout.take().expect("a pipe")).read_line(&mut said).expect("a line");
    let process = said.trim().parse().expect("the number of a process");
    let end = Instant::now() + Duration::from_secs(120);
    while !answers(port) {
        assert!(Instant::now() < end, "fakesnow does not answer on port {port}");
        std::thread::sleep(Duration::from_millis(200));
    }
    Some(Server { port, driver, process, schemas: AtomicU32::new(0), _watch: watch })
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = [0; 4];
    asked.is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP"
}

impl Server {
    /// The `connection` block of a schema, as a user would write it.
    pub fn connection(&self, schema: &str) -> serde_json::Value {
        serde_json::json!({
            "driver": self.driver, "account": "fakesnow", "user": "fake", "password": PASSWORD,
            "database": "SHOP", "schema": schema, "host": "127.0.0.1", "port": self.port, "protocol": "http",
        })
    }

    /// The manifest of a source; its password is in the file `password` of the project.
    pub fn yaml(&self, name: &str, schema: &str) -> String {
        let mut connection = self.connection(schema);
        connection["password"] = "{{ file('password') }}".into();
        format!("name: {name}\ntype: snowflake\nconnection: {connection}\n")
    }

    /// Another emulator in the place of this one, which is dead; it holds nothing.
    pub fn start_again(self) -> Self {
        start_on(self.port).expect("what could be started once")
    }

    /// Makes a schema and fills it; gives its name.
    pub fn schema(&self, statements: &str) -> String {
        let name = format!("TEST_{}", self.schemas.fetch_add(1, Ordering::Relaxed));
        self.run(&name, statements);
        name
    }

    /// Runs statements in a schema, which is made where there is none.
    pub fn run(&self, name: &str, statements: &str) {
        let mut driver =
            ManagedDriver::load_dynamic_from_filename(&self.driver, None, AdbcVersion::V110).expect("a driver");
        let other = |name: &str, value: &str| {
            (OptionDatabase::Other(format!("adbc.snowflake.sql.{name}")), OptionValue::String(value.to_owned()))
        };
        let options = vec![
            (OptionDatabase::Username, "fake".into()),
            (OptionDatabase::Password, PASSWORD.into()),
            other("account", "fakesnow"),
            other("uri.host", "127.0.0.1"),
            other("uri.port", &self.port.to_string()),
            other("uri.protocol", "http"),
        ];
        let mut connection =
            driver.new_database_with_opts(options).expect("a database").new_connection().expect("a connection");
        let begin = format!(
            "create database if not exists SHOP;\nuse database SHOP;\ncreate schema if not exists {name};\nuse schema {name};\n"
        );
        for statement in format!("{begin}{statements}").split(";\n").filter(|s| !s.trim().is_empty()) {
            let mut running = connection.new_statement().expect("a statement");
            running.set_sql_query(statement).expect("SQL");
            running.execute_update().unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }
}
