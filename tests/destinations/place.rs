//! The six places the common tests run against, and what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use mysql_async::prelude::Queryable;
use syncline::destinations::DestinationKind;
use syncline::destinations::{Batch, Destination, Outcome, SendError, Sent, Target, open};
use syncline::manifest::sync::Mode;
use syncline::secret::Connection;

use super::records::target;
use crate::postgres::server;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
    Mysql,
    Csv,
    Jsonl,
    Parquet,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::Sqlite, Kind::Postgres, Kind::Mysql, Kind::Csv, Kind::Jsonl, Kind::Parquet];

    pub fn is_file(self) -> bool {
        !matches!(self, Kind::Sqlite | Kind::Postgres | Kind::Mysql)
    }
}

/// Rows by email, each as `plan seats`.
pub type Rows = BTreeMap<String, String>;

pub struct Place {
    pub kind: Kind,
    pub folder: tempfile::TempDir,
    pub destination: Box<dyn Destination>,
    postgres: Option<tokio_postgres::Client>,
    mysql: Option<tokio::sync::Mutex<mysql_async::Conn>>,
}

impl Place {
    /// An empty place; `None` where there is no such server.
    pub async fn new(kind: Kind) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (mut postgres, mut mysql) = (None, None);
        let destination = match kind {
            Kind::Sqlite => {
                let path = folder.path().join("d.sqlite");
                rusqlite::Connection::open(&path)
                    .unwrap()
                    .execute_batch("CREATE TABLE users (email TEXT PRIMARY KEY, plan TEXT, seats INTEGER) STRICT")
                    .unwrap();
                connect(DestinationKind::Sqlite, serde_json::json!({ "path": path }))
            }
            Kind::Postgres => {
                let server = server()?;
                let table = "CREATE TABLE users (email text PRIMARY KEY, plan text, seats bigint)";
                let (client, name) = server.filled(table).await;
                postgres = Some(client);
                connect(DestinationKind::Postgres, server.parts(&name))
            }
            Kind::Mysql => {
                let server = crate::mysql::server()?;
                let table = "CREATE TABLE users (email varchar(100) PRIMARY KEY, plan text, seats bigint)";
                let (connection, name) = server.filled(table).await;
                mysql = Some(tokio::sync::Mutex::new(connection));
                connect(DestinationKind::Mysql, server.parts(&name))
            }
            _ => connect(DestinationKind::Files, serde_json::json!({ "path": folder.path() })),
        };
        Some(Self { kind, folder, destination, postgres, mysql })
    }

    pub fn options(&self) -> serde_json::Value {
        match self.kind {
            Kind::Sqlite | Kind::Postgres | Kind::Mysql => serde_json::json!({}),
            Kind::Csv => serde_json::json!({ "format": "csv" }),
            Kind::Jsonl => serde_json::json!({ "format": "jsonl" }),
            Kind::Parquet => serde_json::json!({ "format": "parquet" }),
        }
    }

    pub fn target(&self, mode: Mode) -> Target {
        target("users", mode, self.options())
    }

    /// A whole run of these batches.
    pub async fn run(&self, mode: Mode, batches: &[Batch]) -> Result<Vec<Vec<Outcome>>, SendError> {
        run(&*self.destination, &self.target(mode), batches).await
    }

    /// Puts rows there behind the destination's back.
    pub async fn put(&self, rows: &Rows) {
        let quoted = |word: &str| if word == "null" { "NULL".to_owned() } else { format!("'{word}'") };
        let values = |(email, words): (&String, &String)| {
            let (plan, seats) = words.split_once(' ').unwrap();
            format!("('{email}', {}, {seats})", quoted(plan))
        };
        let insert = format!("INSERT INTO users VALUES {}", rows.iter().map(values).collect::<Vec<_>>().join(", "));
        if rows.is_empty() {
            return;
        }
        match self.kind {
            Kind::Sqlite => self.sqlite().execute_batch(&insert).unwrap(),
            Kind::Postgres => self.postgres().batch_execute(&insert).await.unwrap(),
            Kind::Mysql => self.mysql().await.query_drop(insert).await.unwrap(),
            // Files are made by the destination itself: what it writes is what it has to read.
            _ => {
                let sends = rows.iter().map(|(email, words)| super::records::send(email, words)).collect();
                self.run(Mode::Upsert, &[super::records::batch(0, sends)]).await.unwrap();
            }
        }
    }

    /// What is there.
    pub async fn rows(&self) -> Rows {
        let shown = |email: String, plan: Option<String>, seats: Option<i64>| {
            let seats = seats.map_or("null".to_owned(), |s| s.to_string());
            (email, format!("{} {seats}", plan.unwrap_or("null".into())))
        };
        match self.kind {
            Kind::Sqlite => {
                let db = self.sqlite();
                let mut statement = db.prepare("SELECT email, plan, seats FROM users").unwrap();
                let rows = statement.query_map([], |r| Ok(shown(r.get(0)?, r.get(1)?, r.get(2)?))).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Kind::Postgres => {
                let rows = self.postgres().query("SELECT email, plan, seats FROM users", &[]).await.unwrap();
                rows.iter().map(|r| shown(r.get(0), r.get(1), r.get(2))).collect()
            }
            Kind::Mysql => {
                let rows: Vec<(String, Option<String>, Option<i64>)> =
                    self.mysql().await.query("SELECT email, plan, seats FROM users").await.unwrap();
                rows.into_iter().map(|(email, plan, seats)| shown(email, plan, seats)).collect()
            }
            _ => file_rows(&self.file()).into_iter().collect(),
        }
    }

    pub fn file(&self) -> PathBuf {
        let extension = match self.kind {
            Kind::Csv => "csv",
            Kind::Jsonl => "jsonl",
            _ => "parquet",
        };
        self.folder.path().join(format!("users.{extension}"))
    }

    pub fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("d.sqlite")).unwrap()
    }

    pub async fn mysql(&self) -> tokio::sync::MutexGuard<'_, mysql_async::Conn> {
        self.mysql.as_ref().unwrap().lock().await
    }

    pub fn postgres(&self) -> &tokio_postgres::Client {
        self.postgres.as_ref().unwrap()
    }
}

