//! `syncline show FILE`: a plan file or a run report, in any format.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{Format, Global, planning, runs, terminal};
use crate::diagnostic::{Error, Result};
use crate::plan::{Plan, file};

#[derive(Args)]
pub(super) struct Options {
    /// A plan file (`plan --out`), a plan as JSON, or a run report (`apply --report`)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only this sync
    #[arg(long, value_name = "NAME")]
    sync: Option<String>,
    /// Show values of personal data outside a terminal too
    #[arg(long)]
    show_values: bool,
}

pub(super) fn run(_: &Global, options: &Options) -> Result<ExitCode> {
    let text = match read(&options.file)? {
        Content::Plan(mut plan) => {
            if let Some(name) = &options.sync {
                plan.syncs.retain(|s| s.sync == *name);
                if plan.syncs.is_empty() {
                    return Err(Error::failed(format!("the plan has no sync `{name}`")));
                }
            }
            planning::face(&plan, options.format, options.show_values)?
        }
        Content::Run(run) => runs::face(&run, options.format, options.show_values)?,
    };
    terminal::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

enum Content {
    Plan(Box<Plan>),
    Run(Value),
}

fn read(path: &Path) -> Result<Content> {
    let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read `{}`: {e}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| failed(&e))?;
    // A plan file is a zip archive; everything else must be JSON.
    if bytes.starts_with(b"PK") {
        return file::peek(path).map(|plan| Content::Plan(Box::new(plan)));
    }
    let help = "a plan file, a plan as JSON or a run report is expected";
    let not_ours =
        |e: &dyn std::fmt::Display| Error::failed_help(format!("cannot read `{}`: {e}", path.display()), help);
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| not_ours(&e))?;
    let version = value.get("format_version").and_then(Value::as_str).unwrap_or_default();
    if version.split('.').next() != Some("1") {
        return Err(not_ours(&format!("format_version `{version}` is not 1.x")));
    }
    if value.get("run_id").is_some() {
        return Ok(Content::Run(value));
    }
    serde_json::from_value(value).map(|plan| Content::Plan(Box::new(plan))).map_err(|e| not_ours(&e))
}
