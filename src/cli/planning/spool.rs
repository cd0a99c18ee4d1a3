//! The rows of a model, read once for two plans.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};

use crate::diagnostic::{Error, Result};
use crate::sources::BatchStream;

/// The columns another reading needs; `None`: all.
pub(super) struct Keep(pub Option<Vec<String>>);

impl Keep {
    /// The columns to read, so that both readings have theirs.
    pub fn columns(&self, own: Option<Vec<String>>) -> Option<Vec<String>> {
        let mut all = own?;
        for name in self.0.as_ref()? {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        Some(all)
    }
}

/// Rows on disk, in the order of the first reading. Removed on drop.
pub(super) struct Spool {
    parts: Vec<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Spool {
    /// Streams that keep what they give, below `folder`. Whole only once all of them were read to their end.
    pub fn keep(rows: Vec<BatchStream>, folder: &Path) -> Result<(Vec<BatchStream>, Self)> {
        let failed = |e: std::io::Error| Error::failed(format!("cannot write to `{}`: {e}", folder.display()));
        let spool = tempfile::tempdir_in(folder).map_err(failed)?;
        let (mut streams, mut parts): (Vec<BatchStream>, _) = (Vec::new(), Vec::new());
        for (part, rows) in rows.into_iter().enumerate() {
            let path = spool.path().join(format!("{part}.arrow"));
            let file = BufWriter::new(File::create(&path).map_err(failed)?);
            let writer = StreamWriter::try_new(file, &rows.schema());
            let writer = writer.map_err(|e| Error::failed(format!("cannot keep rows in `{}`: {e}", path.display())))?;
            streams.push(Box::new(Keeping { rows, writer: Some(writer) }));
            parts.push(path);
        }
        Ok((streams, Self { parts, _folder: spool }))
    }

    /// The rows once more.
    pub fn read(&self) -> Result<Vec<BatchStream>> {
        let open = |path: &PathBuf| -> Result<BatchStream> {
            let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read `{}`: {e}", path.display()));
            let file = BufReader::new(File::open(path).map_err(|e| failed(&e))?);
            Ok(Box::new(StreamReader::try_new(file, None).map_err(|e| failed(&e))?))
        };
        self.parts.iter().map(open).collect()
    }
}

struct Keeping {
    rows: BatchStream,
    writer: Option<StreamWriter<BufWriter<File>>>,
}

impl Iterator for Keeping {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(batch) = self.rows.next() else {
            let ended = self.writer.take().map(|mut writer| writer.finish());
            return ended.and_then(|ended| ended.err()).map(Err);
        };
        Some(batch.and_then(|batch| {
            if let Some(writer) = &mut self.writer {
                writer.write(&batch)?;
            }
            Ok(batch)
        }))
    }
}

impl RecordBatchReader for Keeping {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
