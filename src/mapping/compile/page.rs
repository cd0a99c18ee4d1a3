//! Records as JSON, written straight from the rows they are made of.

use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;

use super::{Bound, Cell, Mapping, Record, Unmappable, Value};
use crate::diagnostic::Result;

/// The records of some rows, each written as the entries of a JSON object, `"name":value`, identifiers first. Who sends
/// JSON takes it from here; values are made of the rows only where somebody asks for them.
#[derive(Debug)]
pub struct Page {
    mapping: Arc<Mapping>,
    rows: RecordBatch,
    /// Row of each record, and whether it was added.
    lines: Vec<(usize, bool)>,
    /// All entries, each with a comma behind it.
    bytes: Vec<u8>,
    /// Where each entry of each record begins; one that is left out is empty.
    starts: Vec<usize>,
    /// Identifiers of each record.
    identifiers: Vec<Value>,
}

impl Page {
    /// Writes the records of these rows on one page; true for those that are added.
    ///
    /// # Errors
    /// As [`Mapping::bind`].
    pub fn write(
        mapping: &Arc<Mapping>,
        rows: &RecordBatch,
        which: impl Iterator<Item = (usize, bool)>,
    ) -> Result<Vec<Result<Payload, Unmappable>>> {
        let (most, entries) = (rows.num_rows(), mapping.keys.len());
        let mut page = Self {
            mapping: Arc::clone(mapping),
            rows: rows.clone(),
            lines: Vec::with_capacity(most),
            bytes: Vec::with_capacity(most * entries * 24),
            starts: Vec::with_capacity(most * entries),
            identifiers: Vec::with_capacity(most * mapping.matching.len()),
        };
        let (bound, mut scratch) = (mapping.bind(rows)?, String::new());
        let lines: Vec<_> = which.map(|(row, added)| page.add(&bound, row, added, &mut scratch)).collect();
        let page = Arc::new(page);
        let payload = |line| Payload::Written(Line { page: Arc::clone(&page), line, made: OnceLock::new() });
        Ok(lines.into_iter().map(|line| line.map(payload)).collect())
    }

    fn add(
        &mut self,
        bound: &Bound<'_>,
        row: usize,
        added: bool,
        scratch: &mut String,
    ) -> std::result::Result<usize, Unmappable> {
        let before = (self.bytes.len(), self.starts.len(), self.identifiers.len());
        let written = self.entries(bound, row, added, scratch);
        if let Err(fault) = written {
            self.bytes.truncate(before.0);
            self.starts.truncate(before.1);
            self.identifiers.truncate(before.2);
            return Err(fault);
        }
        self.lines.push((row, added));
        Ok(self.lines.len() - 1)
    }

    fn entries(
        &mut self,
        bound: &Bound<'_>,
        row: usize,
        added: bool,
        scratch: &mut String,
    ) -> std::result::Result<(), Unmappable> {
        let mapping = bound.mapping;
        let mut keys = mapping.keys.iter();
        let mut begin = |out: &mut Vec<u8>, starts: &mut Vec<usize>| {
            starts.push(out.len());
            out.extend_from_slice(keys.next().map(Vec::as_slice).unwrap_or_default());
        };
        for identifier in bound.identifiers(row) {
            let value = identifier?;
            begin(&mut self.bytes, &mut self.starts);
            value.write_json(&mut self.bytes);
            self.bytes.push(b',');
            self.identifiers.push(value);
        }
        let mut context = None;
        for (cell, step) in bound.fields.iter().zip(&mapping.fields) {
            let start = self.bytes.len();
            begin(&mut self.bytes, &mut self.starts);
            let straight = match cell {
                Cell::Column(column, _) if step.transform.is_empty() && (added || !step.only_added) => {
                    column.write_json(row, &mut self.bytes, scratch)
                }
                _ => false,
            };
            if !straight {
                match bound.field(cell, step, row, added, &mut context)? {
                    Some(value) => value.write_json(&mut self.bytes),
                    None => {
                        self.bytes.truncate(start);
                        continue;
                    }
                }
            }
            self.bytes.push(b',');
        }
        Ok(())
    }

