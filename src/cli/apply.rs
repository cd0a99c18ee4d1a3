//! `syncline apply`: makes the changes of a fresh plan, or exactly those of a plan file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::delivering::Order;
use super::interrupt::Interrupt;
use super::narrowing::{Narrowing, Share, Shares};
use super::recovering::{self, Recovered};
use super::refusing::{ended, leave_refused_out, refused_run, unplanned};
use super::scheduling::Schedules;
use super::writing::Output;
use super::{
    Format, Global, Selection, approving, delivering, notifying, planning, progress::Progress, runs, scratch::Scratch,
    terminal,
};
use crate::diagnostic::{Error, Result};
use crate::plan::file::PlanFolder;
use crate::plan::{Plan, guards};
use crate::project::{Project, Sets};
use crate::state::runs::{Run, Status, SyncRun};
use crate::state::{LockRequest, Locked, PlanUse, State};

/// Samples a plan shows before it is applied.
const SAMPLES: usize = 3;

#[derive(Args)]
pub(super) struct Options {
    /// A plan file: exactly it is done, or it is refused as stale
    #[arg(value_name = "PLANFILE", conflicts_with_all = ["select", "retry", "full_refresh", "refresh", "due", "no_tests"])]
    file: Option<PathBuf>,
    /// Run what is due by the schedules, and what follows it; safe to call every few minutes
    #[arg(long, conflicts_with_all = ["only_key", "limit"])]
    due: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    narrowing: Narrowing,
    /// Go ahead if no more would change than in the plan that was approved: its digest `sha256:…`, `sha256:…@PLAN_ID`,
    /// or a file with the plan. Guards still refuse
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["file", "due"])]
    approved: Option<String>,
    /// Go ahead without a question; guards still refuse
    #[arg(long)]
    auto_approve: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also write the run report as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[arg(skip)]
    report_file: Option<Output>,
    /// Seconds to wait for another run to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
    /// Also write every request and answer to this file, without secrets but with personal data
    #[arg(long, value_name = "FILE")]
    wire_log: Option<PathBuf>,
    /// Show values of personal data outside a terminal too
    #[arg(long)]
    show_values: bool,
}

pub(super) fn run(global: &Global, mut options: Options) -> Result<ExitCode> {
    if options.file.is_some() && options.narrowing.is_set() {
        return Err(Error::failed_help(
            "a plan file is applied exactly as it was reviewed: --only-key and --limit do not go with one",
            "leave the plan file out to deliver a part of a fresh plan",
        ));
    }
    // Before anything is sent, which cannot be taken back.
    options.report_file = options.report.as_deref().map(|path| Output::open(path, "report")).transpose()?;
    let project = super::load(global)?;
    let state = terminal::state(&project)?;
    let wait = std::time::Duration::from_secs(options.lock_timeout);
    let locked = state.lock(&LockRequest { wait, ..LockRequest::new("apply") })?;
    let mut recovered = Recovered::default();
    let code = apply(&project, &state, &locked, options, &mut recovered)?;
    // A run that was killed has no exit code of its own: what it has left in doubt is said by the one that finds it.
    Ok(if code == ExitCode::SUCCESS && recovered.left_in_doubt(&locked)? {
        ExitCode::from(Error::Partial(String::new()).exit_code())
    } else {
        code
    })
}

