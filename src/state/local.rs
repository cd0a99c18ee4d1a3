//! The state in a folder of this machine: temp file, fsync, rename, fsync of the folder.

mod journal;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::backend::{Acquired, Append, Backend, Holder, Stored, Version};
use super::lease;
use crate::diagnostic::{Error, Result, space_help};
use journal::{JournalFile, without_room};

/// A state folder.
pub struct Local {
    folder: PathBuf,
    /// The operating system's lock, held as long as we hold the lease: its absence proves that a holder is dead.
    alive: Mutex<Option<File>>,
}

const DOCUMENT: &str = "state.json";
const LOCK: &str = "lock.json";

impl Local {
    /// A state in this folder, which is made if need be.
    pub fn open(folder: PathBuf) -> Result<Self> {
        make_folder(&folder).map_err(|e| failed("create the state folder", &folder, &e))?;
        Ok(Self { folder, alive: Mutex::new(None) })
    }

    /// A state in this folder, of which nothing is made before something is written.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, alive: Mutex::new(None) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs `work` alone among all processes. It is held for moments only: what it protects is the lock file.
    fn alone<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.path("guard.lck");
        let file = open_lock(&path)?;
        file.lock().map_err(|e| failed("lock", &path, &e))?;
        let result = work();
        let _ = file.unlock();
        result
    }

    fn read_holder(&self) -> Result<Option<Holder>> {
        let path = self.path(LOCK);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
                Error::failed_help(
                    format!("the lock file `{}` cannot be read: {e}", path.display()),
                    "make sure nobody applies, then run `syncline state unlock`",
                )
            }),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &path, &e)),
        }
    }

    fn write_holder(&self, holder: &Holder) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(holder).map_err(|e| Error::failed(e.to_string()))?;
        self.write_atomic(LOCK, &bytes)
    }

    fn remove_holder(&self) -> Result<()> {
        match fs::remove_file(self.path(LOCK)) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed("remove", &self.path(LOCK), &e)),
        }
    }

    fn write_atomic(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name);
        let temporary = self.path(&format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_folder(&path)
        };
        write().map_err(|e| failed("write", &path, &e))
    }

    /// Removes what killed holders left as their proofs of life. What cannot be removed does no harm.
    fn forget_dead(&self, mine: u64) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let token = name.strip_prefix("alive.").and_then(|n| n.strip_suffix(".lck")).and_then(|n| n.parse().ok());
            if let Some(token) = token.filter(|token| *token != mine)
                && let Ok(Some(_)) = self.try_alive(token)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Where the holder of this token proves that it lives: a file of its own, so that a holder whose lock was taken
    /// away is not mistaken for its successor.
    fn alive_path(&self, token: u64) -> PathBuf {
        self.path(&format!("alive.{token}.lck"))
    }

    /// Tries to get the operating system's lock that the living local holder of this token keeps.
    fn try_alive(&self, token: u64) -> Result<Option<File>> {
        let path = self.alive_path(token);
        let file = open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(failed("lock", &path, &e)),
        }
    }
}

