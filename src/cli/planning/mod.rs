//! From a project and its state to a plan on disk: what `plan` and `apply` do alike.

pub(super) mod against;
mod metering;
mod opened;
mod planner;
mod refreshing;
mod remarks;
mod retyped;
mod spool;
mod stable;
pub(super) mod target;
mod testing;

use std::path::Path;

use arrow_schema::FieldRef;

use super::scheduling::{self, Schedules, Selected};
use super::{Format, Selection, progress::Progress, terminal};
use crate::diagnostic::{self, Error, Result, closest};
use crate::diff::HashKey;
use crate::plan::file::{Bound, FORMAT_VERSION, PlanFolder};
use crate::plan::footprint::Comparing;
use crate::plan::{Notice, Plan, ProjectInfo, SyncPlan, Totals, guards};
use crate::project::{Project, ResolvedModel, ResolvedSync, Sets, Shared, tree};
use crate::report::{self, Masked};
use crate::state::Reading;
use crate::usage::Month;
use against::{Aside, Before, Comparison};
use planner::{Ask, Planner};
pub(super) use planner::{key_open, open_fields};
use refreshing::Refresher;

/// What is asked of a plan.
pub(super) struct Request<'a> {
    pub selection: &'a Selection,
    /// Samples per row state.
    pub samples: usize,
    /// Where plan and operations are written; a new folder.
    pub folder: &'a Path,
    /// What the configuration is compared with.
    pub against: Option<&'a Comparison>,
    /// The rows are to be taken as synced, wherever they were sent before.
    pub adopting: bool,
}

/// A plan, on disk, and the syncs that could not be planned.
pub(super) struct Planned {
    pub plan: Plan,
    pub folder: PlanFolder,
    pub failures: Vec<(String, Error)>,
    /// When only what is due was asked for and nothing is: what comes next.
    pub nothing_due: Option<String>,
}