fn apply(
    project: &Project,
    state: &State,
    locked: &Locked,
    mut options: Options,
    recovered: &mut Recovered,
) -> Result<ExitCode> {
    // What waited for the lock begins now.
    let now = options.selection.now.unwrap_or_else(jiff::Timestamp::now);
    (options.selection.now, options.selection.due) = (Some(now), options.due);
    let folder = Scratch::new(project)?;
    let interrupt = Interrupt::new(locked, folder.whole())?;
    *recovered = recovering::recover(locked)?;
    let approval = options.approved.as_deref().map(|plan| approving::find(project, state, plan)).transpose()?;
    let mut prepared = match &options.file {
        Some(file) => from_file(project, state, locked, file, folder.path())?,
        None => match fresh(project, state, locked, &options, folder.path()) {
            Ok(prepared) => prepared,
            Err(error) => {
                let syncs = meant(project, locked, &options, now).unwrap_or_default();
                notifying::tell(project, locked, &unplanned(project, &syncs, &error));
                return Err(error);
            }
        },
    };
    if let Some(line) = &prepared.nothing_due {
        return nothing_due(project, line, &options);
    }
    guards::allow(&mut prepared.plan, &options.selection.allow);
    // Who applies a file has seen it, but not that it is refused.
    if options.format == Format::Text && (options.file.is_none() || !prepared.plan.refusals.is_empty()) {
        terminal::out(&planning::face(&prepared.plan, Format::Text, options.show_values)?)?;
    }
    if let Some((table, error)) = approval.as_ref().and_then(|approval| approving::beyond(approval, &prepared.plan)) {
        return not_approved(project, locked, &prepared, &options, &table, error);
    }
    let refused = if options.due { leave_refused_out(&mut prepared.plan) } else { Vec::new() };
    if !prepared.plan.refusals.is_empty() {
        return refuse(project, locked, &prepared, &options);
    }
    let shares = options.narrowing.narrow(&prepared.plan, &prepared.folder)?;
    if options.narrowing.is_set() {
        tell(&shares);
    }
    let todo = prepared.plan.totals;
    if options.file.is_none() && todo.added + todo.changed + todo.removed > 0 {
        terminal::approve(options.auto_approve || approval.is_some(), "Apply this plan?")?;
    }
    adopt_new_names(project, locked)?;
    drop(interrupt);
    let Prepared { plan, folder, failures, .. } = prepared;
    let not_planned = failures.iter().map(|(sync, e)| delivering::failed(sync, &Share::default(), &e.to_string()));
    let order = Order {
        plan: &plan,
        folder: &folder,
        shares: &shares,
        others: not_planned.chain(refused).collect(),
        since: (!options.narrowing.is_set()).then_some(now),
        wire_log: options.wire_log.as_deref(),
    };
    let run = delivering::deliver(project, locked, order)?;
    // What one record did says nothing of its sync.
    if !options.narrowing.is_set() {
        notifying::tell(project, locked, &run);
    }
    finish(&run, &options)
}

struct Prepared {
    plan: Plan,
    folder: PlanFolder,
    failures: Vec<(String, Error)>,
    nothing_due: Option<String>,
}

/// The syncs that were asked for.
fn meant(project: &Project, locked: &Locked, options: &Options, now: jiff::Timestamp) -> Result<Vec<String>> {
    let schedules = Schedules::new(project, &locked.read()?, now)?;
    Ok(schedules.select(&options.selection, Sets::default())?.syncs)
}

/// A call that comes too early is no failure.
fn nothing_due(project: &Project, line: &str, options: &Options) -> Result<ExitCode> {
    let run = Run { status: Status::Succeeded, ..ended(project) };
    let written = write_report(&run, options);
    if options.format == Format::Text {
        terminal::out(&format!("{line}\n"))?;
    } else {
        terminal::out(&runs::face(&runs::value(&run)?, options.format, options.show_values)?)?;
        terminal::note(line);
    }
    written.map(|()| ExitCode::SUCCESS)
}

fn fresh(
    project: &Project,
    state: &State,
    locked: &Locked,
    options: &Options,
    folder: &std::path::Path,
) -> Result<Prepared> {
    let request =
        planning::Request { selection: &options.selection, samples: SAMPLES, folder, against: None, adopting: false };
    let planned = planning::make(project, state.hash_key(), &locked.read()?, &request, &Progress::new())?;
    let planning::Planned { plan, folder, failures, nothing_due } = planned;
    Ok(Prepared { plan, folder, failures, nothing_due })
}

fn from_file(
    project: &Project,
    state: &State,
    locked: &Locked,
    file: &std::path::Path,
    folder: &std::path::Path,
) -> Result<Prepared> {
    let folder = PlanFolder::unpack(file, folder)?;
    let bound = folder.bound()?;
    let stale = |message: String| {
        let help = Some("make a new plan with `syncline plan --out FILE`".into());
        Err(Error::Stale { message: format!("the plan file `{}` is stale: {message}", file.display()), help })
    };
    if bound.environment != project.environment.name {
        let message = format!("it is for environment `{}`, not `{}`", bound.environment, project.environment.name);
        let help = match bound.environment.as_str() {
            "" => "run it without `--env`".to_owned(),
            name => format!("run it with `--env {name}`"),
        };
        let message = format!("the plan file `{}` cannot be applied here: {message}", file.display());
        return Err(Error::Stale { message, help: Some(help) });
    }
    if bound.digest != project.digest {
        return stale("the configuration has changed since it was made".into());
    }
    let used = locked.check_plan(&bound.plan_id, &bound.lineage, bound.serial)?;
    // Last, because a plan of another state has another seal, and that it is of another state says more.
    if !folder.sealed_by(state.hash_key())? {
        return stale("its content was changed after it was made".into());
    }
    if let PlanUse::Resume = used {
        terminal::note("This plan was begun before; what is left of it is done now.");
    }
    Ok(Prepared { plan: folder.plan()?, folder, failures: Vec::new(), nothing_due: None })
}

