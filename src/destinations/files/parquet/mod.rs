//! Parquet: typed as the model's columns, column by column; what is not written keeps its type and values.

mod typed;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use ::parquet::arrow::{ArrowWriter, ProjectionMask};
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, new_null_array};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::zip::zip;

use super::cell::Cell;
use super::format::{Changes, Format, Identity, hash, unreadable};
use super::stage::failed;
use crate::destinations::table::Columns;
use crate::destinations::{Action, Batch, Operation, Outcome, SendError};

/// Rows read and written at a time.
const ROWS: usize = 8192;

/// The Parquet format for one target.
pub(super) struct Parquet {
    /// All columns of the file: those it has, then those the sync adds.
    schema: SchemaRef,
    /// Position in the schema of each column written, identifiers first.
    places: Vec<usize>,
    identifiers: usize,
}

impl Parquet {
    /// The format; checks the columns of the file that is there.
    pub fn open(columns: &Columns, existing: Option<&Path>) -> Result<Self, SendError> {
        let mut fields: Vec<Field> = Vec::new();
        if let Some(path) = existing {
            for field in builder(path)?.schema().fields() {
                let kept = typed::plain(field.data_type()).unwrap_or_else(|| field.data_type().clone());
                fields.push(Field::new(field.name(), kept, true));
            }
        }
        let mut places = Vec::new();
        for (i, column) in columns.all().enumerate() {
            let place = fields.iter().position(|f| *f.name() == column.name);
            match (place, existing) {
                (Some(place), Some(path)) => {
                    let found = fields.get(place).map(Field::data_type);
                    if found.is_some_and(|t| typed::plain(t).is_none()) {
                        let what = format!("column `{}` has a type that cannot be written", column.name);
                        return Err(unreadable(path, what));
                    }
                    places.push(place);
                }
                (None, Some(path)) if i < columns.matching.len() => {
                    let what = format!("there is no column `{}`, by which records are matched", column.name);
                    return Err(unreadable(path, what));
                }
                _ => {
                    let data_type = column.data_type.as_ref().and_then(typed::plain).unwrap_or(typed::TEXT);
                    places.push(fields.len());
                    fields.push(Field::new(&column.name, data_type, true));
                }
            }
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), places, identifiers: columns.matching.len() })
    }

    /// The columns written, as texts.
    fn texts(&self, batch: &RecordBatch, count: usize) -> Result<Vec<StringArray>, String> {
        self.places.iter().take(count).map(|place| typed::to_text(batch.column(*place))).collect()
    }

    fn identity_at(&self, texts: &[StringArray], row: usize) -> Identity {
        hash(texts.iter().take(self.identifiers).map(|column| value(column, row)))
    }

    /// A batch of the file with all columns of the new one.
    fn widened(&self, batch: &RecordBatch) -> Result<RecordBatch, String> {
        let columns = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => arrow_cast::cast(column, field.data_type()).map_err(|e| e.to_string()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, String>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|e| e.to_string())
    }

    /// A batch of the file as the changes leave it; `true` beside it when it differs.
    fn merged(&self, batch: RecordBatch, changes: &mut dyn Changes) -> Result<(RecordBatch, bool), Trouble> {
        let identifiers = self.texts(&batch, self.identifiers)?;
        let touched: Vec<(usize, Identity)> = (0..batch.num_rows())
            .map(|row| (row, self.identity_at(&identifiers, row)))
            .filter(|(_, identity)| changes.touches(*identity))
            .collect();
        if touched.is_empty() {
            return Ok((batch, false));
        }
        let texts = self.texts(&batch, self.places.len())?;
        let mut kept = vec![true; batch.num_rows()];
        let mut news: Vec<Vec<Option<Cell>>> = vec![vec![None; batch.num_rows()]; self.places.len()];
        let mut differs = false;
        for (row, identity) in touched {
            let current: Vec<Cell> = texts.iter().map(|column| Cell::new(value(column, row))).collect();
            let Some(after) = changes.merge(identity, current.clone())? else {
                kept[row] = false; // rows are counted from the batch itself
                differs = true;
                continue;
            };
            for ((new, before), after) in news.iter_mut().zip(current).zip(after) {
                if before != after {
                    new[row] = Some(after); // as above
                    differs = true;
                }
            }
        }
        let mut columns = batch.columns().to_vec();
        for (place, new) in self.places.iter().zip(&news) {
            if new.iter().any(Option::is_some) {
                let changed: BooleanArray = new.iter().map(|cell| Some(cell.is_some())).collect();
                let values: StringArray = new.iter().map(|cell| cell.as_ref().and_then(Cell::text)).collect();
                let column = &mut columns[*place]; // places are positions in the schema
                let values = typed::from_text(&values, column.data_type())?;
                *column = zip(&changed, &values, column).map_err(|e| e.to_string())?;
            }
        }
        let whole = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|e| e.to_string())?;
        let rows = filter_record_batch(&whole, &BooleanArray::from(kept)).map_err(|e| e.to_string())?;
        Ok((rows, differs))
    }

    /// A batch of new rows.
    fn made_of(&self, rows: &[Vec<Cell>]) -> Result<RecordBatch, String> {
        let column = |(i, field): (usize, &Arc<Field>)| match self.places.iter().position(|place| *place == i) {
            None => Ok(new_null_array(field.data_type(), rows.len())),
            Some(position) => {
                let texts: StringArray = rows.iter().map(|row| row.get(position).and_then(Cell::text)).collect();
                typed::from_text(&texts, field.data_type())
            }
        };
        let columns = self.schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>, String>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|e| e.to_string())
    }
}

