//! One table of files: its columns, and its rows in parts.

use std::collections::HashSet;
use std::path::Path;

use arrow_schema::SchemaRef;

use super::catalog::{Format, Listing};
use super::stamp::Stamp;
use super::{csv, jsonl, parquet};
use crate::diagnostic::{Error, Result};
use crate::sources::BatchStream;

/// A table whose columns are known.
pub(super) struct FileTable {
    pub(super) name: String,
    pub(super) schema: SchemaRef,
    files: Files,
    listing: Listing,
    stamps: Vec<Stamp>,
}

enum Files {
    Csv(Vec<csv::CsvFile>),
    JsonLines(Vec<jsonl::JsonFile>),
    Parquet(Vec<parquet::ParquetFile>),
}

impl FileTable {
    /// Finds out the columns; for CSV and JSON lines, by reading everything once.
    pub(super) fn open(listing: Listing) -> Result<Self> {
        let stamps = listing.files.iter().map(|path| Stamp::take(path)).collect::<Result<Vec<_>>>()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (schema, files) = match listing.format {
            Format::Csv => csv::survey(&stamps, threads).map(|(schema, files)| (schema, Files::Csv(files)))?,
            Format::JsonLines => jsonl::survey(&stamps).map(|(schema, files)| (schema, Files::JsonLines(files)))?,
            Format::Parquet => parquet::survey(&stamps).map(|(schema, files)| (schema, Files::Parquet(files)))?,
        };
        Ok(Self { name: listing.name.clone(), schema, files, listing, stamps })
    }

    /// Whether what is known still holds for what the folder lists now.
    pub(super) fn is_current(&self, listing: &Listing) -> bool {
        self.listing == *listing && self.stamps.iter().all(|stamp| stamp.check().is_ok())
    }

    /// Whether there is no row that could tell the columns.
    pub(super) fn is_unknown(&self) -> bool {
        self.schema.fields().is_empty()
    }

    /// An error of the table as a whole.
    pub(super) fn fault(&self, what: &str, help: &str) -> Error {
        match self.stamps.first() {
            Some(stamp) => stamp.fault(what, help),
            None => Error::failed_help(format!("table `{}`: {what}", self.name), help),
        }
    }

    /// What the table was when its columns were found out.
    pub(super) fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// The rows, in about `parts` streams whose order is the order of the rows.
    pub(super) fn streams(&self, columns: &[usize], parts: usize) -> Result<Vec<BatchStream>> {
        match &self.files {
            Files::Csv(files) => csv::streams(files, &self.schema, columns, parts),
            Files::JsonLines(files) => jsonl::streams(files, &self.schema, columns, parts),
            Files::Parquet(files) => parquet::streams(files, &self.schema, columns, parts),
        }
    }
}

/// Fails when column names are empty or given twice.
pub(super) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>, path: &Path) -> Result<()> {
    let mut seen = HashSet::new();
    for (at, name) in names.into_iter().enumerate() {
        let fault = |what: String| {
            Error::failed_help(
                format!("file `{}`, line 1: {what}", path.display()),
                "give every column a name of its own in the file",
            )
        };
        if name.trim().is_empty() {
            return Err(fault(format!("column {} has no name", at + 1)));
        }
        if !seen.insert(name) {
            return Err(fault(format!("column `{name}` is there twice")));
        }
    }
    Ok(())
}

/// A place in a text file from which reading can start, and the rows up to the next one.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// Byte of the first row.
    pub(super) byte: u64,
    /// Its line, counted from 1.
    pub(super) line: u64,
    /// Rows until the next mark.
    pub(super) rows: u64,
}

/// Joins neighbouring marks to at most `parts` runs of about the same number of rows. A file without rows is one run of
/// none: its stream still says which columns there are.
pub(super) fn runs(marks: &[Mark], parts: usize) -> Vec<Mark> {
    if marks.is_empty() {
        return vec![Mark { byte: 0, line: 1, rows: 0 }];
    }
    let size = marks.len().div_ceil(parts.max(1)).max(1);
    marks
        .chunks(size)
        .filter_map(|run| Some(Mark { rows: run.iter().map(|m| m.rows).sum(), ..run.first()?.clone() }))
        .collect()
}
