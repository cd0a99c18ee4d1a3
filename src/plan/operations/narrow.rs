//! A part of frozen operations, for a first careful run: what is left out was never planned as far as the run knows.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Head, failed, former_hash, parts, properties, thaw};
use crate::diagnostic::Result;
use crate::diff::Hash;

/// Place of `_row_hash` among the columns.
const ROW_HASH: usize = 5;

/// Leaves only the chosen operations in a folder, in their order. They are asked for one after the other, with their
/// positions in the whole plan; what is left is counted anew. A record a row had before goes where its row goes: it is
/// not asked for.
///
/// # Errors
/// The operations cannot be read, or not be written.
pub fn narrow(folder: &Path, choose: &mut dyn FnMut(&Head) -> bool) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let beside = folder.with_extension("narrowed");
    fs::create_dir_all(&beside).map_err(|e| failed("write", &beside, &e))?;
    // Positions in the whole plan → positions in what is left.
    let mut places: HashMap<u64, u64> = HashMap::new();
    let mut position = 0;
    for path in parts(folder)? {
        let reading = |e: &dyn std::fmt::Display| failed("read", &path, e);
        let file = File::open(&path).map_err(|e| reading(&e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| reading(&e))?;
        let out = beside.join(path.file_name().unwrap_or_default());
        let writing = |e: &dyn std::fmt::Display| failed("write", &out, e);
        let file = File::create_new(&out).map_err(|e| writing(&e))?;
        let mut writer =
            ArrowWriter::try_new(file, reader.schema().clone(), Some(properties())).map_err(|e| writing(&e))?;
        for batch in reader.build().map_err(|e| reading(&e))? {
            let batch = batch.map_err(|e| reading(&e))?;
            let heads = thaw(&batch, position).map_err(|e| reading(&e))?.heads;
            position += heads.len() as u64;
            let mut chosen = Vec::with_capacity(heads.len());
            let mut hashes = Vec::with_capacity(heads.len());
            for head in &heads {
                let (keep, hash) = match head.after() {
                    None => (choose(head), head.row_hash),
                    Some(row) => (places.contains_key(&row), former_hash(places.get(&row).copied())),
                };
                if keep {
                    places.insert(head.ordinal, places.len() as u64);
                }
                chosen.push(keep);
                hashes.push(hash);
            }
            let batch = with_hashes(&batch, &hashes).map_err(|e| writing(&e))?;
            let kept = filter_record_batch(&batch, &BooleanArray::from(chosen)).map_err(|e| writing(&e))?;
            writer.write(&kept).map_err(|e| writing(&e))?;
        }
        let file = writer.into_inner().map_err(|e| writing(&e))?;
        file.sync_all().map_err(|e| writing(&e))?;
    }
    fs::remove_dir_all(folder).map_err(|e| failed("write", folder, &e))?;
    fs::rename(&beside, folder).map_err(|e| failed("write", folder, &e))
}

fn with_hashes(batch: &RecordBatch, hashes: &[Hash]) -> Result<RecordBatch, ArrowError> {
    let mut column = FixedSizeBinaryBuilder::with_capacity(hashes.len(), 16);
    for hash in hashes {
        column.append_value(hash.to_be_bytes())?;
    }
    let mut columns = batch.columns().to_vec();
    if let Some(place) = columns.get_mut(ROW_HASH) {
        *place = Arc::new(column.finish()) as ArrayRef;
    }
    RecordBatch::try_new(batch.schema(), columns)
}
