//! `state.json`: what is true of an environment, and which files say the rest.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checksums::{self, Checksums};
use super::recover::in_run;
use super::runs::Status;
use crate::diagnostic::{Error, Result};
use crate::schedule::Ran;
use crate::usage::Ledger;

/// The version this program writes. A newer minor is read, a newer major refused.
const VERSION: &str = "1.0";
/// Plans that are remembered as used. Older ones are stale by their serial anyway.
const PLANS: usize = 500;

/// The document of one environment's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Version of this format.
    pub format_version: String,
    /// Identity of this state, from its birth: a plan made for another one is stale.
    pub lineage: String,
    /// Grows with every commit.
    pub serial: u64,
    /// Fencing token of the last commit.
    pub token: u64,
    /// What the hash key must yield: a state whose key was swapped would take every row for new.
    pub key_check: String,
    /// The syncs.
    pub syncs: BTreeMap<String, SyncEntry>,
    /// Syncs that were renamed: old name → new name.
    #[serde(default)]
    pub moved: BTreeMap<String, String>,
    /// Plans that were used.
    #[serde(default)]
    pub plans: IndexMap<String, UsedPlan>,
    /// What was queried and sent, by month.
    #[serde(default, skip_serializing_if = "Ledger::is_empty")]
    pub usage: Ledger,
    /// Runs that began and did not end: their journals tell what they did.
    #[serde(default)]
    pub open_runs: Vec<String>,
    /// Checksums of the files named here, and of the operations that open runs have copied.
    #[serde(default, skip_serializing_if = "Checksums::is_empty")]
    pub checksums: Checksums,
    /// Keys of a newer minor version, kept as they are.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One sync in the state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncEntry {
    /// File of the snapshot.
    pub snapshot: Option<String>,
    /// File of the held rows.
    pub held: Option<String>,
    /// File of the rows in doubt.
    pub doubt: Option<String>,
    /// File of the records that rows had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formers: Option<String>,
    /// File of the batches that were taken and not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<String>,
    /// Rows in the snapshot.
    pub rows: u64,
    /// Rows the model had in the last run: what `row_count: { max_change }` compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_rows: Option<u64>,
    /// Held rows that are not sent again by themselves.
    #[serde(default)]
    pub rows_held: u64,
    /// Rows in doubt that the next run sends again.
    #[serde(default)]
    pub rows_in_doubt: u64,
    /// Key columns and their logical types, in order.
    #[serde(default)]
    pub key: Vec<(String, String)>,
    /// Number of the mapping last sent with.
    #[serde(default)]
    pub mapping: u32,
    /// The name the sync had when it was first applied, where it has another one now, or one that stands for another
    /// sync's records: ids by which a destination knows records again are made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Where its records are; unknown in states of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<SentTo>,
    /// The last run that changed this entry.
    pub last_run: Option<LastRun>,
    /// The last run that began to do all that its plan said of this sync: what schedules go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Ran>,
    /// Files of the state before, kept for plans that are reading them.
    #[serde(default)]
    pub retired: Vec<String>,
    /// Keys of a newer minor version, kept as they are.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where a sync sends its records: what is known of them holds there alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentTo {
    /// Name of the destination.
    pub destination: String,
    /// The object there.
    pub object: String,
    /// Options of the sync that say where in it: a list, a type of activity.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// True where a sandbox stands in for the destination.
    #[serde(default)]
    pub sandbox: bool,
    /// True where records are taken out (`mode: remove`).
    #[serde(default)]
    pub removes: bool,
}

impl fmt::Display for SentTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.sandbox { "the sandbox of " } else { "" };
        write!(f, "{whose}`{}`, object `{}`", self.destination, self.object)?;
        for (name, value) in &self.options {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            write!(f, ", `{name}: {value}`")?;
        }
        if self.removes { f.write_str(", where it takes records out") } else { Ok(()) }
    }
}

/// The last run of a sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its id.
    pub run_id: String,
    /// How the sync ended in it.
    pub status: Status,
    /// RFC 3339.
    pub finished_at: String,
}

/// A plan that was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsedPlan {
    /// The runs that carried it out, the last one last.
    pub runs: Vec<String>,
    /// How far they came.
    pub status: PlanStatus,
    /// Serial of the state after the last of them: another commit in between makes the plan stale.
    pub serial: u64,
}

/// How far a plan was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Its run has not ended, or ended without a word.
    Running,
    /// Its run was stopped before its end: the same plan may go on.
    Interrupted,
    /// All of it was done.
    Applied,
}

