//! Sets of keys in files: the first eight bytes of each keyed hash, big-endian, ascending, without repetition.
//!
//! Files are merged while they are read, so a set of any size takes no memory.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Error, Result, space_help};

/// Bytes read or written at a time.
const BUFFER: usize = 1 << 16;

/// The keys of several files together, ascending, each once.
pub struct Union {
    files: Vec<Keys>,
    last: Option<u64>,
}

/// One file being read.
struct Keys {
    path: PathBuf,
    file: BufReader<File>,
    head: u64,
}

impl Keys {
    /// Opens a file; `None` when it holds nothing.
    fn open(path: &Path) -> Result<Option<Self>> {
        let file = File::open(path).map_err(|e| unreadable(path, &e))?;
        let mut keys = Self { path: path.to_owned(), file: BufReader::with_capacity(BUFFER, file), head: 0 };
        Ok(keys.next(None)?.then_some(keys))
    }

    /// Goes to the next key; false at the end.
    fn next(&mut self, before: Option<u64>) -> Result<bool> {
        let mut bytes = [0; size_of::<u64>()];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(damaged(&self.path, "it is cut off")),
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(unreadable(&self.path, &e)),
            }
        }
        self.head = u64::from_be_bytes(bytes);
        if before.is_some_and(|before| before >= self.head) {
            return Err(damaged(&self.path, "its keys are not in order"));
        }
        Ok(true)
    }
}

impl Union {
    /// The keys of these files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open<P: AsRef<Path>>(files: &[P]) -> Result<Self> {
        let opened = files.iter().map(|path| Keys::open(path.as_ref())).collect::<Result<Vec<_>>>()?;
        Ok(Self { files: opened.into_iter().flatten().collect(), last: None })
    }

    fn step(&mut self) -> Result<Option<u64>> {
        loop {
            let Some(at) = (0..self.files.len()).min_by_key(|&at| self.files[at].head) else { return Ok(None) };
            let head = self.files[at].head;
            if !self.files[at].next(Some(head))? {
                self.files.swap_remove(at);
            }
            if self.last.replace(head) != Some(head) {
                return Ok(Some(head));
            }
        }
    }
}

impl Iterator for Union {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Result<u64>> {
        self.step().transpose()
    }
}

/// Writes keys to a new file, durably. Returns how many.
///
/// # Errors
/// What the keys come with, and a file that cannot be written.
pub fn write(keys: impl Iterator<Item = Result<u64>>, to: &Path) -> Result<u64> {
    let failed = |e: std::io::Error| Error::Failed {
        message: format!("cannot write the queried keys to `{}`: {e}", to.display()),
        help: space_help(&e),
    };
    let mut out = BufWriter::with_capacity(BUFFER, File::create(to).map_err(failed)?);
    let mut count = 0;
    for key in keys {
        out.write_all(&key?.to_be_bytes()).map_err(failed)?;
        count += 1;
    }
    let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(count)
}

/// The keys of `all` that `known` does not have.
pub struct Without {
    all: Union,
    known: Union,
    next_known: Option<u64>,
    begun: bool,
}

impl Without {
    /// Takes `known` away from `all`.
    pub fn new(all: Union, known: Union) -> Self {
        Self { all, known, next_known: None, begun: false }
    }

    fn step(&mut self) -> Result<Option<u64>> {
        if !std::mem::replace(&mut self.begun, true) {
            self.next_known = self.known.step()?;
        }
        while let Some(key) = self.all.step()? {
            while self.next_known.is_some_and(|known| known < key) {
                self.next_known = self.known.step()?;
            }
            if self.next_known != Some(key) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

impl Iterator for Without {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Result<u64>> {
        self.step().transpose()
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let help = match error.kind() {
        ErrorKind::NotFound => "another run may just have ended: run the command again",
        _ => "see that the file can be read",
    };
    Error::failed_help(format!("cannot read the queried keys in `{}`: {error}", path.display()), help)
}

fn damaged(path: &Path, how: &str) -> Error {
    Error::failed_help(
        format!("the queried keys in `{}` are damaged: {how}", path.display()),
        "put back a copy of the state, or remove the file's name from `usage` in `state.json`: its keys are then counted \
         again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, keys: &[u64]) -> PathBuf {
        let path = folder.join(name);
        write(keys.iter().copied().map(Ok), &path).unwrap();
        path
    }

    fn read(keys: impl Iterator<Item = Result<u64>>) -> Vec<u64> {
        keys.collect::<Result<_>>().unwrap()
    }

    #[test]
    fn sets_are_joined_and_taken_away() {
        /// Files, what is taken away, what they are together, what is left.
        type Case = (&'static [&'static [u64]], &'static [u64], &'static [u64], &'static [u64]);
        let cases: &[Case] = &[
            (&[], &[], &[], &[]),
            (&[&[]], &[1], &[], &[]),
            (&[&[1, 3, 5], &[2, 3], &[5, u64::MAX]], &[], &[1, 2, 3, 5, u64::MAX], &[1, 2, 3, 5, u64::MAX]),
            (&[&[1, 2, 3]], &[0, 2, 9], &[1, 2, 3], &[1, 3]),
            (&[&[0, 7], &[0, 7]], &[0, 7], &[0, 7], &[]),
        ];
        for (files, known, all, left) in cases {
            let folder = tempfile::tempdir().unwrap();
            let paths: Vec<_> = files.iter().enumerate().map(|(n, k)| file(folder.path(), &n.to_string(), k)).collect();
            let known = file(folder.path(), "known", known);
            assert_eq!(read(Union::open(&paths).unwrap()), *all);
            let without = Without::new(Union::open(&paths).unwrap(), Union::open(&[known]).unwrap());
            assert_eq!(read(without), *left);
        }
    }

    #[test]
    fn damaged_files_are_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for (bytes, word) in [(&[0u8; 12][..], "cut off"), (&[0u8; 16], "not in order"), (&[1u8; 5], "cut off")] {
            std::fs::write(&path, bytes).unwrap();
            let error = Union::open(&[&path]).and_then(|keys| keys.collect::<Result<Vec<_>>>()).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
