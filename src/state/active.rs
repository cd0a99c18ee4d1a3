//! A run in progress: its folder, its journal, and the commits that end its syncs.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::Locked;
use super::checksums::{self, Checksums};
use super::deferred::{Answers, Leftover};
use super::document::{Document, PlanStatus, UsedPlan};
use super::fold::{self, Share};
use super::journal::{Journal, Record, SyncRecord};
use super::marks::Marks;
use super::recover::{self, in_run};
use super::runs::{Run, Status, SyncRun};
use super::usage;
use crate::destinations::{Outcome, Warning};
use crate::diagnostic::{Error, Result};
use crate::diff::Hash;
use crate::plan::operations::{self, Head};
use crate::schedule::{Outcome as End, Ran};
use crate::usage::Month;

/// A run that began. Dropped without [`ActiveRun::finish`] it stays open, and the next run picks up its journal.
pub struct ActiveRun<'a> {
    locked: &'a Locked,
    run: Mutex<Run>,
    /// Earlier runs of the same plan.
    earlier: Vec<String>,
    /// When its command began, if it does all that its plan says: then it counts for schedules.
    counts_since: Option<Timestamp>,
    journal: Journal,
    batches: AtomicU64,
    syncs: Mutex<u32>,
}

/// One sync of a run in progress.
pub struct ActiveSync {
    /// What the journal says of it.
    pub record: SyncRecord,
    /// What earlier runs of the same plan did, if there were any.
    pub done: Option<Marks>,
    /// Keys for which an earlier answer was lost.
    pub in_doubt: HashSet<Hash>,
    /// Batches of earlier runs that were taken and never settled: to be asked for before anything is sent.
    pub leftover: Vec<Leftover>,
    /// What ids of its records are made of.
    pub identity: String,
    answers: Answers,
    digest: u64,
}

impl ActiveSync {
    /// True when an earlier run of the plan has settled this operation for good: it is left out.
    pub fn settled(&self, ordinal: u64) -> bool {
        self.done.as_ref().is_some_and(|done| fold::settled(&self.record, done.get(ordinal)))
    }

    /// What to ask [`crate::destinations::Writer::settle`] before anything is sent.
    pub fn asked(&self) -> Vec<(u64, String)> {
        self.leftover.iter().map(|batch| (batch.id, batch.handle.clone())).collect()
    }

    /// Takes the outcomes of a leftover batch, one for each of its rows: these are no longer in doubt. False when there
    /// is no such batch, or the outcomes are not as many as its rows.
    pub fn resolve(&mut self, id: u64, outcomes: &[Outcome]) -> bool {
        let Some(batch) = self.leftover.iter().find(|batch| batch.id == id) else { return false };
        if !self.answers.take(batch, outcomes) {
            return false;
        }
        batch.rows.iter().for_each(|row| {
            self.in_doubt.remove(&row.key_hash);
        });
        true
    }

    /// The outcome of an operation of the plan that a leftover batch has already carried out: it is not sent again, but
    /// its outcome is written down as if it had been.
    pub fn answered(&self, head: &Head) -> Option<&Outcome> {
        self.answers.of(head, self.digest)
    }

    /// True when a former record may be removed: the operation it waits for was acknowledged, in this run or in an
    /// earlier one of the plan. `marks` are those of this run.
    pub fn may_go(&self, after: Option<u64>, marks: &Marks) -> bool {
        let earlier = |ordinal| self.done.as_ref().is_some_and(|done| done.acknowledged(ordinal));
        after.is_none_or(|ordinal| marks.acknowledged(ordinal) || earlier(ordinal))
    }
}

/// How the delivery of a sync went, beyond its rows.
#[derive(Debug, Clone, Default)]
pub struct Effort {
    /// Requests made.
    pub requests: u64,
    /// Requests that repeated an earlier one.
    pub retries: u64,
    /// Operations that were left out of the plan's copy on purpose.
    pub left_out: u64,
    /// What the destination let pass but did not do as asked.
    pub warnings: Vec<Warning>,
    /// Why it did not go on to the end.
    pub error: Option<String>,
}

