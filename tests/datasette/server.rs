//! A real Datasette for the tests: started once per test process in a folder of its own, gone with it.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// A running server with one database, `crm`.
pub struct Server {
    /// Its address.
    pub url: String,
    /// A token that may do everything.
    pub token: String,
    /// A token that is valid and may do nothing.
    pub stranger: String,
    folder: PathBuf,
    tables: AtomicU32,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, it stops the server.
    _watch: Child,
}

impl Server {
    /// Makes a table for one test and gives its name. A person without a name is refused by it.
    pub fn table(&self) -> String {
        let name = format!("people_{}", self.tables.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!(
            "create table {name} (email text primary key, name text not null, plan text, seats integer)"
        ));
        name
    }

    /// Runs SQL behind the server's back.
    pub fn sql(&self, statements: &str) {
        self.open().execute_batch(statements).expect("statements that work");
    }

    /// Rows of a query of one column.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let connection = self.open();
        let mut statement = connection.prepare(sql).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("rows of text")
    }

    fn open(&self) -> Connection {
        let connection = Connection::open(self.folder.join("crm.db")).expect("a database");
        connection.busy_timeout(Duration::from_secs(30)).expect("a busy timeout");
        connection
    }

    /// What the server's own access log says of a table, `upsert 200` or so, in order.
    pub fn log(&self, table: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("server.log")).expect("a log");
        let path = format!("/crm/{table}/");
        let word = |line: &str| {
            let (path, status) = line.split_once("\"POST ")?.1.split_once(&path)?.1.split_once(" HTTP/1.1\" ")?;
            Some(format!("{} {}", path.rsplit('/').next()?, status.get(..3)?))
        };
        text.lines().filter_map(word).collect()
    }
}

/// The server; `None`, loudly, where Datasette is not installed. In CI (`CI` is set) that is a failure.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(start).as_ref();
    if server.is_none() {
        assert!(std::env::var_os("CI").is_none(), "Datasette is not installed, and CI must not skip its tests");
        eprintln!("SKIPPED: `datasette` (1.0a41) is neither in PATH nor named by SYNCLINE_DATASETTE");
    }
    server
}

/// The program: what `SYNCLINE_DATASETTE` names, else what PATH has. It must be one that has the write API.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("SYNCLINE_DATASETTE").filter(|name| !name.is_empty()).map(PathBuf::from);
    let program = named.clone().unwrap_or_else(|| "datasette".into());
    let version = Command::new(&program).arg("--version").stderr(Stdio::null()).output().map(|output| output.stdout);
    let version = version.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let fits = version.contains("version 1.");
    assert!(fits || named.is_none(), "SYNCLINE_DATASETTE names no Datasette 1.0, but {program:?}: {version:?}");
    fits.then_some(program)
}

const SCRIPT: &str = r#"
cd "$DIR"
"$PROGRAM" serve crm.db --host 127.0.0.1 --port "$PORT" --root --secret "$SECRET" > server.log 2>&1 < /dev/null &
SERVER=$!
cat > /dev/null
kill $SERVER
wait $SERVER
rm -rf "$DIR"
"#;

fn start() -> Option<Server> {
    let program = program()?;
    let folder = tempfile::Builder::new().prefix("syncline-datasette-").tempdir().unwrap().keep();
    Connection::open(folder.join("crm.db")).and_then(|c| c.execute_batch("vacuum")).expect("a database");
    let secret = "a secret of the tests' own";
    let token = |actor: &str| {
        let made = Command::new(&program).args(["create-token", actor, "--secret", secret]).output().expect("a token");
        let token = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        assert!(token.starts_with("dstok_"), "{}", String::from_utf8_lossy(&made.stderr));
        token
    };
    let (token, stranger) = (token("root"), token("stranger"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut watch = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("DIR", &folder)
        .env("PROGRAM", &program)
        .env("PORT", port.to_string())
        .env("SECRET", secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Not ours: who waits for the end of this process's output must not wait for the server.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    watch.stdin.as_mut().unwrap().flush().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let log = || std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    while !log().contains("Uvicorn running on") {
        let ended = watch.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "Datasette did not start: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let url = format!("http://127.0.0.1:{port}");
    Some(Server { url, token, stranger, folder, tables: AtomicU32::new(0), _watch: watch })
}
