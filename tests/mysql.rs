//! A real MariaDB for the tests: started once per test process in a folder of its own, gone with it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};

/// A running server; the user is `tester` and may do everything. Its own time zone is +05:30 and its own character set
/// latin1, so that nothing is right by chance.
pub struct Server {
    /// It listens on 127.0.0.1 here.
    pub port: u16,
    /// Password of the user `tester`.
    pub password: String,
    /// PEM file of the authority that signed its certificate (for `localhost`), where openssl is there to make one.
    pub ca_file: Option<PathBuf>,
    databases: AtomicU32,
    program: PathBuf,
    folder: PathBuf,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, it stops the server.
    _watch: Child,
}

impl Server {
    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://tester:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The `connection` block of a database, in parts.
    pub fn parts(&self, database: &str) -> serde_json::Value {
        serde_json::json!({ "host": "127.0.0.1", "port": self.port, "user": "tester", "password": self.password,
            "database": database })
    }

    /// The manifest of a source or a destination; the password is in the project's file `password`.
    pub fn yaml(&self, name: &str, database: &str) -> String {
        format!(
            "name: {name}\ntype: mysql\nconnection:\n  host: 127.0.0.1\n  port: {}\n  user: tester\n  \
             password: \"{{{{ file('password') }}}}\"\n  database: {database}\n",
            self.port
        )
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// A connection of the tests' own: in UTC, and of the modes the server has.
    pub async fn connect(&self, database: &str) -> Conn {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some("tester"))
            .pass(Some(&self.password))
            .db_name(Some(database).filter(|name| !name.is_empty()))
            .prefer_socket(false);
        let mut connection = Conn::new(options).await.unwrap();
        connection.query_drop("set names utf8mb4; set session time_zone = '+00:00'").await.unwrap();
        connection
    }

    /// Makes a database and fills it by SQL, one statement or several; gives a connection of the tests' own to it, and its
    /// name.
    pub async fn filled(&self, sql: &str) -> (Conn, String) {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let create = format!("create database {name} character set utf8mb4");
        self.connect("").await.query_drop(create).await.unwrap();
        let mut connection = self.connect(&name).await;
        if !sql.is_empty() {
            connection.query_drop(sql).await.unwrap();
        }
        (connection, name)
    }

    /// [`Server::filled`] for tests that are not async.
    pub fn database(&self, sql: &str) -> String {
        block_on(self.filled(sql)).1
    }

    /// Runs SQL in a database, one statement or several.
    pub fn run(&self, database: &str, sql: &str) {
        block_on(async { self.connect(database).await.query_drop(sql).await.unwrap() });
    }

    /// Rows of a query, each joined by `|`, null as `NULL`, everything else as the server writes it.
    pub fn rows(&self, database: &str, sql: &str) -> Vec<String> {
        let rows: Vec<Row> = block_on(async { self.connect(database).await.query(sql).await.unwrap() });
        let cell = |value: Value| match value {
            Value::NULL => "NULL".to_owned(),
            Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => other.as_sql(true),
        };
        rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect::<Vec<_>>().join("|")).collect()
    }

    /// Kills the server (SIGKILL), in the middle of everything.
    pub fn stop_immediately(&self) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("a running server").trim().to_owned();
        let sent = Command::new("kill").args(["-KILL", &pid]).status().expect("kill runs");
        assert!(sent.success(), "the server does not run");
        let end = Instant::now() + Duration::from_secs(60);
        while alive(&pid) {
            assert!(Instant::now() < end, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the server again on its data; it ends with the first one's folder.
    pub fn start_again(&self) {
        let log = self.folder.join("again.log");
        // What an earlier start said there must not count.
        let _ = std::fs::remove_file(&log);
        let run = format!(
            "{} {} > '{}' 2>&1 < /dev/null &",
            as_user(),
            command_line(&self.program, &self.folder, self.port),
            log.display()
        );
        assert!(Command::new("sh").args(["-c", &run]).status().expect("a shell").success());
        ready(&log, || true);
    }
}

/// Whether a process runs: one that has ended may still be there to be asked for its exit code.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// A server that is nobody else's, to be stopped; `None`, loudly, as [`server`].
pub fn own() -> Option<Server> {
    server()?;
    start(true)
}

/// The same, one that has no TLS.
pub fn own_without_tls() -> Option<Server> {
    server()?;
    start(false)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The server; `None`, loudly, where MariaDB is not installed. In CI (`CI` is set) that is a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| start(true)).as_ref();
    if server.is_none() {
        assert!(std::env::var_os("CI").is_none(), "MariaDB is not installed, and CI must not skip its tests");
        eprintln!("SKIPPED: MariaDB (mariadbd, mariadb-install-db) is not installed");
    }
    server
}

