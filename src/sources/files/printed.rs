//! One file of JSON lines that another program has printed.

use std::path::Path;

use arrow_schema::SchemaRef;

use super::catalog::{Format, Listing};
use super::table::FileTable;
use crate::diagnostic::Result;
use crate::sources::BatchStream;

/// A file whose columns are known.
pub(in crate::sources) struct Printed(FileTable);

impl Printed {
    /// Reads it once, to find out its columns.
    pub(in crate::sources) fn survey(path: &Path) -> Result<Self> {
        let listing = Listing { name: "output".into(), format: Format::JsonLines, files: vec![path.to_owned()] };
        FileTable::open(listing).map(Self)
    }

    /// The columns; none where no row could tell.
    pub(in crate::sources) fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    /// The rows, several parts of them at a time.
    pub(in crate::sources) fn streams(&self, columns: &[usize]) -> Result<Vec<BatchStream>> {
        let parts = std::thread::available_parallelism().map_or(1, usize::from);
        self.0.streams(columns, parts, true)
    }
}
