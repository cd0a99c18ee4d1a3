//! The different keys of a model, written down for whoever counts them over a month.
//!
//! Kept of each is its *head*, the first 64 bits of its keyed hash: two of a million keys have the same one with a
//! probability of 3·10⁻⁸.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use super::index::{Index, Mark};
use super::runs::scratch;
use super::{DiffError, Hash};

/// Writes heads, ascending and without repetition, eight big-endian bytes each.
pub(super) struct Queried<'a> {
    folder: &'a Path,
    path: &'a Path,
    out: BufWriter<File>,
    last: Option<u64>,
}

/// Heads set aside until the memory they were in is needed.
pub(super) struct Aside(Option<BufReader<File>>, Option<u64>);

impl<'a> Queried<'a> {
    /// Starts the file at `path`; what has to be set aside goes to `folder`.
    pub(super) fn create(path: &'a Path, folder: &'a Path) -> Result<Self, DiffError> {
        let file = File::create(path).map_err(|e| scratch(path, &e))?;
        Ok(Self { folder, path, out: BufWriter::with_capacity(1 << 18, file), last: None })
    }

    /// Sets aside the rows of the snapshot that the model has.
    pub(super) fn aside(&self, index: Option<&Index>) -> Result<Aside, DiffError> {
        let Some(index) = index else { return Ok(Aside(None, None)) };
        let fail = |e: std::io::Error| scratch(self.folder, &e);
        let mut writer = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(self.folder).map_err(fail)?);
        for (head, mark) in index.heads() {
            if mark != Mark::Unseen {
                writer.write_all(&head.to_be_bytes()).map_err(fail)?;
            }
        }
        let mut file = writer.into_inner().map_err(|e| fail(e.into_error()))?;
        file.rewind().map_err(fail)?;
        let mut aside = Aside(Some(BufReader::with_capacity(1 << 18, file)), None);
        aside.advance().map_err(fail)?;
        Ok(aside)
    }

    /// Writes a key that the snapshot does not have, after those set aside that are lower. Keys come in ascending order.
    pub(super) fn new_key(&mut self, aside: &mut Aside, key: Hash) -> Result<(), DiffError> {
        let head = (key >> 64) as u64;
        while let Some(known) = aside.1.filter(|known| *known < head) {
            self.put(known)?;
            aside.advance().map_err(|e| scratch(self.folder, &e))?;
        }
        self.put(head)
    }

    /// Writes what is left of those set aside.
    pub(super) fn rest(&mut self, mut aside: Aside) -> Result<(), DiffError> {
        while let Some(known) = aside.1 {
            self.put(known)?;
            aside.advance().map_err(|e| scratch(self.folder, &e))?;
        }
        Ok(())
    }

    fn put(&mut self, head: u64) -> Result<(), DiffError> {
        if self.last.replace(head) == Some(head) {
            return Ok(());
        }
        self.out.write_all(&head.to_be_bytes()).map_err(|e| scratch(self.path, &e))
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<(), DiffError> {
        self.out.flush().map_err(|e| scratch(self.path, &e))
    }
}

impl Aside {
    fn advance(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; size_of::<u64>()];
        let read = self.0.as_mut().map(|file| file.read_exact(&mut bytes));
        self.1 = match read {
            None => None,
            Some(Ok(())) => Some(u64::from_be_bytes(bytes)),
            Some(Err(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => None,
            Some(Err(e)) => return Err(e),
        };
        Ok(())
    }
}
