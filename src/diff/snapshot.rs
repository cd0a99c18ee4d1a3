//! The snapshot: rows as last acknowledged by a destination. Parquet, sorted by key hash, readable by anyone
//! (`docs/state-format.md`).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use serde::{Deserialize, Serialize};

use super::Hash;
pub use super::layout::Layout;
use crate::diagnostic::{Error, Result};
use crate::mapping::MappingSpec;

/// Name of the column with the hash of the key.
pub const KEY_HASH: &str = "_key_hash";
/// Name of the column with the hash of the used columns.
pub const ROW_HASH: &str = "_row_hash";
/// Name of the column with the number of the mapping the row was sent with.
pub const MAPPING: &str = "_mapping";
/// Where [`Meta`] stands in the Parquet file's metadata.
pub const META: &str = "syncline";
/// Columns before the used ones.
pub(super) const HEAD: usize = 3;

/// What a snapshot says of itself, kept as JSON in the Parquet file's metadata under `syncline`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of this format: `1.0`. Another major is refused.
    pub format_version: String,
    /// The sync.
    pub sync: String,
    /// Key columns and their logical types, in order.
    pub key: Vec<(String, String)>,
    /// True when the used columns' values are kept, false for fingerprints alone.
    pub values: bool,
    /// Every mapping some row was sent with, by the number in the column `_mapping`.
    pub mappings: BTreeMap<u32, MappingSpec>,
    /// By the same number, the columns the row hash covers and where their values are. Kept by [`super::merge`].
    #[serde(default)]
    pub columns: BTreeMap<u32, Vec<KeptColumn>>,
    /// Number of the mapping in force while a snapshot is made (see [`super::merge`]); not kept.
    #[serde(skip)]
    pub current: Option<u32>,
}

/// A column as some rows have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptColumn {
    /// Its name in the model.
    pub name: String,
    /// Its name in the file: another one (`plan@2`) when rows of two types are kept; absent when values are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<String>,
}

impl Meta {
    /// What is said of a snapshot before its first row.
    pub fn new(sync: impl Into<String>, layout: &Layout, values: bool) -> Meta {
        Meta {
            format_version: "1.0".into(),
            sync: sync.into(),
            key: layout.key_types(),
            values,
            mappings: BTreeMap::new(),
            columns: BTreeMap::new(),
            current: None,
        }
    }

    /// The number of a mapping: the one it has, or the next free one, which it then gets.
    pub fn number(&mut self, spec: &MappingSpec) -> u32 {
        if let Some((number, _)) = self.mappings.iter().find(|(_, known)| *known == spec) {
            return *number;
        }
        let number = self.mappings.keys().next_back().map_or(1, |last| last + 1);
        self.mappings.insert(number, spec.clone());
        number
    }

    /// The columns of rows with this mapping when their values are kept: name in the model, name in the file.
    pub(super) fn stored(&self, mapping: u32) -> Option<Vec<(&str, &str)>> {
        self.columns.get(&mapping)?.iter().map(|c| Some((c.name.as_str(), c.stored.as_deref()?))).collect()
    }
}

/// A snapshot on disk.
#[derive(Debug, Clone)]
pub struct Snapshot {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    meta: Meta,
}

