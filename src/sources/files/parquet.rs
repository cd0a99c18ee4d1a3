//! Parquet: types as written, text as string views (no copy per value) or, on demand, as the dictionaries it is kept in;
//! parts by row groups.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Encoding, LogicalType};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::part::{Batches, Part};
use super::stamp::Stamp;
use super::table::check_names;
use crate::diagnostic::{Error, Result};
use crate::sources::normal::intervals;
use crate::sources::{Batch, BatchStream, TYPE_JSON, TYPE_KEY};

/// A Parquet file whose footer was read.
pub(super) struct ParquetFile {
    stamp: Stamp,
    metadata: ArrowReaderMetadata,
    /// To read columns as dictionaries that are nothing else in the file.
    encoded: ArrowReaderMetadata,
}

/// Rows of a batch: few enough that what was decoded is still in the cache when it is looked at.
const ROWS: usize = 16_384;

const BROKEN: &str = "the file is cut or damaged, or still being written; write it again";

/// Reads the footers.
pub(super) fn survey(stamps: &[Stamp]) -> Result<(SchemaRef, Vec<ParquetFile>)> {
    let mut schema: Option<SchemaRef> = None;
    let mut files = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let fault = |e: parquet::errors::ParquetError| stamp.fault(e, BROKEN);
        let file = stamp.open()?;
        let options = ArrowReaderOptions::new();
        let plain = guarded(stamp, || ArrowReaderMetadata::load(&file, options).map_err(fault))?;
        check_ranges(stamp, &plain)?;
        let own = views(plain.schema());
        // Reading text as views is a matter of the schema asked for; the footer is not read again.
        let read_as = |schema: SchemaRef| {
            let options = ArrowReaderOptions::new().with_schema(schema);
            guarded(stamp, || ArrowReaderMetadata::try_new(plain.metadata().clone(), options).map_err(fault))
        };
        let metadata = read_as(own.clone())?;
        let encoded = read_as(dictionaries(&own, &plain))?;
        let announced = Arc::new(announced(&own, &metadata));
        check_names(announced.fields().iter().map(|f| f.name().as_str()), &stamp.path)?;
        match &schema {
            Some(first) if *first != announced => return Err(differs(stamp, first, &announced, stamps)),
            Some(_) => {}
            None => schema = Some(announced),
        }
        files.push(ParquetFile { stamp: stamp.clone(), metadata, encoded });
    }
    Ok((schema.unwrap_or_else(|| Arc::new(Schema::empty())), files))
}

/// Runs what reads a file. The reader trusts some of what a footer or a page says of itself: where that makes it panic,
/// the file is damaged.
fn guarded<T>(stamp: &Stamp, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(stamp.fault("it is damaged", BROKEN)))
}

/// What went wrong while pages were read. A codec that is not built in is no damage.
fn unreadable(stamp: &Stamp, error: &dyn std::fmt::Display) -> Error {
    let text = error.to_string();
    match text.split_once("Disabled feature at compile time: ") {
        Some((_, codec)) => stamp.fault(
            format!("it is compressed with {codec}, which is not read here"),
            "write it with zstd, snappy, lz4 or gzip",
        ),
        None => stamp.fault(text, BROKEN),
    }
}

/// Fails when a footer speaks of bytes the file does not have.
fn check_ranges(stamp: &Stamp, metadata: &ArrowReaderMetadata) -> Result<()> {
    let inside = |column: &ColumnChunkMetaData| {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let (start, length) = (u64::try_from(start).ok()?, u64::try_from(column.compressed_size()).ok()?);
        start.checked_add(length).filter(|end| *end <= stamp.length())
    };
    let groups = metadata.metadata().row_groups();
    match groups.iter().all(|group| group.num_rows() >= 0 && group.columns().iter().all(|c| inside(c).is_some())) {
        true => Ok(()),
        false => Err(stamp.fault("its footer speaks of data that are not there", BROKEN)),
    }
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

/// The schema to read with where the same values are wanted once: text columns of which every page in the file is
/// dictionary-encoded stay so.
fn dictionaries(views: &Schema, metadata: &ArrowReaderMetadata) -> SchemaRef {
    let parquet = metadata.parquet_schema();
    let groups = metadata.metadata().row_groups();
    let only_keys = |root: usize| {
        let leaves = (0..parquet.num_columns()).filter(|leaf| parquet.get_column_root_idx(*leaf) == root);
        let keys = |column: &ColumnChunkMetaData| {
            let pages = column.page_encoding_stats_mask();
            pages.is_some_and(|p| p.is_only(Encoding::RLE_DICTIONARY) || p.is_only(Encoding::PLAIN_DICTIONARY))
        };
        leaves.into_iter().all(|leaf| groups.iter().all(|group| group.columns().get(leaf).is_some_and(keys)))
    };
    let field = |(root, field): (usize, &Arc<Field>)| match field.data_type() {
        DataType::Utf8View if !groups.is_empty() && only_keys(root) => {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(dictionary))
        }
        _ => field.clone(),
    };
    let fields: Vec<_> = views.fields().iter().enumerate().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, views.metadata().clone()))
}

