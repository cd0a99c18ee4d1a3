//! `plan --against`: the configuration as it was, what it would do with the same data, and what must be approved.

use std::collections::BTreeSet;

use super::Request;
use super::planner::{Ask, Planner};
use super::refreshing::Refreshed;
use super::spool::{Keep, Spool};
use crate::diagnostic::{Error, Result};
use crate::diff::HashKey;
use crate::manifest::project::Usage;
use crate::mapping::Used;
use crate::plan::file::PlanFolder;
use crate::plan::footprint::{Comparing, Footprint};
use crate::plan::{ConfigurationChange, Notice, Plan, SyncPlan};
use crate::project::changes::{Against, Change};
use crate::project::{Project, ResolvedSync};
use crate::state::Reading;

/// The project against what it was, and what of the difference has been approved.
pub(in crate::cli) struct Comparison {
    against: Against,
    reference: String,
    approved: bool,
    /// True when an approval was given, and it is for something else.
    misapproved: bool,
}

impl Comparison {
    /// Compares, and holds the project to the hosts it was allowed before.
    ///
    /// # Errors
    /// The project is not in git, or the reference is not known there.
    pub fn new(project: &mut Project, reference: &str, approved: Option<&str>) -> Result<Self> {
        let against = Against::new(project, reference)?;
        project.policy = against.policy(project);
        let matches = approved == Some(against.surface.digest.as_str());
        Ok(Self {
            approved: against.surface.digest.is_empty() || matches,
            misapproved: approved.is_some() && !matches && !against.surface.digest.is_empty(),
            reference: reference.to_owned(),
            against,
        })
    }

    /// The syncs that the change of the configuration touches.
    pub fn touched(&self) -> BTreeSet<String> {
        self.against.touched.clone()
    }

    /// Whether the change removes a sync.
    pub fn removes(&self, sync: &str) -> bool {
        self.against.removed.iter().any(|removed| removed == sync)
    }

    /// The budgets that hold.
    pub fn usage(&self, project: &Project) -> Usage {
        self.against.usage(project)
    }

    /// Why a sync is not planned yet: its credentials, or where they go, are new and nobody has approved them.
    pub fn unapproved(&self, sync: &ResolvedSync) -> Option<Notice> {
        let surface = &self.against.surface;
        let words = surface.syncs.get(&sync.name).filter(|_| !self.approved)?;
        let wrong = if self.misapproved { "; what --approved-surface names is something else" } else { "" };
        Some(Notice {
            code: "credential_surface".into(),
            sync: Some(sync.name.clone()),
            message: format!(
                "`{}`: the credential surface changed, so it is not planned against live systems: {}{wrong}",
                sync.name,
                words.join("; ")
            ),
            help: Some(format!(
                "who may approve it looks at the change first and then plans with --approved-surface {}",
                surface.digest
            )),
            place: super::place(sync, "/destination"),
            ..Notice::default()
        })
    }

    /// What changed in the configuration, and what must be said about it.
    pub fn describe(&self, plan: &mut Plan) {
        let against = &self.against;
        plan.project.against = Some(against.commit.clone());
        plan.configuration = against.changes.iter().map(change).collect();
        let mut warn = |code: &str, sync: Option<&String>, message: String, help: &str, place: Option<String>| {
            let help = Some(help.to_owned());
            let (code, sync) = (code.into(), sync.cloned());
            plan.warnings.push(Notice { code, sync, message, help, place, ..Notice::default() });
        };
        if against.base.is_none() {
            let first = against.faults.first().map(|fault| format!(": {}", fault.message)).unwrap_or_default();
            warn(
                "base_unreadable",
                None,
                format!(
                    "the project as it was at `{}` cannot be planned{first}; what the change of the configuration causes \
                     is not known, and its limits are those written now",
                    self.reference
                ),
                "every connection counts as new and is approved with --approved-surface; the numbers are those of this \
                 configuration and this data together",
                None,
            );
        }
        if let Some(other) = &against.other_environment {
            let (name, reference) = (&plan.environment, &self.reference);
            let of = |name: &str| if name.is_empty() { "no environment".into() } else { format!("`{name}`") };
            warn(
                "environment_new",
                None,
                format!(
                    "there is no environment {} at `{reference}`: it is compared with {} there",
                    of(name),
                    of(other)
                ),
                "the limits of that one hold; what it connects to is known",
                None,
            );
        }
        for remark in &against.unseen {
            let place = remark.place.as_ref().map(|place| place.to_string());
            let help = remark.help.as_deref().unwrap_or_default();
            warn(&remark.code.replace('-', "_"), None, remark.message.clone(), help, place);
        }
        for name in &against.removed {
            warn(
                "sync_removed",
                None,
                format!("sync `{name}` is removed: what it has sent stays at the destination, and its state is kept"),
                &format!("when it was renamed, write `moved_from: {name}`; else `syncline state forget {name}`"),
                None,
            );
        }
        for loosened in &against.loosened {
            let whose = loosened.sync.as_ref().map_or_else(|| "the project".to_owned(), |sync| format!("`{sync}`"));
            warn(
                "guard_loosened",
                loosened.sync.as_ref(),
                format!(
                    "{whose}: the change widens `{}` from {} to {}; this plan is judged by what was",
                    loosened.limit, loosened.before, loosened.after
                ),
                "the new limit holds once the change is merged",
                loosened.place.clone(),
            );
        }
        // Approved or planned without: whoever reads the plan learns of it.
        for (sync, words) in against.surface.syncs.iter().filter(|_| self.approved) {
            warn(
                "credential_surface",
                Some(sync),
                format!("`{sync}`: the credential surface changed, and was approved: {}", words.join("; ")),
                "no sync was planned with it before that",
                None,
            );
        }
    }

