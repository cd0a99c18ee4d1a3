//! `apply --only-key`, `--limit`: a first careful run does a part of the plan, and the rest stays to be planned.

use std::collections::{HashMap, HashSet};

use clap::Args;

use crate::destinations::Action;
use crate::diagnostic::{Error, Result};
use crate::plan::file::PlanFolder;
use crate::plan::{Plan, operations};
use crate::state::runs::StateCounts;

#[derive(Args, Clone, Default)]
pub(super) struct Narrowing {
    /// Deliver only what the plan does with this row, named by its key as the plan shows it; may be given more than once
    #[arg(long, value_name = "KEY")]
    only_key: Vec<String>,
    /// Deliver at most N operations of each sync, in the order of the plan, and no removals but those of --only-key
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// What of a sync's plan is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Rows.
    pub rows: StateCounts,
    /// Operations at the destination.
    pub operations: u64,
    /// Operations at the destination that are left out.
    pub left_out: u64,
}

/// Shares by sync. A sync that is not in it is delivered whole.
pub(super) type Shares = HashMap<String, Share>;

impl Narrowing {
    /// True when only a part is wanted.
    pub(super) fn is_set(&self) -> bool {
        self.limit.is_some() || !self.only_key.is_empty()
    }

    /// Takes what is not wanted out of the plan's frozen operations. The run then knows of nothing else, and so the state
    /// stays as it is for what was left out, whatever becomes of the run.
    pub(super) fn narrow(&self, plan: &Plan, folder: &PlanFolder) -> Result<Shares> {
        let mut shares = Shares::new();
        let mut missing: HashSet<&str> = self.only_key.iter().map(String::as_str).collect();
        if !self.is_set() {
            return Ok(shares);
        }
        for sync in &plan.syncs {
            let mut share = Share::default();
            operations::narrow(&folder.operations(&sync.sync), &mut |head| {
                let named = self.only_key.iter().any(|key| *key == *head.key);
                if named {
                    missing.remove(head.key.as_str());
                }
                let wanted = named || (self.only_key.is_empty() && head.action == Some(Action::Send));
                let chosen = wanted && self.limit.is_none_or(|limit| share.operations < limit);
                if chosen {
                    share.rows.count(head.state);
                }
                match head.action {
                    Some(_) if chosen => share.operations += 1,
                    Some(_) => share.left_out += 1,
                    None => {}
                }
                chosen
            })?;
            shares.insert(sync.sync.clone(), share);
        }
        match self.only_key.iter().find(|key| missing.contains(key.as_str())) {
            None => Ok(shares),
            Some(unknown) => Err(Error::failed_help(
                format!("--only-key: the plan changes no row with the key `{unknown}`"),
                "write keys as `syncline plan` shows them, one of several columns as a JSON array; a row without changes, \
                 an invalid one and one that is held back have nothing to deliver",
            )),
        }
    }
}
