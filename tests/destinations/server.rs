//! A PostgreSQL server for the tests: started once, in a folder of its own, stopped with the tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tokio_postgres::{Client, NoTls};

pub const PASSWORD: &str = "correct-horse-battery";

pub struct Server {
    pub port: u16,
    /// PEM file of the authority that signed its certificate (for `localhost`), where openssl is there to make one.
    pub ca_file: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

/// The server, or `None` on machines without PostgreSQL.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(start);
    if server.is_none() {
        eprintln!("no PostgreSQL here: its tests are left out");
    }
    server.as_ref()
}

impl Server {
    /// A connection of the tests' own to a new, empty database; gives its name too.
    pub async fn database(&self) -> (Client, String) {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!("d{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let admin = self.connect("postgres").await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        (self.connect(&name).await, name)
    }

    pub async fn connect(&self, database: &str) -> Client {
        let text = format!("host=127.0.0.1 port={} user=tester password={PASSWORD} dbname={database}", self.port);
        let (client, connection) = tokio_postgres::connect(&text, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub fn settings(&self, database: &str) -> serde_json::Value {
        serde_json::json!({ "host": "127.0.0.1", "port": self.port, "user": "tester", "password": PASSWORD,
            "database": database })
    }
}

fn start() -> Option<Server> {
    let bin = binaries()?;
    let folder = tempfile::Builder::new().prefix("syncline-pg").tempdir_in("/tmp").ok()?;
    let data = folder.path().join("data");
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD).ok()?;
    let ca_file = certificate(folder.path());
    own(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let made = as_server(&bin.join("initdb"))
        .args(["-U", "tester", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"])
        .arg(format!("--pwfile={}", password.display()))
        .arg("-D")
        .arg(&data)
        .stdout(Stdio::null())
        .status();
    assert!(made.ok()?.success(), "initdb failed");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls = match ca_file {
        Some(_) => vec![
            "-c".to_owned(),
            "ssl=on".to_owned(),
            "-c".to_owned(),
            format!("ssl_cert_file={}", path("server.crt")),
            "-c".to_owned(),
            format!("ssl_key_file={}", path("server.key")),
        ],
        None => vec![],
    };
    let mut child = as_server(&bin.join("postgres"))
        .args(tls)
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=localhost", "-c", "fsync=off"])
        .args(["-c", "max_connections=200", "-c"])
        .arg(format!("unix_socket_directories={}", folder.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    stop_with_us(&mut child, &data);
    Some(Server { port, ca_file, _folder: folder })
}

/// An authority and a certificate for `localhost` signed by it.
fn certificate(folder: &Path) -> Option<PathBuf> {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=authority' &&
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=localhost' &&
        printf 'subjectAltName=DNS:localhost' > san &&
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile san &&
        chmod 600 server.key && chmod 755 .";
    let mut openssl = Command::new("sh");
    openssl.args(["-c", script]).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    openssl.status().is_ok_and(|s| s.success()).then(|| folder.join("ca.pem"))
}

fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|e| e.path().join("bin")).collect();
    versions.sort();
    versions.into_iter().rev().find(|bin| bin.join("postgres").exists())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0\n"))
}

/// PostgreSQL refuses to run as root.
fn as_server(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn own(folder: &Path) {
    if is_root() {
        let done = Command::new("chown").args(["-R", "postgres"]).arg(folder).status();
        assert!(done.is_ok_and(|s| s.success()), "chown failed");
    }
}

/// A watcher outlives the test process and stops the server when it is gone, however it went.
fn stop_with_us(server: &mut Child, data: &Path) {
    let script = r#"while kill -0 "$1" 2>/dev/null; do sleep 1; done
        kill -INT "$(head -1 "$2/postmaster.pid")" 2>/dev/null; sleep 1; rm -rf "$(dirname "$2")""#;
    let watcher = Command::new("sh")
        .args(["-c", script, "watcher", &std::process::id().to_string()])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    assert!(watcher.is_ok(), "no watcher for server {}", server.id());
}
