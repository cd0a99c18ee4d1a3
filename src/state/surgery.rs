//! What `state adopt|forget|move` do: the state is changed by a human's decision, nothing is sent.

use std::path::Path;

use arrow_schema::FieldRef;

use super::Locked;
use super::checksums;
use super::document::LastRun;
use super::fold::{self, Share};
use super::held::HeldOutcome;
use super::journal::SyncRecord;
use super::marks::{Mark, Marks};
use super::recover;
use super::runs::StateCounts;
use crate::diagnostic::{Error, Result, closest};
use crate::diff::snapshot::Snapshot;
use crate::plan::operations::Frozen;

/// Bytes of memory a change of key stays within.
const MEMORY: usize = 256 << 20;

/// What adopting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adoption {
    /// Rows taken as synced, by what they were before.
    pub adopted: StateCounts,
    /// Rows the state now holds.
    pub rows: u64,
}

impl Locked {
    /// Takes rows as synced without sending them: added and changed rows enter the snapshot, removed rows leave it.
    pub fn adopt(&self, record: SyncRecord, operations: impl Iterator<Item = Result<Frozen>>) -> Result<Adoption> {
        self.recover()?;
        let id = format!("adopt-{}", uuid::Uuid::now_v7());
        let out = self.scratch()?;
        let document = self.document();
        let find = |name: &str| self.find(&document, name);
        let before = recover::before(&document, &record.sync, &find)?;
        // As if every row had been sent and confirmed; there is nothing to do at the destination.
        let operations = operations.map(|part| {
            part.map(|mut part| {
                part.heads.iter_mut().for_each(|head| head.action = Some(crate::destinations::Action::Send));
                part
            })
        });
        let marks = Marks::all(Mark::Succeeded);
        let share = Share { run_id: &id, record: &record, marks: &marks, done: None, unsettled: &[] };
        let folded = fold::fold(before, &share, operations, out.path())?;
        self.commit(|document| {
            let last_run = document.syncs.get(&record.sync).and_then(|entry| entry.last_run.clone());
            for (name, file) in recover::note(document, &id, &record, &folded)? {
                // There is no run this could be the row log of.
                if !name.starts_with("runs/") && file.exists() {
                    self.backend().put(&name, &file)?;
                }
            }
            if let Some(entry) = document.syncs.get_mut(&record.sync) {
                entry.last_run = last_run.or_else(|| Some(LastRun { run_id: id.clone(), ..entry.last_run.clone()? }));
            }
            Ok(())
        })?;
        Ok(Adoption { adopted: folded.run.succeeded, rows: folded.rows })
    }

    /// Forgets all that is known of a sync, its files included: its next run sends every row as added. Returns the
    /// rows the snapshot held.
    pub fn forget(&self, sync: &str) -> Result<u64> {
        self.recover()?;
        self.commit(|document| match document.syncs.remove(sync) {
            Some(entry) => Ok(entry.rows),
            None => Err(unknown(sync, document.syncs.keys())),
        })
    }

    /// Carries the rows of a sync over to another primary key: what was acknowledged stays so. Rows that were held are
    /// forgotten, and so are sent again, as their keys alone were kept; in doubt there may be none. Ids by which a
    /// destination knows records again are made of keys: they are others from now on. Returns the number of rows.
    pub fn rekey(&self, sync: &str, key: &[FieldRef], scratch: &Path) -> Result<u64> {
        self.recover()?;
        let document = self.document();
        let entry = document.syncs.get(sync).ok_or_else(|| unknown(sync, document.syncs.keys()))?;
        if entry.doubt.is_some() {
            return Err(Error::failed_help(
                format!("`{sync}` has {} rows in doubt, which must be settled first", entry.rows_in_doubt),
                "apply once with the old key, then change it",
            ));
        }
        let find = |name: &str| self.find(&document, name);
        let before = recover::before(&document, sync, &find)?;
        let held = before.held.count(HeldOutcome::InDoubt);
        if held > 0 {
            return Err(Error::failed_help(
                format!("`{sync}` has {held} held rows in doubt: with another key they would be sent again"),
                format!(
                    "look whether they are there, and go on with the old key: `syncline state adopt {sync}` takes them as \
                     synced, `syncline apply --retry` sends them again"
                ),
            ));
        }
        let Some(old) = before.snapshot else {
            return Err(Error::failed(format!("the state holds no rows of `{sync}`: its key can be changed freely")));
        };
        let file = scratch.join("rekeyed.parquet");
        let rows = crate::diff::rekey(&old, key, self.state.hash_key(), &file, MEMORY, scratch)?;
        let key = Snapshot::open(&file)?.meta().key.clone();
        let name = format!("snapshots/{sync}.rekey-{}.parquet", uuid::Uuid::now_v7());
        self.commit(|document| {
            document.checksums.insert(name.clone(), checksums::of_file(&file)?);
            self.backend().put(&name, &file)?;
            if let Some(entry) = document.syncs.get_mut(sync) {
                entry.snapshot = Some(name.clone());
                (entry.held, entry.rows_held) = (None, 0);
                entry.key = key;
                entry.rows = rows;
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Renames a sync in the state: nothing is sent again, and what is sent later bears the same ids. Also what `moved_from` in a manifest asks for.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.recover()?;
        self.commit(|document| {
            if document.syncs.contains_key(to) {
                return Err(Error::failed_help(
                    format!("the state already holds a sync `{to}`"),
                    format!("forget it first with `syncline state forget {to}`"),
                ));
            }
            let identity = document.identity(from);
            let Some(mut entry) = document.syncs.remove(from) else { return Err(unknown(from, document.syncs.keys())) };
            entry.identity = Some(identity);
            document.syncs.insert(to.into(), entry);
            document.moved.insert(from.into(), to.into());
            Ok(())
        })
    }
}

fn unknown<'a>(sync: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let help = match closest(sync, known.map(String::as_str)) {
        Some(close) => format!("did you mean `{close}`?"),
        None => "`syncline state list` shows all".into(),
    };
    Error::failed_help(format!("the state holds no sync `{sync}`"), help)
}
