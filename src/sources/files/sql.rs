//! SQL over files: an embedded SQLite in which the tables a statement names are virtual tables over their files.
//!
//! - Only the columns a statement uses are read. A statement that reads one file streams; one that reads several (joins,
//!   unions, sub-queries) first copies the columns it uses into a temporary database on disk, where SQLite can index
//!   them: a join of two files does not read one of them once per row of the other.
//! - A column that comes straight from a file keeps its type. In SQL, dates, times and timestamps are ISO text
//!   (`2026-11-22 10:00:00`; instants in UTC, without a zone), so that SQLite's date functions take them; booleans are 0
//!   and 1; objects and lists are JSON text; decimals are numbers where those are exact, else text. A timestamp out of range
//!   fails the read, as SQL would make a null of it. Computed columns get their type from their values, as in
//!   [`crate::sources::sqlite`].
//! - A table `sub.NAME` can be named `sub.NAME` or `"sub.NAME"`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{Field, SchemaRef};
use rusqlite::Connection;

use super::Folder;
use super::stamp::Stamp;
use super::table::FileTable;
use super::vtab::{self, Shared};
use crate::diagnostic::{Error, Result};
use crate::sources::sqlite::select::{Fault, Fields, Select, explain};
use crate::sources::sqlite::strict;
use crate::sources::{BatchStream, channel, quoted};

/// What is known of statements that were looked at before.
#[derive(Default)]
pub(super) struct Results {
    /// The columns, and the files they came from.
    fields: Mutex<HashMap<String, (Vec<Stamp>, Fields)>>,
    /// The database of the last statement: what was copied to find out the columns is there for the rows. One, as it may
    /// take as much of the disk as the files.
    idle: Mutex<Option<(String, Session)>>,
}

/// A database that sees what one statement names.
struct Session {
    connection: Connection,
    fault: Fault,
    fields: Vec<Field>,
    tables: Vec<Named>,
}

struct Named {
    /// The table's name in SQL, quoted, with its schema.
    sql_name: String,
    /// The name as the statement has it.
    asked: String,
    table: Arc<FileTable>,
    shared: Arc<Shared>,
    /// Position of the table's first column in the session's fields.
    first: usize,
}

/// The columns a statement gives.
pub(super) fn schema(folder: &Folder, sql: &str) -> Result<SchemaRef> {
    let session = Session::open(folder, sql)?;
    let mut select = session.select(folder, sql)?;
    let wanted = select.wanted(None)?;
    session.survey(&mut select, &wanted, folder, sql)?;
    let schema = select.schema(&wanted);
    drop(select);
    session.keep(folder, sql);
    Ok(schema)
}

/// The rows of a statement.
pub(super) fn read(folder: &Arc<Folder>, sql: String, columns: Option<&[String]>) -> Result<BatchStream> {
    let (folder, columns) = (folder.clone(), columns.map(<[String]>::to_vec));
    let name = folder.path.display().to_string();
    channel::spawn(&name, move |out| {
        let session = Session::open(&folder, &sql)?;
        let mut select = session.select(&folder, &sql)?;
        let wanted = select.wanted(columns.as_deref())?;
        session.survey(&mut select, &wanted, &folder, &sql)?;
        select.send(&wanted, out)?;
        drop(select);
        // Another sync may have the same model.
        session.keep(&folder, &sql);
        Ok(())
    })
}

impl Session {
    /// The database that was kept of the same statement over the same files, or a new one.
    fn open(folder: &Folder, sql: &str) -> Result<Self> {
        let kept = folder.results.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let current = |session: &Self| {
            let mut tables = session.tables.iter();
            tables.all(|known| folder.table(&known.asked, true).is_ok_and(|now| Arc::ptr_eq(&now, &known.table)))
        };
        match kept {
            Some((statement, session)) if statement == sql && current(&session) => Ok(session),
            // The disk space of another statement is given back first.
            other => {
                drop(other);
                Self::new(folder, sql)
            }
        }
    }

    /// Keeps the database for the next time this statement is asked.
    fn keep(self, folder: &Folder, sql: &str) {
        *folder.results.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((sql.to_owned(), self));
    }

    fn new(folder: &Folder, sql: &str) -> Result<Self> {
        let fault = Fault::default();
        let plain = |e| explain(e, sql, &fault);
        // An empty name is a private database that spills to a temporary file and goes with the connection.
        let connection = Connection::open("").map_err(plain)?;
        strict(&connection).map_err(plain)?;
        let setup = "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -65536";
        connection.execute_batch(setup).map_err(plain)?;
        let mut session = Self { connection, fault: fault.clone(), fields: Vec::new(), tables: Vec::new() };
        loop {
            let missing = match session.connection.prepare(sql) {
                Ok(_) => break,
                Err(error) => match missing_table(&error) {
                    Some(name) if session.tables.iter().all(|t| t.asked != name) => name,
                    // Anything else is explained where the statement is prepared for good.
                    _ => break,
                },
            };
            session.add(folder.table(&missing, true)?, &missing)?;
        }
        if session.scans(sql)? > 1 {
            session.copy(sql)?;
        }
        Ok(session)
    }

