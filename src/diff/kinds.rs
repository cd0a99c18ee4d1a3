//! What types the columns of acknowledged rows have, to be held against those the model has now.

use arrow_array::Array;
use arrow_schema::Field;

use super::layout::{MEANING, logical_type};
use super::snapshot::Snapshot;
use crate::diagnostic::Result;

/// The kind of a column as people know it, what its text stands for considered: `integer`, `text`, `decimal`, `json` ….
pub fn kind_of(field: &Field) -> String {
    match field.metadata().get(MEANING) {
        Some(meaning) => meaning.clone(),
        None => logical_type(field.data_type()).to_owned(),
    }
}

impl Snapshot {
    /// The columns that rows sent with this mapping have, each with its kind; none when values are not kept.
    pub fn kinds(&self, mapping: u32) -> Vec<(String, String)> {
        let schema = self.sent_schema(mapping);
        schema.iter().flat_map(|schema| schema.fields()).map(|f| (f.name().clone(), kind_of(f))).collect()
    }

    /// True when some row holds a value in a column of this mapping.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn has_values(&self, mapping: u32, column: &str) -> Result<bool> {
        let stored = self.meta().stored(mapping).unwrap_or_default();
        let Some((_, stored)) = stored.into_iter().find(|(name, _)| *name == column) else { return Ok(false) };
        for group in 0..self.groups().len() {
            for batch in self.read(vec![group], None, &[], &[stored])? {
                let batch = batch.map_err(|e| self.unreadable(&e))?;
                if batch.columns().iter().any(|values| values.logical_null_count() < values.len()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