/// Plans the selected syncs. Faults of manifests against the model's columns end it with all of them listed; a source
/// that fails takes only its own syncs along.
pub(super) fn make(
    project: &Project,
    key: &HashKey,
    state: &Reading,
    request: &Request,
    progress: &Progress,
) -> Result<Planned> {
    let now = request.selection.now.unwrap_or_else(jiff::Timestamp::now);
    let schedules = Schedules::new(project, state, now)?;
    let sets = Sets { changed: request.against.map(Comparison::touched), due: None };
    let Selected { syncs: selected, nothing_due } = schedules.select(request.selection, sets)?;
    let board = schedules.board(&project.order());
    known_syncs(project, request.selection)?;
    if let Some(show_values) = request.selection.check_stable {
        let models = stable::check(project, key, &selected, request.folder, show_values, progress)?;
        let them = if models == 1 { "The model was read twice and is" } else { "All models were read twice and are" };
        terminal::note(&format!("{them} the same both times."));
    }
    let folder = PlanFolder::new(request.folder);
    let mut planner = Planner::new(project, key, state, request, &folder, now);
    let aside = request.against.map(|_| Aside::new(request)).transpose()?;
    let before = request.against.zip(aside.as_ref());
    let mut before = before.map(|(against, aside)| Before::new(against, aside, key, state, request, now));
    let complete = selected.len() == project.syncs.len();
    let mut plan = Plan { complete, ..head(project, planner.started_at.clone()) };
    let mut refresher = match request.selection.refresh {
        true => Some(Refresher::new(project, key, state, &selected, request.folder)?),
        false => None,
    };
    let (mut failures, mut faults) = (Vec::new(), Vec::new());
    for name in project.order().into_iter().filter(|name| selected.contains(name)) {
        let Some(sync) = project.syncs.get(&name) else { continue };
        if let Some(refusal) = request.against.and_then(|against| against.unapproved(sync)) {
            plan.refusals.push(refusal);
            plan.complete = false;
            continue;
        }
        progress.begin(&format!("planning {name}"));
        let refreshed = refresher.as_mut().map(|refresher| refresher.sync(sync, progress)).transpose();
        let planned = refreshed.and_then(|mut refreshed| match &mut before {
            Some(before) => before.sync(project, sync, &mut planner, refreshed.as_mut()),
            None => {
                let (guards, comparing) = (sync.guards.clone(), Comparing::Alone);
                planner.sync(sync, Ask { guards, comparing, rows: None, refreshed: refreshed.as_mut() })
            }
        });
        match planned {
            Ok(mut part) => {
                part.schedule = board.syncs.get(&name).map(scheduling::scheduled);
                plan.refusals.extend(guards::refusals(&part, |guard| {
                    project.guard_place(sync, guard).map(|place| place.to_string())
                }));
                let refusing = part.tests.iter().filter(|test| test.refuses());
                plan.refusals.extend(refusing.filter_map(|test| test.notice(&name)));
                plan.refusals.append(&mut planner.refusals);
                plan.syncs.push(part);
            }
            Err(Error::Invalid(diagnostics)) => faults.extend(diagnostics),
            Err(Error::Refused { code, message, place, help }) => {
                let (code, sync) = (code.into(), Some(name));
                plan.refusals.push(Notice { code, sync, message, help, place, ..Notice::default() });
            }
            Err(error) => failures.push((name, error)),
        }
    }
    progress.end();
    if !faults.is_empty() {
        // Syncs of one model find the same faults in it.
        diagnostic::sort(&mut faults);
        faults.dedup();
        return Err(Error::Invalid(faults));
    }
    if let Some(error) = refresher.and_then(|refresher| refresher.nothing_looked_at()) {
        return Err(error);
    }
    plan.complete &= failures.is_empty();
    plan.warnings = planner.warnings;
    plan.warnings.append(&mut planner.discoverer.warnings);
    drop(before);
    drop(aside);
    if let Some(against) = request.against {
        against.describe(&mut plan);
    }
    plan.warnings.extend(sharing(project, &plan.syncs));
    for (name, error) in &failures {
        plan.warnings.push(Notice {
            code: "not_planned".into(),
            sync: Some(name.clone()),
            message: format!("`{name}` could not be planned: {error}"),
            help: error.help().map(str::to_owned),
            ..Notice::default()
        });
    }
    if plan.complete {
        // What this change removes has been said.
        let said = |name: &String| request.against.is_some_and(|against| against.removes(name));
        plan.warnings.extend(ownerless(project, state, said));
    }
    plan.totals = totals(&plan.syncs);
    let usage = request.against.map_or_else(|| project.usage.clone(), |against| against.usage(project));
    planner.meter.finish(project, &usage, state, &folder, Month::of(now), &mut plan)?;
    // Before it is written: what was allowed and reviewed is what `apply FILE` does.
    guards::allow(&mut plan, &request.selection.allow);
    let bound = Bound {
        format_version: FORMAT_VERSION.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        plan_id: plan.plan_id.clone(),
        digest: plan.digest.clone(),
        environment: plan.environment.clone(),
        lineage: state.lineage().to_owned(),
        serial: state.serial(),
        syncs: planner.frozen,
    };
    folder.write(&plan, &bound)?;
    Ok(Planned { plan, folder, failures, nothing_due })
}

/// Planned syncs that write fields another one writes as well.
fn sharing(project: &Project, planned: &[SyncPlan]) -> Vec<Notice> {
    let planned = |name: &String| planned.iter().any(|part| part.sync == *name);
    let shared = project.shared_fields().into_iter().filter(|shared| planned(&shared.sync) || planned(&shared.with));
    let notice = |shared: Shared| Notice {
        code: "shared_field".into(),
        sync: Some(shared.sync),
        message: shared.warning.message,
        help: shared.warning.help,
        place: shared.warning.place.map(|place| place.to_string()),
        ..Notice::default()
    };
    shared.map(notice).collect()
}

