//! What a dead run left behind: its journal, folded into the state as if it had ended by itself.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::backend::Backend;
use super::checksums;
use super::deferred;
use super::document::{Document, LastRun, PlanStatus};
use super::fold::{self, Before, Folded, Share};
use super::formers::Formers;
use super::held::HeldRows;
use super::journal::{self, Policy, Record, SyncRecord};
use super::marks::{self, Mark, Marks, Proof};
use super::runs::{INTERRUPTED, Run, Status};
use crate::destinations::Class;
use crate::diagnostic::{Error, Result};
use crate::diff::snapshot::Snapshot;
use crate::plan::operations;
use crate::usage::Month;

/// Finds files by their names in the state.
pub(super) type Find<'a> = &'a dyn Fn(&str) -> Result<Option<PathBuf>>;

/// A dead run, folded: the document with it, and the files to be put before the document may be.
pub(super) struct Recovered {
    pub document: Document,
    pub files: Vec<(String, PathBuf)>,
    /// `None` when the run did nothing at all.
    pub run: Option<Run>,
}

/// Where a run keeps its things.
pub(super) fn in_run(run_id: &str, name: &str) -> String {
    format!("runs/{run_id}/{name}")
}

/// The operations of a sync, from the run's copy of its plan.
pub(super) fn operations(backend: &dyn Backend, run_id: &str, sync: &str) -> Result<operations::Reader> {
    let name = in_run(run_id, &format!("plan/operations/{sync}"));
    // A sync without operations has no folder; the reader takes a folder that does not exist for that.
    let folder = backend.get_folder(&name)?.unwrap_or_else(|| PathBuf::from(&name));
    operations::read(&folder)
}

/// Reads what is known of a sync.
pub(super) fn before(document: &Document, sync: &str, find: Find<'_>) -> Result<Before> {
    let Some(entry) = document.syncs.get(sync) else { return Ok(Before::default()) };
    let path = |name: &Option<String>| -> Result<Option<PathBuf>> {
        let Some(name) = name else { return Ok(None) };
        find(name)?.map(Some).ok_or_else(|| incomplete(sync, name))
    };
    Ok(Before {
        snapshot: path(&entry.snapshot)?.map(|p| Snapshot::open(&p)).transpose()?,
        held: path(&entry.held)?.map(|p| HeldRows::read(&p)).transpose()?.unwrap_or_default(),
        doubt: path(&entry.doubt)?.map(|p| Snapshot::open(&p)).transpose()?,
        formers: path(&entry.formers)?.map(|p| Formers::read(&p)).transpose()?.unwrap_or_default(),
        deferred: path(&entry.deferred)?.map(|p| deferred::read(&p)).transpose()?.unwrap_or_default(),
    })
}

pub(super) fn incomplete(sync: &str, name: &str) -> Error {
    Error::failed_help(
        format!("the state of sync `{sync}` is incomplete: its file `{name}` is missing"),
        "put back a copy of the state, or run `syncline state forget` for this sync and adopt its rows",
    )
}

/// Notes a folded sync in the document, with the checksums of its files. Returns the files to put.
pub(super) fn note(
    document: &mut Document,
    run_id: &str,
    record: &SyncRecord,
    folded: &Folded,
) -> Result<Vec<(String, PathBuf)>> {
    let sync = &record.sync;
    let now = Timestamp::now();
    document.usage.count_requests(Month::of(now), &record.model, &record.destination, folded.run.requests);
    let entry = document.syncs.entry(sync.clone()).or_default();
    let mut files = vec![(in_run(run_id, &format!("rows/{sync}.parquet")), folded.row_log.clone())];
    let mut retired = Vec::new();
    let mut replace = |slot: &mut Option<String>, name: Option<String>, path: Option<&PathBuf>| {
        retired.extend(slot.take());
        if let (Some(name), Some(path)) = (&name, path) {
            files.push((name.clone(), path.clone()));
        }
        *slot = name;
    };
    if let Some(path) = &folded.snapshot {
        replace(&mut entry.snapshot, Some(format!("snapshots/{sync}.{run_id}.parquet")), Some(path));
    }
    if let Some(path) = &folded.held {
        replace(&mut entry.held, Some(format!("held/{sync}.{run_id}.parquet")), Some(path));
    }
    if let Some(path) = &folded.doubt {
        let name = (folded.rows_in_doubt > 0).then(|| format!("held/{sync}.{run_id}.doubt.parquet"));
        replace(&mut entry.doubt, name, Some(path));
    }
    if let Some((path, left)) = &folded.formers {
        let name = left.then(|| format!("held/{sync}.{run_id}.former.json"));
        replace(&mut entry.formers, name, Some(path));
    }
    if let Some((path, left)) = &folded.deferred {
        let name = left.then(|| format!("held/{sync}.{run_id}.deferred.json"));
        replace(&mut entry.deferred, name, Some(path));
    }
    entry.retired = retired;
    entry.rows = folded.rows;
    entry.model_rows = record.model_rows.or(entry.model_rows);
    entry.rows_held = folded.rows_held;
    entry.rows_in_doubt = folded.rows_in_doubt;
    entry.key.clone_from(&record.key);
    entry.mapping = folded.mapping;
    entry.sent_to = record.sent_to.clone().or(entry.sent_to.take());
    entry.last_run = Some(LastRun { run_id: run_id.into(), status: folded.run.status, finished_at: now.to_string() });
    for (name, path) in files.iter().filter(|(name, path)| !name.starts_with("runs/") && path.exists()) {
        document.checksums.insert(name.clone(), checksums::of_file(path)?);
    }
    Ok(files)
}

