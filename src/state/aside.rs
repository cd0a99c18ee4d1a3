//! A folder beside the state for what is in the making. It holds personal data, so what a killed command left behind goes
//! with the next one.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::diagnostic::{Error, Result};

/// The file that is locked while the command lives.
const ALIVE: &str = "alive";
/// A folder younger than this may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder that is removed on drop.
pub struct Aside {
    folder: TempDir,
    _alive: File,
}

impl Aside {
    /// A new folder in `parent`, its name beginning with `prefix`; those of that prefix whose command is dead are removed.
    /// Where nothing can be written there, it is one for temporary files: a plan needs to read the state, no more.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(parent: &Path, prefix: &str) -> Result<Self> {
        sweep(parent, prefix);
        let make = || {
            let beside = super::local::make_folder(parent);
            let folder = match beside.and_then(|()| tempfile::Builder::new().prefix(prefix).tempdir_in(parent)) {
                Err(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
                    let prefix = format!("syncline-{prefix}");
                    let folder = tempfile::Builder::new().prefix(&prefix).tempdir()?;
                    folder.path().parent().into_iter().for_each(|parent| sweep(parent, &prefix));
                    folder
                }
                beside => beside?,
            };
            let alive = File::create(folder.path().join(ALIVE))?;
            alive.lock()?;
            Ok(Self { folder, _alive: alive })
        };
        make().map_err(|e: std::io::Error| Error::failed(format!("cannot write to `{}`: {e}", parent.display())))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what killed commands left behind. What cannot be removed now is left to the next command.
fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        let Ok(alive) = File::open(entry.path().join(ALIVE)) else { continue };
        let age = alive.metadata().and_then(|m| m.modified()).ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > YOUNG) && alive.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
