//! `syncline plan`: what would change at the destinations.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Format, Global, Selection, planning, progress::Progress, terminal};
use crate::diagnostic::Result;
use crate::plan::guards;

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
    /// Sample records per sync and row state
    #[arg(long, value_name = "N", default_value_t = 3)]
    samples: usize,
    /// Show values of personal data outside a terminal too
    #[arg(long)]
    show_values: bool,
    /// Exit with 2 when there are changes, 0 when there are none
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let project = super::load(global)?;
    let state = terminal::state(&project)?;
    let folder = terminal::scratch(&project)?;
    let request = planning::Request { selection: &options.selection, samples: options.samples, folder: folder.path() };
    let mut planned = planning::make(&project, state.hash_key(), &state.read()?, &request, &Progress::new())?;
    guards::allow(&mut planned.plan, &options.selection.allow);
    terminal::out(&planning::face(&planned.plan, options.format, options.show_values)?)?;
    if let Some(out) = &options.out {
        planned.folder.pack(out)?;
        terminal::note(&format!("The plan is in `{0}`; apply exactly it with: syncline apply {0}", out.display()));
    }
    if let Some((_, error)) = planned.failures.into_iter().next() {
        return Err(error);
    }
    let plan = planned.plan;
    let todo = plan.totals.added + plan.totals.changed + plan.totals.removed;
    Ok(if !plan.refusals.is_empty() {
        ExitCode::from(REFUSED)
    } else if options.detailed_exitcode && todo > 0 {
        ExitCode::from(CHANGES)
    } else {
        ExitCode::SUCCESS
    })
}