/// Where a program is: Debian keeps servers out of the PATH of people.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The server does not run as root.
fn as_user() -> &'static str {
    "AS=; if [ \"$(id -u)\" = 0 ]; then AS='runuser -u mysql --'; fi; $AS"
}

/// Without the settings of the machine.
fn command_line(program: &Path, folder: &Path, port: u16) -> String {
    let (program, folder) = (program.display(), folder.display());
    let tls = if Path::new(&format!("{folder}/server.crt")).is_file() {
        format!("--ssl-ca={folder}/ca.pem --ssl-cert={folder}/server.crt --ssl-key={folder}/server.key")
    } else {
        "--skip-ssl".to_owned()
    };
    format!(
        "'{program}' --no-defaults --datadir={folder}/data --socket={folder}/socket --pid-file={folder}/pid --port={port} \
         --bind-address=127.0.0.1 --skip-name-resolve --skip-log-bin --max-connections=200 --default-time-zone=+05:30 \
         --character-set-server=latin1 --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=64M \
         --init-file={folder}/init.sql {tls}"
    )
}

const PREPARE: &str = r#"
set -e
cd "$DIR"
if [ -n "$TLS" ] && command -v openssl > /dev/null; then
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=test authority' 2> /dev/null
  openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=localhost' 2> /dev/null
  printf 'subjectAltName=DNS:localhost' > san
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile san 2> /dev/null
fi
if [ "$(id -u)" = 0 ]; then chown -R mysql "$DIR"; fi
"#;

const SCRIPT: &str = r#"
START > "$DIR/server.log" 2>&1 < /dev/null &
SERVER=$!
cat > /dev/null || true
PID=$(cat "$DIR/pid" 2> /dev/null) && kill -TERM "$PID" || true
wait $SERVER || true
while [ -n "$PID" ] && kill -0 "$PID" 2> /dev/null; do sleep 0.1; done
rm -rf "$DIR"
"#;

/// Waits until a server takes connections; `running` says whether it still may.
fn ready(log: &Path, mut running: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    let said = || std::fs::read_to_string(log).unwrap_or_default();
    while !said().contains("ready for connections") {
        assert!(running() && Instant::now() < end, "MariaDB did not start: {}", said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start(tls: bool) -> Option<Server> {
    let (program, install) = (program("mariadbd")?, program("mariadb-install-db")?);
    let folder = tempfile::Builder::new().prefix("syncline-mysql-").tempdir().unwrap().keep();
    // The server may run as another user than this process.
    #[cfg(unix)]
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let password = "correct horse".replace(' ', "-");
    // Read each time the server starts.
    let init = format!(
        "create user if not exists tester@'%' identified by '{password}';\n\
         grant all privileges on *.* to tester@'%' with grant option;\n"
    );
    std::fs::write(folder.join("init.sql"), init).unwrap();
    let mut prepare = Command::new("sh");
    prepare.args(["-c", PREPARE]).env("DIR", &folder).env("TLS", if tls { "yes" } else { "" });
    let prepared = prepare.stdin(Stdio::null()).output().unwrap();
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
    let install = format!(
        "{} '{}' --no-defaults --datadir='{}/data' --auth-root-authentication-method=normal --skip-test-db",
        as_user(),
        install.display(),
        folder.display()
    );
    let installed = Command::new("sh").args(["-c", &install]).stdin(Stdio::null()).output().unwrap();
    assert!(
        installed.status.success(),
        "{}{}",
        String::from_utf8_lossy(&installed.stdout),
        String::from_utf8_lossy(&installed.stderr)
    );
    let server = format!("{} {}", as_user(), command_line(&program, &folder, port));
    let mut watch = Command::new("sh")
        .args(["-c", &SCRIPT.replacen("START", &server, 1)])
        .env("DIR", &folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Not ours: who waits for the end of this process's output must not wait for the server.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    ready(&folder.join("server.log"), || watch.try_wait().unwrap().is_none());
    let ca_file = Some(folder.join("ca.pem")).filter(|path| path.is_file());
    Some(Server { port, password, ca_file, databases: AtomicU32::new(0), program, folder, _watch: watch })
}
