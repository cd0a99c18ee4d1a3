//! 4 · Reading: every source yields Arrow record batches, streamed; none holds a model in memory.
//!
//! A source knows neither project nor plan. It is opened from a rendered connection and asked for a [`Query`].

use arrow_array::RecordBatchReader;
use arrow_schema::SchemaRef;

use crate::diagnostic::Result;

/// A stream of record batches of one schema. An error in it means that the read is not complete: nothing may be
/// concluded from rows that did not come.
pub type BatchStream = Box<dyn RecordBatchReader + Send>;

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

    /// Reads the query. The parts together are the result; each may be read on its own thread, and their order is the
    /// order of the rows. `columns` names the only columns that will be looked at (`None`: all): a source may leave out
    /// the others, and must keep the ones named.
    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>>;
}
