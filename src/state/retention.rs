//! Which runs are kept: the newest, the last of each sync, and what a plan may still be resumed from.

use std::collections::HashSet;

use super::Locked;
use super::active::read_run;
use super::document::{Document, PlanStatus};
use super::recover::in_run;
use super::runs::Status;
use crate::diagnostic::Result;

impl Locked {
    /// Removes the folders of runs that are not kept, and of those that were killed before the state took note of them.
    /// Returns how many went. What cannot be removed now is left to the next run.
    pub fn tidy(&self) -> Result<u64> {
        let document = self.document();
        let needed = needed(&document);
        let mut kept = 0;
        let mut gone = 0;
        let mut ids = self.backend().list("runs")?;
        // Ids sort by time; what has another name is not ours.
        ids.retain(|id| uuid::Uuid::parse_str(id).is_ok());
        for id in ids.iter().rev() {
            if needed.contains(id.as_str()) {
                kept += 1;
                continue;
            }
            let orphan = match self.backend().get(&in_run(id, "run.json"))? {
                None => true,
                // One that cannot be read is for a human to look at.
                Some(path) => read_run(&path).is_ok_and(|run| run.status == Status::Running),
            };
            if !orphan && kept < self.state.keep_runs {
                kept += 1;
            } else {
                self.backend().remove_folder(&format!("runs/{id}"))?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// As [`Locked::tidy`], where it must not stand in the way of something else.
    pub(super) fn try_tidy(&self) {
        if let Err(e) = self.tidy() {
            tracing::warn!("old runs could not be removed: {e}");
        }
    }
}

/// Runs that are kept whatever their age.
fn needed(document: &Document) -> HashSet<&str> {
    let last = document.syncs.values().filter_map(|entry| entry.last_run.as_ref()).map(|run| run.run_id.as_str());
    let open = document.open_runs.iter().map(String::as_str);
    let resumable =
        |plan: &&super::document::UsedPlan| plan.status != PlanStatus::Applied && plan.serial == document.serial;
    let resumed = document.plans.values().filter(resumable).flat_map(|plan| &plan.runs).map(String::as_str);
    last.chain(open).chain(resumed).collect()
}