impl Format for Parquet {
    /// Each column of the batch is converted as a whole; a value that does not survive is its record's rejection.
    fn cells(&self, batch: &Batch, columns: &Columns) -> Vec<Result<Vec<Cell>, Outcome>> {
        let count = batch.operations.len();
        let sends = |n: usize| batch.operations.get(n).is_some_and(|o| o.action == Action::Send);
        let mut rows: Vec<Result<Vec<Cell>, Outcome>> = (0..count).map(|_| Ok(Vec::new())).collect();
        for (i, (column, place)) in columns.all().zip(&self.places).enumerate() {
            let held = |operation: &Operation| match i < self.identifiers {
                true => Some(column.identifier(&operation.record)).cloned(),
                false => column.field(&operation.record).cloned(),
            };
            let values: Vec<_> = batch.operations.iter().map(held).collect();
            let text = |value: &Option<crate::mapping::Value>| {
                value.as_ref().filter(|v| !v.is_null()).map(|v| v.text().into_owned())
            };
            let texts: StringArray = values.iter().map(text).collect();
            let field = self.schema.field(*place);
            // Types come from `plain`, all of which have both conversions; an error would reject the whole column.
            let typed = typed::from_text(&texts, field.data_type()).and_then(|array| typed::to_text(&array));
            for (n, row) in rows.iter_mut().enumerate() {
                let Ok(cells) = row else { continue };
                let (given, kept) = (value(&texts, n), typed.as_ref().ok().and_then(|t| value(t, n)));
                match (values.get(n), given, kept) {
                    (Some(None), _, _) => cells.push(Cell::Absent),
                    (_, None, _) => cells.push(Cell::Null),
                    (_, Some(_), Some(kept)) => cells.push(Cell::Text(kept.into())),
                    // What is deleted or cleared needs no fields; those of a diff's removed records are shown as far as they fit.
                    (_, Some(_), None) if i >= self.identifiers && !sends(n) => cells.push(Cell::Null),
                    (_, Some(_), None) => {
                        *row = Err(Outcome::Rejected {
                            code: "type_mismatch".into(),
                            message: format!(
                                "column `{}` holds {}, which the value is not",
                                column.name,
                                field.data_type()
                            ),
                        });
                    }
                }
            }
        }
        rows
    }

    fn identity(&self, cells: &[Cell]) -> Identity {
        hash(cells.iter().take(self.identifiers).map(Cell::text))
    }

