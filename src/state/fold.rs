//! What a run did in one sync, folded into what was known before: snapshot, held rows, rows in doubt and row log.
//!
//! The end of a run and the recovery of a dead one go through here, so that both come to the same state.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;

use super::deferred::{self, Gatherer, Kept};
use super::formers::{self, Formers, Identifiers};
use super::held::{HeldOutcome, HeldRow, HeldRows};
use super::journal::{Policy, SyncRecord, Unsettled};
use super::leaving::Leaving;
use super::marks::{Mark, Marks};
use super::rowlog::RowLog;
use super::runs::{Rejection, SyncRun, Usage};
use crate::destinations::{Action, Class};
use crate::diagnostic::{Error, Result};
use crate::diff::snapshot::{KEY_HASH, Meta, ROW_HASH, Snapshot};
use crate::diff::{Acknowledged, Cause, Entry, Hash, Kind, RowState, merge};
use crate::plan::operations::{Frozen, Head};

/// Bytes of memory a merge stays within.
const MEMORY: usize = 256 << 20;
/// Kinds of rejection a run record lists; the row log has them all.
const REJECTIONS: usize = 100;

/// What was known of a sync before the run.
#[derive(Default)]
pub(super) struct Before {
    pub snapshot: Option<Snapshot>,
    pub held: HeldRows,
    pub doubt: Option<Snapshot>,
    pub formers: Formers,
    pub deferred: Vec<Kept>,
}

/// What is known of it now. Files that did not change are `None`.
pub(super) struct Folded {
    pub snapshot: Option<PathBuf>,
    pub rows: u64,
    pub held: Option<PathBuf>,
    pub rows_held: u64,
    pub doubt: Option<PathBuf>,
    pub rows_in_doubt: u64,
    /// The files of former records and of unsettled batches, and whether they hold any.
    pub formers: Option<(PathBuf, bool)>,
    pub deferred: Option<(PathBuf, bool)>,
    pub row_log: PathBuf,
    pub mapping: u32,
    pub run: SyncRun,
}

/// A run's share in one sync.
#[derive(Clone, Copy)]
pub(super) struct Share<'a> {
    pub run_id: &'a str,
    pub record: &'a SyncRecord,
    pub marks: &'a Marks,
    /// What earlier runs of the same plan did, if there were any.
    pub done: Option<&'a Marks>,
    /// Batches that were taken and not settled.
    pub unsettled: &'a [Unsettled],
}

/// True when an earlier run of the plan has settled this operation for good.
pub(super) fn settled(record: &SyncRecord, mark: Mark) -> bool {
    match mark {
        Mark::Pending => false,
        Mark::InDoubt => record.class == Class::D && record.on_doubt != Policy::Resend,
        Mark::Succeeded | Mark::Unverified | Mark::NoMatch | Mark::Rejected => true,
    }
}