    /// True when nothing of the project may be planned yet: then nothing is connected to, the store of the state included.
    pub fn withheld(&self, project: &Project) -> bool {
        !project.syncs.is_empty() && project.syncs.values().all(|sync| self.unapproved(sync).is_some())
    }

    /// The plan of the configuration alone.
    pub fn offline(&self, project: &Project) -> Plan {
        let mut plan = super::head(project, format!("{:.0}", jiff::Timestamp::now()));
        plan.refusals = project.syncs.values().filter_map(|sync| self.unapproved(sync)).collect();
        self.describe(&mut plan);
        plan.warnings.push(Notice {
            code: "offline".into(),
            sync: None,
            message: "only the configuration was compared: no source was read, so no change of a record is known"
                .into(),
            help: Some("plan without --offline where the credentials are, and with what is approved".into()),
            ..Notice::default()
        });
        plan
    }
}

fn change(change: &Change) -> ConfigurationChange {
    ConfigurationChange {
        kind: change.kind.word().into(),
        name: change.name.clone(),
        change: change.change.into(),
        file: change.file.clone(),
        diff: change.diff.clone(),
        affects: change.affects.clone(),
    }
}

/// Plans with the configuration as it was. Nothing of them is applied.
pub(super) struct Before<'a> {
    comparison: &'a Comparison,
    planner: Option<Planner<'a>>,
}

/// Where the plans of the configuration before are written.
pub(super) struct Aside {
    folder: PlanFolder,
    _made: tempfile::TempDir,
}

impl Aside {
    pub fn new(request: &Request) -> Result<Self> {
        let failed = |e| Error::failed(format!("cannot write to `{}`: {e}", request.folder.display()));
        let made = tempfile::tempdir_in(request.folder).map_err(failed)?;
        Ok(Self { folder: PlanFolder::new(made.path()), _made: made })
    }
}

impl<'a> Before<'a> {
    pub fn new(
        comparison: &'a Comparison,
        aside: &'a Aside,
        key: &'a HashKey,
        state: &'a Reading,
        request: &'a Request<'a>,
        now: jiff::Timestamp,
    ) -> Self {
        let base = comparison.against.base.as_ref();
        let planner = base.map(|base| Planner::new(base, key, state, request, &aside.folder, now));
        Self { comparison, planner }
    }

    /// Plans a sync and says what of its changes the change of the configuration causes.
    pub fn sync(
        &mut self,
        project: &Project,
        sync: &ResolvedSync,
        planner: &mut Planner,
        mut refreshed: Option<&mut Refreshed>,
    ) -> Result<SyncPlan> {
        let against = &self.comparison.against;
        let guards = against.guards(sync);
        let (Some((base, before)), Some(base_planner)) = (against.before(sync), &mut self.planner) else {
            return planner.sync(sync, Ask { guards, comparing: Comparing::Alone, rows: None, refreshed });
        };
        if !against.touched.contains(&sync.name) {
            return planner.sync(sync, Ask { guards, comparing: Comparing::Same, rows: None, refreshed });
        }
        let keep = same_rows(project, sync, base, before).then(|| Keep(columns(sync)));
        let found: Result<(Footprint, Option<Spool>)> = base_planner.footprint(before, keep, refreshed.as_deref_mut());
        match found {
            Ok((footprint, rows)) => {
                let comparing = Comparing::With(footprint);
                planner.sync(sync, Ask { guards, comparing, rows: rows.as_ref(), refreshed })
            }
            Err(error) => {
                let part = planner.sync(sync, Ask { guards, comparing: Comparing::Alone, rows: None, refreshed })?;
                planner.warnings.push(Notice {
                    code: "causes_unknown".into(),
                    sync: Some(sync.name.clone()),
                    message: format!(
                        "`{}`: what the change of the configuration causes is not known, as it cannot be planned as it \
                         was: {}",
                        sync.name,
                        error.to_string().lines().next().unwrap_or_default()
                    ),
                    help: Some("the numbers are those of this configuration and this data together".into()),
                    ..Notice::default()
                });
                Ok(part)
            }
        }
    }
}

/// True when both configurations read the same rows, so that one reading is enough.
fn same_rows(project: &Project, sync: &ResolvedSync, base: &Project, before: &ResolvedSync) -> bool {
    let of = |project: &'_ Project, sync: &ResolvedSync| {
        let model = project.models.get(&sync.model)?;
        Some((model.query.clone(), project.sources.get(&model.source)?.digest.clone()))
    };
    of(project, sync).is_some_and(|now| of(base, before) == Some(now))
}

/// The columns a sync uses; `None`: all, or not to be said.
fn columns(sync: &ResolvedSync) -> Option<Vec<String>> {
    match sync.mapping.columns() {
        Ok(Used::Columns(columns)) => Some(columns.into_iter().collect()),
        Ok(Used::All) | Err(_) => None,
    }
}
