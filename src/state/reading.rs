//! The state as a plan sees it: without a lock, and with what interrupted runs are known to have done.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::backend::Backend;
use super::checksums::Files;
use super::discovered::Discoveries;
use super::document::{Document, SyncEntry};
use super::formers::Formers;
use super::held::HeldRows;
use super::recover;
use super::runs::Run;
use crate::diagnostic::{Error, Result};
use crate::diff::snapshot::Snapshot;
use crate::diff::{Hash, Held};
use crate::schedule::Ran;

/// The state at one moment.
pub struct Reading {
    backend: Arc<dyn Backend>,
    files: Files,
    document: Document,
    serial: u64,
    /// Interrupted runs that were folded in.
    interrupted: Vec<Run>,
    /// Files that exist only for this reading.
    fresh: HashMap<String, PathBuf>,
    scratch: Option<Arc<TempDir>>,
}

/// What is known of one sync.
pub struct SyncView {
    /// Rows as last acknowledged.
    pub snapshot: Option<Snapshot>,
    /// Rows that are not sent again by themselves.
    pub held: Held,
    /// Rows whose last sending was not answered: to be sent again, whatever the snapshot says of them.
    pub doubt: Option<Snapshot>,
    /// True when no row of the sync was ever acknowledged or answered.
    pub first_run: bool,
    /// Held rows of which nothing is at the destination, by key: when they leave the model, they are forgotten.
    pub waiting: HashMap<String, Hash>,
    /// Records that rows had before.
    pub formers: Formers,
    /// What the document says of it.
    pub entry: Option<SyncEntry>,
    /// Keeps the files of this view alive.
    _scratch: Option<Arc<TempDir>>,
}

impl Reading {
    pub(super) fn new(backend: Arc<dyn Backend>, files: Files, document: Document) -> Result<Self> {
        let serial = document.serial;
        let mut reading =
            Self { backend, files, document, serial, interrupted: Vec::new(), fresh: HashMap::new(), scratch: None };
        for run_id in reading.document.open_runs.clone() {
            let scratch = match &reading.scratch {
                Some(scratch) => scratch.clone(),
                None => {
                    let made =
                        tempfile::tempdir().map_err(|e| Error::failed(format!("cannot write temporary files: {e}")))?;
                    reading.scratch.insert(Arc::new(made)).clone()
                }
            };
            let out = scratch.path().join(&run_id);
            std::fs::create_dir(&out).map_err(|e| super::local::failed("create", &out, &e))?;
            let find = |name: &str| reading.find(name);
            let recovered = recover::recover(&*reading.backend, &reading.document, &run_id, &find, &out)?;
            reading.document = recovered.document;
            // A recovery is one commit, so the serial a plan is bound to is known before it happens.
            reading.document.serial += 1;
            reading.serial += 1;
            reading.fresh.extend(recovered.files);
            reading.interrupted.extend(recovered.run);
        }
        Ok(reading)
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        if let Some(path) = self.fresh.get(name) {
            return Ok(Some(path.clone()));
        }
        self.files.find(&self.document, name)
    }

    /// Identity of the state.
    pub fn lineage(&self) -> &str {
        &self.document.lineage
    }

    /// Serial a plan made from this reading is bound to.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Interrupted runs that were folded in, as their records will say once the next holder of the lock has done the same.
    pub fn interrupted(&self) -> &[Run] {
        &self.interrupted
    }

    /// The held rows of every sync that has some.
    ///
    /// # Errors
    /// A file of the state is missing or damaged.
    pub fn held(&self) -> Result<Vec<(String, HeldRows)>> {
        let mut all = Vec::new();
        for (sync, entry) in &self.document.syncs {
            let Some(name) = &entry.held else { continue };
            let Some(path) = self.find(name)? else { return Err(recover::incomplete(sync, name)) };
            let rows = HeldRows::read(&path)?;
            if !rows.0.is_empty() {
                all.push((sync.clone(), rows));
            }
        }
        Ok(all)
    }

    /// The last run of a sync that began, as far as schedules go. Under `moved_from` it is found by the name it had before.
    pub fn ran(&self, sync: &str, moved_from: Option<&str>) -> Option<Ran> {
        self.document.entry(sync, moved_from)?.1.begun.clone()
    }

    /// What destinations said of their fields.
    pub fn discoveries(&self) -> Discoveries {
        Discoveries::new(self.backend.clone())
    }

    /// What is known of a sync. Under `moved_from` it is found by the name it had before.
    pub fn view(&self, sync: &str, moved_from: Option<&str>) -> Result<SyncView> {
        self.view_for(sync, moved_from, None)
    }

    /// The same for who is about to send in this way (see [`SyncRecord::way`](super::journal::SyncRecord::way)): rows that
    /// were refused when they were sent in another one are marked.
    pub fn view_for(&self, sync: &str, moved_from: Option<&str>, way: Option<u64>) -> Result<SyncView> {
        let Some((name, entry)) = self.document.entry(sync, moved_from) else {
            return Ok(SyncView {
                snapshot: None,
                held: Held::new(),
                doubt: None,
                waiting: HashMap::new(),
                formers: Formers::default(),
                first_run: true,
                entry: None,
                _scratch: None,
            });
        };
        let known = recover::before(&self.document, name, &|name| self.find(name))?;
        Ok(SyncView {
            first_run: known.snapshot.is_none() && known.doubt.is_none() && known.held.0.is_empty(),
            waiting: known.held.waiting(),
            held: known.held.for_diff(way),
            formers: known.formers,
            snapshot: known.snapshot,
            doubt: known.doubt,
            entry: Some(entry.clone()),
            _scratch: self.scratch.clone(),
        })
    }
}