/// What a run's journal proves; `None` without a journal, or when nothing in it is whole.
pub(super) fn proofs(backend: &dyn Backend, run_id: &str) -> Result<Option<Vec<Proof>>> {
    let Some(bytes) = backend.read_journal(&in_run(run_id, "journal"))? else { return Ok(None) };
    let (records, whole) = journal::decode(&bytes);
    if whole < bytes.len() {
        tracing::warn!("the journal of run `{run_id}` ends in {} torn bytes, which are left out", bytes.len() - whole);
    }
    if !matches!(records.first(), Some(Record::Run { .. })) {
        return Ok(None);
    }
    let mut proofs = marks::replay(&records);
    for proof in &mut proofs {
        if proof.record.class == Class::D && proof.record.on_doubt == Policy::Skip {
            proof.marks.replace(Mark::InDoubt, Mark::Unverified);
        }
    }
    Ok(Some(proofs))
}

/// What earlier runs of the same plan did in a sync; `None` when there was none.
pub(super) fn done(backend: &dyn Backend, runs: &[String], sync: &str) -> Result<Option<Marks>> {
    let mut done: Option<Marks> = None;
    for run in runs {
        for proof in proofs(backend, run)?.into_iter().flatten().filter(|p| p.record.sync == sync) {
            done.get_or_insert_default().overlay(&proof.marks);
        }
    }
    Ok(done)
}

/// Folds a run that did not end. Everything new is made in `out`.
pub(super) fn recover(
    backend: &dyn Backend,
    document: &Document,
    run_id: &str,
    find: Find<'_>,
    out: &Path,
) -> Result<Recovered> {
    let mut document = document.clone();
    document.open_runs.retain(|open| open != run_id);
    let plan = document.plans.iter().find(|(_, used)| used.runs.iter().any(|r| r == run_id));
    let (plan_id, runs) = plan.map(|(id, used)| (id.clone(), used.runs.clone())).unwrap_or_default();
    let earlier: Vec<String> = runs.iter().take_while(|r| *r != run_id).cloned().collect();
    let serial = document.serial + 1;
    let Some(proofs) = proofs(backend, run_id)? else {
        // Nothing was sent and nothing noted: as if it had never begun. The plan can still be carried out: the only thing
        // that changed since it was made is the note that it was about to be.
        if let Some(used) = document.plans.get_mut(&plan_id) {
            used.runs = earlier;
            used.status = PlanStatus::Interrupted;
            used.serial = serial;
        }
        return Ok(Recovered { document, files: Vec::new(), run: None });
    };
    let mut run = match find(&in_run(run_id, "run.json"))? {
        Some(path) => super::active::read_run(&path)?,
        None => Run { format_version: "1.0".into(), run_id: run_id.into(), plan_id: plan_id.clone(), ..Run::default() },
    };
    let mut files = Vec::new();
    for proof in proofs {
        let sync = proof.record.sync.clone();
        let committed = document.syncs.get(&sync).and_then(|e| e.last_run.as_ref()).is_some_and(|l| l.run_id == run_id);
        if committed {
            continue;
        }
        let done = done(backend, &earlier, &sync)?;
        let unsettled = &proof.unsettled;
        let share = Share { run_id, record: &proof.record, marks: &proof.marks, done: done.as_ref(), unsettled };
        let known = before(&document, &sync, find)?;
        checksums::check_below(&document, &in_run(run_id, &format!("plan/operations/{sync}")), find)?;
        let mut folded = fold::fold(known, &share, operations(backend, run_id, &sync)?, out)?;
        folded.run.requests = proof.batches;
        folded.run.error = Some("interrupted".into());
        folded.run.judge();
        files.extend(note(&mut document, run_id, &proof.record, &folded)?);
        run.syncs.retain(|s| s.sync != sync);
        run.syncs.push(folded.run);
    }
    run.error = Some(format!("{INTERRUPTED}the process ended before the run did"));
    run.judge();
    if run.syncs.is_empty() {
        run.status = Status::Failed;
    }
    run.finished_at = Some(Timestamp::now().to_string());
    if let Some(used) = document.plans.get_mut(&plan_id) {
        used.status = PlanStatus::Interrupted;
        used.serial = serial;
    }
    let path = out.join("run.json");
    super::active::write_run(&run, &path)?;
    files.push((in_run(run_id, "run.json"), path));
    Ok(Recovered { document, files, run: Some(run) })
}