    fn scan(&self, file: &Path, seen: &mut dyn FnMut(Identity)) -> Result<(), SendError> {
        let identifiers: Vec<usize> = self.places.iter().take(self.identifiers).copied().collect();
        for batch in reader(file, Some(&identifiers))? {
            let batch = batch.map_err(|e| unreadable(file, e))?;
            let column = |place: &usize| {
                let field = self.schema.field(*place);
                let column = batch.column_by_name(field.name()).ok_or("a column is gone")?;
                typed::to_text(&arrow_cast::cast(column, field.data_type()).map_err(|e| e.to_string())?)
            };
            let texts = identifiers.iter().map(column).collect::<Result<Vec<_>, String>>();
            let texts = texts.map_err(|e| unreadable(file, e))?;
            (0..batch.num_rows()).for_each(|row| seen(self.identity_at(&texts, row)));
        }
        Ok(())
    }

    fn look(
        &self,
        file: &Path,
        wanted: &dyn Fn(Identity) -> bool,
        found: &mut dyn FnMut(Identity, Vec<Cell>),
    ) -> Result<(), SendError> {
        for batch in reader(file, None)? {
            let batch = batch.map_err(|e| unreadable(file, e))?;
            let batch = self.widened(&batch).map_err(|e| unreadable(file, e))?;
            let texts = self.texts(&batch, self.places.len()).map_err(|e| unreadable(file, e))?;
            for row in 0..batch.num_rows() {
                let identity = self.identity_at(&texts, row);
                if wanted(identity) {
                    found(identity, texts.iter().map(|column| Cell::new(value(column, row))).collect());
                }
            }
        }
        Ok(())
    }

    fn rewrite(&self, old: Option<&Path>, new: File, changes: &mut dyn Changes) -> Result<bool, SendError> {
        let path = Path::new("the new Parquet file");
        let bad = |e: String| unreadable(old.unwrap_or(path), e);
        let written = |e: ::parquet::errors::ParquetError| failed(&std::io::Error::other(e), path);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(131_072))
            .build();
        let mut out = ArrowWriter::try_new(new, Arc::clone(&self.schema), Some(properties)).map_err(written)?;
        let mut differs = old.is_none();
        for batch in old.map(|old| reader(old, None)).transpose()?.into_iter().flatten() {
            let batch = batch.map_err(|e| bad(e.to_string()))?;
            let batch = self.widened(&batch).map_err(bad)?;
            let (rows, changed) = self.merged(batch, changes).map_err(|e| e.of(bad))?;
            differs |= changed;
            out.write(&rows).map_err(written)?;
        }
        let mut rows = Vec::new();
        loop {
            let row = changes.appended()?;
            let last = row.is_none();
            rows.extend(row);
            if rows.len() == ROWS || (last && !rows.is_empty()) {
                differs = true;
                out.write(&self.made_of(&rows).map_err(bad)?).map_err(written)?;
                rows.clear();
            }
            if last {
                break;
            }
        }
        out.close().map_err(written)?;
        Ok(differs)
    }
}

/// Either the file cannot be worked with, or the changes cannot be read.
enum Trouble {
    File(String),
    Changes(SendError),
}

impl Trouble {
    fn of(self, file: impl Fn(String) -> SendError) -> SendError {
        match self {
            Trouble::File(what) => file(what),
            Trouble::Changes(error) => error,
        }
    }
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Trouble::File(what)
    }
}

impl From<SendError> for Trouble {
    fn from(error: SendError) -> Self {
        Trouble::Changes(error)
    }
}

fn value(column: &StringArray, row: usize) -> Option<&str> {
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, SendError> {
    let file = File::open(path).map_err(|e| failed(&e, path))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| unreadable(path, e))
}

fn reader(path: &Path, columns: Option<&[usize]>) -> Result<ParquetRecordBatchReader, SendError> {
    let builder = builder(path)?;
    let mask = match columns {
        Some(columns) => ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied()),
        None => ProjectionMask::all(),
    };
    builder.with_projection(mask).with_batch_size(ROWS).build().map_err(|e| unreadable(path, e))
}
