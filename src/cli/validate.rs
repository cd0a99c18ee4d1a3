//! `syncline validate`: every fault of the project at once, offline.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Global, terminal};
use crate::diagnostic::{self, Result};
use crate::{project, report};

#[derive(Args)]
pub(super) struct Options {
    /// How the faults are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
    /// For code scanning.
    Sarif,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let root = project::find_root(&global.project)?;
    let loaded = project::load(&root, global.env.as_deref());
    let mut diagnostics = loaded.diagnostics;
    diagnostic::sort(&mut diagnostics);
    match options.format {
        Format::Text if diagnostics.is_empty() => {
            let syncs = loaded.project.map_or(0, |p| p.syncs.len());
            terminal::out(&format!("The project is valid: {syncs} {}.\n", if syncs == 1 { "sync" } else { "syncs" }))?;
        }
        Format::Text => terminal::out(&report::diagnostics::text(&diagnostics, terminal::stdout_color()))?,
        Format::Json => terminal::out(&format!("{:#}\n", report::diagnostics::json(&diagnostics)))?,
        Format::Sarif => terminal::out(&format!("{:#}\n", report::sarif::sarif(&diagnostics)))?,
    }
    Ok(if diagnostic::has_errors(&diagnostics) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
