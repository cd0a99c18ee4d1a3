//! 4 · Reading: every source yields Arrow record batches, streamed; none holds a model in memory. A value that no Arrow
//! type holds is told beside them ([`Batch`]).
//!
//! A source knows neither project nor plan. It is opened from a rendered connection and asked for a [`Query`].

mod adbc;
mod batch;
mod bigquery;
mod channel;
mod columns;
mod command;
mod dialect;
mod files;
mod interval;
mod mysql;
mod normal;
mod postgres;
mod singer;
mod spelling;
mod sqlite;
mod text;
mod wanted;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::diagnostic::{Error, Result};
use crate::login::Account;
use crate::manifest::source::SourceType;
use crate::mysql::Server as MysqlServer;
use crate::postgres::Server;
use crate::secret::Connection;
pub use batch::{Batch, BatchReader, BatchStream, Flaw, Unreadable, flawless};
pub use dialect::Dialect;
use postgres::Flavour;
use spelling::Spelling;

/// Most rows in one batch.
pub const BATCH_ROWS: usize = 65_536;

/// Where Redshift listens unless told otherwise.
const REDSHIFT_PORT: u16 = 5439;

/// Key of a field's metadata that says what its text stands for: [`TYPE_DECIMAL`] or [`TYPE_JSON`].
pub const TYPE_KEY: &str = "syncline.type";

/// The text is an exact decimal number.
pub const TYPE_DECIMAL: &str = "decimal";

/// The text is a JSON value.
pub const TYPE_JSON: &str = "json";

/// Key of a schema's metadata that says that its columns are not known: there is no row that could tell.
const UNKNOWN_KEY: &str = "syncline.columns";

/// A schema of no known columns.
fn unknown_schema() -> SchemaRef {
    let metadata = HashMap::from([(UNKNOWN_KEY.to_owned(), "unknown".to_owned())]);
    Arc::new(Schema::empty().with_metadata(metadata))
}

/// True for the schema of a table of which nothing is known, for want of a row.
pub fn is_unknown(schema: &Schema) -> bool {
    schema.metadata().contains_key(UNKNOWN_KEY)
}

/// The schema of a model, where its source could not find the columns out for want of a row: the columns named, of no
/// type. Any other schema stays as it is.
pub fn with_unknown(schema: SchemaRef, named: impl FnOnce() -> Vec<String>) -> SchemaRef {
    if !is_unknown(&schema) {
        return schema;
    }
    let mut names = named();
    names.sort();
    names.dedup();
    let fields = names.into_iter().map(|name| Field::new(name, DataType::Null, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What a model asks of its source.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// One `select` in the source's own dialect, rendered.
    Sql(String),
    /// A table, whole or cut.
    Table {
        /// Name of the table, with its schema where there is one.
        name: String,
        /// The columns to read; all when `None`.
        columns: Option<Vec<String>>,
        /// A condition in the source's dialect.
        filter: Option<String>,
    },
}

/// Somewhere rows come from.
pub trait Source: Send + Sync {
    /// The columns and types the query gives, without reading its rows where the system allows it.
    fn schema(&self, query: &Query) -> Result<SchemaRef>;

    /// Checks that the query could be read, rights included, without reading its rows.
    ///
    /// # Errors
    /// As [`Source::schema`].
    fn check(&self, query: &Query) -> Result<()> {
        self.schema(query).map(drop)
    }

    /// The account that is used; `None` where there is none, or the system does not say.
    ///
    /// # Errors
    /// It cannot be connected to.
    fn account(&self) -> Result<Option<Account>> {
        Ok(None)
    }

    /// Reads the query. The parts together are the result; each may be read on its own thread, and their order is the
    /// order of the rows. `columns` names the only columns that will be looked at (`None`: all): a source may leave out
    /// the others, and must keep the ones named. Values are those of the schema; text may come as a dictionary.
    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>>;

    /// What a person who looks for a fault may want to know of the source, in words: where its driver is.
    fn facts(&self) -> Vec<String> {
        Vec::new()
    }

    /// The SQL that [`Query::Sql`] takes here, where statements of our own may be asked; `None` where there is no SQL, or
    /// none that we write.
    fn dialect(&self) -> Option<Dialect> {
        None
    }
}

/// Opens a source of this kind; paths in the connection are absolute. Nothing is connected to before the first query.
///
/// # Errors
/// A key of the connection that is missing, unknown or of the wrong type; never quotes its value.
pub fn open(kind: SourceType, connection: &Connection) -> Result<Box<dyn Source>> {
    Ok(match kind {
        SourceType::Files => Box::new(files::Files::new(connection.typed()?)),
        SourceType::Sqlite => Box::new(sqlite::Sqlite::new(connection.typed()?)),
        SourceType::Postgres => Box::new(postgres::Postgres::new(Server::of(connection)?, Flavour::Postgres)),
        SourceType::Mysql => Box::new(mysql::Mysql::new(MysqlServer::of(connection)?)),
        SourceType::Bigquery => Box::new(bigquery::Bigquery::new(connection)?),
        SourceType::Command => Box::new(command::Command::new(connection)?),
        SourceType::Singer => Box::new(singer::Singer::new(connection)?),
        SourceType::Redshift => {
            let server = Server::of_port(connection, Some(REDSHIFT_PORT))?.called("redshift");
            Box::new(postgres::Postgres::new(server, Flavour::Redshift))
        }
        other => return adbc::open(other, connection),
    })
}

/// What an error in a [`BatchStream`] says, with its help: the streams carry an [`Error`] inside Arrow's.
pub fn failure(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => Error::failed(other.to_string()),
        },
        other => Error::failed(other.to_string()),
    }
}

/// Rows are missing that a server was about to send.
fn broken_off(cause: &str) -> Error {
    Error::failed_help(
        format!("the connection broke before all rows were read: {cause}"),
        "run again; nothing is concluded from rows that did not come",
    )
}

/// The form in which an [`Error`] travels in a [`BatchStream`]; see [`failure`].
fn stream_error(error: Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// The statement that answers a query of a database; of a table's columns only those in `hint`, where there is one.
pub(crate) fn statement(query: &Query, hint: Option<&[String]>) -> String {
    Spelling::Standard.statement(query, hint)
}

/// A name as SQL takes it literally.
pub(crate) fn quoted(name: &str) -> String {
    Spelling::Standard.quoted(name)
}

/// Where in a statement a byte stands, to be put behind a message: line, column, and the line itself.
fn place_in(sql: &str, byte: usize) -> String {
    let Some(before) = sql.get(..byte) else { return String::new() };
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(start..).unwrap_or("").chars().count() + 1;
    let text = sql.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("").trim();
    format!(" at line {line}, column {column} of the SQL: `{text}`")
}
