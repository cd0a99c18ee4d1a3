//! The rows of a model, read once for two plans.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};

use crate::diagnostic::{Error, Result};
use crate::sources::{Batch, BatchReader, BatchStream};
use flaws::{Reader, Reasons, Writer};

mod flaws;

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
    reasons: Reasons,
    _folder: tempfile::TempDir,
}

impl Spool {
    /// Streams that keep what they give, below `folder`. Whole only once all of them were read to their end.
    pub fn keep(rows: Vec<BatchStream>, folder: &Path) -> Result<(Vec<BatchStream>, Self)> {
        let failed = |e: std::io::Error| Error::failed(format!("cannot write to `{}`: {e}", folder.display()));
        let spool = tempfile::tempdir_in(folder).map_err(failed)?;
        let (mut streams, mut parts): (Vec<BatchStream>, _) = (Vec::new(), Vec::new());
        let reasons = Reasons::default();
        for (part, rows) in rows.into_iter().enumerate() {
            let path = spool.path().join(format!("{part}.arrow"));
            let file = BufWriter::new(File::create(&path).map_err(failed)?);
            let writer = StreamWriter::try_new(file, &rows.schema());
            let writer = writer.map_err(|e| Error::failed(format!("cannot keep rows in `{}`: {e}", path.display())))?;
            let flaws = Writer::new(&path, reasons.clone());
            streams.push(Box::new(Keeping { rows, writer: Some(writer), flaws }));
            parts.push(path);
        }
        Ok((streams, Self { parts, reasons, _folder: spool }))
    }

    /// The rows once more.
    pub fn read(&self) -> Result<Vec<BatchStream>> {
        let open = |path: &PathBuf| -> Result<BatchStream> {
            let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read `{}`: {e}", path.display()));
            let file = BufReader::new(File::open(path).map_err(|e| failed(&e))?);
            let rows = StreamReader::try_new(file, None).map_err(|e| failed(&e))?;
            let flaws = Reader::open(path, self.reasons.clone()).map_err(|e| failed(&e))?;
            Ok(Box::new(Kept { rows, flaws }))
        };
        self.parts.iter().map(open).collect()
    }
}

struct Keeping {
    rows: BatchStream,
    writer: Option<StreamWriter<BufWriter<File>>>,
    flaws: Writer,
}

impl Iterator for Keeping {
    type Item = std::result::Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(batch) = self.rows.next() else {
            let ended = self.writer.take().map(|mut writer| writer.finish().and_then(|()| Ok(self.flaws.finish()?)));
            return ended.and_then(|ended| ended.err()).map(Err);
        };
        Some(batch.and_then(|batch| {
            if let Some(writer) = &mut self.writer {
                writer.write(&batch.rows)?;
                self.flaws.write(&batch.flaws)?;
            }
            Ok(batch)
        }))
    }
}

impl BatchReader for Keeping {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// Rows that were kept, with their flaws.
struct Kept {
    rows: StreamReader<BufReader<File>>,
    flaws: Reader,
}

impl Iterator for Kept {
    type Item = std::result::Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.next()?;
        Some(rows.and_then(|rows| Ok(Batch { rows, flaws: self.flaws.next()? })))
    }
}

impl BatchReader for Kept {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch};

    use super::*;
    use crate::sources::{Flaw, Unreadable};

    struct Given(Vec<Batch>, SchemaRef);

    impl Iterator for Given {
        type Item = std::result::Result<Batch, ArrowError>;

        fn next(&mut self) -> Option<Self::Item> {
            self.0.pop().map(Ok)
        }
    }

    impl BatchReader for Given {
        fn schema(&self) -> SchemaRef {
            self.1.clone()
        }
    }

    #[test]
    fn what_could_not_be_read_the_first_time_cannot_be_read_the_second_time() {
        let folder = tempfile::tempdir().unwrap();
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3));
        let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let infinite = Unreadable::new("an infinite date", "a");
        let wrong = Unreadable::new("text that is not UTF-8", "b");
        let flaw = |row, why| Flaw { row, column: 0, why };
        // Batches without flaws stand before, between and behind those that have some.
        let flaws: [Vec<Flaw>; 5] =
            [vec![], vec![flaw(2, infinite), flaw(0, wrong)], vec![], vec![flaw(1, infinite)], vec![]];
        let part = |flaws: &[Vec<Flaw>]| -> BatchStream {
            let batches = flaws.iter().rev().map(|flaws| Batch { rows: rows.clone(), flaws: flaws.clone() });
            Box::new(Given(batches.collect(), rows.schema()))
        };
        let (streams, spool) = Spool::keep(vec![part(&flaws), part(&[vec![]])], folder.path()).unwrap();
        let first: Vec<Vec<Flaw>> = streams.into_iter().flatten().map(|batch| batch.unwrap().flaws).collect();
        assert_eq!(first.len(), 6);
        for _ in 0..2 {
            let again = spool.read().unwrap().into_iter().flatten().map(|batch| batch.unwrap().flaws);
            assert_eq!(again.collect::<Vec<_>>(), first);
        }
    }
}
