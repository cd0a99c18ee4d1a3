//! What a source gives: rows, and beside them which of their values could not be read.
//!
//! A value that no Arrow type holds (`infinity` among dates, text that is not UTF-8) costs its row and no more, and only
//! where the value is used. In the rows there is a null in its place, which must never be taken for one: whoever takes a
//! [`Batch`] apart has the flaws in hand.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::diagnostic::{Error, Result};

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unreadable {
    what: &'static str,
    instead_of: &'static str,
    help: &'static str,
}

impl Unreadable {
    /// `what` was found, said without the value itself (`an infinite date`); `help` is what to write in the SQL of the model,
    /// where `COLUMN` stands for the column's name.
    pub const fn new(what: &'static str, help: &'static str) -> Self {
        Self { what, instead_of: "", help }
    }

    /// The same, where a column promises values of another kind: `whole numbers`.
    pub const fn instead_of(self, kind: &'static str) -> Self {
        Self { instead_of: kind, ..self }
    }

    /// What was found: `an infinite date`, `text instead of whole numbers`.
    pub fn what(&self) -> String {
        match self.instead_of {
            "" => self.what.to_owned(),
            kind => format!("{} instead of {kind}", self.what),
        }
    }

    /// What to do about a column of this name.
    pub fn help(&self, column: &str) -> String {
        self.help.replace("COLUMN", column)
    }

    /// All of it in one line: ``column `born` holds an infinite date; …``.
    pub fn told(&self, column: &str) -> String {
        format!("column `{column}` holds {}; {}", self.what(), self.help(column))
    }
}

/// Why a reader has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No Arrow type holds it.
    Unreadable(Unreadable),
    /// Its bytes have another form than is documented: no fault of the value, and the others are not to be believed.
    Malformed,
}

/// A value that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// Its row in the batch, from 0.
    pub row: usize,
    /// Position of its column in the schema of the stream.
    pub column: usize,
    /// Why.
    pub why: Unreadable,
}

/// Some rows.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The rows; null where there is a flaw.
    pub rows: RecordBatch,
    /// The values that could not be read, in no order; nearly always none.
    pub flaws: Vec<Flaw>,
}

impl From<RecordBatch> for Batch {
    fn from(rows: RecordBatch) -> Self {
        Self { rows, flaws: Vec::new() }
    }
}

impl Batch {
    /// The rows, for those who need every value of them.
    ///
    /// # Errors
    /// There is one that could not be read.
    pub fn whole(self) -> Result<RecordBatch> {
        let Some(flaw) = self.flaws.first() else { return Ok(self.rows) };
        let schema = self.rows.schema_ref();
        let column = schema.fields().get(flaw.column).map_or("", |field| field.name());
        let message = format!("column `{column}` holds {}", flaw.why.what());
        Err(Error::failed_help(message, flaw.why.help(column)))
    }
}

/// A stream of batches of one schema. An error in it means that the read is not complete: nothing may be concluded from
/// rows that did not come.
pub trait BatchReader: Iterator<Item = std::result::Result<Batch, ArrowError>> {
    /// The columns, in the order in which flaws name them.
    fn schema(&self) -> SchemaRef;
}

/// A stream of batches, wherever they come from.
pub type BatchStream = Box<dyn BatchReader + Send>;

/// Rows of which every value can be read.
pub fn flawless(rows: impl RecordBatchReader + Send + 'static) -> BatchStream {
    Box::new(Flawless(rows))
}

struct Flawless<R>(R);

impl<R: RecordBatchReader> Iterator for Flawless<R> {
    type Item = std::result::Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(Batch::from))
    }
}

impl<R: RecordBatchReader> BatchReader for Flawless<R> {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}
