//! 10 · The memory between runs: snapshots, held rows, journals, run records, and the lock that makes one writer.
//!
//! ```text
//! <state path>/state.key                      key of all hashes, unless it comes from outside
//! <state path>/<environment>/state.json       the document: which files are the state, at which serial
//!                           /snapshots/       rows as last acknowledged          (immutable files)
//!                           /held/            rows not taken, rows in doubt      (immutable files)
//!                           /discovered/      fields destinations said they have (a cache)
//!                           /notified/        what receivers of messages were told last
//!                           /planned/         what plans said, for those that are approved
//!                           /usage/           keys queried in the month           (immutable files)
//!                           /runs/<run id>/   run.json, plan/, journal, rows/    (history)
//!                           /lock.json        who is writing, until when
//! ```
//! The same names are used in a bucket or a table: see `remote`.
//!
//! A commit puts new files, then swaps the document; old files go only after that. Whatever a crash leaves is either the
//! state before or the state after, and the journal of the run says what lies between the state and the world.

mod active;
mod approvals;
pub mod aside;
pub mod backend;
pub mod checksums;
mod deferred;
pub mod discovered;
pub mod document;
mod fold;
pub mod formers;
pub mod held;
pub mod history;
pub mod journal;
pub mod key;
pub mod lease;
mod leaving;
pub mod local;
pub mod marks;
pub mod notified;
mod reading;
mod recover;
mod remote;
mod retention;
pub mod rowlog;
pub mod runs;
mod surgery;
mod transfer;
mod usage;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

pub use active::{ActiveRun, ActiveSync, Effort};
pub use deferred::{Leftover, LeftoverRow};
#[cfg(test)]
pub(crate) use fold::hashes;
pub use lease::LockRequest;
pub use reading::{Reading, SyncView};
pub use surgery::Adoption;
pub use transfer::Pulled;

use crate::diagnostic::{Error, Result};
use crate::diff::HashKey;
use crate::manifest::project::{StateBackend, StateType};
use backend::Backend;
use checksums::Files;
use document::{Document, PlanStatus};
use lease::Lease;
use local::Local;
use remote::Remote;
use runs::Run;

/// The state of one environment. Reading it needs no lock.
#[derive(Clone)]
pub struct State {
    backend: Arc<dyn Backend>,
    files: Files,
    environment: String,
    key: HashKey,
    /// Finished runs that are kept.
    keep_runs: u32,
}

/// What may be done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanUse {
    /// It was not used before.
    Fresh,
    /// Its run was stopped: what is left of it may be done.
    Resume,
}

impl State {
    /// Opens the state of an environment (`default` where the project names none), which is born if it does not exist.
    /// `root` is the project's folder; `key` the hash key if it comes from outside.
    pub fn open(config: &StateBackend, root: &Path, environment: &str, key: Option<HashKey>) -> Result<Self> {
        let name = if environment.is_empty() { "default" } else { environment };
        let state = if config.kind == StateType::Local {
            let folder = root.join(config.folder());
            let key = key.map_or_else(|| key::of_folder(&folder), Ok)?;
            Self::with_backend(Arc::new(Local::open(folder.join(name))?), environment, key)?
        } else {
            let remote = Remote::open(config, root, name)?;
            let key = key.map_or_else(|| remote.key(), Ok)?;
            Self::with_backend(Arc::new(remote), environment, key)?
        };
        Ok(Self { keep_runs: config.keep_runs, ..state })
    }

    /// Opens the state in this store.
    pub fn with_backend(backend: Arc<dyn Backend>, environment: &str, key: HashKey) -> Result<Self> {
        if backend.load()?.is_none() {
            beheaded(&*backend)?;
            let lineage = uuid::Uuid::now_v7().to_string();
            let check = key::check(&key, &lineage);
            backend.create(&Document::new(lineage, check).to_bytes()?)?;
        }
        let keep_runs = StateBackend::default().keep_runs;
        let files = Files::new(backend.clone());
        let state = Self { backend, files, environment: environment.into(), key, keep_runs };
        state.fits(&state.document()?)?;
        Ok(state)
    }

    fn fits(&self, document: &Document) -> Result<()> {
        if key::check(&self.key, &document.lineage) == document.key_check {
            return Ok(());
        }
        Err(Error::failed_help(
            format!("the hash key does not fit the state in `{}`", self.backend.place()),
            "every row would look new: put back `state.key`, or set `SYNCLINE_STATE_KEY` to the key it had",
        ))
    }