pub fn connect(kind: DestinationKind, settings: serde_json::Value) -> Box<dyn Destination> {
    let serde_json::Value::Object(values) = settings else { panic!("settings are an object") };
    open(&kind, &Connection::new(values, vec![]), &syncline::connectors::Setup::default()).unwrap()
}

pub async fn run(
    destination: &dyn Destination,
    target: &Target,
    batches: &[Batch],
) -> Result<Vec<Vec<Outcome>>, SendError> {
    let writer = destination.open(target).await?;
    let mut outcomes = vec![Vec::new(); batches.len()];
    let mut deferred = Vec::new();
    for (batch, slot) in batches.iter().zip(&mut outcomes) {
        match writer.send(batch).await? {
            Sent::Outcomes(answer) => *slot = answer,
            Sent::Partly { message, .. } => panic!("a database answers for all: {message}"),
            Sent::Deferred { handle } => deferred.push((batch.id, handle)),
        }
    }
    for (id, answer) in writer.settle(&deferred).await? {
        let place = batches.iter().position(|b| b.id == id).unwrap();
        outcomes[place] = answer;
    }
    for (batch, answer) in batches.iter().zip(&outcomes) {
        assert_eq!(batch.operations.len(), answer.len(), "one outcome per operation");
    }
    Ok(outcomes)
}

/// Rows of a file as (email, `plan seats`), in their order.
pub fn file_rows(path: &Path) -> Vec<(String, String)> {
    if !path.exists() {
        return Vec::new();
    }
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => {
            let text = std::fs::read_to_string(path).unwrap();
            let row = |line: &str| {
                let cells: Vec<&str> = line.split(',').map(|c| if c.is_empty() { "null" } else { c }).collect();
                (cells[0].to_owned(), format!("{} {}", cells[1], cells[2]))
            };
            text.lines().skip(1).map(row).collect()
        }
        Some("jsonl") => {
            let text = std::fs::read_to_string(path).unwrap();
            let row = |line: &str| {
                let object: serde_json::Value = serde_json::from_str(line).unwrap();
                (word(&object["email"]), format!("{} {}", word(&object["plan"]), word(&object["seats"])))
            };
            text.lines().map(row).collect()
        }
        _ => {
            let file = std::fs::File::open(path).unwrap();
            let mut rows = Vec::new();
            for batch in parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 100).unwrap() {
                let batch = batch.unwrap();
                assert_eq!(
                    batch.schema().field_with_name("seats").unwrap().data_type(),
                    &arrow_schema::DataType::Int64
                );
                let text = |name: &str, row: usize| {
                    let column = arrow_cast::cast(batch.column_by_name(name).unwrap(), &arrow_schema::DataType::Utf8);
                    let column = column.unwrap();
                    let column = column.as_string::<i32>();
                    if arrow_array::Array::is_null(column, row) {
                        "null".to_owned()
                    } else {
                        column.value(row).to_owned()
                    }
                };
                for row in 0..batch.num_rows() {
                    rows.push((text("email", row), format!("{} {}", text("plan", row), text("seats", row))));
                }
            }
            rows
        }
    }
}
