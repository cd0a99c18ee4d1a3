//! Writing a snapshot: under another name, made durable, then put in its place.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use tempfile::TempPath;

use super::group::Group;
use crate::diagnostic::Error;
use crate::diff::snapshot::{self, KEY_HASH, META, Meta, ROW_HASH};

/// Rows of a row group: what one thread loads at a time, and what the writer holds in memory.
const GROUP_ROWS: usize = 1 << 18;
/// Rows of a page: what is decompressed to get at one row.
const PAGE_ROWS: usize = 2048;
/// The same where nothing is compressed: any row can be taken out.
const PLAIN_PAGE_ROWS: usize = 1 << 13;
/// Bytes of distinct values of fixed width in a row group up to which they are kept as a dictionary.
const SMALL_DICTIONARY: usize = 1 << 16;
/// The same for text, which takes several times as long to get at otherwise.
const TEXT_DICTIONARY: usize = 2 << 20;

/// A snapshot being written.
pub(super) struct Writer {
    out: PathBuf,
    path: TempPath,
    schema: SchemaRef,
    writer: SerializedFileWriter<BufWriter<File>>,
    factory: ArrowRowGroupWriterFactory,
    group: Option<Group>,
    groups: usize,
    rows: u64,
    numbers: BTreeSet<u32>,
}

impl Writer {
    /// Starts a file beside `out`. `merging` are the columns while merging, whose last one is not written; `unique` is the
    /// one that never has a value twice, if there is one.
    pub(super) fn create(out: &Path, merging: &SchemaRef, unique: Option<&str>) -> Result<Writer, Error> {
        let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new().prefix(".snapshot-").tempfile_in(folder);
        let (file, path) = temporary.map_err(|e| unwritable(out, &e))?.into_parts();
        let fields = merging.fields();
        let schema = Arc::new(Schema::new(fields[..fields.len() - 1].to_vec()));
        let file = BufWriter::with_capacity(1 << 20, file);
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties(&schema, unique)));
        let (writer, factory) =
            writer.and_then(ArrowWriter::into_serialized_writer).map_err(|e| unwritable(out, &e))?;
        let (out, numbers) = (out.to_owned(), BTreeSet::new());
        Ok(Writer { out, path, schema, writer, factory, group: None, groups: 0, rows: 0, numbers })
    }

    /// Appends rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut last = None;
        for number in snapshot::numbers(batch.column(2)).unwrap_or_default() {
            if last != Some(*number) {
                self.numbers.insert(*number);
                last = Some(*number);
            }
        }
        self.rows += batch.num_rows() as u64;
        self.append(batch.clone()).map_err(|e| unwritable(&self.out, &e))
    }

    fn append(&mut self, mut batch: RecordBatch) -> Result<(), ParquetError> {
        while batch.num_rows() > 0 {
            let group = match &mut self.group {
                Some(group) => group,
                none => {
                    let columns = self.factory.create_column_writers(self.groups)?;
                    none.insert(Group::start(&self.schema, self.writer.schema_descr(), columns))
                }
            };
            let rows = batch.num_rows().min(GROUP_ROWS - group.rows());
            group.push(batch.slice(0, rows))?;
            batch = batch.slice(rows, batch.num_rows() - rows);
            if group.rows() == GROUP_ROWS {
                self.close()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        self.groups += 1;
        let chunks = group.finish()?;
        let mut writer = self.writer.next_row_group()?;
        chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut writer))?;
        writer.close().map(drop)
    }

    /// Closes the file, makes it durable and puts it in its place.
    pub(super) fn finish(mut self, mut meta: Meta) -> Result<u64, Error> {
        let out = self.out.clone();
        let fail = |e: &dyn std::fmt::Display| unwritable(&out, e);
        meta.mappings.retain(|number, _| self.numbers.contains(number));
        meta.columns.retain(|number, _| self.numbers.contains(number));
        let json = serde_json::to_string(&meta).map_err(|e| fail(&e))?;
        self.close().map_err(|e| fail(&e))?;
        self.writer.append_key_value_metadata(KeyValue::new(META.to_owned(), json));
        let buffer = self.writer.into_inner().map_err(|e| fail(&e))?;
        let file = buffer.into_inner().map_err(|e| fail(&e))?;
        file.sync_all().map_err(|e| fail(&e))?;
        self.path.persist(&self.out).map_err(|e| fail(&e.error))?;
        // The name must be as durable as the content; not every system can say so of a folder.
        let folder = self.out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(folder) = File::open(folder) {
            folder.sync_all().map_err(|e| fail(&e))?;
        }
        Ok(self.rows)
    }
}

fn properties(schema: &Schema, unique: Option<&str>) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(1024)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_sorting_columns(Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: false }]));
    // Sorted by a hash, numbers and times have no neighbours like themselves: compressing them costs time at every plan
    // and saves little.
    let fixed = schema.fields().iter().filter(|field| {
        let data_type = field.data_type();
        let time =
            matches!(data_type, DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..));
        time || data_type.is_numeric()
    });
    for field in fixed {
        let path = || ColumnPath::from(vec![field.name().clone()]);
        properties = properties
            .set_column_dictionary_page_size_limit(path(), SMALL_DICTIONARY)
            .set_column_compression(path(), Compression::UNCOMPRESSED)
            .set_column_data_page_row_count_limit(path(), PLAIN_PAGE_ROWS);
    }
    for field in schema.fields().iter().filter(|field| *field.data_type() == DataType::Utf8) {
        let path = ColumnPath::from(vec![field.name().clone()]);
        properties = match unique == Some(field.name()) {
            true => properties.set_column_dictionary_enabled(path, false),
            false => properties.set_column_dictionary_page_size_limit(path, TEXT_DICTIONARY),
        };
    }
    // Hashes are random.
    for column in [KEY_HASH, ROW_HASH] {
        let path = || ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path(), false)
            .set_column_encoding(path(), Encoding::PLAIN)
            .set_column_compression(path(), Compression::UNCOMPRESSED)
            .set_column_data_page_row_count_limit(path(), 1 << 15);
    }
    properties = properties.set_column_statistics_enabled(ColumnPath::from(KEY_HASH), EnabledStatistics::Chunk);
    properties.build()
}

fn unwritable(out: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed_help(
        format!("the snapshot `{}` cannot be written: {error}", out.display()),
        "check that the disk has room and that the folder can be written to; the old snapshot is untouched",
    )
}
