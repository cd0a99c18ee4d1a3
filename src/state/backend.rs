//! What a store must be able to do to hold the state of one environment.
//!
//! Three kinds of data, three promises. The *document* (`state.json`) is replaced by compare-and-swap under a fencing
//! token. *Files* (snapshots, held rows, plan copies, run records) are immutable once put, so they need no lock to be
//! read. *Journals* only grow, and what was appended is durable when the call returns. A folder, an object store with
//! conditional writes and a database table can each keep all three.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::diagnostic::Result;

/// What identifies one state of the document to compare-and-swap: its serial number.
pub type Version = u64;

/// The document as stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its version.
    pub version: Version,
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Fencing token: grows with every change of hands, never reused.
    pub token: u64,
    /// Process id on `host`.
    pub pid: u32,
    /// Name of the machine.
    pub host: String,
    /// What it does, e.g. `apply`.
    pub operation: String,
    /// Since when, RFC 3339.
    pub started: String,
    /// Until when the lease runs unless renewed, RFC 3339.
    pub expires: String,
}

/// The answer to an attempt to take the lock.
#[derive(Debug)]
pub enum Acquired {
    /// It is ours now.
    Taken {
        /// Ourselves, with the new fencing token.
        holder: Holder,
        /// The dead holder it was taken over from.
        from: Option<Holder>,
    },
    /// Somebody else has it.
    Busy(Holder),
}

/// A journal being written.
pub trait Append: Send {
    /// Appends; when this returns, the bytes are durable. After an error nothing more may be appended.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
}

/// The store of one environment's state. All calls block; names use `/` as separator.
pub trait Backend: Send + Sync {
    /// Where it is, for messages.
    fn place(&self) -> String;

    /// The document, `None` before the first write.
    fn load(&self) -> Result<Option<Stored>>;

    /// Creates the document; an existing one wins and is left alone.
    fn create(&self, bytes: &[u8]) -> Result<()>;

    /// Replaces the document if its version still is `expected` and the lock is still held with `token`. Durable when
    /// it returns. Fails with [`crate::diagnostic::Error::Locked`] when the lock was lost.
    fn swap(&self, bytes: &[u8], expected: Version, token: u64) -> Result<()>;

    /// Takes the lock, at once or not at all, from nobody or from a dead holder. `least` is a token that was used.
    fn acquire(&self, operation: &str, lease: std::time::Duration, least: u64) -> Result<Acquired>;

    /// Renews the lease; false when the lock is no longer ours.
    fn renew(&self, token: u64, lease: std::time::Duration) -> Result<bool>;

    /// Gives the lock back if it still is ours.
    fn release(&self, token: u64) -> Result<()>;

    /// Who holds the lock now.
    fn holder(&self) -> Result<Option<Holder>>;

    /// True when somebody holds the lock and is not known to be dead: it could not be taken now. Changes nothing.
    fn is_held(&self) -> Result<bool>;

    /// Takes the lock away from whoever holds it.
    fn break_lock(&self) -> Result<Option<Holder>>;

    /// Puts a file under a name, whole and durable or not at all. The given file may be moved away if it lies in
    /// [`Backend::scratch`], and must not be written to afterwards.
    fn put(&self, name: &str, file: &Path) -> Result<()>;

    /// A local path of the file, `None` if there is none of this name.
    fn get(&self, name: &str) -> Result<Option<PathBuf>>;

    /// A local folder that holds all files put below this name, `None` if there are none.
    fn get_folder(&self, name: &str) -> Result<Option<PathBuf>>;

    /// Removes a file; no error if it is gone.
    fn remove(&self, name: &str) -> Result<()>;

    /// Removes a folder with all files put below this name; no error if it is gone.
    fn remove_folder(&self, name: &str) -> Result<()> {
        let Some(path) = self.get_folder(name)? else { return Ok(()) };
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(super::local::failed("remove", &path, &e)),
            _ => Ok(()),
        }
    }

    /// Names of the entries directly below a folder, sorted; empty if there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Starts a journal.
    fn journal(&self, name: &str) -> Result<Box<dyn Append>>;

    /// All bytes of a journal, `None` if there is none.
    fn read_journal(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// An existing folder for files that are about to be put; may be emptied by whoever holds the lock.
    fn scratch(&self) -> Result<PathBuf>;
}
