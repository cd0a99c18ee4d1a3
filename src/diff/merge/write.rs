//! Writing a snapshot: under another name, made durable, then put in its place.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tempfile::TempPath;

use crate::diagnostic::Error;
use crate::diff::snapshot::{self, KEY_HASH, META, Meta, ROW_HASH};

/// Rows of a row group: what one thread loads at a time, and what the writer holds in memory.
const GROUP_ROWS: usize = 1 << 18;
/// Rows of a page: what is decompressed to get at one row.
const PAGE_ROWS: usize = 2048;

/// A snapshot being written.
pub(super) struct Writer {
    out: PathBuf,
    path: TempPath,
    writer: ArrowWriter<BufWriter<File>>,
    rows: u64,
    numbers: BTreeSet<u32>,
}

impl Writer {
    /// Starts a file beside `out`. `merging` are the columns while merging, whose last one is not written.
    pub(super) fn create(out: &Path, merging: &SchemaRef) -> Result<Writer, Error> {
        let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new().prefix(".snapshot-").tempfile_in(folder);
        let (file, path) = temporary.map_err(|e| unwritable(out, &e))?.into_parts();
        let fields = merging.fields();
        let schema = Schema::new(fields[..fields.len() - 1].to_vec());
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(1024)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_sorting_columns(Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: false }]));
        // Hashes are random: compressing them costs time and saves nothing.
        for column in [KEY_HASH, ROW_HASH] {
            let path = || ColumnPath::from(column);
            properties = properties
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::PLAIN)
                .set_column_compression(path(), Compression::UNCOMPRESSED)
                .set_column_data_page_row_count_limit(path(), 1 << 15);
        }
        properties = properties.set_column_statistics_enabled(ColumnPath::from(KEY_HASH), EnabledStatistics::Chunk);
        let file = BufWriter::with_capacity(1 << 20, file);
        let writer =
            ArrowWriter::try_new(file, Arc::new(schema), Some(properties.build())).map_err(|e| unwritable(out, &e))?;
        Ok(Writer { out: out.to_owned(), path, writer, rows: 0, numbers: BTreeSet::new() })
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
        self.writer.write(batch).map_err(|e| unwritable(&self.out, &e))
    }

    /// Closes the file, makes it durable and puts it in its place.
    pub(super) fn finish(mut self, mut meta: Meta) -> Result<u64, Error> {
        let fail = |e: &dyn std::fmt::Display| unwritable(&self.out, e);
        meta.mappings.retain(|number, _| self.numbers.contains(number));
        meta.columns.retain(|number, _| self.numbers.contains(number));
        let json = serde_json::to_string(&meta).map_err(|e| fail(&e))?;
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

fn unwritable(out: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed_help(
        format!("the snapshot `{}` cannot be written: {error}", out.display()),
        "check that the disk has room and that the folder can be written to; the old snapshot is untouched",
    )
}
