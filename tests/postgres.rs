//! A real PostgreSQL for the tests: started once per test process in a folder of its own, gone with it.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

/// A running server; the role is `postgres`.
pub struct Server {
    /// It listens on 127.0.0.1 and ::1 here.
    pub port: u16,
    /// Password of the role `postgres`.
    pub password: String,
    /// PEM file of the authority that signed its certificate (for `localhost`), where openssl is there to make one.
    pub ca_file: Option<PathBuf>,
    databases: AtomicU32,
    programs: PathBuf,
    folder: PathBuf,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, it stops the server.
    _watch: Child,
}

impl Server {
    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The `connection` block of a database, in parts.
    pub fn parts(&self, database: &str) -> serde_json::Value {
        serde_json::json!({ "host": "127.0.0.1", "port": self.port, "user": "postgres", "password": self.password,
            "database": database })
    }

    /// A connection of the tests' own.
    pub async fn connect(&self, database: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Makes a database and fills it by SQL; gives a connection of the tests' own to it, and its name.
    pub async fn filled(&self, sql: &str) -> (Client, String) {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let admin = self.connect("postgres").await;
        admin.batch_execute(&format!("create database {name}")).await.unwrap();
        let client = self.connect(&name).await;
        client.batch_execute(sql).await.unwrap();
        (client, name)
    }

    /// [`Server::filled`] for tests that are not async.
    pub fn database(&self, sql: &str) -> String {
        block_on(self.filled(sql)).1
    }

    /// Runs SQL in a database.
    pub fn run(&self, database: &str, sql: &str) {
        block_on(async { self.connect(database).await.batch_execute(sql).await.unwrap() });
    }
}

impl Server {
    /// Stops the server as `pg_ctl stop -m immediate` does: by SIGQUIT, without a word to anybody and in the middle of
    /// everything.
    pub fn stop_immediately(&self) {
        let lines = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("a running server");
        let pid = lines.lines().next().expect("its number").to_owned();
        let sent = Command::new("kill").args(["-QUIT", &pid]).status().expect("kill runs");
        assert!(sent.success(), "the server does not run");
        let end = Instant::now() + Duration::from_secs(60);
        while std::path::Path::new("/proc").join(&pid).exists() {
            assert!(Instant::now() < end, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the server again on its data; it ends with the first one's folder.
    pub fn start_again(&self) {
        let (folder, program) = (self.folder.display(), self.programs.join("postgres"));
        let run = format!(
            "AS=; if [ \"$(id -u)\" = 0 ]; then AS='runuser -u postgres --'; fi; \
             $AS '{}' -D '{folder}/data' -p {} -c listen_addresses=localhost -k '{folder}' -c fsync=off \
             > '{folder}/again.log' 2>&1 < /dev/null &",
            program.display(),
            self.port
        );
        assert!(Command::new("sh").args(["-c", &run]).status().expect("a shell").success());
        let end = Instant::now() + Duration::from_secs(60);
        let log = || std::fs::read_to_string(self.folder.join("again.log")).unwrap_or_default();
        while !log().contains("ready to accept connections") {
            assert!(Instant::now() < end, "PostgreSQL did not start again: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A server that is nobody else's, to be stopped; `None`, loudly, as [`server`].
pub fn own() -> Option<Server> {
    server()?;
    start()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The server; `None`, loudly, where PostgreSQL is not installed. In CI (`CI` is set) that is a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(start).as_ref();
    if server.is_none() {
        assert!(std::env::var_os("CI").is_none(), "PostgreSQL is not installed, and CI must not skip its tests");
        eprintln!("SKIPPED: PostgreSQL (initdb, postgres) is not installed");
    }
    server
}

/// The folder of the server programs: Debian keeps them out of the PATH.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().find(|f| f.join("initdb").is_file() && f.join("postgres").is_file())
}

const SCRIPT: &str = r#"
set -e
cd "$DIR"
printf '%s' "$PASSWORD" > password
if command -v openssl > /dev/null; then
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=test authority' 2> /dev/null
  openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=localhost' 2> /dev/null
  printf 'subjectAltName=DNS:localhost' > san
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile san 2> /dev/null
  chmod 600 server.key
  SSL="-c ssl=on -c ssl_cert_file=$DIR/server.crt -c ssl_key_file=$DIR/server.key"
fi
if [ "$(id -u)" = 0 ]; then
  chown -R postgres "$DIR"
  AS="runuser -u postgres --"
fi
$AS "$BIN/initdb" -D "$DIR/data" -U postgres -A scram-sha-256 --pwfile="$DIR/password" -E UTF8 --no-locale -N > initdb.log
$AS "$BIN/postgres" -D "$DIR/data" -p "$PORT" -c listen_addresses=localhost -k "$DIR" -c fsync=off -c max_connections=200 $SSL > server.log 2>&1 < /dev/null &
SERVER=$!
cat > /dev/null || true
kill -INT "$(head -n 1 "$DIR/data/postmaster.pid")" || true
wait $SERVER || true
rm -rf "$DIR"
"#;

fn start() -> Option<Server> {
    let programs = programs()?;
    let folder = tempfile::Builder::new().prefix("syncline-postgres-").tempdir().unwrap().keep();
    // The server may run as another user than this process.
    #[cfg(unix)]
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let password = "correct horse".replace(' ', "-");
    let mut watch = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("DIR", &folder)
        .env("BIN", &programs)
        .env("PORT", port.to_string())
        .env("PASSWORD", &password)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Not ours: who waits for the end of this process's output must not wait for the server.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    watch.stdin.as_mut().unwrap().flush().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let log = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    while !log("server.log").contains("ready to accept connections") {
        let ended = watch.try_wait().unwrap();
        let logs = format!("{}\n{}", log("initdb.log"), log("server.log"));
        assert!(ended.is_none() && Instant::now() < deadline, "PostgreSQL did not start: {logs}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ca_file = Some(folder.join("ca.pem")).filter(|path| path.is_file());
    Some(Server { port, password, ca_file, databases: AtomicU32::new(0), programs, folder, _watch: watch })
}