    /// Where some entries of a record are, the comma behind the last one included.
    fn place(&self, line: usize, entries: Range<usize>) -> Range<usize> {
        let first = line * self.mapping.keys.len();
        let start = |at: usize| self.starts.get(first + at).copied().unwrap_or(self.bytes.len());
        start(entries.start)..start(entries.end)
    }

    /// The values of a record.
    fn record(&self, line: usize) -> Record {
        let made = self.lines.get(line).and_then(|(row, added)| {
            let bound = self.mapping.bind(&self.rows).ok()?;
            bound.record(*row, *added).ok()
        });
        // The same mapping made the same record of the same row before.
        made.unwrap_or_else(|| Record {
            matching: self.matching(line).to_vec(),
            fields: vec![None; self.mapping.fields.len()],
        })
    }

    fn matching(&self, line: usize) -> &[Value] {
        let each = self.mapping.matching.len();
        self.identifiers.get(line * each..(line + 1) * each).unwrap_or_default()
    }
}

/// A record on its way: its values, or where it is written, and then the values are made when somebody asks for them.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Its values.
    Values(Record),
    /// A line of a page.
    Written(Line),
}

/// A line of a page.
#[derive(Debug, Clone)]
pub struct Line {
    page: Arc<Page>,
    line: usize,
    made: OnceLock<Box<Record>>,
}

impl Payload {
    /// Values of the identifiers, without a look at the fields.
    pub fn matching(&self) -> &[Value] {
        match self {
            Self::Values(record) => &record.matching,
            Self::Written(Line { page, line, .. }) => page.matching(*line),
        }
    }

    /// What is written of it, where it is.
    pub fn written(&self) -> Option<&Line> {
        match self {
            Self::Values(_) => None,
            Self::Written(line) => Some(line),
        }
    }
}

impl From<Record> for Payload {
    fn from(record: Record) -> Self {
        Self::Values(record)
    }
}

impl Deref for Payload {
    type Target = Record;

    fn deref(&self) -> &Record {
        match self {
            Self::Values(record) => record,
            Self::Written(Line { page, line, made }) => made.get_or_init(|| Box::new(page.record(*line))),
        }
    }
}

impl Line {
    /// All entries, identifiers first, without braces.
    pub fn all(&self) -> &[u8] {
        self.entries(0..self.page.mapping.keys.len())
    }

    /// The entries of the identifiers; none of them is null.
    pub fn identifiers(&self) -> &[u8] {
        self.entries(0..self.page.mapping.matching.len())
    }

    /// The entries of the fields that are not left out.
    pub fn fields(&self) -> &[u8] {
        self.entries(self.page.mapping.matching.len()..self.page.mapping.keys.len())
    }

    /// The entry of one field; empty where it is left out.
    pub fn field_entry(&self, at: usize) -> &[u8] {
        let entry = self.page.mapping.matching.len() + at;
        self.entries(entry..entry + 1)
    }

    /// The value of one identifier.
    pub fn identifier(&self, at: usize) -> Option<&[u8]> {
        self.value(at).filter(|_| at < self.page.mapping.matching.len())
    }

    /// The value of one field; `None` where it is left out.
    pub fn field(&self, at: usize) -> Option<&[u8]> {
        self.value(self.page.mapping.matching.len() + at)
    }

    fn value(&self, entry: usize) -> Option<&[u8]> {
        self.entries(entry..entry + 1).get(self.page.mapping.keys.get(entry)?.len()..)
    }

    fn entries(&self, which: Range<usize>) -> &[u8] {
        let place = self.page.place(self.line, which);
        // Without the comma behind the last one.
        self.page.bytes.get(place.start..place.end.saturating_sub(1).max(place.start)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