    /// Opens the state of an environment in order to put a copy in its place, whatever becomes of what is there. Nothing is
    /// made, and a document is made only of the copy.
    ///
    /// # Errors
    /// There is no hash key, it is not that of the copy, or it is not that of a state here that holds something.
    pub fn open_to_replace(
        copy: &Pulled,
        config: &StateBackend,
        root: &Path,
        environment: &str,
        key: Option<HashKey>,
    ) -> Result<Self> {
        let name = if environment.is_empty() { "default" } else { environment };
        let known = |there: &dyn Fn() -> Result<Option<HashKey>>| match &key {
            Some(key) => copy.check_key(Some(key.clone()), key::VARIABLE),
            None => copy.check_key(there()?, &format!("{}/state.key", config.place())),
        };
        let (backend, key): (Arc<dyn Backend>, HashKey) = if config.kind == StateType::Local {
            let folder = root.join(config.folder());
            let key = known(&|| key::known(&folder))?;
            (Arc::new(Local::at(folder.join(name))), key)
        } else {
            let remote = Remote::open(config, root, name)?;
            let key = known(&|| remote.known_key())?;
            (Arc::new(remote), key)
        };
        let files = Files::new(backend.clone());
        let state = Self { backend, files, environment: environment.into(), key, keep_runs: config.keep_runs };
        if let Some(stored) = state.backend.load()? {
            let document = Document::parse(&stored.bytes, &state.backend.place())?;
            // What was born here by another key and has never held anything is in nobody's way.
            if !document.is_blank() {
                state.fits(&document)?;
            }
        }
        Ok(state)
    }

    /// Key of all hashes of this state.
    pub fn hash_key(&self) -> &HashKey {
        &self.key
    }

    /// The document as it is now.
    pub fn document(&self) -> Result<Document> {
        let place = self.backend.place();
        match self.backend.load()? {
            Some(stored) => Document::parse(&stored.bytes, &place),
            None => Err(Error::failed(format!("the state in `{place}` is gone"))),
        }
    }

    /// Reads the state as it will be once the journal of an interrupted run is folded in. Commits nothing.
    pub fn read(&self) -> Result<Reading> {
        Reading::new(self.backend.clone(), self.files.clone(), self.document()?)
    }

    /// Takes the lock. Fails with [`Error::Locked`] when another run has it.
    pub fn lock(&self, request: &LockRequest) -> Result<Locked> {
        let lease = Lease::take(self.backend.clone(), request, self.document()?.token)?;
        let document = Mutex::new(self.document()?);
        let locked = Locked { state: self.clone(), document, lease };
        locked.clear_scratch();
        Ok(locked)
    }

    /// Takes the lock away from whoever holds it. Returns a description of who that was.
    pub fn unlock(&self) -> Result<Option<String>> {
        Ok(self.backend.break_lock()?.as_ref().map(lease::describe))
    }
}

/// Refuses a store that holds what a state is made of, and no document: taken for a new state, it would send every row
/// again. A document is made before anything else, so that a crash cannot lead here.
fn beheaded(backend: &dyn Backend) -> Result<()> {
    let mut held = Vec::new();
    for (folder, one, many) in
        [("snapshots", "snapshot", "snapshots"), ("held", "file", "files"), ("runs", "run", "runs")]
    {
        match backend.list(folder)?.len() {
            0 => {}
            1 => held.push(format!("1 {one} in `{folder}/`")),
            n => held.push(format!("{n} {many} in `{folder}/`")),
        }
    }
    // Unless another process has made it meanwhile.
    if held.is_empty() || backend.load()?.is_some() {
        return Ok(());
    }
    let place = backend.place();
    Err(Error::failed_help(
        format!("`state.json` is missing in `{place}`, which holds {}", held.join(", ")),
        format!(
            "put it back from a copy, or put a whole copy in its place: `syncline state push FILE`; to begin anew, when every \
             row is sent again, remove `{place}`"
        ),
    ))
}

/// The state with its lock held; given back on drop.
pub struct Locked {
    state: State,
    document: Mutex<Document>,
    lease: Lease,
}

impl Locked {
    /// Folds in what dead runs left behind. Returns their records, now ended as `partial` or `failed`.
    pub fn recover(&self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        for run_id in self.document().open_runs {
            let out = self.scratch()?;
            let document = self.document();
            let find = |name: &str| self.find(&document, name);
            let recovered = recover::recover(self.backend(), &document, &run_id, &find, out.path())?;
            self.commit(|document| {
                for (name, file) in &recovered.files {
                    self.backend().put(name, file)?;
                }
                *document = recovered.document;
                Ok(())
            })?;
            runs.extend(recovered.run);
        }
        Ok(runs)
    }

