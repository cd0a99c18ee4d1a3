//! The flaws of rows that are kept, in a file beside them: there may be as many as rows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sources::{Flaw, Unreadable};

/// Why values cannot be read, each reason once: there are only a few.
#[derive(Clone, Default)]
pub(super) struct Reasons(Arc<Mutex<Vec<Unreadable>>>);

impl Reasons {
    fn number(&self, why: Unreadable) -> usize {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().position(|other| *other == why).unwrap_or_else(|| {
            known.push(why);
            known.len() - 1
        })
    }

    fn get(&self, number: usize) -> Option<Unreadable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(number).copied()
    }
}

/// One flaw in the file: the number of its batch, its row, its column, the number of the reason.
type Entry = [u64; 4];

fn beside(rows: &Path) -> PathBuf {
    rows.with_extension("flaws")
}

/// Writes the flaws of one part; the file is there only if there are some.
pub(super) struct Writer {
    path: PathBuf,
    reasons: Reasons,
    batch: u64,
    out: Option<BufWriter<File>>,
}

impl Writer {
    /// For the rows at this path.
    pub(super) fn new(rows: &Path, reasons: Reasons) -> Self {
        Self { path: beside(rows), reasons, batch: 0, out: None }
    }

    /// Writes those of the next batch.
    pub(super) fn write(&mut self, flaws: &[Flaw]) -> io::Result<()> {
        if self.out.is_none() && !flaws.is_empty() {
            self.out = Some(BufWriter::new(File::create(&self.path)?));
        }
        let Some(out) = &mut self.out else {
            self.batch += 1;
            return Ok(());
        };
        for flaw in flaws {
            let number = self.reasons.number(flaw.why);
            let entry: Entry = [self.batch, flaw.row as u64, flaw.column as u64, number as u64];
            out.write_all(entry.map(u64::to_le_bytes).as_flattened())?;
        }
        self.batch += 1;
        Ok(())
    }

    /// All of them were written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Reads them again, batch by batch.
pub(super) struct Reader {
    reasons: Reasons,
    batch: u64,
    input: Option<BufReader<File>>,
    ahead: Option<Entry>,
}

impl Reader {
    /// For the rows at this path.
    pub(super) fn open(rows: &Path, reasons: Reasons) -> io::Result<Self> {
        let path = beside(rows);
        let input = if path.exists() { Some(BufReader::new(File::open(path)?)) } else { None };
        let mut reader = Self { reasons, batch: 0, input, ahead: None };
        reader.ahead = reader.entry()?;
        Ok(reader)
    }

    /// Those of the next batch.
    pub(super) fn next(&mut self) -> io::Result<Vec<Flaw>> {
        let mut flaws = Vec::new();
        while let Some([_, row, column, number]) = self.ahead.filter(|entry| entry[0] == self.batch) {
            let usize = |n: u64| usize::try_from(n).map_err(io::Error::other);
            let why = self.reasons.get(usize(number)?).ok_or_else(|| io::Error::other("a reason is not known"))?;
            flaws.push(Flaw { row: usize(row)?, column: usize(column)?, why });
            self.ahead = self.entry()?;
        }
        self.batch += 1;
        Ok(flaws)
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        let Some(input) = &mut self.input else { return Ok(None) };
        if input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut bytes = [[0; 8]; 4];
        input.read_exact(bytes.as_flattened_mut())?;
        Ok(Some(bytes.map(u64::from_le_bytes)))
    }
}
