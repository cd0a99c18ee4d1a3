//! A part of frozen operations, for a first careful run: what is left out was never planned as far as the run knows.

use std::fs::{self, File};
use std::path::Path;

use arrow_array::BooleanArray;
use arrow_select::filter::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Head, failed, parts, properties, thaw};
use crate::diagnostic::Result;

/// Leaves only the chosen operations in a folder, in their order. They are asked for one after the other; their positions
/// are counted anew.
///
/// # Errors
/// The operations cannot be read, or not be written.
pub fn narrow(folder: &Path, choose: &mut dyn FnMut(&Head) -> bool) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let beside = folder.with_extension("narrowed");
    fs::create_dir_all(&beside).map_err(|e| failed("write", &beside, &e))?;
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
            let heads = thaw(&batch, 0).map_err(|e| reading(&e))?.heads;
            let chosen: Vec<bool> = heads.iter().map(&mut *choose).collect();
            let kept = filter_record_batch(&batch, &BooleanArray::from(chosen)).map_err(|e| writing(&e))?;
            writer.write(&kept).map_err(|e| writing(&e))?;
        }
        let file = writer.into_inner().map_err(|e| writing(&e))?;
        file.sync_all().map_err(|e| writing(&e))?;
    }
    fs::remove_dir_all(folder).map_err(|e| failed("write", folder, &e))?;
    fs::rename(&beside, folder).map_err(|e| failed("write", folder, &e))
}