/// The schema to show: nullable, without the writer's notes, JSON marked as such.
fn announced(schema: &Schema, metadata: &ArrowReaderMetadata) -> Schema {
    let parquet = metadata.parquet_schema().root_schema().get_fields();
    let fields = schema.fields().iter().zip(parquet).map(|(field, own)| {
        let json = own.get_basic_info().logical_type_ref() == Some(&LogicalType::Json);
        let marks = json.then(|| (TYPE_KEY.to_owned(), TYPE_JSON.to_owned()));
        Field::new(field.name(), shown_type(field.data_type()), true)
            .with_metadata(marks.into_iter().collect::<HashMap<_, _>>())
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// The type a column is shown with: a length of time is ISO 8601 text, as from every source.
fn shown_type(read: &DataType) -> DataType {
    match read {
        DataType::Duration(_) => DataType::Utf8,
        other => other.clone(),
    }
}

/// A column as it is shown.
fn shown(array: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Duration(_) => Ok(Arc::new(intervals(array)?)),
        _ => Ok(array.clone()),
    }
}

/// The rows of the files: each file in about `parts` parts of whole row groups. With `encoded`, text may come as
/// dictionaries, in one file otherwise than in another.
pub(super) fn streams(
    files: &[ParquetFile],
    schema: &SchemaRef,
    columns: &[usize],
    parts: usize,
    encoded: bool,
) -> Result<Vec<BatchStream>> {
    let announced: SchemaRef = Arc::new(super::project(schema, columns)?);
    let mut streams: Vec<BatchStream> = Vec::new();
    for file in files {
        let metadata = if encoded { &file.encoded } else { &file.metadata };
        let types = super::project(metadata.schema(), columns)?;
        let fields = announced.fields().iter().zip(types.fields());
        let fields = fields.map(|(field, read)| field.as_ref().clone().with_data_type(shown_type(read.data_type())));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        for groups in split(file, parts) {
            let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
            let (stamp, metadata) = (file.stamp.clone(), metadata.clone());
            let open = move |schema| {
                let input = stamp.open()?;
                let build = || {
                    ParquetRecordBatchReaderBuilder::<File>::new_with_metadata(input, metadata)
                        .with_batch_size(ROWS)
                        .with_projection(mask)
                        .with_row_groups(groups)
                        .build()
                        .map_err(|e| unreadable(&stamp, &e))
                };
                let reader = guarded(&stamp, build)?;
                Ok(Groups { reader, schema, stamp })
            };
            streams.push(Part::stream(schema.clone(), open));
        }
    }
    Ok(streams)
}

/// Row groups in runs of about the same number of rows.
fn split(file: &ParquetFile, parts: usize) -> Vec<Vec<usize>> {
    let groups = file.metadata.metadata().row_groups();
    let size = |group: &RowGroupMetaData| u64::try_from(group.num_rows()).unwrap_or(0);
    let rows = groups.iter().map(size).fold(0, u64::saturating_add);
    let share = rows / parts.max(1) as u64;
    let mut split: Vec<Vec<usize>> = vec![Vec::new()];
    let mut taken = 0_u64;
    for (at, group) in groups.iter().enumerate() {
        if taken > share {
            split.push(Vec::new());
            taken = 0;
        }
        taken = taken.saturating_add(size(group));
        if let Some(last) = split.last_mut() {
            last.push(at);
        }
    }
    split
}

/// Some row groups of one file.
struct Groups {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    stamp: Stamp,
}

impl Batches for Groups {
    fn batch(&mut self) -> Result<Option<Batch>> {
        let reader = &mut self.reader;
        let Some(batch) = guarded(&self.stamp, || Ok(reader.next()))? else {
            self.stamp.check()?;
            return Ok(None);
        };
        // A file that was replaced or cut meanwhile gives all sorts of errors: say what it is.
        let batch = batch.map_err(|e| self.stamp.check().err().unwrap_or_else(|| unreadable(&self.stamp, &e)))?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns: std::result::Result<Vec<_>, _> = batch.columns().iter().map(shown).collect();
        let columns = columns.map_err(|e| self.stamp.fault(e, BROKEN))?;
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map(|rows| Some(rows.into()))
            .map_err(|e| self.stamp.fault(e, BROKEN))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn text_that_is_a_dictionary_in_the_file_can_be_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let column = |values: [&str; 4]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
        let columns = [("note", column(["a", "b", "c", "d"])), ("plan", column(["free", "free", "premium", "free"]))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(2))
            .set_column_dictionary_enabled("note".into(), false)
            .build();
        let path = folder.path().join("t.parquet");
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();

        let (schema, files) = survey(&[Stamp::take(&path).unwrap()]).unwrap();
        assert!(schema.fields().iter().all(|field| *field.data_type() == DataType::Utf8View));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for (encoded, plan) in [(true, dictionary), (false, DataType::Utf8View)] {
            let mut rows = Vec::new();
            for stream in streams(&files, &schema, &[0, 1], 1, encoded).unwrap() {
                assert_eq!(*stream.schema().field(0).data_type(), DataType::Utf8View);
                assert_eq!(*stream.schema().field(1).data_type(), plan);
                for batch in stream {
                    let batch = batch.unwrap().whole().unwrap();
                    let plans = arrow_cast::cast(batch.column(1), &DataType::Utf8).unwrap();
                    let plans = plans.as_any().downcast_ref::<StringArray>().unwrap();
                    rows.extend(plans.iter().flatten().map(str::to_owned));
                }
            }
            assert_eq!(rows, ["free", "free", "premium", "free"]);
        }
    }
}
