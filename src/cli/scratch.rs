//! A folder for a plan in the making. It holds personal data, so what a killed command left behind goes with the next one.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::diagnostic::{Error, Result};
use crate::project::Project;

/// How folders in the making are named.
const PREFIX: &str = "plan-";
/// How they are named among temporary files of others.
const ELSEWHERE: &str = "syncline-plan-";
/// The file that is locked while the command lives.
const ALIVE: &str = "alive";
/// A folder younger than this may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder that is removed on drop.
pub(super) struct Scratch {
    plan: PathBuf,
    folder: TempDir,
    _alive: File,
}

impl Scratch {
    /// A new folder beside the state, so that nothing is copied across file systems. Where nothing can be written there,
    /// it is one for temporary files: a plan needs to read the state, no more.
    pub(super) fn new(project: &Project) -> Result<Self> {
        let state = project.root.join(project.environment.state.path.as_deref().unwrap_or(".syncline"));
        sweep(&state, PREFIX);
        let make = || {
            let beside =
                fs::create_dir_all(&state).and_then(|()| tempfile::Builder::new().prefix(PREFIX).tempdir_in(&state));
            let folder = match beside {
                Err(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
                    let folder = tempfile::Builder::new().prefix(ELSEWHERE).tempdir()?;
                    folder.path().parent().into_iter().for_each(|parent| sweep(parent, ELSEWHERE));
                    folder
                }
                beside => beside?,
            };
            let alive = File::create(folder.path().join(ALIVE))?;
            alive.lock()?;
            let plan = folder.path().join("plan");
            fs::create_dir(&plan)?;
            Ok(Self { plan, folder, _alive: alive })
        };
        make().map_err(|e: std::io::Error| Error::failed(format!("cannot write to `{}`: {e}", state.display())))
    }

    /// The folder with all that belongs to it.
    pub(super) fn whole(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The empty folder.
    pub(super) fn path(&self) -> &Path {
        &self.plan
    }
}

/// Removes what killed commands left behind. What cannot be removed now is left to the next command.
fn sweep(state: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(state) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        let Ok(alive) = File::open(entry.path().join(ALIVE)) else { continue };
        let age = alive.metadata().and_then(|m| m.modified()).ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > YOUNG) && alive.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