/// Syncs of the state that no manifest names any more: what they have sent stays where it is, and nobody keeps it up.
fn ownerless(project: &Project, state: &Reading, said: impl Fn(&String) -> bool) -> impl Iterator<Item = Notice> {
    let renamed = |name: &String| project.syncs.values().any(|sync| sync.sync.moved_from.as_ref() == Some(name));
    let gone = state.document().syncs.iter().filter(move |(name, entry)| {
        entry.rows > 0 && !project.syncs.contains_key(*name) && !renamed(name) && !said(name)
    });
    gone.map(|(name, entry)| {
        let records = if entry.rows == 1 { "1 row".to_owned() } else { format!("{} rows", entry.rows) };
        Notice {
            code: "sync_gone".into(),
            sync: None,
            message: format!("no manifest names `{name}` any more; the {records} it has sent stay where they are"),
            help: Some(format!(
                "was it renamed? write `moved_from: {name}` in the new manifest; is it over? `syncline state forget {name}`"
            )),
            ..Notice::default()
        }
    })
}

/// A plan of which nothing is known but whose it is and when it was made.
fn head(project: &Project, created_at: String) -> Plan {
    Plan {
        format_version: FORMAT_VERSION.into(),
        plan_id: uuid::Uuid::now_v7().to_string(),
        digest: project.digest.clone(),
        created_at,
        environment: project.environment.name.clone(),
        project: ProjectInfo { name: project.name.clone(), commit: tree::commit(&project.root), against: None },
        ..Plan::default()
    }
}

/// The counts of several syncs together.
pub(super) fn totals(syncs: &[SyncPlan]) -> Totals {
    let sum = |count: fn(&SyncPlan) -> u64| syncs.iter().map(count).sum();
    Totals {
        added: sum(|s| s.counts.added),
        changed: sum(|s| s.counts.changed),
        removed: sum(|s| s.counts.removed),
        invalid: sum(|s| s.counts.invalid),
    }
}

/// The key columns of a model as its source has them now.
///
/// # Errors
/// The source cannot be asked, or has no such column.
pub(super) fn key_fields(project: &Project, model: &ResolvedModel) -> Result<Vec<FieldRef>> {
    let schema = opened::Sources::new(project).schema(model)?;
    let field = |name: &String| {
        let found = schema.fields().iter().find(|field| field.name() == name).cloned();
        found.ok_or_else(|| Error::failed(format!("the model `{}` has no column `{name}`", model.name)))
    };
    model.primary_key.iter().map(field).collect()
}

/// A misspelt sync in `--allow` would be found only when its guard refuses.
fn known_syncs(project: &Project, selection: &Selection) -> Result<()> {
    let Some(unknown) = selection.allow.iter().find(|allowance| !project.syncs.contains_key(&allowance.sync)) else {
        return Ok(());
    };
    let help = match closest(&unknown.sync, project.syncs.keys().map(String::as_str)) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => "write --allow SYNC:GUARD=N with the name of a sync of this project".into(),
    };
    Err(Error::failed_help(format!("--allow: there is no sync `{}`", unknown.sync), help))
}

/// Where a sync says something, as `file:line:column`.
pub(super) fn place(sync: &ResolvedSync, pointer: &str) -> Option<String> {
    sync.place(pointer).map(|place| place.to_string())
}

/// The faces of a plan. Values of personal data are shown to a person at a terminal or who asks for them, and masked
/// everywhere else.
pub(super) fn face(plan: &Plan, format: Format, show_values: bool) -> Result<String> {
    let masked = if show_values { Masked::shown_on_request(plan) } else { Masked::new(plan) };
    match format {
        Format::Text => Ok(report::plan_text(plan, &terminal::style(show_values))),
        Format::Json => report::json::pretty(masked.plan()),
        Format::Markdown => Ok(report::plan_markdown(&masked, report::markdown::DEFAULT_BUDGET)),
        Format::Html => report::plan_html(&masked),
        Format::TerraformReport => Ok(report::counts::plan_terraform(plan)),
        Format::Dotenv => Ok(report::counts::plan_dotenv(plan)),
    }
}
