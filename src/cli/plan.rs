//! `syncline plan`: what would change at the destinations.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::planning::against::Comparison;
use super::writing::{self, Output, Written};
use super::{Format, Global, Selection, planning, progress::Progress, scratch::Scratch, terminal};
use crate::diagnostic::Result;
use crate::plan::approval::Approval;
use crate::plan::{Notice, Plan};
use crate::project::Project;
use crate::state::State;

/// Exit code of a plan with changes under `--detailed-exitcode`.
const CHANGES: u8 = 2;
/// Exit code of a plan that `apply` refuses.
const REFUSED: u8 = 3;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Also write the plan to one file that `apply FILE` carries out exactly
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How the plan is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also write the plan in this format to this file; may be repeated: `--write html=plan.html`
    #[arg(long, value_name = "FORMAT=FILE")]
    write: Vec<Written>,
    /// Sample records per sync and row state
    #[arg(long, value_name = "N", default_value_t = 3)]
    samples: usize,
    /// Show values of personal data outside a terminal too
    #[arg(long)]
    show_values: bool,
    /// First read each model twice, and say which rows and columns are not the same: exit 1 when there are any
    #[arg(long)]
    check_stable: bool,
    /// Compare the configuration with what the work tree has in common with a branch, tag or commit: what changed, which
    /// syncs that touches (`--select changed`) and how many records it changes
    #[arg(long, value_name = "REF")]
    against: Option<String>,
    /// With --against: connect to nothing and need no credentials; only the configuration is compared
    #[arg(long, requires = "against", conflicts_with = "out")]
    offline: bool,
    /// With --against: credentials and addresses that were not there before are fine, as named by this digest
    #[arg(long, value_name = "DIGEST", requires = "against")]
    approved_surface: Option<String>,
    /// Exit with 2 when there are changes, 0 when there are none
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    // A plan may take long: that it cannot be written is said before.
    if let Some(out) = &options.out {
        writing::can_be_made(out, "plan file")?;
    }
    let open = |written: &Written| Ok((written.format, written.open()?));
    let files: Vec<(Format, Output)> = options.write.iter().map(open).collect::<Result<_>>()?;
    let mut project = super::load(global)?;
    let against = options.against.as_deref();
    let against =
        against.map(|to| Comparison::new(&mut project, to, options.approved_surface.as_deref())).transpose()?;
    if let Some(against) = against.as_ref().filter(|against| options.offline || against.withheld(&project)) {
        let plan = against.offline(&project);
        show(options, &files, &plan)?;
        if let Some(out) = &options.out {
            terminal::note(&format!("No plan file `{}` was written: nothing may be planned yet.", out.display()));
        }
        return Ok(code(options, &plan, !plan.configuration.is_empty()));
    }
    let state = terminal::state(&project)?;
    let folder = Scratch::new(&project)?;
    let check_stable = options.check_stable.then_some(options.show_values);
    let selection = Selection { check_stable, ..options.selection.clone() };
    let request = planning::Request {
        selection: &selection,
        samples: options.samples,
        folder: folder.path(),
        against: against.as_ref(),
        adopting: false,
    };
    let mut planned = planning::make(&project, state.hash_key(), &state.read()?, &request, &Progress::new())?;
    remember(&state, &project, &mut planned.plan);
    show(options, &files, &planned.plan)?;
    if let Some(nothing_due) = &planned.nothing_due {
        terminal::note(nothing_due);
    }
    let whole = planned.failures.is_empty();
    // Half a plan would be applied as if it were the whole one.
    if let Some(out) = options.out.as_ref().filter(|_| whole) {
        planned.folder.pack(out, state.hash_key())?;
        let path = out.display();
        terminal::note(&format!("The plan is in `{path}`; apply exactly it with: {}", apply_command(global, out)));
    }
    if let (Some(out), false) = (&options.out, whole) {
        terminal::note(&format!("No plan file `{}` was written: not every sync could be planned.", out.display()));
    }
    if let Some((name, error)) = planned.failures.into_iter().next() {
        return Err(error.context(format!("sync `{name}`")));
    }
    let plan = planned.plan;
    let todo = plan.totals.added + plan.totals.changed + plan.totals.removed;
    Ok(code(options, &plan, todo > 0))
}

/// The command that applies a plan file, as it is typed where this one was.
fn apply_command(global: &Global, file: &Path) -> String {
    let mut command = format!("syncline apply {}", terminal::typed(&file.display().to_string()));
    if let Some(environment) = global.environment() {
        command += &format!(" --env {}", terminal::typed(environment));
    }
    if global.project != Path::new(".") {
        command += &format!(" --project {}", terminal::typed(&global.project.display().to_string()));
    }
    command
}

fn code(options: &Options, plan: &Plan, changes: bool) -> ExitCode {
    if !plan.refusals.is_empty() {
        ExitCode::from(REFUSED)
    } else if options.detailed_exitcode && changes {
        ExitCode::from(CHANGES)
    } else {
        ExitCode::SUCCESS
    }
}

/// Remembers what a plan says, so that it can be approved by its digest. A plan is good for much else: where it cannot be
/// remembered, that is a warning.
fn remember(state: &State, project: &Project, plan: &mut Plan) {
    if let Err(error) = state.put_planned(&Approval::of(plan, project.files.clone())) {
        plan.warnings.push(Notice {
            code: "not_recorded".into(),
            sync: None,
            message: format!("this plan cannot be approved by its digest: {error}"),
            help: Some("make the state writable where plans are made, or approve the plan as a file".into()),
            ..Notice::default()
        });
    }
}

/// Prints the plan, and writes the files that were asked for.
fn show(options: &Options, files: &[(Format, Output)], plan: &Plan) -> Result<()> {
    terminal::out(&planning::face(plan, options.format, options.show_values)?)?;
    for (format, file) in files {
        file.write(&planning::face(plan, *format, options.show_values)?)?;
    }
    Ok(())
}
