//! Copies of models, for tests that no source can run: those of a source without SQL, and those of two sources.
//!
//! Each model is streamed into a Parquet file of its own, only the columns that are needed, and the embedded SQLite runs
//! the statements over the files. Nothing is held in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use serde_json::json;
use tempfile::TempDir;

use super::{Circumstances, Subject};
use crate::diagnostic::{Error, Result};
use crate::manifest::source::SourceType;
use crate::secret::Connection;
use crate::sources::{self, Batch, Query, Source, Unreadable};

/// What the copy of a model is called in SQL: a plain word, whatever the model is called.
pub fn copy_name(model: &str) -> String {
    format!("syncline_copy_{}", hex::encode(model))
}

/// Copied models; gone when dropped.
pub(super) struct Copies {
    pub source: Box<dyn Source>,
    folder: TempDir,
}

impl Copies {
    pub(super) fn new(circumstances: &Circumstances<'_>) -> Result<Self> {
        let folder = tempfile::tempdir_in(circumstances.scratch)
            .map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", circumstances.scratch.display())))?;
        let path = json!(folder.path().display().to_string());
        let connection = Connection::new(serde_json::Map::from_iter([("path".to_owned(), path)]), Vec::new());
        Ok(Self { source: sources::open(SourceType::Files, &connection)?, folder })
    }

    /// Copies these columns of a model, or all.
    pub(super) fn add(&self, model: &Subject<'_>, columns: Option<&[String]>) -> Result<Copy> {
        let name = copy_name(model.name);
        let path = self.folder.path().join(format!("{name}.parquet"));
        let unwritten = |e: &dyn std::fmt::Display| Error::failed(format!("cannot write `{}`: {e}", path.display()));
        let streams = model.source.read(model.query, columns)?;
        let schema = streams.first().map_or_else(|| model.schema.clone(), |stream| stream.schema());
        let schema = cut(&schema, columns)?;
        let file = File::create(&path).map_err(|e| unwritten(&e))?;
        let mut writer = ArrowWriter::try_new(file, schema.clone(), None).map_err(|e| unwritten(&e))?;
        let mut unreadable = BTreeMap::new();
        for batch in streams.into_iter().flatten() {
            let Batch { rows: batch, flaws } = batch.map_err(sources::failure)?;
            for flaw in flaws {
                if let Some(column) = batch.schema_ref().fields().get(flaw.column) {
                    unreadable.entry(column.name().clone()).or_insert(flaw.why);
                }
            }
            writer.write(&fit(&batch, &schema)?).map_err(|e| unwritten(&e))?;
        }
        writer.close().map_err(|e| unwritten(&e))?;
        Ok(Copy { query: Query::Table { name, columns: None, filter: None }, unreadable })
    }
}

/// A copied model.
pub(super) struct Copy {
    /// What reads it.
    pub query: Query,
    /// The columns with values that could not be copied, and why: there are nulls in their place.
    unreadable: BTreeMap<String, Unreadable>,
}

impl Copy {
    /// Whether all values of these columns are there, or of all columns.
    ///
    /// # Errors
    /// One is not: a test would take it for null.
    pub(super) fn holds(&self, model: &str, columns: Option<&[&str]>) -> Result<()> {
        let needed = |column: &str| columns.is_none_or(|columns| columns.contains(&column));
        let Some((column, why)) = self.unreadable.iter().find(|(column, _)| needed(column)) else { return Ok(()) };
        Err(Error::failed(format!("model `{model}` cannot be copied for the test: {}", why.told(column))))
    }
}

/// The columns named, of those there are.
fn cut(schema: &SchemaRef, columns: Option<&[String]>) -> Result<SchemaRef> {
    let Some(columns) = columns else { return Ok(schema.clone()) };
    let kept: Vec<usize> =
        schema.fields().iter().enumerate().filter(|(_, f)| columns.contains(f.name())).map(|(at, _)| at).collect();
    schema.project(&kept).map(Arc::new).map_err(sources::failure)
}

/// A batch in the columns and encodings of the file: a source may give text as a dictionary in some batches.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| {
        let column = batch
            .column_by_name(field.name())
            .ok_or_else(|| Error::failed(format!("column `{}` is in the first rows and not in all", field.name())))?;
        arrow_cast::cast(column, field.data_type()).map_err(sources::failure)
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?).map_err(sources::failure)
}