impl Snapshot {
    /// Opens a snapshot and reads what it says of itself, not its rows.
    ///
    /// Fails when the file cannot be read, is no snapshot, or is of a newer format.
    pub fn open(path: &Path) -> Result<Snapshot> {
        let fail = |e: &dyn std::fmt::Display| {
            Error::failed_help(
                format!("the snapshot `{}` cannot be read: {e}", path.display()),
                "restore the file from a backup of the state; the destination itself is not affected",
            )
        };
        let file = File::open(path).map_err(|e| fail(&e))?;
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|e| fail(&e))?;
        let entries = metadata.metadata().file_metadata().key_value_metadata();
        let json = entries.and_then(|kv| kv.iter().find(|kv| kv.key == META)).and_then(|kv| kv.value.as_deref());
        let json = json.ok_or_else(|| fail(&"it is a Parquet file, but not one of syncline's"))?;
        #[derive(Deserialize)]
        struct Version {
            format_version: String,
        }
        let Version { format_version } = serde_json::from_str(json).map_err(|e| fail(&e))?;
        if format_version.split('.').next() != Some("1") {
            return Err(Error::failed_help(
                format!("the snapshot `{}` has the format {format_version}, known is 1", path.display()),
                "use a newer version of syncline",
            ));
        }
        let meta = serde_json::from_str(json).map_err(|e| fail(&e))?;
        let head = [KEY_HASH, ROW_HASH, MAPPING];
        let names = metadata.schema().fields().iter().map(|f| f.name().as_str());
        if !names.take(HEAD).eq(head) {
            return Err(fail(&"its first columns are not `_key_hash`, `_row_hash` and `_mapping`"));
        }
        let in_groups = metadata.metadata().row_groups().iter().map(|group| i128::from(group.num_rows()));
        if in_groups.sum::<i128>() != i128::from(metadata.metadata().file_metadata().num_rows()) {
            return Err(fail(&"it has another number of rows than it says"));
        }
        Ok(Snapshot { path: path.to_owned(), metadata, meta })
    }

    /// What it says of itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its number of rows.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// All rows in the order of their key hashes, with all columns of the file.
    pub fn batches(&self) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let reader = self.builder()?.with_batch_size(8192).build().map_err(|e| self.unreadable(&e))?;
        let this = self.clone();
        Ok(reader.map(move |batch| batch.map_err(|e| this.unreadable(&e))))
    }

    /// Schema of the file.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Rows of each row group, in order.
    pub(super) fn groups(&self) -> Vec<usize> {
        let groups = self.metadata.metadata().row_groups().iter();
        groups.map(|g| usize::try_from(g.num_rows()).unwrap_or(0)).collect()
    }

    /// Reads some row groups, of them the rows selected (all when `None`), of these the first `HEAD` columns named by
    /// position and the columns named.
    pub(super) fn read(
        &self,
        groups: Vec<usize>,
        selection: Option<RowSelection>,
        head: &[usize],
        columns: &[&str],
    ) -> Result<ParquetRecordBatchReader> {
        let fields = self.schema().fields();
        let named = columns.iter().filter_map(|name| fields.iter().position(|f| f.name() == name));
        let builder = self.builder()?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), head.iter().copied().chain(named));
        let builder = builder.with_row_groups(groups).with_projection(mask).with_batch_size(8192);
        let builder = match selection {
            Some(selection) => builder.with_row_selection(selection),
            None => builder,
        };
        builder.build().map_err(|e| self.unreadable(&e))
    }

    /// The key hash of the row at a position, which must be below the number of rows.
    pub(super) fn key_at(&self, position: usize) -> Result<Hash> {
        let mut start = 0;
        for (group, rows) in self.groups().into_iter().enumerate() {
            if position < start + rows {
                let selection = RowSelection::from_consecutive_ranges(
                    std::iter::once(position - start..position - start + 1),
                    rows,
                );
                let mut batches = self.read(vec![group], Some(selection), &[0], &[])?;
                let batch = batches.next().transpose().map_err(|e| self.unreadable(&e))?;
                let key = batch.and_then(|batch| hashes(batch.column(0))?.next());
                return key.ok_or_else(|| self.unreadable(&"it has no key hash where one should be"));
            }
            start += rows;
        }
        Err(self.unreadable(&"it has fewer rows than it says"))
    }

    /// Of a batch of the file, the rows as a model with this mapping had them: names as in the model. `None` when their
    /// values are not kept.
    pub(super) fn as_sent(&self, batch: &RecordBatch, mapping: u32) -> Option<RecordBatch> {
        let stored = self.meta.stored(mapping)?;
        let schema = batch.schema();
        let mut fields = Vec::with_capacity(stored.len());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(stored.len());
        for (name, stored) in stored {
            let (i, field) = schema.column_with_name(stored)?;
            fields.push(field.clone().with_name(name));
            columns.push(batch.column(i).clone());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).ok()
    }

    /// Schema of the rows of a mapping, with the names of the model; `None` when their values are not kept.
    pub(super) fn sent_schema(&self, mapping: u32) -> Option<SchemaRef> {
        let fields = self
            .meta
            .stored(mapping)?
            .into_iter()
            .map(|(name, stored)| self.schema().field_with_name(stored).ok().map(|f| f.clone().with_name(name)));
        Some(Arc::new(Schema::new(fields.collect::<Option<Vec<Field>>>()?)))
    }

    /// The error of a file that opened, but whose rows cannot be read.
    pub(super) fn unreadable(&self, error: &dyn std::fmt::Display) -> Error {
        Error::failed_help(
            format!("the snapshot `{}` is damaged: {error}", self.path.display()),
            "restore the file from a backup of the state; the destination itself is not affected",
        )
    }

    /// The file, and what it says of one of its row groups.
    pub(super) fn file_of(&self, group: usize) -> Result<(File, &RowGroupMetaData)> {
        let file = File::open(&self.path).map_err(|e| self.unreadable(&e))?;
        let group = self.metadata.metadata().row_groups().get(group);
        Ok((file, group.ok_or_else(|| self.unreadable(&"it has fewer row groups than it says"))?))
    }

    /// The leaf in the file of a column that is one, by its place in the schema.
    pub(super) fn leaf(&self, at: usize) -> Option<usize> {
        let leaves = self.metadata.metadata().file_metadata().schema_descr();
        (0..leaves.num_columns()).find(|leaf| leaves.get_column_root_idx(*leaf) == at)
    }

    /// Where the pages of a leaf in a row group are, if the file says so.
    pub(super) fn pages(&self, group: usize, leaf: usize) -> Option<&[PageLocation]> {
        let index = self.metadata.metadata().page_index()?.offset_index(group, leaf)?;
        Some(index.page_locations())
    }

    fn builder(&self) -> Result<ParquetRecordBatchReaderBuilder<File>> {
        let file = File::open(&self.path).map_err(|e| self.unreadable(&e))?;
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone()))
    }
}

/// The field of a hash column.
pub(super) fn hash_field(name: &str) -> Field {
    Field::new(name, DataType::FixedSizeBinary(16), false)
}

/// Hashes as a column: big-endian, so that bytes sort as numbers do.
pub(super) fn hash_array(hashes: impl Iterator<Item = Hash>) -> ArrayRef {
    let bytes: Vec<u8> = hashes.flat_map(u128::to_be_bytes).collect();
    // 16 divides the length, there are no nulls: the array is always valid.
    Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
}

/// The hashes of a column; `None` when it is none of hashes.
pub(super) fn hashes(array: &ArrayRef) -> Option<impl Iterator<Item = Hash> + '_> {
    let array = array.as_fixed_size_binary_opt()?;
    let (bytes, _) = array.value_data().as_chunks::<16>();
    Some(bytes.iter().map(|b| u128::from_be_bytes(*b)))
}

/// The mapping numbers of a column; `None` when it is none of numbers.
pub(super) fn numbers(array: &ArrayRef) -> Option<&[u32]> {
    Some(array.as_primitive_opt::<UInt32Type>()?.values())
}
