//! Finding keys that occur more than once among rows that are new, without holding the rows.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use super::runs::scratch;
use super::{DiffError, Hash};

/// Key hashes of new rows, in memory up to a limit and in sorted files beyond it.
pub(super) struct KeyList<'a> {
    folder: &'a Path,
    limit: usize,
    keys: Vec<Hash>,
    files: Vec<File>,
}

/// What is known of a list of keys.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Repeated {
    /// Different keys.
    pub distinct: u64,
    /// Keys that occur more than once, ascending.
    pub keys: Vec<Hash>,
    /// How many rows these have together.
    pub rows: u64,
}

impl<'a> KeyList<'a> {
    /// A list that keeps about `memory` bytes before it goes to files in `folder`.
    pub(super) fn new(folder: &'a Path, memory: usize) -> Self {
        KeyList { folder, limit: (memory / size_of::<Hash>()).max(64), keys: Vec::new(), files: Vec::new() }
    }

    /// Adds one key.
    pub(super) fn push(&mut self, key: Hash) -> Result<(), DiffError> {
        if self.keys.len() >= self.limit {
            self.flush()?;
        }
        self.keys.push(key);
        Ok(())
    }

    /// Sorts what is still in memory: worth doing on the thread that filled it.
    pub(super) fn sort(&mut self) {
        self.keys.sort_unstable();
    }

    fn flush(&mut self) -> Result<(), DiffError> {
        let fail = |e: std::io::Error| scratch(self.folder, &e);
        self.keys.sort_unstable();
        // The file has no name: it is gone when it is closed, whatever happens.
        let mut writer = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(self.folder).map_err(fail)?);
        for key in &self.keys {
            writer.write_all(&key.to_le_bytes()).map_err(fail)?;
        }
        let mut file = writer.into_inner().map_err(|e| fail(e.into_error()))?;
        file.rewind().map_err(fail)?;
        self.files.push(file);
        self.keys.clear();
        Ok(())
    }
}

/// Looks through all lists together; `each` gets every different key, ascending.
pub(super) fn repeated(
    lists: Vec<KeyList<'_>>,
    mut each: impl FnMut(Hash) -> Result<(), DiffError>,
) -> Result<Repeated, DiffError> {
    let mut sources: Vec<Source> = Vec::new();
    for mut list in lists {
        list.sort();
        let fail = |e: std::io::Error| scratch(list.folder, &e);
        for file in list.files {
            sources.extend(Source::start(Keys::File(BufReader::with_capacity(1 << 16, file))).map_err(fail)?);
        }
        sources.extend(Source::start(Keys::Memory(list.keys.into_iter())).map_err(fail)?);
    }
    let mut found = Repeated::default();
    let mut run: Option<(Hash, u64)> = None;
    let mut close = |run: Option<(Hash, u64)>| {
        if let Some((key, count)) = run {
            each(key)?;
            found.distinct += 1;
            if count > 1 {
                found.keys.push(key);
                found.rows += count;
            }
        }
        Ok::<_, DiffError>(())
    };
    while let Some(lowest) = (0..sources.len()).min_by_key(|&i| sources[i].head) {
        let key = sources[lowest].head;
        if !sources[lowest].advance().map_err(|e| scratch(Path::new("."), &e))? {
            sources.swap_remove(lowest);
        }
        run = match run {
            Some((current, count)) if current == key => Some((key, count + 1)),
            other => {
                close(other)?;
                Some((key, 1))
            }
        };
    }
    close(run)?;
    Ok(found)
}

struct Source {
    head: Hash,
    rest: Keys,
}

enum Keys {
    Memory(std::vec::IntoIter<Hash>),
    File(BufReader<File>),
}

impl Source {
    fn start(rest: Keys) -> std::io::Result<Option<Source>> {
        let mut source = Source { head: 0, rest };
        Ok(source.advance()?.then_some(source))
    }

    fn advance(&mut self) -> std::io::Result<bool> {
        let next = match &mut self.rest {
            Keys::Memory(keys) => keys.next(),
            Keys::File(file) => {
                let mut bytes = [0; size_of::<Hash>()];
                match file.read_exact(&mut bytes) {
                    Ok(()) => Some(Hash::from_le_bytes(bytes)),
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => None,
                    Err(e) => return Err(e),
                }
            }
        };
        self.head = next.unwrap_or(self.head);
        Ok(next.is_some())
    }
}
