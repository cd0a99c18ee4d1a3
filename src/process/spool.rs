//! A file for what a program prints, until it has been read. It holds personal data, so what a killed command left behind
//! goes with the next one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

/// How the folders are called.
const PREFIX: &str = "syncline-output-";
/// The file that is locked while the command lives.
const ALIVE: &str = "alive";
/// A folder younger than this may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder of one file, which nobody else may look into; gone when dropped.
#[derive(Debug)]
pub struct Spool {
    folder: TempDir,
    _alive: File,
}

impl Spool {
    /// A new one among the system's temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        sweep(&std::env::temp_dir());
        let mode = fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(PREFIX).permissions(mode).tempdir()?;
        let alive = File::create(folder.path().join(ALIVE))?;
        alive.lock()?;
        Ok(Self { folder, _alive: alive })
    }

    /// Where a file of a name in it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Removes what killed commands left behind, as far as this user may.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let Ok(alive) = File::open(entry.path().join(ALIVE)) else { continue };
        let age = alive.metadata().and_then(|m| m.modified()).ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > YOUNG) && alive.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
