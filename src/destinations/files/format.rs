//! What the formats have in common.

use std::fs::File;
use std::path::Path;

use serde::Deserialize;

use super::cell::Cell;
use super::csv::Csv;
use super::jsonl::JsonLines;
use super::parquet::Parquet;
use crate::destinations::table::Columns;
use crate::destinations::{Batch, Outcome, SendError};

/// A row's place among the changes: a hash of its identifiers.
pub(super) type Identity = u128;

/// `options.format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Comma-separated values with a header. Null is nothing between the commas, empty text is `""`.
    #[default]
    Csv,
    /// One JSON object a line; dotted names are nested objects.
    Jsonl,
    /// Parquet, typed as the model's columns.
    Parquet,
}

impl Kind {
    /// The file extension, which is also the word in manifests.
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Csv => "csv",
            Kind::Jsonl => "jsonl",
            Kind::Parquet => "parquet",
        }
    }

    /// The format for these columns; checks that the file that is there, if any, can be merged with.
    pub fn open(self, columns: &Columns, existing: Option<&Path>) -> Result<Box<dyn Format>, SendError> {
        Ok(match self {
            Kind::Csv => Box::new(Csv::open(columns, existing)?),
            Kind::Jsonl => Box::new(JsonLines::new(columns)),
            Kind::Parquet => Box::new(Parquet::open(columns, existing)?),
        })
    }
}

/// How records of one format are made, read and written.
pub(super) trait Format: Send + Sync {
    /// The cells of each record of a batch, identifiers first, or why the format cannot take it.
    fn cells(&self, batch: &Batch, columns: &Columns) -> Vec<Result<Vec<Cell>, Outcome>>;

    /// The hash of the identifiers, the first of `cells`.
    fn identity(&self, cells: &[Cell]) -> Identity;

    /// Calls `seen` with the identity of every row of a file.
    fn scan(&self, file: &Path, seen: &mut dyn FnMut(Identity)) -> Result<(), SendError>;

    /// Calls `found` with the cells of every row of a file whose identity is wanted, one for each column.
    fn look(
        &self,
        file: &Path,
        wanted: &dyn Fn(Identity) -> bool,
        found: &mut dyn FnMut(Identity, Vec<Cell>),
    ) -> Result<(), SendError>;

    /// Writes a new file: the rows of `old` as `changes` leave them, then the appended ones. True when the rows differ
    /// from the old ones, or when there was no old file.
    fn rewrite(&self, old: Option<&Path>, new: File, changes: &mut dyn Changes) -> Result<bool, SendError>;
}

/// What is to be done with the rows of a file.
pub(super) trait Changes {
    /// True when something is to be done with the row.
    fn touches(&self, identity: Identity) -> bool;

    /// The row after its changes; `None` when it is removed. `current` and the answer hold one cell per column.
    fn merge(&mut self, identity: Identity, current: Vec<Cell>) -> Result<Option<Vec<Cell>>, SendError>;

    /// The next row that is not in the old file.
    fn appended(&mut self) -> Result<Option<Vec<Cell>>, SendError>;
}

/// A hash of texts that keeps their borders. Equal identifiers must meet in one run only, so the keys are fixed.
pub(super) fn hash<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Identity {
    use siphasher::sip128::{Hasher128, SipHasher13};
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new_with_keys(0x5379_6e63_6c69_6e65, 0x6669_6c65_7300_0001);
    for text in texts {
        match text {
            None => hasher.write_u64(u64::MAX),
            Some(text) => {
                hasher.write_u64(text.len() as u64);
                hasher.write(text.as_bytes());
            }
        }
    }
    hasher.finish128().as_u128()
}

/// An error about a file whose content cannot be worked with.
pub(super) fn unreadable(file: &Path, what: impl std::fmt::Display) -> SendError {
    SendError::Fatal {
        message: format!("{}: {what}", file.display()),
        help: Some("move the file away or mend it; the sync then goes on".into()),
    }
}
