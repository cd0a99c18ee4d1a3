//! Reading records back: nothing is written, and SQLite itself says what differs, as it does before an update.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value as Json;

use super::bind::Bound;
use super::refusal;
use super::write::searches;
use crate::destinations::table::{self, Columns, quoted};
use crate::destinations::{Held, Operation, Reader, SendError, Target, There};

/// A table, open to read.
pub(super) struct SqliteReader(Arc<Mutex<Table>>, bool);

struct Table {
    connection: Connection,
    columns: Columns,
    sql: String,
}

/// Opens a database to read.
pub(super) fn connect(path: &Path) -> Result<Connection, SendError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| refusal::before_commit(&e))?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(|e| refusal::before_commit(&e))?;
    Ok(connection)
}

/// Rows of a table; `None` where it is not there yet.
pub(super) fn count(path: &Path, table: &str) -> Result<Option<u64>, SendError> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = connect(path)?;
    let known = "SELECT count(*) FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
    let sql = format!("SELECT count(*) FROM {}", quoted(table));
    let counted = connection.query_row(known, [table], |row| row.get::<_, i64>(0)).and_then(|known| match known {
        0 => Ok(None),
        _ => connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(|rows| u64::try_from(rows).ok()),
    });
    counted.map_err(|e| refusal::before_commit(&e))
}

impl SqliteReader {
    /// Opens a target's table to read.
    pub(super) fn open(path: &Path, target: &Target) -> Result<Self, SendError> {
        let failed = |e: rusqlite::Error| refusal::before_commit(&e);
        let connection = connect(path)?;
        let columns = Columns::of(target);
        let matches: Vec<String> =
            columns.matching.iter().enumerate().map(|(i, c)| format!("{} = ?{}", quoted(&c.name), i + 1)).collect();
        let first = columns.matching.len();
        let fields = columns.fields.iter().enumerate().map(|(i, c)| {
            let name = quoted(&c.name);
            format!(", {name} IS ?{} COLLATE BINARY, {name}", first + i + 1)
        });
        let sql = format!(
            "SELECT 1{} FROM {} WHERE {} LIMIT 2",
            fields.collect::<String>(),
            quoted(&target.object),
            matches.join(" AND ")
        );
        let indexed = searches(&connection, &sql).map_err(failed)?;
        Ok(Self(Arc::new(Mutex::new(Table { connection, columns, sql })), indexed))
    }
}

impl Table {
    fn read(&self, operations: &[Operation]) -> rusqlite::Result<Vec<Held>> {
        let mut statement = self.connection.prepare_cached(&self.sql)?;
        let mut held = Vec::with_capacity(operations.len());
        for operation in operations {
            let record = &operation.record;
            let first = self.columns.matching.len();
            for (i, column) in self.columns.matching.iter().enumerate() {
                statement.raw_bind_parameter(i + 1, Bound(column.identifier(record)))?;
            }
            for (i, column) in self.columns.fields.iter().enumerate() {
                let value = column.field(record).unwrap_or(&crate::mapping::Value::Null);
                statement.raw_bind_parameter(first + i + 1, Bound(value))?;
            }
            let mut rows = statement.raw_query();
            let Some(row) = rows.next()? else {
                held.push(Held::Absent);
                continue;
            };
            let mut differs = Vec::new();
            for (i, column) in self.columns.fields.iter().enumerate() {
                // What is only written with new records, or was left out, may be anything.
                let compared = column.field(record).is_some() && !column.if_added;
                if compared && !row.get::<_, bool>(2 * i + 1)? {
                    differs.push(There { field: column.name.clone(), value: json(row.get_ref(2 * i + 2)?) });
                }
            }
            held.push(if rows.next()?.is_some() { Held::Several } else { Held::There(differs) });
        }
        Ok(held)
    }
}

fn json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(n) => n.into(),
        ValueRef::Real(x) => x.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => crate::mapping::Value::Binary(bytes.into()).text().into(),
    }
}

#[async_trait]
impl Reader for SqliteReader {
    fn reads_all(&self) -> bool {
        self.1
    }

    async fn read(&self, operations: &[Operation]) -> Result<Vec<Held>, SendError> {
        let (table, operations) = (Arc::clone(&self.0), operations.to_vec());
        table::blocking(move || {
            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.read(&operations).map_err(|e| refusal::before_commit(&e))
        })
        .await
    }
}
