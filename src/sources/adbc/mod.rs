//! Sources behind ADBC drivers: shared libraries that speak a system's own protocol and give Arrow record batches
//! (<https://arrow.apache.org/adbc/>). Loaded when needed and never linked, so that nobody builds what they do not use.
//!
//! One file a system says what its connection means to its driver: a [`Target`]. Reading is the same for all of them:
//! each read has a connection and a thread of its own, the schema is asked for without reading rows, batches are passed
//! on as they come from the driver, in the types of [`super::normal`].

mod any;
mod databricks;
mod driver;
mod duckdb;
mod explain;
mod hosts;
mod snowflake;
mod spark;

use std::sync::{Arc, Mutex, PoisonError};

use adbc_core::error::Status;
use adbc_core::options::{OptionDatabase, OptionValue};
use adbc_core::{Connection as _, Database as _, Driver as _, Statement as _};
use adbc_driver_manager::{ManagedConnection, ManagedDatabase, ManagedStatement};
use arrow_array::RecordBatchReader;
use arrow_schema::{Schema, SchemaRef};

use super::normal::{Normal, Rules};
use super::spelling::{Spelling, first_word};
use super::{BATCH_ROWS, BatchStream, Dialect, Query, Source, channel};
use crate::diagnostic::{Error, Result};
use crate::manifest::source::SourceType;
use crate::secret::{Connection, Redactor, Secret};
use driver::Wanted;
use explain::Stage;

/// What a connection means to a driver.
struct Target {
    /// The system as messages name it: `snowflake account `acme-eu``.
    name: String,
    spelling: Spelling,
    /// What statements of ours may be asked; `None` where nobody has tried.
    dialect: Option<Dialect>,
    driver: Wanted,
    options: Vec<(OptionDatabase, OptionValue)>,
    /// Where it leads: a name or an address, without port.
    host: Option<String>,
    /// Credentials beyond those that came through templates.
    secrets: Vec<Secret>,
    /// Statements every connection begins with.
    session: Vec<Session>,
    /// Whether the largest and smallest dates stand for infinity.
    infinite: bool,
    /// How its columns are asked for.
    ask: Ask,
}

/// How the columns of a statement are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// In brackets, where nothing but one `select` can be prepared.
    Bracketed,
    /// As it is: not every system takes every `select` in brackets.
    Plain,
    /// Prepared in brackets, and asked for as it is: in brackets the system would rename columns of one name.
    Both,
}

/// A statement a connection begins with.
struct Session {
    sql: &'static str,
    needed: bool,
}

impl Session {
    const fn needed(sql: &'static str) -> Self {
        Self { sql, needed: true }
    }

    /// One that not every server knows and nothing depends on.
    const fn wished(sql: &'static str) -> Self {
        Self { sql, needed: false }
    }
}

/// An option of a driver's own.
fn other(name: &str, value: &str) -> (OptionDatabase, OptionValue) {
    (OptionDatabase::Other(name.to_owned()), OptionValue::String(value.to_owned()))
}

/// Opens a source of one of the types that are reached by drivers.
///
/// # Errors
/// A key of the connection that is missing or of the wrong type, or that excludes another one.
pub(super) fn open(kind: SourceType, connection: &Connection) -> Result<Box<dyn Source>> {
    let target = match kind {
        SourceType::Duckdb => duckdb::target(connection.typed()?)?,
        SourceType::Snowflake => snowflake::target(connection.typed()?)?,
        SourceType::Databricks => databricks::target(connection.typed()?)?,
        SourceType::Spark => spark::target(connection.typed()?)?,
        SourceType::Adbc => any::target(connection.typed()?),
        other => return Err(Error::failed(format!("no ADBC driver is known for sources of type `{other:?}`"))),
    };
    hosts::permit(&target, connection)?;
    let redactor = connection.redactor().with(target.secrets.iter().cloned());
    Ok(Box::new(Adbc { inner: Arc::new(Inner { target, redactor, database: Mutex::new(None) }) }))
}

/// A system behind a driver.
struct Adbc {
    inner: Arc<Inner>,
}

struct Inner {
    target: Target,
    redactor: Redactor,
    /// Opened with the first query; drivers keep logins and caches in it.
    database: Mutex<Option<ManagedDatabase>>,
}

impl Source for Adbc {
    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        let connection = self.inner.connect()?;
        let schema = self.inner.columns(&connection, query)?;
        Ok(self.inner.normal(&schema, None)?.schema())
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        let (inner, query, hint) = (self.inner.clone(), query.clone(), columns.map(<[String]>::to_vec));
        let stream = channel::spawn(&self.inner.target.name, move |out| inner.run(&query, hint.as_deref(), out))?;
        Ok(vec![stream])
    }

    fn dialect(&self) -> Option<Dialect> {
        self.inner.target.dialect
    }

    fn facts(&self) -> Vec<String> {
        let wanted = &self.inner.target.driver;
        match driver::find(wanted) {
            Some(place) => vec![format!("its driver is `{}`", place.shown())],
            None => Vec::new(),
        }
    }
}