impl SyncEntry {
    /// The files it points to.
    pub fn files(&self) -> impl Iterator<Item = &String> {
        [&self.snapshot, &self.held, &self.doubt, &self.formers, &self.deferred].into_iter().flatten()
    }
}

impl Document {
    /// An empty state.
    pub fn new(lineage: String, key_check: String) -> Self {
        Self {
            format_version: VERSION.into(),
            lineage,
            serial: 0,
            token: 0,
            key_check,
            syncs: BTreeMap::new(),
            moved: BTreeMap::new(),
            plans: IndexMap::new(),
            usage: Ledger::default(),
            open_runs: Vec::new(),
            checksums: Checksums::new(),
            other: Map::new(),
        }
    }

    /// True for a state that was born and has never held anything.
    pub fn is_blank(&self) -> bool {
        self.syncs.is_empty()
            && self.moved.is_empty()
            && self.plans.is_empty()
            && self.usage.is_empty()
            && self.open_runs.is_empty()
    }

    /// Reads a document; `place` is named in errors.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: String,
        }
        let corrupt = |e: serde_json::Error| {
            Error::failed_help(
                format!("the state in `{place}` is damaged: `state.json`: {e}"),
                "put back a copy (`syncline state push FILE`), or move the folder away to begin with an empty state",
            )
        };
        let version: Version = serde_json::from_slice(bytes).map_err(corrupt)?;
        let major = version.format_version.split('.').next().unwrap_or_default();
        if major != "1" {
            return Err(Error::failed_help(
                format!("the state in `{place}` has format {}, this program reads 1.x", version.format_version),
                "use the version of syncline that wrote it, or a newer one",
            ));
        }
        if let Some((written, now)) = checksums::broken(bytes) {
            return Err(Error::failed_help(
                format!(
                    "the state in `{place}` is damaged: the checksum of `state.json` is {now}, and it was written with {written}"
                ),
                "put back a copy (`syncline state push FILE`); if somebody has edited the file on purpose, take its line \
                 `checksum` out",
            ));
        }
        let mut document: Self = serde_json::from_slice(bytes).map_err(corrupt)?;
        // Not part of what it says.
        document.other.remove("checksum");
        Ok(document)
    }

    /// The document as text.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| Error::failed(e.to_string()))?;
        bytes.push(b'\n');
        Ok(checksums::sealed(&bytes))
    }

    /// The name a sync has in this state, `moved_from` and earlier moves considered.
    pub fn entry(&self, sync: &str, moved_from: Option<&str>) -> Option<(&str, &SyncEntry)> {
        let find = |name: &str| self.syncs.get_key_value(name).map(|(name, entry)| (name.as_str(), entry));
        find(sync).or_else(|| moved_from.and_then(find))
    }

    /// What the ids are made of by which a destination knows a sync's records again: the name it was first applied under.
    pub fn identity(&self, sync: &str) -> String {
        let known = self.syncs.get(sync).and_then(|entry| entry.identity.clone());
        known.unwrap_or_else(|| sync.to_owned())
    }

    /// True when a sync that was never applied has the name another one was first applied under: records of the two must
    /// not be taken for one another.
    pub fn needs_identity(&self, sync: &str) -> bool {
        let applied = |entry: &SyncEntry| entry.identity.is_some() || entry.files().next().is_some();
        !self.syncs.get(sync).is_some_and(applied)
            && self.syncs.iter().any(|(name, entry)| name != sync && entry.identity.as_deref() == Some(sync))
    }

    /// Every file that is needed, those retired in the last commit included.
    pub fn files(&self) -> std::collections::HashSet<&str> {
        let syncs = self.syncs.values().flat_map(|entry| entry.files().chain(&entry.retired));
        syncs.chain(self.usage.files()).chain(&self.usage.retired).map(String::as_str).collect()
    }

    /// Forgets the oldest used plans, and the checksums of files that are not named any more.
    pub fn trim(&mut self) {
        let copies: Vec<String> = self.open_runs.iter().map(|run| in_run(run, "")).collect();
        let mut checksums = std::mem::take(&mut self.checksums);
        let named = self.files();
        checksums.retain(|name, _| named.contains(name.as_str()) || copies.iter().any(|run| name.starts_with(run)));
        self.checksums = checksums;
        while self.plans.len() > PLANS {
            self.plans.shift_remove_index(0);
        }
    }
}