/// Folds. New files are made in `out`.
pub(super) fn fold(
    before: Before,
    share: &Share<'_>,
    operations: impl Iterator<Item = Result<Frozen>>,
    out: &Path,
) -> Result<Folded> {
    let record = share.record;
    let (meta, mapping) = meta(before.snapshot.as_ref(), record);
    let (doubt_meta, doubt_mapping) = self::meta(before.doubt.as_ref(), record);
    let in_doubt = match &before.doubt {
        Some(doubt) => hashes(doubt)?.into_iter().collect(),
        None => HashMap::new(),
    };
    let log = RowLog::create(out.join(format!("{}.rows", record.sync)), &record.sync, share.run_id, record.values)?;
    let mut pass = Pass {
        share,
        operations,
        mappings: [mapping, doubt_mapping],
        held: before.held,
        held_changed: false,
        in_doubt,
        doubts: Vec::new(),
        leaving: Leaving::new(before.formers, share),
        gatherer: Gatherer::new(share.run_id, record.mapping.digest(), share.unsettled),
        log,
        run_id: share.run_id.into(),
        digest: record.mapping.digest(),
        reasons: HashMap::new(),
        rejections: HashMap::new(),
        run: SyncRun {
            sync: record.sync.clone(),
            key_open: record.key_open,
            usage: Usage { queried_records: record.queried_records },
            unchanged: record.unchanged,
            invalid: record.invalid,
            ..SyncRun::default()
        },
    };
    let mut rows = before.snapshot.as_ref().map_or(0, Snapshot::rows);
    let first = pass.next().transpose()?;
    // Nothing was sent, and the mapping is another one: rows whose record is the same under it count as sent with it from
    // now on, so that later plans need not compare them.
    let renumber = before.snapshot.as_ref().is_some_and(|old| {
        old.meta().values && old.rows() > 0 && !old.meta().mappings.values().any(|known| *known == record.mapping)
    });
    let snapshot = match first {
        None if !renumber => None,
        first => {
            let path = out.join(format!("{}.snapshot", record.sync));
            let parts = first.into_iter().map(Ok).chain(&mut pass);
            rows = merge(before.snapshot.as_ref(), parts, meta, record.values, &path, MEMORY, out)?;
            Some(path)
        }
    };
    let rows_in_doubt = pass.in_doubt.len() as u64;
    let doubt = if pass.doubts.is_empty() {
        None
    } else {
        let path = out.join(format!("{}.doubt", record.sync));
        let doubts = std::mem::take(&mut pass.doubts).into_iter().map(Ok::<_, Error>);
        merge(before.doubt.as_ref(), doubts, doubt_meta, record.values, &path, MEMORY, out)?;
        Some(path)
    };
    let formers = pass.leaving.finish(&pass.run);
    let formers = match &formers {
        None => None,
        Some(formers) => {
            let path = out.join(format!("{}.former", record.sync));
            formers.write(&path)?;
            Some((path, !formers.0.is_empty()))
        }
    };
    let known = !before.deferred.is_empty() || !share.unsettled.is_empty();
    // Rows that wait for a human are in doubt as well: what became of them can be asked.
    let waiting = pass.held.0.iter().filter(|(_, row)| row.outcome == HeldOutcome::InDoubt);
    let open = waiting.map(|(key, row)| (*key, row.row_hash)).chain(pass.in_doubt.clone()).collect();
    let batches = pass.gatherer.finish(before.deferred, &open);
    let deferred = if known {
        let path = out.join(format!("{}.deferred", record.sync));
        deferred::write(&batches, &path)?;
        Some((path, !batches.is_empty()))
    } else {
        None
    };
    let held = if pass.held_changed {
        let path = out.join(format!("{}.held", record.sync));
        pass.held.write(&path)?;
        Some(path)
    } else {
        None
    };
    let rows_held = pass.held.0.values().filter(|row| row.outcome != HeldOutcome::Resend).count() as u64;
    let mut run = pass.run;
    run.held = pass.held.counts(|row| *row.run_id != *share.run_id);
    run.rejections = pass.rejections.into_values().collect();
    run.rejections.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
    run.rejections.truncate(REJECTIONS);
    run.judge();
    let row_log = pass.log.finish()?;
    Ok(Folded { snapshot, rows, held, rows_held, doubt, rows_in_doubt, formers, deferred, row_log, mapping, run })
}

/// Key and row hashes of a small snapshot.
pub(crate) fn hashes(snapshot: &Snapshot) -> Result<Vec<(Hash, Hash)>> {
    let mut hashes = Vec::new();
    for batch in snapshot.batches()? {
        let batch = batch?;
        let column = |name| batch.column_by_name(name).and_then(|c| c.as_fixed_size_binary_opt());
        let (Some(keys), Some(rows)) = (column(KEY_HASH), column(ROW_HASH)) else {
            return Err(Error::failed(format!("a snapshot of sync `{}` has no hashes", snapshot.meta().sync)));
        };
        let hash = |bytes: Option<&[u8]>| bytes.and_then(|b| b.try_into().ok()).map_or(0, Hash::from_be_bytes);
        hashes.extend(keys.iter().zip(rows.iter()).map(|(key, row)| (hash(key), hash(row))));
    }
    Ok(hashes)
}

/// What the next snapshot says of itself, and the number this run's mapping has in it.
fn meta(old: Option<&Snapshot>, record: &SyncRecord) -> (Meta, u32) {
    let mut meta = Meta {
        format_version: "1.0".into(),
        sync: record.sync.clone(),
        key: record.key.clone(),
        values: record.values,
        mappings: old.map(|old| old.meta().mappings.clone()).unwrap_or_default(),
        columns: BTreeMap::new(),
        current: None,
    };
    let number = meta.number(&record.mapping);
    meta.current = Some(number);
    (meta, number)
}

