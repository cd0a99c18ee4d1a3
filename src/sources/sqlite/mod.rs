//! Source `sqlite`: a database file, opened for reading only.
//!
//! A column that comes straight from a table column has the type declared there: `INTEGER` (and all with `INT` in them)
//! whole number; `REAL`, `DOUBLE`, `FLOAT` floating point; `TEXT`, `VARCHAR`, `CLOB` text; `BLOB` bytes; `BOOLEAN` (0, 1,
//! `true`, `false`); `DATE`, `TIME`, `DATETIME`, `TIMESTAMP` (ISO text, a wall clock reading); `TIMESTAMPTZ` (an instant;
//! without zone it is UTC); `DECIMAL`, `NUMERIC` exact decimal text; `JSON` JSON text. SQLite does not hold anyone to
//! declared types: a value that does not fit fails the read, naming column and row, because a whole column that changes
//! its type with one bad value would make every row look changed. `cast(x as text)` in the SQL takes it as it is.
//!
//! A computed column, or one declared as nothing of the above, has the type of its values over the whole result, for
//! which the statement runs once more: whole numbers, floating point numbers, text (also: text and numbers mixed, and
//! nothing but nulls), bytes. Digits are never lost: floats mixed with whole numbers beyond 2^53 are decimal text.

pub(super) mod select;
mod types;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arrow_schema::SchemaRef;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{BatchStream, Dialect, Query, Source, channel, statement};
use crate::diagnostic::{Error, Result};
use crate::manifest::connection::SqliteConnection;
use select::{Fault, Fields, Select, explain};

/// How long to wait for a program that is writing.
const BUSY: Duration = Duration::from_secs(10);

/// A SQLite database file.
pub(super) struct Sqlite {
    path: PathBuf,
    results: Results,
}

/// Size and time of the database and its log: what the types of a result were found out from.
type State = Vec<Option<(u64, Option<SystemTime>)>>;

/// The columns of statements that were looked at before.
type Results = Arc<Mutex<HashMap<String, (State, Fields)>>>;

impl Sqlite {
    /// The database of a connection; opened with the first query.
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self { path: connection.path.into(), results: Results::default() }
    }
}

impl Source for Sqlite {
    fn dialect(&self) -> Option<Dialect> {
        Some(Dialect::Sqlite)
    }

    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        let sql = statement(query, None);
        let (connection, path) = (open(&self.path)?, &self.path);
        let mut select = prepare(&connection, path, &sql, &self.results)?;
        let wanted = select.wanted(None)?;
        survey(&mut select, &wanted, path, &sql, &self.results)?;
        Ok(select.schema(&wanted))
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        let sql = statement(query, columns);
        let (path, results) = (self.path.clone(), self.results.clone());
        let hint = matches!(query, Query::Sql(_)).then(|| columns.map(<[String]>::to_vec)).flatten();
        let stream = channel::spawn(&path.display().to_string(), move |out| {
            let connection = open(&path)?;
            let mut select = prepare(&connection, &path, &sql, &results)?;
            let wanted = select.wanted(hint.as_deref())?;
            survey(&mut select, &wanted, &path, &sql, &results)?;
            select.send(&wanted, out).map_err(|e| e.context(shown(&path)))
        });
        Ok(vec![stream?])
    }
}

fn shown(path: &Path) -> String {
    format!("database `{}`", path.display())
}

/// Opens the database and starts a read transaction, in which all that follows sees one state of it.
fn open(path: &Path) -> Result<Connection> {
    let help = "`connection.path` of the source names the database file; it is never created";
    if let Err(error) = fs::metadata(path) {
        return Err(Error::failed_help(format!("cannot read {}: {error}", shown(path)), help));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|e| Error::failed_help(format!("cannot open {}: {e}", shown(path)), help))?;
    let start = || {
        connection.busy_timeout(BUSY)?;
        strict(&connection)?;
        connection.execute_batch("pragma query_only = on; begin")?;
        connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(()))
    };
    start().map_err(|e| explain(e, "", &Fault::default()).context(shown(path)))?;
    Ok(connection)
}

/// Takes `"names"` for names only: by default SQLite reads a misspelt one as text.
pub(super) fn strict(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false).map(|_| ())
}

fn prepare<'c>(connection: &'c Connection, path: &Path, sql: &str, results: &Results) -> Result<Select<'c>> {
    let mut select =
        Select::prepare(connection, sql, &Fault::default(), types::declared).map_err(|e| e.context(shown(path)))?;
    let results = results.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((seen, fields)) = results.get(sql)
        && *seen == state(path)
        && fields.len() == select.fields.len()
    {
        select.fields.clone_from(fields);
    }
    Ok(select)
}

fn survey(select: &mut Select<'_>, wanted: &[usize], path: &Path, sql: &str, results: &Results) -> Result<()> {
    let before = state(path);
    select.survey(wanted).map_err(|e| e.context(shown(path)))?;
    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
    results.insert(sql.to_owned(), (before, select.fields.clone()));
    Ok(())
}

fn state(path: &Path) -> State {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let of = |path: &Path| fs::metadata(path).ok().map(|data| (data.len(), data.modified().ok()));
    vec![of(path), of(Path::new(&log))]
}
