//! The staging folder: one append-only file a run, beside the file it is for.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::cell::Staged;
use crate::destinations::SendError;

/// The staging folder of one file.
pub(super) struct Stage {
    folder: PathBuf,
    run: String,
    /// Opened with the first batch: a run that sends nothing leaves no trace.
    file: Mutex<Option<File>>,
}

/// A batch on disk, named by its handle `RUN/OFFSET+LENGTH+CRC`.
pub(super) struct Segment {
    /// The staged operations, each after its length.
    pub bytes: Vec<u8>,
    /// Name of the staging file.
    pub run: String,
    /// Where the batch begins in it.
    pub offset: u64,
}

impl Stage {
    /// Opens the folder for a run. Half-written results of a dead run are removed; its staged batches stay until they
    /// are settled, or until this run has settled its own.
    pub fn open(folder: PathBuf, run: &str) -> Result<Self, SendError> {
        if folder.exists() {
            for entry in fs::read_dir(&folder).map_err(|e| failed(&e, &folder))? {
                let path = entry.map_err(|e| failed(&e, &folder))?.path();
                if path.extension().is_some_and(|e| e == "new") {
                    fs::remove_file(&path).map_err(|e| failed(&e, &path))?;
                }
            }
        }
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        Ok(Self { folder, run: run.chars().map(safe).collect(), file: Mutex::new(None) })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends a batch and makes it durable; gives its handle.
    pub fn append(&self, operations: impl Iterator<Item = Staged>) -> Result<String, SendError> {
        let mut bytes = Vec::new();
        for operation in operations {
            operation.write(&mut bytes);
        }
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let append = |slot: &mut Option<File>| {
            let file = match slot {
                Some(file) => file,
                None => {
                    fs::create_dir_all(&self.folder)?;
                    let file = OpenOptions::new().create(true).append(true).open(self.path(&self.run))?;
                    sync_folder(&self.folder)?;
                    slot.insert(file)
                }
            };
            let offset = file.seek(SeekFrom::End(0))?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            Ok(offset)
        };
        let offset = append(&mut guard).map_err(|e: std::io::Error| failed(&e, &self.folder))?;
        Ok(format!("{}/{offset}+{}+{:08x}", self.run, bytes.len(), crc32fast::hash(&bytes)))
    }

    /// Reads a batch; `None` when it is not there as it was written.
    pub fn read(&self, handle: &str) -> Option<Segment> {
        let (run, place) = handle.split_once('/')?;
        let mut parts = place.split('+');
        let (offset, length, crc) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        if run.contains(['.', '\\']) {
            return None;
        }
        let mut file = File::open(self.path(run)).ok()?;
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).ok()?;
        let whole = bytes.len() as u64 == length && format!("{:08x}", crc32fast::hash(&bytes)) == crc;
        whole.then(|| Segment { bytes, run: run.to_owned(), offset })
    }

    /// Path of the staging file of a run.
    pub fn path(&self, run: &str) -> PathBuf {
        self.folder.join(format!("{run}.stage"))
    }

    /// Removes the folder with all that is staged.
    pub fn clear(&self) -> Result<(), SendError> {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed(&e, &self.folder)),
            _ => Ok(()),
        }
    }
}

/// Makes renames and new files in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// An error of the file system: nothing more can be written.
pub(super) fn failed(error: &std::io::Error, path: &Path) -> SendError {
    let help = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("free some space there"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Some("the folder named by `connection.path` must be writable")
        }
        _ => None,
    };
    SendError::Fatal { message: format!("{}: {error}", path.display()), help: help.map(Into::into) }
}
