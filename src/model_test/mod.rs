//! Tests of models: what must hold of the rows before anything is planned with them.
//!
//! ```text
//!  tests ──► check (columns, types) ──► sql (one statement for all counts) ──► a source that runs SQL ──► words
//!                                        └► copies (Parquet, embedded SQLite): what one source cannot see
//! ```
//!
//! All tests of rows are SQL, so that the source does the work and only counts and a few keys leave it. Where a source
//! runs no SQL, and where a relationship leads to another source, the columns a test needs are copied to disk and tested
//! there with the same statements. The clock is the caller's.

mod check;
mod copies;
mod run;
mod sql;
mod words;

use std::path::Path;

use arrow_schema::{FieldRef, Schema, SchemaRef};
use serde_json::Value;

use crate::diagnostic::Error;
use crate::manifest::model_test::Severity;
use crate::manifest::sync::Limit;
use crate::sources::{Query, Source};

pub use check::{Fault, check};
pub use copies::copy_name;
pub use run::run;

/// One test of a model, as it is run.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What it is called: `not_null`, `row_count`, or its own name.
    pub name: String,
    /// How grave it is when it fails.
    pub severity: Severity,
    /// Only rows for which this condition holds are looked at; in the source's dialect.
    pub filter: Option<String>,
    /// What must hold.
    pub check: Check,
    /// JSON pointer of the test within the model's manifest.
    pub pointer: String,
}

impl Test {
    /// The test with its columns as the model, and the other one, spell them: who declares a test elsewhere knows the
    /// columns, but not whether the warehouse has them in upper or lower case.
    pub fn spelt(&self, own: &Schema, other: Option<&Schema>) -> Self {
        let spelt = |name: &mut String, schema: &Schema| {
            let same = |field: &&FieldRef| field.name().to_lowercase() == name.to_lowercase();
            if schema.column_with_name(name).is_none()
                && let Some(field) = schema.fields().iter().find(same)
            {
                *name = field.name().clone();
            }
        };
        let mut test = self.clone();
        match &mut test.check {
            Check::NotNull(column) | Check::Accepted { column, .. } => spelt(column, own),
            Check::Unique(columns) => columns.iter_mut().for_each(|column| spelt(column, own)),
            Check::Related { column, to, .. } => {
                spelt(column, own);
                other.into_iter().for_each(|other| spelt(to, other));
            }
            Check::Fresh { column, .. } => spelt(column, own),
            Check::RowCount { .. } | Check::NoRows(_) => {}
        }
        test
    }
}

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// The column has a value in every row.
    NotNull(String),
    /// No two rows have the same values in these columns; rows without one of them do not count.
    Unique(Vec<String>),
    /// Every value of the column is one of these.
    Accepted {
        /// The column.
        column: String,
        /// Text, numbers, true or false.
        values: Vec<Value>,
    },
    /// Every value of the column is in a column of another model.
    Related {
        /// The column.
        column: String,
        /// The other model.
        model: String,
        /// Its column.
        to: String,
    },
    /// There are so many rows.
    RowCount {
        /// Fewest rows.
        min: Option<u64>,
        /// Most rows.
        max: Option<u64>,
        /// Most rows more or fewer than in the last run.
        max_change: Option<Limit>,
    },
    /// The newest row is not older than this.
    Fresh {
        /// The column that says how old a row is.
        column: String,
        /// How old the newest may be.
        max_age: jiff::SignedDuration,
        /// The same as it is written.
        written: String,
    },
    /// This statement gives no row.
    NoRows(Statement),
}

/// The statement of a test, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// For the source: models stand in it as their queries.
    pub sql: String,
    /// For copies: models stand in it by [`copy_name`].
    pub over_copies: String,
    /// The models it reads.
    pub models: Vec<String>,
}

impl Test {
    /// The columns it looks at.
    pub fn columns(&self) -> Vec<&str> {
        match &self.check {
            Check::NotNull(column)
            | Check::Accepted { column, .. }
            | Check::Related { column, .. }
            | Check::Fresh { column, .. } => vec![column],
            Check::Unique(columns) => columns.iter().map(String::as_str).collect(),
            Check::RowCount { .. } | Check::NoRows(_) => Vec::new(),
        }
    }

    /// The other models it reads.
    pub fn models(&self) -> Vec<&str> {
        match &self.check {
            Check::Related { model, .. } => vec![model],
            Check::NoRows(statement) => statement.models.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

/// A model to be tested, or one that a test reads beside it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a str,
    /// The name of its source.
    pub source_name: &'a str,
    /// Its source.
    pub source: &'a dyn Source,
    /// Its query.
    pub query: &'a Query,
    /// Its columns; of no known ones when it has no row that could tell.
    pub schema: &'a SchemaRef,
    /// The columns that identify a row.
    pub primary_key: &'a [String],
}

/// What a test is judged by beside the rows.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// When the run began.
    pub now: jiff::Timestamp,
    /// Rows of the model in the last run of one of its syncs.
    pub rows_before: Option<u64>,
    /// Rows named of each test that fails.
    pub samples: usize,
    /// An existing folder for copies; what is written there is removed again.
    pub scratch: &'a Path,
}

/// What came of one test.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// True when it holds.
    pub ok: bool,
    /// Rows that fail; 1 where the test is of the model as a whole.
    pub failures: u64,
    /// What is wrong; empty when nothing is.
    pub message: String,
    /// A few of the rows that fail.
    pub samples: Vec<Sample>,
}

/// A row that fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its key.
    pub key: String,
    /// Its value in the column tested.
    pub value: Option<Value>,
}

/// Why tests have no outcome.
#[derive(Debug)]
pub enum Failure {
    /// This test, by its position, cannot be run: the source does not take its SQL.
    Test(usize, Error),
    /// The model cannot be read.
    Model(Error),
}

#[cfg(test)]
mod tests;