impl<'a> ActiveRun<'a> {
    /// Begins a run: its plan is copied and marked as used before anything else happens.
    pub(super) fn begin(locked: &'a Locked, plan_id: &str, plan: &Path) -> Result<Self> {
        let backend = locked.backend();
        let started_at = Timestamp::now();
        let run = Run {
            format_version: "1.0".into(),
            run_id: uuid::Uuid::now_v7().to_string(),
            plan_id: plan_id.into(),
            environment: locked.environment().into(),
            status: Status::Running,
            started_at: started_at.to_string(),
            ..Run::default()
        };
        // The keys it queried are kept by month; nothing else of a run needs them.
        let kept = |name: &str| !name.starts_with("queried/");
        let mut copies = Checksums::new();
        for (name, file) in files_below(plan)?.into_iter().filter(|(name, _)| kept(name)) {
            let name = in_run(&run.run_id, &format!("plan/{name}"));
            copies.insert(name.clone(), checksums::of_file(&file)?);
            backend.put(&name, &file)?;
        }
        let out = locked.scratch()?;
        let document = locked.document();
        let find = |name: &str| locked.find(&document, name);
        let queried = usage::count(&document.usage, plan, &run.run_id, &find, out.path())?;
        put_run(locked, &run)?;
        let earlier = locked.commit(|document| {
            let serial = document.serial + 1;
            let new = UsedPlan { runs: Vec::new(), status: PlanStatus::Running, serial };
            let used = document.plans.entry(plan_id.into()).or_insert(new);
            let earlier = used.runs.clone();
            used.runs.push(run.run_id.clone());
            (used.status, used.serial) = (PlanStatus::Running, serial);
            document.open_runs.push(run.run_id.clone());
            document.checksums.extend(copies);
            if let Some(queried) = queried {
                queried.note(backend, document, Month::of(started_at))?;
            }
            Ok(earlier)
        })?;
        let journal = Journal::new(backend.journal(&in_run(&run.run_id, "journal"))?, locked.lost());
        // It becomes durable with the first record that must be.
        journal.queue(&Record::Run {
            format_version: "1.0".into(),
            run_id: run.run_id.clone(),
            plan_id: plan_id.into(),
            token: locked.token(),
        })?;
        let (run, batches, syncs) = (Mutex::new(run), AtomicU64::new(0), Mutex::new(0));
        Ok(Self { locked, run, earlier, counts_since: None, journal, batches, syncs })
    }

    /// Makes it count for the schedules of its syncs, as a run that began at this time. A run that does only a part of
    /// its plan does not.
    pub fn counting_since(mut self, begun_at: Timestamp) -> Self {
        self.counts_since = Some(begun_at);
        self
    }

    /// Notes, before anything is sent, that a sync begins: from here on its schedule waits for the next time.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn note_begun(&self, sync: &str) -> Result<()> {
        let Some(ran) = self.ran(End::Unended) else { return Ok(()) };
        self.locked.commit(|document| {
            document.syncs.entry(sync.into()).or_default().begun = Some(ran);
            Ok(())
        })
    }

    /// This run as schedules see it; `None` when it does not count.
    fn ran(&self, outcome: End) -> Option<Ran> {
        Some(Ran { run_id: self.run_id(), begun_at: self.counts_since?, outcome })
    }

    /// Its id.
    pub fn run_id(&self) -> String {
        self.run().run_id.clone()
    }

    /// Identity of the state; part of every dedupe id.
    pub fn lineage(&self) -> String {
        self.locked.lineage()
    }

    /// What the ids are made of by which a destination knows a sync's records again. Where its name stands for the records
    /// of another sync, which had it before, it gets an identity of its own, written down before anything is sent.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn identity(&self, sync: &str) -> Result<String> {
        let document = self.locked.document();
        if !document.needs_identity(sync) {
            return Ok(document.identity(sync));
        }
        let own = format!("{sync}#{}", self.run_id());
        self.locked.commit(|document| {
            document.syncs.entry(sync.into()).or_default().identity = Some(own.clone());
            Ok(())
        })?;
        Ok(own)
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// A number no other batch of this run has.
    pub fn next_batch(&self) -> u64 {
        self.batches.fetch_add(1, Ordering::Relaxed)
    }

    /// The frozen operations of a sync, from the run's own copy of the plan.
    pub fn operations(&self, sync: &str) -> Result<operations::Reader> {
        recover::operations(self.locked.backend(), &self.run_id(), sync)
    }

    /// Begins a sync. `record.number` is given here.
    pub fn begin_sync(&self, mut record: SyncRecord) -> Result<ActiveSync> {
        let mut next = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        record.number = *next;
        *next += 1;
        let backend = self.locked.backend();
        let done = recover::done(backend, &self.earlier, &record.sync)?;
        let document = self.locked.document();
        let before = recover::before(&document, &record.sync, &|name| self.locked.find(&document, name))?;
        let keys = before.doubt.as_ref().map(fold::hashes).transpose()?.unwrap_or_default();
        self.journal.queue(&Record::Sync(Box::new(record.clone())))?;
        let leftover = before.deferred.iter().filter_map(|kept| kept.leftover(self.next_batch())).collect();
        let (in_doubt, digest) = (keys.into_iter().map(|(key, _)| key).collect(), record.mapping.digest());
        let identity = self.identity(&record.sync)?;
        Ok(ActiveSync { record, done, in_doubt, leftover, identity, answers: Answers::default(), digest })
    }

    /// Ends a sync: what became of its rows goes into the state in one commit. The journal must be synced before.
    pub fn finish_sync(&self, sync: &ActiveSync, marks: &Marks, effort: Effort) -> Result<SyncRun> {
        let run_id = self.run_id();
        let backend = self.locked.backend();
        let out = self.locked.scratch()?;
        let (done, unsettled) = (sync.done.as_ref(), &self.journal.unsettled(sync.record.number));
        let share = Share { run_id: &run_id, record: &sync.record, marks, done, unsettled };
        let document = self.locked.document();
        let find = |name: &str| self.locked.find(&document, name);
        let before = recover::before(&document, &sync.record.sync, &find)?;
        let operations = self.operations(&sync.record.sync)?;
        let mut folded = fold::fold(before, &share, operations, out.path())?;
        folded.run.requests = effort.requests;
        folded.run.retries = effort.retries;
        folded.run.left_out = effort.left_out;
        folded.run.warnings = effort.warnings;
        folded.run.error = effort.error;
        folded.run.judge();
        let result = folded.run.clone();
        let ran = self.ran(result.outcome());
        let run = {
            let mut run = self.run();
            run.syncs.push(result.clone());
            run.clone()
        };
        self.locked.commit(|document| {
            for (name, file) in recover::note(document, &run_id, &sync.record, &folded)? {
                if file.exists() {
                    backend.put(&name, &file)?;
                }
            }
            if let (Some(ran), Some(entry)) = (ran, document.syncs.get_mut(&sync.record.sync)) {
                entry.begun = Some(ran);
            }
            put_run(self.locked, &run)
        })?;
        Ok(result)
    }

    /// Ends the run. `error` says why syncs of the plan were not reached; syncs that are not part of the run any more
    /// (a guard refused them) are given in `others`.
    pub fn finish(self, others: Vec<SyncRun>, error: Option<String>) -> Result<Run> {
        let mut run = self.run().clone();
        run.syncs.extend(others);
        run.error = error;
        run.judge();
        run.finished_at = Some(Timestamp::now().to_string());
        let whole = run.error.is_none() && run.syncs.iter().all(|s| s.pending == 0 && s.error.is_none());
        self.locked.commit(|document| {
            let serial = document.serial + 1;
            document.open_runs.retain(|open| *open != run.run_id);
            if let Some(used) = document.plans.get_mut(&run.plan_id) {
                used.status = if whole { PlanStatus::Applied } else { PlanStatus::Interrupted };
                used.serial = serial;
            }
            note_ends(document, &run);
            put_run(self.locked, &run)
        })?;
        self.locked.try_tidy();
        Ok(run)
    }

    fn run(&self) -> std::sync::MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes how the syncs of a run ended that have no end yet: those whose destination could not even be opened, and those
