//! Source `files`: every CSV, JSON lines and Parquet file below a folder is a table.
//!
//! - `NAME.csv`, `NAME.jsonl`, `NAME.ndjson` and `NAME.parquet` are table `NAME`; a folder `NAME/` of files of one
//!   format is table `NAME`, its files in the order of their names; a file in a folder `sub/` is `sub.NAME` as well.
//! - A table without a condition is streamed from its files, in parts that can be read in parallel. Anything in SQL runs
//!   in an embedded SQLite that sees the files as virtual tables, see [`sql`].
//! - Columns of CSV and JSON lines get their types from the whole file, in one streaming pass before the read: a value
//!   in the last line counts as much as one in the first. The rules are in [`csv`] and [`jsonl`].
//! - A file that changes between that pass and the end of the read fails the read.

mod catalog;
mod cells;
mod csv;
mod jsonl;
mod parquet;
mod part;
mod printed;
mod shape;
mod sql;
mod stamp;
mod table;
mod vtab;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{Schema, SchemaRef};

use super::{BatchStream, Dialect, Query, Source};
use crate::diagnostic::{Error, Result, closest};
use crate::manifest::connection::FilesConnection;
use catalog::Catalog;
pub(super) use printed::Printed;
use table::FileTable;

/// A folder of files.
pub(super) struct Files {
    folder: Arc<Folder>,
}

/// The folder, and what is known about its tables: finding out the columns of a big file is a read of its own.
struct Folder {
    path: PathBuf,
    known: Mutex<Vec<Arc<FileTable>>>,
    results: sql::Results,
}

impl Folder {
    fn table(&self, name: &str, any_case: bool) -> Result<Arc<FileTable>> {
        let listing = Catalog::read(&self.path)?.find(name, any_case)?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = known().iter().find(|t| t.name == listing.name).cloned();
        if let Some(table) = same.filter(|t| t.is_current(&listing)) {
            return Ok(table);
        }
        let table = Arc::new(FileTable::open(listing)?);
        let mut known = known();
        known.retain(|t| t.name != table.name);
        known.push(table.clone());
        Ok(table)
    }
}

impl Files {
    /// The folder of a connection; looked at with the first query.
    pub(super) fn new(connection: FilesConnection) -> Self {
        let folder = Folder { path: connection.path.into(), known: Mutex::default(), results: sql::Results::default() };
        Self { folder: Arc::new(folder) }
    }
}

/// How a query is answered: from the files as they are, or by SQL over them.
enum Way {
    Stream { table: Arc<FileTable>, columns: Vec<usize> },
    Sql(String),
}

impl Files {
    fn way(&self, query: &Query) -> Result<Way> {
        Ok(match query {
            Query::Sql(sql) => Way::Sql(sql.clone()),
            Query::Table { name, columns, filter: None } => {
                let table = self.folder.table(name, false)?;
                let columns = match columns {
                    _ if table.is_unknown() => Vec::new(),
                    Some(names) => positions(&table.schema, names, &format!("table `{name}`"))?,
                    None => (0..table.schema.fields().len()).collect(),
                };
                Way::Stream { table, columns }
            }
            Query::Table { name, columns, filter: Some(filter) } => {
                let columns = match columns {
                    Some(names) => names.iter().map(|n| super::quoted(n)).collect::<Vec<_>>().join(", "),
                    None => "*".to_owned(),
                };
                Way::Sql(format!("select {columns} from {} where ({filter}\n)", super::quoted(name)))
            }
        })
    }
}

impl Source for Files {
    fn dialect(&self) -> Option<Dialect> {
        Some(Dialect::Sqlite)
    }

    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        match self.way(query)? {
            Way::Stream { table, columns } => Ok(Arc::new(project(&table.schema, &columns)?)),
            Way::Sql(sql) => sql::schema(&self.folder, &sql),
        }
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        match self.way(query)? {
            Way::Stream { table, .. } if table.is_unknown() => Ok(Vec::new()),
            Way::Stream { table, columns: mut chosen } => {
                if let Some(hint) = columns {
                    let kept = positions(&table.schema, hint, &format!("table `{}`", table.name))?;
                    chosen.retain(|at| kept.contains(at));
                }
                let parts = std::thread::available_parallelism().map_or(1, usize::from);
                table.streams(&chosen, parts, true)
            }
            Way::Sql(sql) => sql::read(&self.folder, sql, columns).map(|stream| vec![stream]),
        }
    }
}

/// The positions of columns in a schema, in the schema's order.
pub(super) fn positions(schema: &Schema, names: &[String], owner: &str) -> Result<Vec<usize>> {
    let mut at = Vec::with_capacity(names.len());
    for name in names {
        match schema.fields().iter().position(|f| f.name() == name) {
            Some(position) => at.push(position),
            None => {
                let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                let help = match closest(name, known.iter().copied()) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("its columns: {}", known.join(", ")),
                };
                return Err(Error::failed_help(format!("{owner} has no column `{name}`"), help));
            }
        }
    }
    at.sort_unstable();
    at.dedup();
    Ok(at)
}

/// The schema cut to columns.
fn project(schema: &Schema, columns: &[usize]) -> Result<Schema> {
    schema.project(columns).map_err(super::failure)
}
