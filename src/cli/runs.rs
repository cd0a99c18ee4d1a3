//! `syncline runs`: past runs, and what became of every row that was not taken.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Format, Global, planning, terminal};
use crate::diagnostic::{Error, Result};
use crate::mask;
use crate::project::Project;
use crate::report::answers::{Rejected, RejectedRow, RunLine, Runs};
use crate::report::run::Run as Shown;
use crate::report::{self, MaskedRun};
use crate::state::history::LoggedRow;
use crate::state::runs::{Run, SyncRun};

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// How it is written
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// Show keys and messages with personal data outside a terminal too
    #[arg(long, global = true)]
    show_values: bool,
}

#[derive(Subcommand)]
enum Action {
    /// All runs, the newest first (the default)
    List,
    /// One run: by id, the beginning of its id, or `last`
    Show {
        /// The run
        #[arg(default_value = "last")]
        id: String,
    },
    /// The rows of a run that were rejected, not matched or are in doubt; without a run those of the last one, and all
    /// that are still held
    Rejected {
        /// The run: its id, the beginning of it, or `last`
        id: Option<String>,
        /// At most so many rows
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}

pub(super) fn run(global: &Global, options: Options) -> Result<ExitCode> {
    let project = super::load(global)?;
    let state = terminal::state(&project)?;
    let text = match options.action.unwrap_or(Action::List) {
        Action::List => list(&state.runs()?, options.format)?,
        Action::Show { id } => face(&value(&state.run(&id)?)?, options.format, options.show_values)?,
        Action::Rejected { id, limit } => {
            let run = state.run(id.as_deref().unwrap_or("last"))?;
            let (mut rows, mut all) = state.rejected(&run, limit)?;
            if id.is_none() {
                let (held, more) = state.still_held(&run, limit.saturating_sub(rows.len()))?;
                rows.extend(held);
                all += more;
            }
            rejected(&project, &run, &rows, all, options.format, options.show_values)?
        }
    };
    terminal::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A run in its JSON form.
pub(super) fn value(run: &Run) -> Result<Value> {
    serde_json::to_value(run).map_err(|e| Error::failed(format!("cannot write the run as JSON: {e}")))
}

/// The faces of a run.
pub(super) fn face(run: &Value, format: Format, show_values: bool) -> Result<String> {
    let shown = Shown::read(run)?;
    let masked = if show_values { MaskedRun::shown_on_request(&shown) } else { MaskedRun::new(&shown) };
    match format {
        Format::Text => report::run_text(run, &terminal::style(show_values)),
        Format::Json => report::json::pretty(masked.run()),
        Format::Markdown => Ok(report::run_markdown(&masked, report::markdown::DEFAULT_BUDGET)),
        Format::Html => report::run_html(&masked),
        Format::TerraformReport => Ok(report::counts::run_terraform(&shown)),
        Format::Dotenv => Ok(report::counts::run_dotenv(&shown)),
    }
}

fn only_text_and_json(format: Format) -> Result<bool> {
    match format {
        Format::Text => Ok(false),
        Format::Json => Ok(true),
        Format::Markdown | Format::Html | Format::TerraformReport | Format::Dotenv => {
            Err(Error::failed_help("a list has no such format", "use `text` or `json`; `runs show` has all formats"))
        }
    }
}

fn list(runs: &[Run], format: Format) -> Result<String> {
    if only_text_and_json(format)? {
        let line = |run: &Run| RunLine {
            run_id: run.run_id.clone(),
            plan_id: run.plan_id.clone(),
            status: run.status.word().to_owned(),
            started_at: run.started_at.clone(),
            finished_at: run.finished_at.clone(),
            syncs: run.syncs.len(),
        };
        return report::json::pretty(&Runs { format_version: "1.0", runs: runs.iter().map(line).collect() });
    }
    if runs.is_empty() {
        return Ok("There are no runs yet.\n".into());
    }
    let line = |run: &Run| {
        let sum = |count: fn(&SyncRun) -> u64| run.syncs.iter().map(count).sum::<u64>();
        format!(
            "{}  {}  {:<9}  {} succeeded, {} rejected, {} no match, {} in doubt{}\n",
            run.run_id,
            run.started_at.get(..19).unwrap_or(&run.started_at),
            run.status.word(),
            sum(|s| s.succeeded.total().saturating_sub(s.nothing_to_do)),
            sum(|s| s.rejected),
            sum(|s| s.no_match),
            sum(|s| s.in_doubt),
            if run.was_interrupted() { " (interrupted)" } else { "" },
        )
    };
    Ok(runs.iter().map(line).collect())
}

fn rejected(
    project: &Project,
    run: &Run,
    rows: &[LoggedRow],
    all: u64,
    format: Format,
    show_values: bool,
) -> Result<String> {
    let show = show_values || terminal::style(false).show_values;
    let open = |row: &LoggedRow| match run.syncs.iter().find(|s| s.sync == row.sync) {
        Some(sync) => sync.key_open,
        None => planning::key_open(project, &row.sync),
    };
    let key = |row: &LoggedRow| mask::shown_key(&row.key, show || open(row));
    let reason = |row: &LoggedRow| {
        let text = row.reason.clone().unwrap_or_default();
        if show { text } else { mask::answer(&text, if open(row) { "" } else { &row.key }) }
    };
    if only_text_and_json(format)? {
        let each = rows.iter().map(|row| RejectedRow {
            sync: row.sync.clone(),
            key: key(row),
            state: (!row.state.is_empty()).then(|| row.state.clone()),
            outcome: row.outcome.clone(),
            code: row.code.clone(),
            message: reason(row),
            held_since: row.held_since.clone(),
        });
        let (run_id, rows) = (run.run_id.clone(), each.collect());
        return report::json::pretty(&Rejected { format_version: "1.0", run_id, count: all, rows });
    }
    if rows.is_empty() {
        return Ok(none_refused(run));
    }
    let mut text = String::new();
    for row in rows {
        let code = row.code.as_deref().map(|code| format!(" {code}:")).unwrap_or_default();
        let outcome = format!("{} {}", row.state, row.outcome);
        let line = format!("{}  {}  {}{code} {}", row.sync, key(row), outcome.trim_start(), reason(row));
        text.push_str(line.trim_end());
        if let Some(since) = &row.held_since {
            text.push_str(&format!(" (held since run {since})"));
        }
        text.push('\n');
    }
    if all > rows.len() as u64 {
        text.push_str(&format!("{} more; see them with --limit {all}\n", all - rows.len() as u64));
    }
    Ok(text)
}

/// What is said of a run none of whose rows is listed.
fn none_refused(run: &Run) -> String {
    let id = &run.run_id;
    let sum = |count: fn(&SyncRun) -> u64| run.syncs.iter().map(count).sum::<u64>();
    let (planned, pending, invalid) = (sum(|s| s.planned.total()), sum(|s| s.pending), sum(|s| s.invalid));
    let mut text = match pending {
        0 if run.error.is_none() && planned > 0 => format!("Every row that run {id} had to send was taken.\n"),
        0 if run.error.is_none() => format!("Run {id} had nothing to send.\n"),
        0 => format!("Nothing of run {id} was refused.\n"),
        _ => format!("Nothing of run {id} was refused, but {pending} rows were not sent: `syncline runs show {id}`\n"),
    };
    let held = sum(|s| s.held.total());
    if held > 0 {
        text.push_str(&format!(
            "Held since earlier runs: {held}; `syncline runs rejected` without a run lists them.\n"
        ));
    }
    if invalid > 0 {
        let rows = if invalid == 1 { "1 row is" } else { &format!("{invalid} rows are") };
        text.push_str(&format!("{rows} invalid and never sent: `syncline plan` says why.\n"));
    }
    text
}