/// that were stopped, of which something is left to do.
fn note_ends(document: &mut Document, run: &Run) {
    for sync in &run.syncs {
        let entry = document.syncs.get_mut(&sync.sync).and_then(|entry| entry.begun.as_mut());
        let Some(begun) = entry.filter(|begun| begun.run_id == run.run_id) else { continue };
        begun.outcome = match begun.outcome {
            _ if run.error.is_some() && sync.pending > 0 => End::Unended,
            End::Unended => sync.outcome(),
            known => known,
        };
    }
}

fn put_run(locked: &Locked, run: &Run) -> Result<()> {
    let out = locked.scratch()?;
    let path = out.path().join("run.json");
    write_run(run, &path)?;
    locked.backend().put(&in_run(&run.run_id, "run.json"), &path)
}

/// Writes a run record, without the keys that may not be read.
pub(super) fn write_run(run: &Run, path: &Path) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(&run.masked()).map_err(|e| Error::failed(e.to_string()))?;
    std::fs::write(path, bytes).map_err(|e| super::local::failed("write", path, &e))
}

/// Reads a run record.
pub(super) fn read_run(path: &Path) -> Result<Run> {
    let bytes = std::fs::read(path).map_err(|e| super::local::failed("read", path, &e))?;
    let run: Run = serde_json::from_slice(&bytes)
        .map_err(|e| Error::failed(format!("the run record `{}` is damaged: {e}", path.display())))?;
    if run.format_version.split('.').next() != Some("1") {
        return Err(Error::failed_help(
            format!("the run record `{}` has format {}, this program reads 1.x", path.display(), run.format_version),
            "use the version of syncline that wrote it, or a newer one",
        ));
    }
    Ok(run)
}

/// All files below a folder with their names relative to it, `/` as separator.
fn files_below(folder: &Path) -> Result<Vec<(String, std::path::PathBuf)>> {
    let mut files = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        let failed = |e| super::local::failed("read", &folder, &e);
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(failed)?.is_dir() {
                open.push((format!("{name}/"), entry.path()));
            } else {
                files.push((name, entry.path()));
            }
        }
    }
    files.sort();
    Ok(files)
}
