//! `syncline usage`: queried records and requests of a month, by model.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Global, terminal};
use crate::diagnostic::Result;
use crate::project::Project;
use crate::report;
use crate::report::usage::{ModelStatement, Statement, percent, usage_text};
use crate::usage::{Ledger, Month};

#[derive(Args)]
pub(super) struct Options {
    /// The month, in UTC; without it, the current one
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<Month>,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program; see `schemas/usage.schema.json`.
    Json,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let project = super::load(global)?;
    let state = terminal::state(&project)?;
    let now = Month::of(jiff::Timestamp::now());
    let ledger = state.read()?.document().usage.clone();
    let statement = statement(&project, &ledger, options.month.unwrap_or(now), now);
    terminal::out(&match options.format {
        Format::Text => usage_text(&statement, &terminal::style(false)),
        Format::Json => report::json::pretty(&statement)?,
    })?;
    Ok(ExitCode::SUCCESS)
}

fn statement(project: &Project, ledger: &Ledger, month: Month, now: Month) -> Statement {
    let limit = project.usage.monthly_queried_records.as_ref().map(|budget| budget.limit);
    let share = |records: u64| limit.map(|limit| percent(records, limit));
    let mut requests = BTreeMap::new();
    let mut models = Vec::new();
    for (name, used) in ledger.months.get(&month).into_iter().flat_map(|month| &month.models) {
        for (destination, count) in &used.requests {
            *requests.entry(destination.clone()).or_default() += count;
        }
        models.push(ModelStatement {
            model: name.clone(),
            queried_records: used.queried_records,
            percent: share(used.queried_records),
            runs: used.runs,
            requests: used.requests.clone(),
        });
    }
    models.sort_by_key(|model| std::cmp::Reverse(model.queried_records));
    let queried_records = ledger.queried_records(month);
    Statement {
        format_version: "1.0".into(),
        environment: project.environment.name.clone(),
        month: month.to_string(),
        complete: month < now,
        queried_records,
        limit,
        percent: share(queried_records),
        models,
        requests,
        other_months: ledger.months.keys().rev().filter(|other| **other != month).map(Month::to_string).collect(),
    }
}