    /// Makes a table visible, by its name and, where that has a dot, as a table of a schema.
    fn add(&mut self, table: Arc<FileTable>, name: &str) -> Result<()> {
        if table.is_unknown() {
            let help = "SQL needs to know the columns: write the file with a row in it, or read it with `table:`";
            return Err(table.fault("no line has a key, so the columns are unknown", help));
        }
        let mut sql_names = vec![format!("main.{}", quoted(name))];
        if let Some((schema, rest)) = name.split_once('.') {
            // Failing to attach means that the schema is there already, or that there are too many.
            let _ = self.connection.execute(&format!("attach '' as {}", quoted(schema)), []);
            sql_names.push(format!("{}.{}", quoted(schema), quoted(rest)));
        }
        for sql_name in sql_names {
            let first = self.fields.len();
            let module = format!("files_{first}_{}", self.tables.len());
            let shared = Arc::new(Shared::new(table.clone(), first, &module, self.fault.clone()));
            let create = format!("create virtual table {sql_name} using {module}");
            vtab::register(&self.connection, shared.clone())
                .and_then(|()| self.connection.execute_batch(&create))
                .map_err(|e| explain(e, &create, &self.fault))?;
            self.fields.extend(table.schema.fields().iter().map(|f| vtab::sql_field(f)));
            self.tables.push(Named { sql_name, asked: name.to_owned(), table: table.clone(), shared, first });
        }
        Ok(())
    }

    /// How many times the statement goes through a file.
    fn scans(&self, sql: &str) -> Result<usize> {
        let Ok(mut plan) = self.connection.prepare(&format!("explain query plan {sql}")) else { return Ok(0) };
        let steps = plan.query_map([], |row| row.get::<_, String>(3)).map_err(|e| explain(e, sql, &self.fault))?;
        Ok(steps.flatten().filter(|step| step.contains("VIRTUAL TABLE")).count())
    }

    /// Replaces the virtual tables by copies of the columns in use.
    fn copy(&mut self, sql: &str) -> Result<()> {
        for named in self.tables.iter().filter(|t| t.shared.is_used()) {
            let schema = &named.table.schema;
            let declared = vtab::declarations(schema, named.first);
            let fields = schema.fields().iter().enumerate();
            let used: Vec<_> =
                fields.filter(|(at, _)| named.shared.uses(*at)).map(|(_, field)| quoted(field.name())).collect();
            let target = &named.sql_name;
            let statements = match used.is_empty() {
                true => {
                    let any = schema.fields().first().map(|f| quoted(f.name())).unwrap_or_default();
                    format!("insert into {target} ({any}) select null from temp.source")
                }
                false => {
                    let used = used.join(", ");
                    format!("insert into {target} ({used}) select {used} from temp.source")
                }
            };
            let module = named.shared.module();
            let script = format!(
                "create virtual table temp.source using {module}; drop table {target}; \
                 create table {target} ({declared}); begin; {statements}; commit; drop table temp.source"
            );
            self.connection.execute_batch(&script).map_err(|e| explain(e, sql, &self.fault))?;
        }
        Ok(())
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.tables.iter().flat_map(|t| t.table.stamps().iter().cloned()).collect()
    }

    fn select(&self, folder: &Folder, sql: &str) -> Result<Select<'_>> {
        let declared = |name: &str, declaration: &str| {
            let at: usize = declaration.rsplit_once(vtab::TOKEN)?.1.parse().ok()?;
            Some(self.fields.get(at)?.clone().with_name(name))
        };
        let mut select = Select::prepare(&self.connection, sql, &self.fault, declared).map_err(|e| self.hint(e))?;
        let results = folder.results.fields.lock().unwrap_or_else(PoisonError::into_inner);
        match results.get(sql) {
            Some((stamps, fields)) if *stamps == self.stamps() && fields.len() == select.fields.len() => {
                select.fields.clone_from(fields);
            }
            _ => {}
        }
        Ok(select)
    }

    /// Adds the columns there are to SQLite's complaint about one that is not.
    fn hint(&self, error: Error) -> Error {
        let message = error.to_string();
        let Some(rest) = message.strip_prefix("no such column: ") else { return error };
        let name = rest.split([' ', '"']).find(|word| !word.is_empty()).unwrap_or("");
        let name = name.rsplit('.').next().unwrap_or(name);
        let known: Vec<&str> =
            self.tables.iter().flat_map(|t| t.table.schema.fields().iter().map(|f| f.name().as_str())).collect();
        match crate::diagnostic::closest(name, known) {
            Some(close) => Error::failed_help(message, format!("did you mean `{close}`?")),
            None => error,
        }
    }

    fn survey(&self, select: &mut Select<'_>, wanted: &[usize], folder: &Folder, sql: &str) -> Result<()> {
        select.survey(wanted)?;
        let mut results = folder.results.fields.lock().unwrap_or_else(PoisonError::into_inner);
        results.insert(sql.to_owned(), (self.stamps(), select.fields.clone()));
        Ok(())
    }
}

/// The table SQLite does not know.
fn missing_table(error: &rusqlite::Error) -> Option<String> {
    let message = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::SqliteFailure(_, Some(msg)) => msg,
        _ => return None,
    };
    message.strip_prefix("no such table: ").map(str::to_owned)
}
