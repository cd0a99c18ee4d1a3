//! The record of a run: plain data with a stable JSON form (DESIGN, section 4).

use serde::{Deserialize, Serialize};

use crate::destinations::Warning;
use crate::diff::HeldCounts;
use crate::mask;
use crate::plan::OnRequest;
use crate::schedule::Outcome;

/// A run, as `runs/<id>/run.json` keeps it and `--format json` prints it. Readers ignore keys they do not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// `1.0`. A new minor adds keys; a new major is refused by readers.
    pub format_version: String,
    /// Unique, sorts by time.
    pub run_id: String,
    /// The plan it carried out.
    pub plan_id: String,
    /// Name of the environment; empty when the project has none.
    pub environment: String,
    /// How it ended.
    pub status: Status,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; `None` while it runs.
    pub finished_at: Option<String>,
    /// The syncs, in the order they were applied.
    pub syncs: Vec<SyncRun>,
    /// Why it did not go on to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a run, or one sync of it, ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not ended.
    #[default]
    Running,
    /// Everything planned was done.
    Succeeded,
    /// Something was done, but records were rejected, are in doubt, or were not reached.
    Partial,
    /// Nothing planned could be done.
    Failed,
    /// A guard refused; nothing was sent.
    Refused,
}

impl Status {
    /// The word in JSON and messages.
    pub fn word(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::Partial => "partial",
            Status::Failed => "failed",
            Status::Refused => "refused",
        }
    }
}

/// Rows by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCounts {
    /// New against what was last acknowledged.
    pub added: u64,
    /// Different from what was last acknowledged.
    pub changed: u64,
    /// No longer in the model.
    pub removed: u64,
}

impl StateCounts {
    /// All rows.
    pub fn total(self) -> u64 {
        self.added + self.changed + self.removed
    }

    /// Counts one row.
    pub fn count(&mut self, state: crate::diff::RowState) {
        match state {
            crate::diff::RowState::Added => self.added += 1,
            crate::diff::RowState::Changed => self.changed += 1,
            crate::diff::RowState::Removed => self.removed += 1,
        }
    }
}

/// What a run did in one sync. `planned` = `succeeded` + `rejected` + `no_match` + `unverified` + `in_doubt` + `pending`;
/// the counts that are said to be part of another one are not added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncRun {
    /// Name of the sync.
    pub sync: String,
    /// How it ended.
    pub status: Status,
    /// Rows the plan held.
    pub planned: StateCounts,
    /// Rows the destination confirmed, and rows for which there was nothing to do at the destination.
    pub succeeded: StateCounts,
    /// Rows the destination refused.
    pub rejected: u64,
    /// Rows that were to be updated and are not there.
    pub no_match: u64,
    /// Rows taken without an answer per record.
    pub unverified: u64,
    /// Rows sent whose answer was lost.
    pub in_doubt: u64,
    /// Rows not sent.
    #[serde(default)]
    pub pending: u64,
    /// Of `succeeded`: rows for which there was nothing to do at the destination.
    #[serde(default, skip_serializing_if = "is_none")]
    pub nothing_to_do: u64,
    /// Of `pending`: rows that no later plan has by itself.
    #[serde(default, skip_serializing_if = "OnRequest::is_empty")]
    pub pending_on_request: OnRequest,
    /// Rows that earlier runs have left held and that this one did not send; not part of `planned`.
    #[serde(default, skip_serializing_if = "HeldCounts::is_empty")]
    pub held: HeldCounts,
    /// Rows of the model that are as last acknowledged.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unchanged: u64,
    /// Rows of the model that are never sent.
    #[serde(default, skip_serializing_if = "is_none")]
    pub invalid: u64,
    /// Operations of the plan that were left out on purpose (`--only-key`, `--limit`); not part of `planned`.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: u64,
    /// Requests, or transactions of a database.
    pub requests: u64,
    /// Requests that repeated an earlier one.
    pub retries: u64,
    /// True when keys may be read, as their columns are declared `sensitive: false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_open: bool,
    /// Rejected rows by code and message, most frequent first; a limited number.
    pub rejections: Vec<Rejection>,
    /// What the destination let pass but did not do as asked, e.g. fields it left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What it cost.
    pub usage: Usage,
    /// Why it did not go on to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl SyncRun {
    /// How it ended, for the syncs that wait for it.
    pub fn outcome(&self) -> Outcome {
        let failed = matches!(self.status, Status::Failed | Status::Refused) || self.error.is_some();
        match self.status {
            Status::Running => Outcome::Unended,
            _ if failed || self.pending > 0 => Outcome::Failed,
            _ if self.rejected + self.in_doubt > 0 => Outcome::Rejected,
            _ => Outcome::Whole,
        }
    }

    /// How the sync ended, by its counts.
    pub fn judge(&mut self) {
        let whole = self.rejected + self.in_doubt + self.pending == 0 && self.error.is_none();
        let some = self.succeeded.total() + self.unverified + self.no_match > 0;
        self.status = match (whole, some) {
            (true, _) => Status::Succeeded,
            (false, true) => Status::Partial,
            (false, false) if self.in_doubt > 0 => Status::Partial,
            (false, false) => Status::Failed,
        };
    }
}

/// Begins the error of a run whose process ended before it did.
pub(super) const INTERRUPTED: &str = "interrupted: ";

impl Run {
    /// True when its process ended before the run did.
    pub fn was_interrupted(&self) -> bool {
        self.error.as_deref().is_some_and(|error| error.starts_with(INTERRUPTED))
    }

    /// As it is kept: the rows themselves are in the row log, and the history of runs names no person.
    pub fn masked(&self) -> Self {
        let mut run = self.clone();
        for sync in &mut run.syncs {
            for one in &mut sync.rejections {
                mask::rejection(&mut one.key, &mut one.code, &mut one.message, sync.key_open);
            }
        }
        run
    }

    /// How the run ended, by its syncs: succeeded when all did, failed when nothing was done in any, else partial.
    pub fn judge(&mut self) {
        let all = |status| self.syncs.iter().all(|s| s.status == status);
        self.status = match () {
            () if all(Status::Succeeded) && self.error.is_none() => Status::Succeeded,
            () if all(Status::Failed) => Status::Failed,
            () if all(Status::Refused) => Status::Refused,
            () => Status::Partial,
        };
    }
}

/// Rejected rows that got the same answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// Key of the first of them.
    pub key: String,
    /// Code in the destination's words.
    pub code: String,
    /// Message in the destination's words.
    pub message: String,
    /// How many.
    pub count: u64,
}

/// What a sync cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Distinct primary keys read.
    pub queried_records: u64,
}