/// What a narrowed run does, before anybody is asked.
fn tell(shares: &Shares) {
    let sum = |count: fn(&super::narrowing::Share) -> u64| shares.values().map(count).sum::<u64>();
    let (done, left_out) = (sum(|s| s.operations), sum(|s| s.left_out));
    let (all, verb) = (done + left_out, if done == 1 { "is" } else { "are" });
    terminal::note(&format!(
        "Of {all} operations of this plan, {done} {verb} delivered now; the other {left_out} stay planned."
    ));
}

/// `moved_from`: the state of a renamed sync goes on under its new name.
fn adopt_new_names(project: &Project, locked: &Locked) -> Result<()> {
    let known = locked.read()?;
    for sync in project.syncs.values() {
        let Some(old) = &sync.sync.moved_from else { continue };
        let syncs = &known.document().syncs;
        if syncs.contains_key(old) && !syncs.contains_key(&sync.name) {
            locked.rename(old, &sync.name)?;
        }
    }
    Ok(())
}

/// More would change than was approved: nothing is sent, and whoever watches is told.
fn not_approved(
    project: &Project,
    locked: &Locked,
    prepared: &Prepared,
    options: &Options,
    table: &str,
    error: Error,
) -> Result<ExitCode> {
    let run = Run { error: Some(error.to_string()), ..refused_run(project, &prepared.plan) };
    notifying::tell(project, locked, &notifying::refused(&run, &prepared.plan, &prepared.failures));
    write_or_note(&run, options);
    if options.format == Format::Text {
        terminal::out(table)?;
    } else {
        terminal::out(&runs::face(&runs::value(&run)?, options.format, options.show_values)?)?;
        terminal::note(table.trim_end());
    }
    Err(error)
}

fn refuse(project: &Project, locked: &Locked, prepared: &Prepared, options: &Options) -> Result<ExitCode> {
    let plan = &prepared.plan;
    let error = plan.refusals.first().map(|refusal| refusal.message.clone());
    let run = Run { error, ..refused_run(project, plan) };
    notifying::tell(project, locked, &notifying::refused(&run, plan, &prepared.failures));
    write_or_note(&run, options);
    if options.format == Format::Json {
        terminal::out(&runs::face(&runs::value(&run)?, options.format, options.show_values)?)?;
    }
    let reasons: Vec<_> = plan.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    let message = format!("nothing was sent: {}", reasons.join("; "));
    Err(Error::Refused { code: "refused", message, place: None, help: way_out(plan) })
}

/// What is to be done about all refusals. What several guards need stands in one line that can be copied.
fn way_out(plan: &Plan) -> Option<String> {
    let allowances: Vec<String> = plan.syncs.iter().flat_map(guards::allowances).collect();
    let together = allowances.len() > 1;
    let mut helps: Vec<String> = Vec::new();
    if together {
        helps.push(format!("check the models first; to go ahead once: {}", allowances.join(" ")));
    }
    for refusal in &plan.refusals {
        let said = together && guards::NAMES.contains(&refusal.code.as_str());
        helps.extend(refusal.help.clone().filter(|help| !said && !helps.contains(help)));
    }
    (!helps.is_empty()).then(|| helps.join("; "))
}

fn finish(run: &Run, options: &Options) -> Result<ExitCode> {
    // What was sent was sent: that is said whatever becomes of the report.
    let written = write_report(run, options);
    terminal::out(&runs::face(&runs::value(run)?, options.format, options.show_values)?)?;
    for (name, reason) in run.syncs.iter().filter_map(|sync| Some((&sync.sync, sync.error.as_ref()?))) {
        terminal::note(&format!("error: sync `{name}`: {reason}"));
    }
    let sum = |count: fn(&SyncRun) -> u64| run.syncs.iter().map(count).sum::<u64>();
    let refused = |sync: &SyncRun| sync.status == Status::Refused;
    let failed = |sync: &SyncRun| !refused(sync) && (sync.error.is_some() || sync.pending > 0);
    written.map_err(|error| error.context("the run has ended as said above, but"))?;
    Ok(if run.error.is_some() || run.syncs.iter().any(failed) {
        ExitCode::FAILURE
    } else if run.syncs.iter().any(refused) {
        ExitCode::from(Error::Refused { code: "refused", message: String::new(), place: None, help: None }.exit_code())
    } else if sum(|s| s.rejected) + sum(|s| s.in_doubt) > 0 {
        ExitCode::from(Error::Partial(String::new()).exit_code())
    } else {
        ExitCode::SUCCESS
    })
}

fn write_report(run: &Run, options: &Options) -> Result<()> {
    let Some(file) = &options.report_file else { return Ok(()) };
    file.write(&runs::face(&runs::value(run)?, Format::Json, options.show_values)?)
}

/// The same where something else is the reason why the command fails.
fn write_or_note(run: &Run, options: &Options) {
    if let Err(error) = write_report(run, options) {
        terminal::note(&format!("error: {error}"));
    }
}