    /// Says whether a plan fits this state: fails with [`Error::Stale`] when it was made for another state, before
    /// another run, or was already applied. Dead runs must have been recovered before.
    pub fn check_plan(&self, plan_id: &str, lineage: &str, serial: u64) -> Result<PlanUse> {
        let document = self.document();
        let stale =
            |message: String| Err(Error::Stale { message, help: Some("make a new plan with `syncline plan`".into()) });
        if document.lineage != lineage {
            return stale("the plan was made for another state".into());
        }
        match document.plans.get(plan_id) {
            Some(used) if used.status == PlanStatus::Applied => {
                stale(format!("the plan was already applied by run `{}`", used.runs.last().map_or("?", |r| r)))
            }
            Some(used) if used.serial == document.serial => Ok(PlanUse::Resume),
            None if serial == document.serial => Ok(PlanUse::Fresh),
            _ => stale(format!(
                "the state has changed since the plan was made (serial {serial}, now {})",
                document.serial
            )),
        }
    }

    /// Begins a run of a plan, unpacked in the folder `plan`; dead runs are recovered first.
    pub fn begin(&self, plan_id: &str, plan: &Path) -> Result<ActiveRun<'_>> {
        self.recover()?;
        self.try_tidy();
        ActiveRun::begin(self, plan_id, plan)
    }

    /// The state as this holder sees it.
    pub fn read(&self) -> Result<Reading> {
        Reading::new(self.state.backend.clone(), self.state.files.clone(), self.document())
    }

    /// Identity of the state.
    pub fn lineage(&self) -> String {
        self.document().lineage
    }

    /// True once another holder has the lock.
    pub fn lost(&self) -> Arc<AtomicBool> {
        self.lease.lost()
    }

    /// What gives the lock back when the process must end without dropping this.
    pub fn release_later(&self) -> impl FnOnce() + Send + 'static {
        let (backend, token) = (self.state.backend.clone(), self.token());
        move || {
            // What cannot be given back is taken over by the next holder.
            let _ = backend.release(token);
        }
    }

    fn backend(&self) -> &dyn Backend {
        &*self.state.backend
    }

    fn find(&self, document: &Document, name: &str) -> Result<Option<PathBuf>> {
        self.state.files.find(document, name)
    }

    fn environment(&self) -> &str {
        &self.state.environment
    }

    fn token(&self) -> u64 {
        self.lease.token()
    }

    fn document(&self) -> Document {
        self.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A folder for files about to be put, removed on drop.
    fn scratch(&self) -> Result<TempDir> {
        let folder = self.backend().scratch()?;
        tempfile::tempdir_in(&folder).map_err(|e| local::failed("write to", &folder, &e))
    }

    /// Removes what a dead holder was about to put.
    fn clear_scratch(&self) {
        let Ok(entries) = self
            .backend()
            .scratch()
            .and_then(|folder| std::fs::read_dir(&folder).map_err(|e| local::failed("read", &folder, &e)))
        else {
            return;
        };
        for entry in entries.flatten() {
            // What cannot be removed does no harm.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }

    /// Changes the document in one commit: `change` puts the files the new document points to, then it is swapped in,
    /// then the files no longer needed are removed.
    fn commit<T>(&self, change: impl FnOnce(&mut Document) -> Result<T>) -> Result<T> {
        let mut current = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = current.clone();
        let result = change(&mut next)?;
        // A pushed document may be ahead.
        next.serial = next.serial.max(current.serial) + 1;
        next.token = self.token();
        next.trim();
        self.backend().swap(&next.to_bytes()?, current.serial, self.token())?;
        *current = next;
        // Garbage that cannot be removed now is removed by a later commit.
        if let Err(e) = self.sweep(&current) {
            tracing::warn!("old state files could not be removed: {e}");
        }
        Ok(result)
    }

    fn sweep(&self, document: &Document) -> Result<()> {
        let needed = document.files();
        for folder in ["snapshots", "held", "usage"] {
            for name in self.backend().list(folder)? {
                let name = format!("{folder}/{name}");
                if !needed.contains(name.as_str()) {
                    self.backend().remove(&name)?;
                }
            }
        }
        Ok(())
    }
}
