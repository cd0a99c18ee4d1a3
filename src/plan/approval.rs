//! A plan as it is remembered for whoever approves it, and whether what a later plan would do is still that.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Counts, Operations, Plan, SyncPlan};

/// Version of the records this program writes.
pub const VERSION: &str = "1.0";
/// Rows by which any count may grow.
const ROWS: u64 = 3;

/// What a plan said when it was shown: enough to hold a later plan of the same configuration against it. No values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// `1.0`. A new minor adds keys.
    pub format_version: String,
    /// The plan.
    pub plan_id: String,
    /// Digest of its configuration.
    pub digest: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Its environment; empty when the project has none.
    pub environment: String,
    /// File → digest of what it says, so that a change can be named; empty where that is not known.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// The syncs it planned.
    pub syncs: BTreeMap<String, ApprovedSync>,
}

/// What a plan said of one sync.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApprovedSync {
    /// Rows by state.
    pub counts: Counts,
    /// Operations by kind.
    pub operations: Operations,
    /// Destination field → rows in which it differs.
    #[serde(default)]
    pub fields: IndexMap<String, u64>,
}

/// A count that is beyond what was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The sync.
    pub sync: String,
    /// What is counted.
    pub what: &'static str,
    /// What was approved; `None` when the sync was not in the approved plan.
    pub approved: Option<u64>,
    /// What would be done now.
    pub now: u64,
    /// The most that goes through.
    pub most: u64,
}

impl Approval {
    /// What is remembered of a plan. `configuration` has the digest of each file.
    pub fn of(plan: &Plan, configuration: BTreeMap<String, String>) -> Self {
        let sync = |part: &SyncPlan| ApprovedSync {
            counts: part.counts,
            operations: part.operations,
            fields: part.fields.clone(),
        };
        Self {
            format_version: VERSION.into(),
            plan_id: plan.plan_id.clone(),
            digest: plan.digest.clone(),
            created_at: plan.created_at.clone(),
            environment: plan.environment.clone(),
            configuration,
            syncs: plan.syncs.iter().map(|part| (part.sync.clone(), sync(part))).collect(),
        }
    }

    /// The files whose meaning is another one now, sorted; empty where that is not known.
    pub fn changed_files<'a>(&'a self, now: &'a BTreeMap<String, String>) -> Vec<&'a str> {
        if self.configuration.is_empty() {
            return Vec::new();
        }
        let changed = now.iter().filter(|(file, digest)| self.configuration.get(*file) != Some(digest));
        let gone = self.configuration.keys().filter(|file| !now.contains_key(*file));
        let mut files: Vec<&str> = changed.map(|(file, _)| file.as_str()).chain(gone.map(String::as_str)).collect();
        files.sort_unstable();
        files
    }

    /// Where a plan would do more than was approved. Each count of rows may have grown by 3 rows, by a tenth of what was
    /// approved or by a twentieth of the model's rows, whichever is most; so may deletes and clears where some were
    /// approved. Where none were, there must be none, and a sync that was not in the approved plan must do nothing.
    pub fn differences(&self, plan: &Plan) -> Vec<Difference> {
        plan.syncs.iter().flat_map(|part| self.of_sync(part)).collect()
    }

