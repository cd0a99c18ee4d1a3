//! Parquet: types as written, text as string views (no copy per value), parts by row groups.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::LogicalType;

use super::stamp::Stamp;
use super::table::check_names;
use crate::diagnostic::{Error, Result};
use crate::sources::{BATCH_ROWS, BatchStream, TYPE_JSON, TYPE_KEY, stream_error};

/// A Parquet file whose footer was read.
pub(super) struct ParquetFile {
    stamp: Stamp,
    metadata: ArrowReaderMetadata,
}

const BROKEN: &str = "the file is cut or damaged, or still being written; write it again";

/// Reads the footers.
pub(super) fn survey(stamps: &[Stamp]) -> Result<(SchemaRef, Vec<ParquetFile>)> {
    let mut schema: Option<SchemaRef> = None;
    let mut files = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let fault = |e: parquet::errors::ParquetError| stamp.fault(e, BROKEN);
        let file = stamp.open()?;
        let options = ArrowReaderOptions::new();
        let plain = ArrowReaderMetadata::load(&file, options.clone()).map_err(fault)?;
        let own = views(plain.schema());
        // Reading text as views is a matter of the schema asked for; the footer is not read again.
        let metadata =
            ArrowReaderMetadata::try_new(plain.metadata().clone(), options.with_schema(own.clone())).map_err(fault)?;
        let announced = Arc::new(announced(&own, &metadata));
        check_names(announced.fields().iter().map(|f| f.name().as_str()), &stamp.path)?;
        match &schema {
            Some(first) if *first != announced => return Err(differs(stamp, first, &announced, stamps)),
            Some(_) => {}
            None => schema = Some(announced),
        }
        files.push(ParquetFile { stamp: stamp.clone(), metadata });
    }
    Ok((schema.unwrap_or_else(|| Arc::new(Schema::empty())), files))
}

fn differs(stamp: &Stamp, first: &Schema, own: &Schema, stamps: &[Stamp]) -> Error {
    let odd = own.fields().iter().find(|f| !first.fields().iter().any(|own| own == *f)).map(|f| f.name().as_str());
    let path = stamps.first().map(|s| s.path.display().to_string()).unwrap_or_default();
    let what = match odd {
        Some(name) => format!("column `{name}` is not as in `{path}`"),
        None => format!("the columns differ from those of `{path}`"),
    };
    stamp.fault(what, "the files of a folder are one table: give all of them the same columns and types")
}

/// The schema to read with: text as views.
fn views(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => field.clone(),
    };
    Arc::new(Schema::new_with_metadata(
        schema.fields().iter().map(field).collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

/// The schema to show: nullable, without the writer's notes, JSON marked as such.
fn announced(schema: &Schema, metadata: &ArrowReaderMetadata) -> Schema {
    let parquet = metadata.parquet_schema().root_schema().get_fields();
    let fields = schema.fields().iter().zip(parquet).map(|(field, own)| {
        let json = own.get_basic_info().logical_type_ref() == Some(&LogicalType::Json);
        let marks = json.then(|| (TYPE_KEY.to_owned(), TYPE_JSON.to_owned()));
        Field::new(field.name(), field.data_type().clone(), true)
            .with_metadata(marks.into_iter().collect::<HashMap<_, _>>())
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// The rows of the files: each file in about `parts` parts of whole row groups.
pub(super) fn streams(
    files: &[ParquetFile],
    schema: &SchemaRef,
    columns: &[usize],
    parts: usize,
) -> Result<Vec<BatchStream>> {
    let schema: SchemaRef = Arc::new(super::project(schema, columns)?);
    let mut streams: Vec<BatchStream> = Vec::new();
    for file in files {
        for groups in split(file, parts) {
            let input = file.stamp.open()?;
            let mask = ProjectionMask::roots(file.metadata.parquet_schema(), columns.iter().copied());
            let reader = ParquetRecordBatchReaderBuilder::<File>::new_with_metadata(input, file.metadata.clone())
                .with_batch_size(BATCH_ROWS)
                .with_projection(mask)
                .with_row_groups(groups)
                .build()
                .map_err(|e| file.stamp.fault(e, BROKEN))?;
            streams.push(Box::new(Part { reader, schema: schema.clone(), stamp: file.stamp.clone(), done: false }));
        }
    }
    Ok(streams)
}

/// Row groups in runs of about the same number of rows.
fn split(file: &ParquetFile, parts: usize) -> Vec<Vec<usize>> {
    let groups = file.metadata.metadata().row_groups();
    let rows: i64 = groups.iter().map(|g| g.num_rows()).sum();
    let share = rows / i64::try_from(parts.max(1)).unwrap_or(1) + 1;
    let mut split: Vec<Vec<usize>> = vec![Vec::new()];
    let mut taken = 0;
    for (at, group) in groups.iter().enumerate() {
        if taken >= share {
            split.push(Vec::new());
            taken = 0;
        }
        taken += group.num_rows();
        if let Some(last) = split.last_mut() {
            last.push(at);
        }
    }
    split
}

/// Some row groups of one file.
struct Part {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    stamp: Stamp,
    done: bool,
}

impl Part {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.reader.next() else {
            self.stamp.check()?;
            return Ok(None);
        };
        // A file that was replaced or cut meanwhile gives all sorts of errors: say what it is.
        let batch = batch.map_err(|e| self.stamp.check().err().unwrap_or_else(|| self.stamp.fault(e, BROKEN)))?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map(Some)
            .map_err(|e| self.stamp.fault(e, BROKEN))
    }
}

impl Iterator for Part {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.batch();
        self.done = !matches!(batch, Ok(Some(_)));
        batch.map_err(stream_error).transpose()
    }
}

impl RecordBatchReader for Part {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
