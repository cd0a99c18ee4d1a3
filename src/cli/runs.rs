//! `syncline runs`: past runs, and what became of every row that was not taken.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Format, Global, terminal};
use crate::diagnostic::{Error, Result};
use crate::mask;
use crate::report::run::Run as Shown;
use crate::report::{self, MaskedRun};
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
    /// The rows of a run that were rejected, not matched or are in doubt
    Rejected {
        /// The run
        #[arg(default_value = "last")]
        id: String,
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
            let run = state.run(&id)?;
            let (rows, all) = state.rejected(&run, limit)?;
            rejected(&run, &rows, all, options.format, options.show_values)?
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
        Format::Json => json_text(masked.run()),
        Format::Markdown => Ok(report::run_markdown(&masked, report::markdown::DEFAULT_BUDGET)),
        Format::Html => report::run_html(&masked),
        Format::TerraformReport => Ok(report::counts::run_terraform(&shown)),
        Format::Dotenv => Ok(report::counts::run_dotenv(&shown)),
    }
}

fn json_text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| Error::failed(e.to_string()))
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
        let each = runs.iter().map(|run| {
            json!({ "run_id": run.run_id, "plan_id": run.plan_id, "status": run.status, "started_at": run.started_at,
                    "finished_at": run.finished_at, "syncs": run.syncs.len() })
        });
        return json_text(&json!({ "format_version": "1.0", "runs": each.collect::<Vec<_>>() }));
    }
    if runs.is_empty() {
        return Ok("There are no runs yet.\n".into());
    }
    let line = |run: &Run| {
        let sum = |count: fn(&SyncRun) -> u64| run.syncs.iter().map(count).sum::<u64>();
        format!(
            "{}  {}  {:<9}  {} succeeded, {} rejected, {} no match, {} in doubt\n",
            run.run_id,
            run.started_at.get(..19).unwrap_or(&run.started_at),
            run.status.word(),
            sum(|s| s.succeeded.total()),
            sum(|s| s.rejected),
            sum(|s| s.no_match),
            sum(|s| s.in_doubt),
        )
    };
    Ok(runs.iter().map(line).collect())
}

fn rejected(
    run: &Run,
    rows: &[crate::state::history::LoggedRow],
    all: u64,
    format: Format,
    show_values: bool,
) -> Result<String> {
    let show = show_values || terminal::style(false).show_values;
    let open = |row: &crate::state::history::LoggedRow| run.syncs.iter().any(|s| s.sync == row.sync && s.key_open);
    let key = |row: &crate::state::history::LoggedRow| mask::shown_key(&row.key, show || open(row));
    let reason = |row: &crate::state::history::LoggedRow| {
        let text = row.reason.clone().unwrap_or_default();
        if show { text } else { mask::answer(&text, if open(row) { "" } else { &row.key }) }
    };
    if only_text_and_json(format)? {
        let each = rows.iter().map(|row| {
            json!({ "sync": row.sync, "key": key(row), "state": row.state, "outcome": row.outcome,
                    "code": row.code, "message": reason(row) })
        });
        return json_text(
            &json!({ "format_version": "1.0", "run_id": run.run_id, "count": all, "rows": each.collect::<Vec<_>>() }),
        );
    }
    if rows.is_empty() {
        let id = &run.run_id;
        return Ok(match run.syncs.iter().map(|sync| sync.pending).sum::<u64>() {
            0 if run.error.is_none() => format!("Every row of run {id} was taken.\n"),
            0 => format!("Nothing of run {id} was refused.\n"),
            pending => format!(
                "Nothing of run {id} was refused, but {pending} rows were not sent: `syncline runs show {id}`\n"
            ),
        });
    }
    let mut text = String::new();
    for row in rows {
        let code = row.code.as_deref().map(|code| format!(" {code}:")).unwrap_or_default();
        text.push_str(
            format!("{}  {}  {} {}{code} {}", row.sync, key(row), row.state, row.outcome, reason(row)).trim_end(),
        );
        text.push('\n');
    }
    if all > rows.len() as u64 {
        text.push_str(&format!("{} more; see them with --limit {all}\n", all - rows.len() as u64));
    }
    Ok(text)
}