/// One pass over the operations: yields what was acknowledged, and takes note of all else on the way.
struct Pass<'a, I> {
    share: &'a Share<'a>,
    operations: I,
    /// Numbers of the run's mapping in the snapshot and among the rows in doubt.
    mappings: [u32; 2],
    held: HeldRows,
    held_changed: bool,
    /// Rows in doubt: key hash → row hash.
    in_doubt: HashMap<Hash, Hash>,
    /// Changes of the rows in doubt.
    doubts: Vec<Acknowledged>,
    /// Records that rows had before.
    leaving: Leaving<'a>,
    /// Batches that were not settled.
    gatherer: Gatherer,
    log: RowLog,
    run_id: Arc<str>,
    /// Digest of the run's mapping.
    digest: u64,
    reasons: HashMap<(String, String), (Arc<str>, Arc<str>)>,
    rejections: HashMap<(String, String), Rejection>,
    run: SyncRun,
}

impl<I: Iterator<Item = Result<Frozen>>> Iterator for Pass<'_, I> {
    type Item = Result<Acknowledged>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let part = match self.operations.next()? {
                Ok(frozen) => self.part(&frozen),
                Err(e) => Err(e),
            };
            match part {
                Ok(part) if part.entries.is_empty() => {}
                part => return Some(part),
            }
        }
    }
}