    fn of_sync(&self, part: &SyncPlan) -> Vec<Difference> {
        let difference = |what, approved, now, most| Difference { sync: part.sync.clone(), what, approved, now, most };
        let Some(approved) = self.syncs.get(&part.sync) else {
            let now = part.operations.at_destination();
            return if now == 0 { Vec::new() } else { vec![difference("operations", None, now, 0)] };
        };
        let rows = approved.counts.rows;
        let most = |count: u64| count.saturating_add(ROWS.max(count / 10).max(rows / 20));
        let strict = |count: u64| if count == 0 { 0 } else { most(count) };
        let (was, is) = (&approved.counts, &part.counts);
        let (did, does) = (&approved.operations, &part.operations);
        let all = [
            ("added", was.added, is.added, most(was.added)),
            ("changed", was.changed, is.changed, most(was.changed)),
            ("removed", was.removed, is.removed, most(was.removed)),
            ("deletes", did.delete, does.delete, strict(did.delete)),
            ("clears", did.clear, does.clear, strict(did.clear)),
        ];
        let beyond = all.into_iter().filter(|(_, _, now, most)| now > most);
        beyond.map(|(what, approved, now, most)| difference(what, Some(approved), now, most)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts as `rows added changed removed deletes clears`.
    fn part(sync: &str, [rows, added, changed, removed, delete, clear]: [u64; 6]) -> SyncPlan {
        SyncPlan {
            sync: sync.into(),
            counts: Counts { rows, added, changed, removed, ..Counts::default() },
            operations: Operations { send: added + changed, delete, clear, none: 0 },
            ..SyncPlan::default()
        }
    }

    fn plan(syncs: Vec<SyncPlan>) -> Plan {
        Plan { syncs, ..Plan::default() }
    }

    /// What was approved, what would be done now (rows, added, changed, removed, deletes, clears), what is beyond.
    type Case = ([u64; 6], [u64; 6], &'static str);

    #[rustfmt::skip]
    const CASES: &[Case] = &[
        // The same, and less.
        ([100, 5, 5, 5, 5, 0], [100, 5, 5, 5, 5, 0], ""),
        ([100, 5, 5, 5, 5, 0], [100, 0, 0, 0, 0, 0], ""),
        // Three rows more, always.
        ([20, 0, 0, 0, 0, 0], [20, 3, 3, 3, 0, 0], ""),
        ([20, 0, 0, 0, 0, 0], [20, 4, 4, 4, 0, 0], "added 4/3, changed 4/3, removed 4/3"),
        ([20, 0, 1, 0, 0, 0], [20, 0, 4, 0, 0, 0], ""),
        ([20, 0, 1, 0, 0, 0], [20, 0, 6, 0, 0, 0], "changed 6/4"),
        // A tenth of what was approved.
        ([100, 100, 0, 0, 0, 0], [110, 110, 0, 0, 0, 0], ""),
        ([100, 100, 0, 0, 0, 0], [111, 111, 0, 0, 0, 0], "added 111/110"),
        // A twentieth of the model's rows as they were: a model that has grown makes no more room.
        ([1000, 0, 10, 0, 0, 0], [1000, 0, 60, 0, 0, 0], ""),
        ([1000, 0, 10, 0, 0, 0], [9000, 0, 61, 0, 0, 0], "changed 61/60"),
        // Nothing is deleted or emptied where none of that was approved.
        ([1000, 0, 0, 0, 0, 0], [1000, 0, 0, 1, 1, 0], "deletes 1/0"),
        ([1000, 0, 0, 0, 0, 0], [1000, 0, 0, 1, 0, 1], "clears 1/0"),
        ([1000, 0, 0, 1, 1, 0], [1000, 0, 0, 51, 51, 0], ""),
        ([1000, 0, 0, 1, 1, 0], [1000, 0, 0, 52, 52, 0], "removed 52/51, deletes 52/51"),
        ([u64::MAX, u64::MAX, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], ""),
    ];

    #[test]
    fn what_is_beyond_an_approval() {
        for (approved, now, expected) in CASES {
            let approval = Approval::of(&plan(vec![part("users", *approved)]), BTreeMap::new());
            let found = approval.differences(&plan(vec![part("users", *now)]));
            let found: Vec<String> = found.iter().map(|d| format!("{} {}/{}", d.what, d.now, d.most)).collect();
            assert_eq!(found.join(", "), *expected, "{approved:?} {now:?}");
        }
    }

    #[test]
    fn a_sync_that_was_not_approved_must_do_nothing() {
        let approval = Approval::of(&plan(vec![part("users", [10, 1, 0, 0, 0, 0])]), BTreeMap::new());
        let now = |send| plan(vec![part("users", [10, 1, 0, 0, 0, 0]), part("other", [10, send, 0, 0, 0, 0])]);
        assert_eq!(approval.differences(&now(0)), []);
        let beyond = Difference { sync: "other".into(), what: "operations", approved: None, now: 1, most: 0 };
        assert_eq!(approval.differences(&now(1)), [beyond]);
    }

    #[test]
    fn changed_files_are_named_where_they_are_known() {
        let files = |all: &[(&str, &str)]| all.iter().map(|(f, d)| ((*f).to_owned(), (*d).to_owned())).collect();
        let approval = Approval::of(&Plan::default(), files(&[("a.yaml", "1"), ("b.yaml", "1"), ("d.yaml", "1")]));
        let now = files(&[("a.yaml", "1"), ("b.yaml", "2"), ("c.yaml", "1")]);
        assert_eq!(approval.changed_files(&now), ["b.yaml", "c.yaml", "d.yaml"]);
        assert_eq!(Approval::default().changed_files(&now), [""; 0]);
    }
}
