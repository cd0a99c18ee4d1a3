//! What was used is part of the state: the numbers are in the document, the keys in immutable files it names.

use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::checksums;
use super::document::Document;
use super::reading::Reading;
use super::recover::Find;
use crate::diagnostic::{Error, Result};
use crate::usage::keys::{self, Union};
use crate::usage::{Counted, Ledger, MOST_FILES, Month, Queried, keys_beside};

/// What a plan has queried; `None` for one made before it was counted. `plan` is its folder.
fn queried(plan: &Path) -> Result<Option<Queried>> {
    let path = plan.join("queried.json");
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| super::local::failed("read", &path, &e))?,
    };
    let damaged = |e: serde_json::Error| Error::failed(format!("`{}` is damaged: {e}", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// What the ledger becomes with a run, and the files to be put before it may.
pub(super) struct Entry {
    month: Month,
    counted: Vec<(String, Counted)>,
    files: Vec<(String, PathBuf)>,
}

/// Counts what a plan has queried on top of what the ledger knows. A plan that is carried out a second time adds nothing.
pub(super) fn count(ledger: &Ledger, plan: &Path, run_id: &str, find: Find<'_>, out: &Path) -> Result<Option<Entry>> {
    let Some(queried) = queried(plan)? else { return Ok(None) };
    let month = queried.month;
    let mut entry = Entry { month, counted: Vec::new(), files: Vec::new() };
    for (model, query) in &queried.models {
        let known = ledger.model(month, model);
        let new = keys_beside(plan, model);
        let mut counted = Counted { queried_records: known.queried_records, keys: known.keys.clone() };
        if query.new > 0 {
            let mut all = paths(&known.keys, find)?;
            all.push(new.clone());
            let name = format!("usage/{model}.{month}.{run_id}.keys");
            let file = out.join(format!("{}.keys", entry.files.len()));
            if known.keys.is_empty() {
                // Of a month that is over, the number alone is kept; new keys are none of those it counts.
                counted.queried_records += keys::write(Union::open(&[new])?, &file)?;
                counted.keys = vec![name.clone()];
            } else if known.keys.len() + 1 > MOST_FILES {
                counted.queried_records = keys::write(Union::open(&all)?, &file)?;
                counted.keys = vec![name.clone()];
            } else {
                counted.queried_records = Union::open(&all)?.try_fold(0, |n, key| key.map(|_| n + 1))?;
                keys::write(Union::open(&[new])?, &file)?;
                counted.keys.push(name.clone());
            }
            entry.files.push((name, file));
        }
        entry.counted.push((model.clone(), counted));
    }
    Ok(Some(entry))
}

impl Entry {
    /// Puts the files and notes them. `now` decides which keys are not needed any more.
    pub(super) fn note(self, backend: &dyn Backend, document: &mut Document, now: Month) -> Result<()> {
        for (name, file) in &self.files {
            document.checksums.insert(name.clone(), checksums::of_file(file)?);
            backend.put(name, file)?;
        }
        document.usage.count_run(self.month, self.counted);
        document.usage.trim(now);
        Ok(())
    }
}

fn paths(names: &[String], find: Find<'_>) -> Result<Vec<PathBuf>> {
    let path = |name: &String| {
        find(name)?.ok_or_else(|| {
            Error::failed_help(
                format!("the state's file `{name}` is missing"),
                "another run may just have ended: run the command again; else put back a copy of the state",
            )
        })
    };
    names.iter().map(path).collect()
}

impl Reading {
    /// The keys a model was queried for in a month, in files.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn queried(&self, month: Month, model: &str) -> Result<Vec<PathBuf>> {
        paths(&self.document().usage.model(month, model).keys, &|name| self.find(name))
    }
}