impl<I> Pass<'_, I> {
    fn part(&mut self, frozen: &Frozen) -> Result<Acknowledged> {
        self.log.write(frozen, self.share.marks)?;
        let mut chosen: [Vec<bool>; 2] = std::array::from_fn(|_| Vec::with_capacity(frozen.heads.len()));
        let mut entries: [Vec<Entry>; 2] = Default::default();
        // What rows are matched by matters only where it can change.
        let identifiers = formers::can_change(&self.share.record.mapping)
            .then(|| Identifiers::new(&self.share.record.mapping, &frozen.rows))
            .flatten();
        for (row, head) in frozen.heads.iter().enumerate() {
            self.gatherer.see(head);
            let kinds = if head.former() {
                [self.former(head), None]
            } else {
                let kinds = self.row(head);
                self.leaving.row(head, identifiers.as_ref().map(|identifiers| (identifiers, row)));
                kinds
            };
            for ((chosen, entries), kind) in chosen.iter_mut().zip(&mut entries).zip(kinds) {
                chosen.push(kind.is_some());
                entries.extend(kind.map(|kind| Entry { key_hash: head.key_hash, row_hash: head.row_hash, kind }));
            }
        }
        let [acknowledged, doubts] = entries;
        let [rows, doubt_rows] = chosen;
        let [mapping, doubt_mapping] = self.mappings;
        if !doubts.is_empty() {
            let rows = filter(&frozen.rows, doubt_rows)?;
            self.doubts.push(Acknowledged { rows, entries: doubts, mapping: doubt_mapping });
        }
        let rows =
            if acknowledged.len() == frozen.heads.len() { frozen.rows.clone() } else { filter(&frozen.rows, rows)? };
        Ok(Acknowledged { rows, entries: acknowledged, mapping })
    }

    /// Takes note of one row. Returns what becomes of it in the snapshot and among the rows in doubt.
    fn row(&mut self, head: &Head) -> [Option<Kind>; 2] {
        let put = if head.state == RowState::Removed { Kind::Remove } else { Kind::Put };
        let Some(action) = head.action else {
            // Nothing is done at the destination; an earlier run of the plan has counted it.
            if self.share.done.is_none() {
                self.run.planned.count(head.state);
                self.run.succeeded.count(head.state);
                self.run.nothing_to_do += 1;
            }
            if put == Kind::Remove {
                self.release(head.key_hash);
            }
            return [Some(put), self.resolved(head.key_hash, put == Kind::Remove)];
        };
        if self.share.done.is_some_and(|done| settled(self.share.record, done.get(head.ordinal))) {
            return [None, None];
        }
        self.run.planned.count(head.state);
        match self.share.marks.get(head.ordinal) {
            Mark::Pending => {
                self.run.pending += 1;
                self.on_request(head);
                [None, None]
            }
            mark @ (Mark::Succeeded | Mark::Unverified) => {
                if mark == Mark::Succeeded {
                    self.run.succeeded.count(head.state);
                } else {
                    self.run.unverified += 1;
                }
                self.release(head.key_hash);
                [Some(put), self.resolved(head.key_hash, true)]
            }
            Mark::NoMatch => {
                self.run.no_match += 1;
                if action == Action::Send {
                    self.hold(head, HeldOutcome::NoMatch, None);
                } else {
                    self.release(head.key_hash);
                }
                // What is not there is not acknowledged any more.
                let leaves = head.state != RowState::Added;
                [leaves.then_some(Kind::Remove), self.resolved(head.key_hash, true)]
            }
            Mark::Rejected => {
                self.run.rejected += 1;
                let reason = self.refused(head);
                self.hold(head, HeldOutcome::Rejected, Some(reason));
                // What an earlier attempt with another payload left behind is still not known.
                let same = self.in_doubt.get(&head.key_hash) == Some(&head.row_hash);
                [None, self.resolved(head.key_hash, same)]
            }
            Mark::InDoubt => {
                self.run.in_doubt += 1;
                if settled(self.share.record, Mark::InDoubt) {
                    self.hold(head, HeldOutcome::InDoubt, None);
                    return [None, None];
                }
                self.hold(head, HeldOutcome::Resend, None);
                self.in_doubt.insert(head.key_hash, head.row_hash);
                [None, Some(Kind::Put)]
            }
        }
    }

    /// Takes note of a row that was not sent and that no later plan has by itself. What is in doubt, it has.
    fn on_request(&mut self, head: &Head) {
        let count = &mut self.run.pending_on_request;
        let held = |held: &HeldRow| held.row_hash == head.row_hash && held.outcome != HeldOutcome::Resend;
        match head.cause {
            _ if self.in_doubt.contains_key(&head.key_hash) => {}
            Cause::Drift => count.refresh += 1,
            Cause::Retry if self.held.0.get(&head.key_hash).is_some_and(held) => count.retry += 1,
            Cause::Retry => count.full_refresh += 1,
            Cause::Data | Cause::Configuration | Cause::FirstRun | Cause::Doubt => {}
        }
    }

    fn resolved(&mut self, key: Hash, resolved: bool) -> Option<Kind> {
        (resolved && self.in_doubt.remove(&key).is_some()).then_some(Kind::Remove)
    }

    /// Takes note of a record a row had before. Of one that nothing is done about and that has no name, only what is
    /// held is forgotten: its row has left before anything of it was taken. Returns what becomes of the row.
    fn former(&mut self, head: &Head) -> Option<Kind> {
        if head.matching.is_none() {
            if self.held.0.get(&head.key_hash).is_some_and(|held| held.row_hash != 0) {
                self.release(head.key_hash);
            }
            return None;
        }
        if self.leaving.overwritten(head, &self.run) {
            return Some(Kind::Remove);
        }
        if self.leaving.former(head, &mut self.run) == Some(Mark::Rejected) {
            self.refused(head);
        }
        None
    }

    /// Counts a refusal. Returns its reason.
    fn refused(&mut self, head: &Head) -> (String, String) {
        let reason = self.share.marks.reason(head.ordinal).cloned().unwrap_or_default();
        let group = self.rejections.entry(reason.clone()).or_insert_with(|| Rejection {
            key: head.key.to_string(),
            code: reason.0.clone(),
            message: reason.1.clone(),
            count: 0,
        });
        group.count += 1;
        reason
    }

    fn release(&mut self, key: Hash) {
        self.held_changed |= self.held.0.remove(&key).is_some();
    }

    fn hold(&mut self, head: &Head, outcome: HeldOutcome, reason: Option<(String, String)>) {
        let (code, message) = match reason {
            None => (Arc::from(""), Arc::from("")),
            Some(reason) => {
                let texts = || (Arc::from(reason.0.as_str()), Arc::from(reason.1.as_str()));
                self.reasons.entry(reason.clone()).or_insert_with(texts).clone()
            }
        };
        let again = self.held.0.get(&head.key_hash).filter(|h| h.row_hash == head.row_hash && h.outcome == outcome);
        let row = HeldRow {
            row_hash: head.row_hash,
            key: head.key.as_str().into(),
            outcome,
            code,
            message,
            count: again.map_or(0, |h| h.count) + 1,
            run_id: self.run_id.clone(),
            mapping: Some(self.digest),
            way: self.share.record.way,
        };
        self.held.0.insert(head.key_hash, row);
        self.held_changed = true;
    }
}

fn filter(rows: &RecordBatch, chosen: Vec<bool>) -> Result<RecordBatch> {
    filter_record_batch(rows, &BooleanArray::from(chosen)).map_err(|e| Error::failed(format!("cannot take rows: {e}")))
}
