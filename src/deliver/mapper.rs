//! Frozen rows → records, on the way out.

use crate::diagnostic::Result;
use crate::mapping::Record;
use crate::plan::operations::Frozen;

/// Makes the records of frozen rows.
pub trait Mapper: Send {
    /// One entry per row: `None` where nothing is done at the destination, else the record, or why there is none
    /// (without the value itself).
    fn records(&mut self, frozen: &Frozen) -> Result<Vec<Option<Result<Record, String>>>>;
}