impl Inner {
    fn run(&self, query: &Query, hint: Option<&[String]>, out: &channel::Out) -> Result<()> {
        let connection = self.connect()?;
        // A table is asked for the wanted columns only; what they are called at the server is not known beforehand.
        let named = matches!(query, Query::Table { columns: Some(_), .. });
        let mut statement = self.target.spelling.statement(query, hint.filter(|_| named));
        if let (Query::Table { name, columns: None, filter }, Some(hint)) = (query, hint) {
            let all = self.columns(&connection, query)?;
            let shown = |name: &String| self.target.spelling.shown_name(name);
            let names = all.fields().iter().map(|field| field.name()).filter(|name| hint.contains(&shown(name)));
            let columns: Vec<String> = names.map(|name| self.target.spelling.quoted(name)).collect();
            if !columns.is_empty() {
                let filter = filter.as_ref().map(|f| format!(" where ({f}\n)")).unwrap_or_default();
                let table = self.target.spelling.table(name);
                statement = format!("select {} from {table}{filter}", columns.join(", "));
            }
        }
        self.check(&connection, &statement)?;
        let mut running = self.prepared(&connection, &statement)?;
        let reader = running.execute().map_err(|e| self.explain(&e, Stage::Statement))?;
        let normal = self.normal(&reader.schema(), hint)?;
        if !out.schema(normal.schema()) {
            return Ok(());
        }
        for batch in reader {
            let batch = batch.map_err(|e| self.fault(explain::stream(&e)))?;
            for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
                let part = batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start));
                let converted = normal.batch(&part).map_err(|e| e.context(self.target.name.clone()))?;
                if !out.batch(converted) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn connect(&self) -> Result<ManagedConnection> {
        let connection = self.database()?.new_connection().map_err(|e| self.explain(&e, Stage::Connect))?;
        for session in &self.target.session {
            let mut statement = self.prepared(&connection, session.sql)?;
            // Some drivers answer such a statement only as a query.
            let run = |statement: &mut ManagedStatement| match statement.execute_update() {
                Err(error) if error.status == Status::NotImplemented => statement.execute().map(|_| ()),
                done => done.map(|_| ()),
            };
            match run(&mut statement) {
                Err(error) if session.needed => return Err(self.explain(&error, Stage::Connect)),
                Err(error) => {
                    tracing::debug!(sql = session.sql, error = self.redactor.redact(&error.message), "not known here");
                }
                Ok(()) => {}
            }
        }
        Ok(connection)
    }

    fn database(&self) -> Result<ManagedDatabase> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*database {
            return Ok(open.clone());
        }
        let mut driver = driver::load(&self.target.driver).map_err(|e| e.context(self.target.name.clone()))?;
        let opened =
            driver.new_database_with_opts(self.target.options.clone()).map_err(|e| self.explain(&e, Stage::Connect))?;
        *database = Some(opened.clone());
        Ok(opened)
    }

    fn prepared(&self, connection: &ManagedConnection, sql: &str) -> Result<ManagedStatement> {
        let mut statement = connection.clone().new_statement().map_err(|e| self.explain(&e, Stage::Connect))?;
        statement.set_sql_query(sql).map_err(|e| self.explain(&e, Stage::Statement))?;
        Ok(statement)
    }

    /// The columns of a query as the driver has them, without reading rows.
    fn columns(&self, connection: &ManagedConnection, query: &Query) -> Result<Schema> {
        let sql = self.target.spelling.statement(query, None);
        self.check(connection, &sql)?;
        let empty = self.target.spelling.without_rows(&sql);
        let asked = if self.target.ask == Ask::Bracketed { &empty } else { &sql };
        match self.prepared(connection, asked)?.execute_schema() {
            Ok(schema) => Ok(schema),
            Err(error) if error.status == Status::NotImplemented => {
                let mut statement = self.prepared(connection, &empty)?;
                let reader = statement.execute().map_err(|e| self.explain(&e, Stage::Statement))?;
                Ok(reader.schema().as_ref().clone())
            }
            Err(error) => Err(self.explain(&error, Stage::Statement)),
        }
    }

    /// Refuses what is no single `select`, before it is run.
    fn check(&self, connection: &ManagedConnection, sql: &str) -> Result<()> {
        if !matches!(first_word(sql).as_str(), "select" | "with" | "from" | "values") {
            let help = "a model is one `select` (or `with … select`) statement";
            return Err(self.fault(Error::failed_help("the SQL is not a `select`", help)));
        }
        if self.target.ask == Ask::Both {
            self.prepared(connection, &self.target.spelling.without_rows(sql))?;
        }
        Ok(())
    }

    fn normal(&self, schema: &Schema, wanted: Option<&[String]>) -> Result<Normal> {
        let rules = Rules { spelling: self.target.spelling, infinite: self.target.infinite };
        Normal::new(schema, rules, wanted).map_err(|e| e.context(self.target.name.clone()))
    }

    fn explain(&self, error: &adbc_core::error::Error, stage: Stage) -> Error {
        self.fault(explain::driver(error, stage))
    }

    /// The error with the system's name and without its credentials.
    fn fault(&self, error: Error) -> Error {
        let clean = match error {
            Error::Failed { message, help } => Error::Failed {
                message: self.redactor.redact(&message),
                help: help.map(|help| self.redactor.redact(&help)),
            },
            other => other,
        };
        clean.context(self.target.name.clone())
    }
}