impl Backend for Local {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn load(&self) -> Result<Option<Stored>> {
        let path = self.path(DOCUMENT);
        match fs::read(&path) {
            Ok(bytes) => {
                let version = version(&bytes);
                Ok(Some(Stored { bytes, version }))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &path, &e)),
        }
    }

    fn create(&self, bytes: &[u8]) -> Result<()> {
        self.alone(|| match self.load()? {
            Some(_) => Ok(()),
            None => self.write_atomic(DOCUMENT, bytes),
        })
    }

    fn swap(&self, bytes: &[u8], expected: Version, token: u64) -> Result<()> {
        self.alone(|| {
            let holder = self.read_holder()?;
            if holder.as_ref().is_none_or(|h| h.token != token) {
                return Err(lease::lost(holder.as_ref()));
            }
            if self.load()?.is_none_or(|stored| stored.version != expected) {
                return Err(Error::Stale {
                    message: format!("the state in `{}` was changed by somebody else", self.place()),
                    help: Some("run the command again".into()),
                });
            }
            self.write_atomic(DOCUMENT, bytes)
        })
    }

    fn acquire(&self, operation: &str, duration: Duration, least: u64) -> Result<Acquired> {
        self.alone(|| {
            let current = self.read_holder()?;
            if let Some(holder) = &current {
                // On this machine a holder without its system lock is dead, however fresh its lease. Elsewhere only
                // the end of the lease tells.
                let dead = holder.host == lease::host() && self.try_alive(holder.token)?.is_some();
                if !dead && !lease::expired(holder) {
                    return Ok(Acquired::Busy(holder.clone()));
                }
            }
            let mut token = least.max(current.as_ref().map_or(0, |h| h.token)) + 1;
            // A lock that was taken away leaves no token behind; the proof of life of its holder does.
            let alive = loop {
                match self.try_alive(token)? {
                    Some(alive) => break Some(alive),
                    None => token += 1,
                }
            };
            let holder = lease::new_holder(token, operation, duration);
            self.write_holder(&holder)?;
            self.forget_dead(token);
            if let Ok(mut slot) = self.alive.lock() {
                *slot = alive;
            }
            Ok(Acquired::Taken { holder, from: current })
        })
    }

    fn renew(&self, token: u64, duration: Duration) -> Result<bool> {
        self.alone(|| match self.read_holder()? {
            Some(holder) if holder.token == token => {
                self.write_holder(&lease::renewed(holder, duration))?;
                Ok(true)
            }
            _ => Ok(false),
        })
    }

    fn release(&self, token: u64) -> Result<()> {
        self.alone(|| {
            let result = match self.read_holder()? {
                Some(holder) if holder.token == token => self.remove_holder(),
                _ => Ok(()),
            };
            // While nobody else looks: a file that is removed after another has opened it proves nothing.
            if let Ok(mut slot) = self.alive.lock()
                && slot.is_some()
            {
                let _ = fs::remove_file(self.alive_path(token));
                *slot = None;
            }
            result
        })
    }

    fn holder(&self) -> Result<Option<Holder>> {
        self.read_holder()
    }

    fn is_held(&self) -> Result<bool> {
        let Some(holder) = self.read_holder()? else { return Ok(false) };
        // As in `acquire`, but the proof of life is not made where it is gone.
        let dead = holder.host == lease::host()
            && (!self.alive_path(holder.token).exists() || self.try_alive(holder.token)?.is_some());
        Ok(!dead && !lease::expired(&holder))
    }

    fn break_lock(&self) -> Result<Option<Holder>> {
        self.alone(|| {
            // A lock file nobody can read is the very thing this is for.
            let holder = self.read_holder().unwrap_or(None);
            self.remove_holder()?;
            Ok(holder)
        })
    }

    fn put(&self, name: &str, file: &Path) -> Result<()> {
        let path = self.path(name);
        let put = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            if file.starts_with(&self.folder) {
                File::open(file)?.sync_all()?;
                fs::rename(file, &path)?;
            } else {
                let temporary = path.with_extension("new");
                match fs::remove_file(&temporary) {
                    Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
                if fs::hard_link(file, &temporary).is_err() {
                    fs::copy(file, &temporary)?;
                }
                File::open(&temporary)?.sync_all()?;
                fs::rename(&temporary, &path)?;
            }
            sync_folder(&path)
        };
        put().map_err(|e| failed("write", &path, &e))
    }

    fn get(&self, name: &str) -> Result<Option<PathBuf>> {
        let path = self.path(name);
        Ok(path.is_file().then_some(path))
    }

    fn get_folder(&self, name: &str) -> Result<Option<PathBuf>> {
        let path = self.path(name);
        Ok(path.is_dir().then_some(path))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed("remove", &path, &e)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.path(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed("read", &path, &e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| failed("read", &path, &e))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn journal(&self, name: &str) -> Result<Box<dyn Append>> {
        let path = self.path(name);
        let open = || -> std::io::Result<File> {
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            sync_folder(&path)?;
            Ok(file)
        };
        let file = open().map_err(|e| failed("create", &path, &e))?;
        Ok(Box::new(JournalFile::new(file, path)))
    }

    fn read_journal(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(without_room(bytes))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", &path, &e)),
        }
    }

    fn scratch(&self) -> Result<PathBuf> {
        let path = self.path("tmp");
        make_folder(&path).map_err(|e| failed("create", &path, &e))?;
        Ok(path)
    }
}

/// The serial within the document, 0 when it cannot be read: then no swap can hit it by accident, as a document that
/// cannot be read is refused before anything is written.
pub(super) fn version(bytes: &[u8]) -> Version {
    #[derive(serde::Deserialize)]
    struct Serial {
        serial: u64,
    }
    serde_json::from_slice::<Serial>(bytes).map_or(0, |s| s.serial)
}

fn open_lock(path: &Path) -> Result<File> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    open.map_err(|e| failed("open", path, &e))
}

/// Makes a folder for our eyes only (it holds personal data) and makes its name durable.
pub(super) fn make_folder(path: &Path) -> std::io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    // Level by level, as each name must be durable for the next one to be.
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_folder(path)
}

/// Makes a folder for what git must not see: the state, and what is in the making beside it, hold personal data.
pub(super) fn make_private(folder: &Path) -> Result<()> {
    make_folder(folder).map_err(|e| failed("create the state folder", folder, &e))?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(|e| failed("write", &ignore, &e))?;
    }
    Ok(())
}

/// Makes the name of a file durable: the folder that holds it is synced.
pub(super) fn sync_folder(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        #[cfg(unix)]
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

pub(super) fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    let help = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => space_help(error),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Some("the state folder must be writable for the user who runs syncline".to_owned())
        }
        _ => None,
    };
    Error::Failed { message: format!("cannot {what} `{}`: {error}", path.display()), help }
}
