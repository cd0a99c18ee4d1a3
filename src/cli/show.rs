//! `syncline show FILE`: a plan file or a run report, in any format.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{Format, Global, planning, runs, terminal};
use crate::diagnostic::{Error, Result, closest};
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
                only_of_plan(&mut plan, name)?;
            }
            planning::face(&plan, options.format, options.show_values)?
        }
        Content::Run(mut run) => {
            if let Some(name) = &options.sync {
                only_of_run(&mut run, name)?;
            }
            runs::face(&run, options.format, options.show_values)?
        }
    };
    terminal::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Leaves one sync in a plan, with what is said about it or about all.
fn only_of_plan(plan: &mut Plan, name: &str) -> Result<()> {
    let names: Vec<&str> = plan.syncs.iter().map(|s| s.sync.as_str()).collect();
    if !names.contains(&name) {
        return Err(no_sync("plan", name, names));
    }
    plan.syncs.retain(|s| s.sync == name);
    for notices in [&mut plan.warnings, &mut plan.refusals] {
        notices.retain(|notice| notice.sync.as_deref().is_none_or(|sync| sync == name));
    }
    plan.totals = planning::totals(&plan.syncs);
    Ok(())
}

/// Leaves one sync in a run.
fn only_of_run(run: &mut Value, name: &str) -> Result<()> {
    let of = |sync: &Value| sync.get("sync").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(syncs) = run.get_mut("syncs").and_then(Value::as_array_mut) else {
        return Err(no_sync("run", name, Vec::new()));
    };
    let names: Vec<String> = syncs.iter().map(of).collect();
    syncs.retain(|sync| of(sync) == name);
    match syncs.is_empty() {
        true => Err(no_sync("run", name, names.iter().map(String::as_str).collect())),
        false => Ok(()),
    }
}

fn no_sync(what: &str, name: &str, names: Vec<&str>) -> Error {
    let help = match (closest(name, names.iter().copied()), names.as_slice()) {
        (Some(close), _) => format!("did you mean `{close}`?"),
        (None, []) => format!("the {what} has no syncs"),
        (None, names) => format!("its syncs: {}", names.join(", ")),
    };
    Error::failed_help(format!("the {what} has no sync `{name}`"), help)
}

pub(super) enum Content {
    Plan(Box<Plan>),
    Run(Value),
}

/// The plan in a plan file, or in a file with its JSON.
pub(super) fn plan(path: &Path) -> Result<Plan> {
    match read(path)? {
        Content::Plan(plan) => Ok(*plan),
        Content::Run(_) => Err(Error::failed_help(
            format!("`{}` is a run, not a plan", path.display()),
            "a plan file, or what `syncline plan --format json` prints, is expected",
        )),
    }
}

/// Reads a plan or a run, whichever the file is.
///
/// # Errors
/// It cannot be read, or is neither.
pub(super) fn read(path: &Path) -> Result<Content> {
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
