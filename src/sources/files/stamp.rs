//! Whether a file is still the one that was looked at.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::diagnostic::{Error, Result};

/// Size and time of a file when its columns were found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// The file as it is now.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let data = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
        Ok(Self { path: path.to_owned(), length: data.len(), modified: data.modified().ok() })
    }

    /// Bytes it had.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Opens the file for reading.
    pub(super) fn open(&self) -> Result<File> {
        File::open(&self.path).map_err(|e| unreadable(&self.path, &e))
    }

    /// Fails when the file is no longer the same: a read over a change would mix two states of it.
    pub(super) fn check(&self) -> Result<()> {
        if Self::take(&self.path)? == *self { Ok(()) } else { Err(self.changed()) }
    }

    /// The error of a file that changed between two looks at it.
    pub(super) fn changed(&self) -> Error {
        Error::failed_help(
            format!("file `{}` changed while it was read", self.path.display()),
            "run again when nothing writes to it; write new files under another name and rename them when complete",
        )
    }

    /// An error of this file at a line.
    pub(super) fn at(&self, line: u64, what: impl std::fmt::Display, help: &str) -> Error {
        Error::failed_help(format!("file `{}`, line {line}: {what}", self.path.display()), help)
    }

    /// An error of the whole file.
    pub(super) fn fault(&self, what: impl std::fmt::Display, help: &str) -> Error {
        Error::failed_help(format!("file `{}`: {what}", self.path.display()), help)
    }

    /// What to do about a file that is not UTF-8, where its first bytes say what it is instead.
    pub(super) fn encoding(&self) -> Option<&'static str> {
        let mut first = [0; 4];
        let read = File::open(&self.path).and_then(|mut file| file.read(&mut first)).unwrap_or(0);
        match first.get(..read).unwrap_or_default() {
            [0x1f, 0x8b, ..] => Some("it is compressed with gzip: unpack it"),
            [0x28, 0xb5, 0x2f, 0xfd] => Some("it is compressed with zstd: unpack it"),
            [b'P', b'K', ..] => Some("it is a zip archive, or a spreadsheet: unpack it, or save it as CSV"),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                Some("it is UTF-16, as some spreadsheets write it: save it as UTF-8")
            }
            _ => None,
        }
    }

    /// The error of the operating system while reading.
    pub(super) fn unreadable(&self, error: &std::io::Error) -> Error {
        unreadable(&self.path, error)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::failed_help(
        format!("cannot read file `{}`: {error}", path.display()),
        "check that it is there and that this user may read it",
    )
}
